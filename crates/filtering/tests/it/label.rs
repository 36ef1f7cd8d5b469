//! `label` against a scripted server and, where one is named, against a real one.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use audsem_core::run::{RunOptions, Status, Summary};
use audsem_core::tables::{Cue, read_parquet, text_hash, write_parquet};
use audsem_filtering::error::Error;
use audsem_filtering::label::{self, Config};
use audsem_filtering::tables::LlmLabel;
use audsem_llm::{OpenAiServer, RetryPolicy, ServerConfig, Unasked};
use serde_json::{Value, json};

use audsem_core::testing::loopback::{Loopback, ReceivedRequest, Reply};

pub(crate) fn cues(folder: &Path, texts: &[&str]) -> PathBuf {
    let cue = |(i, text): (usize, &&str)| Cue {
        row_id: i as u64,
        video_id: format!("v{i}"),
        start_ms: 0,
        dur_ms: 2000,
        text: (*text).to_owned(),
    };
    let rows: Vec<Cue> = texts.iter().enumerate().map(cue).collect();
    let path = folder.join("cues.parquet");
    write_parquet(&rows, File::create(&path).unwrap()).unwrap();
    path
}

/// The caption asked about: the last line of the first user turn.
pub(crate) fn caption(call: &ReceivedRequest) -> String {
    let body: Value = serde_json::from_str(&call.body).unwrap();
    let messages = body["messages"].as_array().unwrap();
    let user = messages.iter().find(|message| message["role"] == "user").unwrap();
    user["content"].as_str().unwrap().lines().last().unwrap().to_owned()
}

pub(crate) fn send(body: &Value) -> Reply {
    Reply::Send(200, "", body.to_string().into_bytes())
}

/// Says yes to dogs with probability 0.75, no to the rest; vague about fog; fails on poison.
pub(crate) fn judge(call: &ReceivedRequest) -> Reply {
    let (text, reminded) = (caption(call), call.body.contains("one word"));
    if text.contains("poison") {
        return Reply::Send(400, "", b"cannot".to_vec());
    }
    if text.contains("fog") && !reminded {
        return send(&json!({"choices": [{"message": {"content": "Hard to say"}, "finish_reason": "length"}]}));
    }
    let yes: f64 = if text.contains("dog") { 0.75 } else { 0.1 };
    let top = json!([{"token": "Yes", "logprob": (yes * 0.5).ln()}, {"token": " yes", "logprob": (yes * 0.5).ln()},
                     {"token": "No", "logprob": (1.0 - yes).ln()}]);
    let said = if yes > 0.5 { "Yes" } else { "No" };
    let token = json!({"token": said, "logprob": (yes * 0.5).ln().max((1.0 - yes).ln()), "top_logprobs": top});
    send(
        &json!({"choices": [{"message": {"content": said}, "finish_reason": "stop", "logprobs": {"content": [token]}}],
                 "usage": {"prompt_tokens": 10, "completion_tokens": 1}}),
    )
}

pub(crate) fn server_config(server: &Loopback) -> ServerConfig {
    let mut config = ServerConfig::new(&server.url("/v1"));
    config.model = Some("m".into());
    config.concurrency = 2;
    config.retry = RetryPolicy { retries: 1, base: Duration::from_millis(1), cap: Duration::from_millis(1) };
    config
}

pub(crate) fn label(
    server: &Loopback,
    input: &Path,
    options: &RunOptions,
    edit: impl FnOnce(&mut Config),
) -> Result<Summary, Error> {
    let mut config = Config::new(input).unwrap();
    config.texts_per_shard = 2;
    edit(&mut config);
    run_server(&config, server_config(server), Some(options.output.join("replay")), options)
}

/// Labels with a server, as the command does.
pub(crate) fn run_server(
    config: &Config,
    server: ServerConfig,
    replay: Option<PathBuf>,
    options: &RunOptions,
) -> Result<Summary, Error> {
    let generator = OpenAiServer::connect(server)?.remembering(replay.as_deref())?;
    label::run(config, &*generator, Vec::new(), options)
}

pub(crate) fn table(out: &Path) -> Vec<(String, i8, Option<f32>)> {
    let mut rows = Vec::new();
    for path in audsem_core::tables::parts(out, "part").unwrap() {
        for row in read_parquet::<LlmLabel>(&path).unwrap() {
            assert_eq!(row.text_hash, text_hash(&row.text));
            rows.push((row.text, row.llm_label, row.llm_yes_prob));
        }
    }
    rows
}

/// Data files of a run folder with their bytes.
pub(crate) fn data(out: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(out).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    entries
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()))
        .filter(|(name, _)| !matches!(name.as_str(), "log.jsonl" | "timing.json" | "run.json"))
        .collect()
}

