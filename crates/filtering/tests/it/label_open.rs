//! `label` where questions get no answer: they stay open, and a server or settings that are of no use end the run.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use audsem_core::run::{RunOptions, Status};
use audsem_core::testing::loopback::{Loopback, Reply};
use audsem_filtering::label::Config;
use audsem_llm::Unanswered;
use serde_json::{Value, json};

use crate::label::{caption, cues, data, judge, label, run_server, send, server_config, table};

/// A model that thinks longer than it may answer gives no labels, not labels made of its thoughts; what it wrote is
/// not remembered, so that the same command asks again.
#[test]
fn run_without_a_single_answer_is_an_error_that_is_not_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let (input, out) = (cues(folder.path(), &["[dog barks]", "[rain]", "[fog rolls in]"]), folder.path().join("out"));
    let server = Loopback::start(|call, _| {
        let top = json!([{"token": "No", "logprob": -0.1}, {"token": "Yes", "logprob": -3.0}]);
        let token = json!({"token": "No", "logprob": -0.1, "top_logprobs": top});
        let think = format!("No speech in {}", caption(call));
        send(&json!({"choices": [{"message": {"content": null, "reasoning_content": think}, "finish_reason": "length",
            "logprobs": {"content": [token]}}]}))
    });
    for attempt in 1..=2 {
        let mut options = RunOptions::new(&out);
        options.fresh = true;
        let error = label(&server, &input, &options, |_| {}).unwrap_err().to_string();
        assert!(error.contains("none of 3 answers") && error.contains("raise --max-tokens"), "{error}");
        assert_eq!(server.calls().len(), 3 * attempt, "an answer of no use was remembered");
    }
    // Nothing is asked where all shards are done, and nothing is taken for a result either.
    let error = label(&server, &input, &RunOptions::new(&out), |_| {}).unwrap_err().to_string();
    assert!(error.contains("none of 3 answers"), "{error}");
}

/// After twenty answers of no use the rest is not paid for.
#[test]
fn hopeless_run_ends_early() {
    let folder = tempfile::tempdir().unwrap();
    let texts: Vec<String> = (0..60).map(|i| format!("[noise {i}]")).collect();
    let input = cues(folder.path(), &texts.iter().map(String::as_str).collect::<Vec<_>>());
    let server = Loopback::start(|_, _| send(&json!({"choices": [{"message": {"content": "I cannot tell"}}]})));
    let mut options = RunOptions::new(folder.path().join("out"));
    options.workers = 1;
    let error = label(&server, &input, &options, |_| {}).unwrap_err().to_string();
    assert!(error.contains("neither yes nor no: `I cannot tell`") && error.contains("--prompt"), "{error}");
    assert_eq!(server.calls().len(), 20);
}