const TEXTS: [&str; 8] = [
    "[dog barks]",
    "[fog]",
    "[dog barks]",
    "[poison]",
    "[rain]",
    "[dog barks]",
    "[a caption that is rather long and must arrive whole, up to its very last word, dog included]",
    "[rain]",
];

#[test]
fn distinct_texts_are_asked_about_once_and_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (input, out) = (cues(folder.path(), &TEXTS), folder.path().join("out"));
    let server = Loopback::start(|call, _| judge(call));
    let summary = label(&server, &input, &RunOptions::new(&out), |_| {}).unwrap();

    let expected =
        [("[dog barks]", 1, Some(0.75)), ("[fog]", -1, None), ("[rain]", 0, Some(0.1)), (TEXTS[6], 1, Some(0.75))];
    let rows = table(&out);
    assert_eq!(rows.len(), expected.len());
    for ((text, label, prob), (expected_text, expected_label, expected_prob)) in rows.iter().zip(expected) {
        assert_eq!((text.as_str(), *label), (expected_text, expected_label));
        assert!((prob.unwrap_or(-1.0) - expected_prob.unwrap_or(-1.0)).abs() < 1e-6, "{text}: {prob:?}");
    }
    let mut asked: Vec<String> = server.calls().iter().map(caption).collect();
    asked.sort();
    let mut distinct = TEXTS.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(asked, distinct);

    let (texts, part) = (summary.step("texts").unwrap(), summary.step("part").unwrap());
    assert_eq!((texts.read, texts.kept, texts.counts["texts"]), (8, 8, 5));
    assert_eq!((part.read, part.kept, part.n_failed()), (5, 4, 1));
    assert_eq!((part.counts["yes"], part.counts["no"], part.counts["unknown"]), (2, 1, 1));
    assert_eq!(summary.results["unknown"], 1);
    assert_eq!(part.counts["rejected_answers"], 1);
    let refused = fs::read_to_string(out.join("refused-00000.jsonl")).unwrap();
    let refused: Value = serde_json::from_str(&refused).unwrap();
    assert_eq!(
        (&refused["key"], &refused["answer"], &refused["attempt"]),
        (&json!("[fog]"), &json!("Hard to say"), &json!(1))
    );
    let rejects = fs::read_to_string(out.join("rejects-00001.jsonl")).unwrap();
    assert!(rejects.contains(r#""key":"[poison]""#) && rejects.contains("status 400: cannot"), "{rejects}");
}

#[test]
fn unknowns_can_be_asked_again_without_asking_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let (input, out) = (cues(folder.path(), &TEXTS), folder.path().join("out"));
    let server = Loopback::start(|call, _| judge(call));
    label(&server, &input, &RunOptions::new(&out), |_| {}).unwrap();
    let before = server.calls().len();
    let mut options = RunOptions::new(&out);
    options.fresh = true;
    let summary = label(&server, &input, &options, |config| config.retry_unknown = 2).unwrap();
    assert_eq!(summary.results["unknown"], 0);
    assert_eq!(table(&out)[1].1, 0);
    let new: Vec<ReceivedRequest> = server.calls().split_off(before);
    let again: Vec<String> = new.iter().map(caption).collect();
    assert_eq!(again, ["[fog]", "[poison]"].map(str::to_owned).as_slice(), "only what had no answer is sent");
    let body: Value = serde_json::from_str(&new.iter().find(|call| caption(call) == "[fog]").unwrap().body).unwrap();
    let turns = body["messages"].as_array().unwrap();
    assert_eq!(turns[turns.len() - 2], json!({"role": "assistant", "content": "Hard to say"}));
}

#[test]
fn output_depends_neither_on_workers_nor_on_a_server_lost_half_way() {
    let folder = tempfile::tempdir().unwrap();
    let texts: Vec<String> = (0..23).map(|i| format!("[noise {i}]")).collect();
    let input = cues(folder.path(), &texts.iter().map(String::as_str).collect::<Vec<_>>());
    let (whole, broken) = (folder.path().join("whole"), folder.path().join("broken"));
    let server = Loopback::start(|call, _| judge(call));
    label(&server, &input, &RunOptions::new(&whole), |_| {}).unwrap();

    let answered = Arc::new(AtomicUsize::new(0));
    let counter = answered.clone();
    let failing = Loopback::start(move |call, n| {
        if n >= 9 {
            return Reply::Close;
        }
        counter.fetch_add(1, Ordering::SeqCst);
        judge(call)
    });
    let mut options = RunOptions::new(&broken);
    options.workers = 2;
    let error = label(&failing, &input, &options, |_| {}).unwrap_err().to_string();
    assert!(error.contains("no answer after 2 attempts") && error.contains("--server"), "{error}");
    let healthy = Loopback::start(|call, _| judge(call));
    let summary = label(&healthy, &input, &options, |_| {}).unwrap();
    assert_eq!(summary.status, Status::Done);
    assert_eq!(healthy.calls().len() + answered.load(Ordering::SeqCst), 23, "an answered request was repeated");
    assert_eq!(data(&whole), data(&broken));
}

/// A killed run repeats no request that was answered.
#[test]
fn killed_process_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let texts: Vec<String> = (0..12).map(|i| format!("[noise {i}]")).collect();
    let input = cues(folder.path(), &texts.iter().map(String::as_str).collect::<Vec<_>>());
    let out = folder.path().join("out");
    let command = |server: &Loopback| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_audsem-filtering"));
        command.args(["label", "--model", "m", "--concurrency", "1", "--per-shard", "5", "--workers", "1"]);
        command.args(["--server", &server.url("/v1")]).arg("--input").arg(&input).arg("--output").arg(&out);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let (reached, wait) = std::sync::mpsc::channel();
    let reached = std::sync::Mutex::new(reached);
    let hanging = Loopback::start(move |call, n| {
        if n < 8 {
            return judge(call);
        }
        let _ = reached.lock().unwrap().send(());
        Reply::Hang
    });
    let mut child = command(&hanging).spawn().unwrap();
    wait.recv_timeout(Duration::from_secs(60)).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();

    let healthy = Loopback::start(|call, _| judge(call));
    assert!(command(&healthy).status().unwrap().success());
    let asked: Vec<String> = healthy.calls().iter().map(caption).collect();
    assert_eq!(asked, texts[8..].to_vec());
    assert_eq!(table(&out).len(), 12);
}

#[test]
fn dry_run_needs_no_server() {
    let folder = tempfile::tempdir().unwrap();
    let (input, out) = (cues(folder.path(), &TEXTS), folder.path().join("out"));
    let mut options = RunOptions::new(&out);
    options.dry_run = true;
    let summary = label::run(&Config::new(&input).unwrap(), &Unasked("m".into()), Vec::new(), &options).unwrap();
    assert_eq!(summary.step("texts").unwrap().counts["texts"], 5);
    assert!(!out.exists());
}

#[test]
fn what_cannot_run_says_why_with_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let input = cues(folder.path(), &["[x]"]);
    let template = folder.path().join("prompt.txt");
    fs::write(&template, "--- user ---\nIs {{ text }} a sound?\n").unwrap();
    let check = |arguments: &[&str], expected: &str| {
        let out = Command::new(env!("CARGO_BIN_EXE_audsem-filtering"))
            .args(["label", "--model", "m", "--retries", "0", "--output"])
            .arg(folder.path().join("out"))
            .args(arguments)
            .output()
            .unwrap();
        let stderr = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(expected), "{stderr}");
    };
    let (input, template) = (input.to_str().unwrap(), template.to_str().unwrap());
    let nobody = ["--server", "http://127.0.0.1:1/v1"];
    check(&["--input", input, nobody[0], nobody[1]], "no answer after 1 attempt:");
    check(&["--input", "nowhere", nobody[0], nobody[1]], "nowhere");
    check(&["--input", input, "--server", "localhost"], "must begin with http://");
    check(&["--input", input], "--retries is for a server: name one with --server");
    check(&["--input", input, "--prompt", template, nobody[0], nobody[1]], "line 2: undefined value");
}

/// Runs only where AUDSEM_TEST_SERVER names a server, such as the one `just llm-server` starts. Holds
/// for any model: labels are complete, scores are probabilities that agree with them, and a second
/// run repeats the first without a request.
#[test]
fn real_server_labels_and_repeats() {
    let Some(url) = std::env::var_os("AUDSEM_TEST_SERVER") else {
        eprintln!("AUDSEM_TEST_SERVER is not set: start one with `just llm-server`");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let input = cues(folder.path(), &["[dog barks]", "[door slams shut]", "[Castle Brightmoor]", "[dog barks]"]);
    let run = |name: &str| {
        let options = RunOptions::new(folder.path().join(name));
        let server = ServerConfig::new(url.to_str().unwrap());
        let replay = folder.path().join("replay");
        run_server(&Config::new(&input).unwrap(), server, Some(replay), &options).unwrap();
        table(&options.output)
    };
    let first = run("first");
    assert_eq!(first.len(), 3);
    for (text, label, prob) in &first {
        let prob = prob.unwrap_or_else(|| panic!("{text}: the server gives no probabilities"));
        assert!((0.0..=1.0).contains(&prob) && *label == i8::from(prob >= 0.5), "{text}: {label} {prob}");
    }
    let answers = |folder: &Path| fs::read_dir(folder).unwrap().count();
    let files = answers(&folder.path().join("replay"));
    assert_eq!(run("second"), first);
    assert_eq!(answers(&folder.path().join("replay")), files, "the second run asked the server");
    eprintln!("{first:?}");
}