/// Temporary failures of a server that answers other requests leave their questions open; the next run asks only those.
#[test]
fn questions_without_an_answer_stay_open_and_alone_are_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let input = cues(folder.path(), &["[dog barks]", "[hail]", "[rain]", "[door slams]", "[wind]", "[dog howls]"]);
    let whole = folder.path().join("whole");
    let healthy = || Loopback::start(|call, _| judge(call));
    label(&healthy(), &input, &RunOptions::new(&whole), |_| {}).unwrap();

    let status = |status| move || Reply::Send(status, "", b"busy".to_vec());
    type Failure = Box<dyn Fn() -> Reply + Send + Sync>;
    let failures: [(&str, Failure); 9] = [
        ("429", Box::new(status(429))),
        ("500", Box::new(status(500))),
        ("502", Box::new(status(502))),
        ("503", Box::new(status(503))),
        ("504", Box::new(status(504))),
        ("closed", Box::new(|| Reply::Close)),
        ("cut", Box::new(|| Reply::Cut(b"{".to_vec()))),
        ("page", Box::new(|| Reply::Send(200, "", b"<html>come back later</html>".to_vec()))),
        ("slow", Box::new(|| Reply::Hang)),
    ];
    for (name, failure) in failures {
        let out = folder.path().join(name);
        let overloaded = Loopback::start(move |call, _| match call.method == "GET" {
            true => send(&json!({"data": [{"id": "m"}]})),
            false if caption(call) == "[rain]" => failure(),
            false => judge(call),
        });
        let mut server = server_config(&overloaded);
        server.timeout = Duration::from_millis(300);
        let mut config = Config::new(&input).unwrap();
        config.texts_per_shard = 2;
        let first = run_server(&config, server, Some(out.join("replay")), &RunOptions::new(&out));
        match &first {
            // Too many requests: the run ends at once, for the server's sake.
            Err(error) => assert!(name == "429" && error.to_string().contains("status 429"), "{name}: {error}"),
            Ok(summary) => {
                let failed: Vec<&str> = summary.failed_shards.iter().map(|shard| &*shard.shard).collect();
                assert_eq!((failed, summary.exit_code()), (vec!["00001"], 1), "{name}");
                let error = &summary.failed_shards[0].error;
                assert!(error.contains("1 of 2 questions has no answer yet"), "{name}: {error}");
            }
        }
        assert!(!out.join("part-00001.done.json").exists(), "{name}: the shard counts as done");

        let server = healthy();
        let summary = label(&server, &input, &RunOptions::new(&out), |_| {}).unwrap();
        assert_eq!(summary.status, Status::Done, "{name}");
        let mut asked: Vec<String> = server.calls().iter().map(caption).collect();
        asked.retain(|caption| name != "429" || caption == "[rain]");
        assert_eq!(asked, ["[rain]"], "{name}");
        assert_eq!(data(&out), data(&whole), "{name}");
    }
}

/// A question that no server ever answers need not keep a run open for ever.
#[test]
fn open_questions_can_be_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let (input, out) = (cues(folder.path(), &["[dog barks]", "[rain]"]), folder.path().join("out"));
    let server = Loopback::start(|call, _| match call.method == "GET" {
        true => send(&json!({"data": [{"id": "m"}]})),
        false if caption(call) == "[rain]" => Reply::Send(500, "", b"crash".to_vec()),
        false => judge(call),
    });
    let mut options = RunOptions::new(&out);
    assert_eq!(label(&server, &input, &options, |_| {}).unwrap().failed_shards.len(), 1);
    options.max_fail_rate = 0.5;
    let summary = label(&server, &input, &options, |config| config.unanswered = Unanswered::Fail).unwrap();
    assert_eq!((summary.status, summary.step("part").unwrap().n_failed()), (Status::Done, 1));
}

/// A stop request ends the wait for a server: between retries, while it asked to wait, and for an answer that does not
/// come.
#[test]
fn stop_request_ends_the_wait_for_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let texts: Vec<String> = (0..12).map(|i| format!("[noise {i}]")).collect();
    let input = cues(folder.path(), &texts.iter().map(String::as_str).collect::<Vec<_>>());
    type Waiting = fn() -> Reply;
    let cases: [(&str, Waiting); 3] = [
        ("hang", || Reply::Hang),
        ("busy", || Reply::Send(503, "retry-after: 500\r\n", b"busy".to_vec())),
        ("broken", || Reply::Send(500, "", b"broken".to_vec())),
    ];
    for (name, reply) in cases {
        let out = folder.path().join(name);
        let command = |server: &Loopback| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_audsem-filtering"));
            command.args(["label", "--model", "m", "--concurrency", "2", "--retries", "30", "--server"]);
            command.arg(server.url("/v1")).arg("--input").arg(&input).arg("--output").arg(&out);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        let (reached, wait) = std::sync::mpsc::channel();
        let reached = std::sync::Mutex::new(reached);
        let waiting = Loopback::start(move |call, n| {
            if n < 5 {
                return judge(call);
            }
            let _ = reached.lock().unwrap().send(());
            reply()
        });
        let mut child = command(&waiting).spawn().unwrap();
        // A server that asks to wait may get a single request.
        let n_waiting = match name {
            "busy" => 1,
            "hang" => 2,
            _ => 4,
        };
        for _ in 0..n_waiting {
            wait.recv_timeout(Duration::from_secs(60)).unwrap();
        }
        let asked = std::time::Instant::now();
        assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(3), "{name}");
        assert!(asked.elapsed() < Duration::from_secs(20), "{name}: stopped after {:?}", asked.elapsed());

        let healthy = Loopback::start(|call, _| judge(call));
        assert!(command(&healthy).status().unwrap().success());
        assert_eq!((healthy.calls().len(), table(&out).len()), (7, 12), "{name}");
    }
}

/// A stop request does not wait for the texts that are left; what was answered is not asked again.
#[test]
fn stop_request_is_heeded_within_a_shard() {
    let folder = tempfile::tempdir().unwrap();
    let texts: Vec<String> = (0..40).map(|i| format!("[noise {i}]")).collect();
    let input = cues(folder.path(), &texts.iter().map(String::as_str).collect::<Vec<_>>());
    let out = folder.path().join("out");
    let pid: Arc<std::sync::OnceLock<u32>> = Arc::default();
    let target = pid.clone();
    let server = Loopback::start(move |call, n| {
        if n == 5 {
            assert!(Command::new("kill").arg(target.wait().to_string()).status().unwrap().success());
        }
        judge(call)
    });
    let command = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_audsem-filtering"));
        command.args(["label", "--model", "m", "--concurrency", "1", "--server", &server.url("/v1"), "--input"]);
        command.arg(&input).arg("--output").arg(&out).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let mut child = command().spawn().unwrap();
    pid.set(child.id()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(3));
    let n_before = server.calls().len();
    assert!(n_before < 40, "all {n_before} texts were asked about");
    assert!(command().status().unwrap().success());
    assert_eq!((server.calls().len(), table(&out).len()), (40, 40));
}

/// A server that gives five log-probabilities and not twenty is asked twice, not about every text.
#[test]
fn refused_settings_end_the_run_with_the_words_of_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let texts: Vec<String> = (0..60).map(|i| format!("[noise {i}]")).collect();
    let input = cues(folder.path(), &texts.iter().map(String::as_str).collect::<Vec<_>>());
    let server = Loopback::start(|call, _| {
        let body: Value = serde_json::from_str(&call.body).unwrap();
        match body["top_logprobs"].as_u64() {
            Some(6..) => Reply::Send(400, "", b"{\"error\":\"top_logprobs must be at most 5\"}".to_vec()),
            _ => judge(call),
        }
    });
    let options = RunOptions::new(folder.path().join("out"));
    let error = label(&server, &input, &options, |config| config.texts_per_shard = 60).unwrap_err().to_string();
    assert!(error.contains("top_logprobs must be at most 5") && error.contains("--top-logprobs"), "{error}");
    assert_eq!(server.calls().len(), 2);
    let options = RunOptions { fresh: true, ..options };
    label(&server, &input, &options, |config| (config.texts_per_shard, config.top_logprobs) = (60, 5)).unwrap();
    assert_eq!((server.calls().len(), table(&options.output).len()), (62, 60));
}

/// A text that the server refuses is that text's fault, also if it is the first.
#[test]
fn a_refused_first_text_is_no_refused_setting() {
    let folder = tempfile::tempdir().unwrap();
    let input = cues(folder.path(), &["[poison]", "[dog barks]"]);
    let server = Loopback::start(|call, _| judge(call));
    let mut options = RunOptions::new(folder.path().join("out"));
    options.max_fail_rate = 1.0;
    let summary = label(&server, &input, &options, |_| {}).unwrap();
    assert_eq!(summary.step("part").unwrap().failed["no_answer"], 1);
    assert_eq!(table(&options.output).len(), 1);
}
