//! `caption`, `qa`, `mcqa`, `prompt` and `lint` through the binary, against a scripted server and by rules.

use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc;
use std::thread::sleep;
use std::time::Duration;

use audsem_core::records::Task;
use audsem_core::tables::read_parquet;
use audsem_core::tar::{ShardOptions, ShardWriter};
use audsem_core::testing::loopback::{Loopback, ReceivedRequest, Reply};
use audsem_metadata_eval::tables::{ClipMetadata, SoundTag};
use audsem_metadata_eval::write::product::{Product, Style};
use serde_json::{Value, json};

use crate::workbench::{Bench, tag};

const THINKING: &str = "Let me listen closely. Something falls steadily and softly, and hmm, it must be water on a roof. It goes on \
    without a pause, there is no wind in it, and nobody speaks. Wait, that could also be a shower, but the wide and open \
    space around it speaks against that, so I am fairly sure that this is simply rain outdoors.";

/// Rows of `combine`, made by it from a table of audio features.
pub(crate) fn clips(bench: &Bench, n: usize) {
    let row = |i: usize| {
        let mut row = crate::workbench::audio(&format!("video{i:06} (1_0-5_0)"), "Rain falls.");
        row.text = Some(format!("[rain falls on roof {i}]"));
        let tags: Vec<SoundTag> = vec![tag("Rain", 0.9), tag("Dog", 0.4)];
        row.ced_tags = Some(tags);
        row
    };
    bench.table("audio.parquet", &(0..n).map(row).collect::<Vec<_>>());
    bench.call("combine --audio audio.parquet --require audio -o clips").ended(0);
    let rows: Vec<ClipMetadata> = read_parquet(&bench.path("clips/part-00000.parquet")).unwrap();
    assert_eq!(rows.len(), n);
}

fn body(call: &ReceivedRequest) -> Value {
    serde_json::from_str(&call.body).unwrap()
}

pub(crate) fn is_judge(call: &ReceivedRequest) -> bool {
    call.body.contains("strict judge")
}

/// Which clip a request is about.
fn clip(call: &ReceivedRequest) -> String {
    let at = call.body.find("[rain falls on roof ").unwrap() + "[rain falls on roof ".len();
    call.body[at..].split(']').next().unwrap().to_owned()
}

pub(crate) fn say(text: &str) -> Reply {
    let body = json!({"choices": [{"message": {"content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5}});
    Reply::Send(200, "", body.to_string().into_bytes())
}

pub(crate) fn caption(answer: &str) -> Reply {
    say(&json!({"thinking": THINKING, "answer": answer}).to_string())
}

pub(crate) fn lines(bench: &Bench, name: &str) -> Vec<Value> {
    bench.text(name).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn flags(server: &Loopback) -> String {
    format!("-i clips --server {} --model m --concurrency 1 --workers 1 --retries 0", server.url("/v1"))
}

#[test]
fn a_rejected_answer_is_asked_about_again_with_the_reason_and_another_seed() {
    let bench = Bench::new();
    clips(&bench, 3);
    let server = Loopback::start(|call, _| match (clip(call).as_str(), call.body.contains("cannot be used")) {
        ("1", false) => caption("A visible roof."),
        ("2", _) => caption("The audio tags say rain."),
        _ => caption("Rain falls."),
    });
    let called = bench.call(&format!("caption {} --max-attempts 2 --max-fail-rate 1 -o out", flags(&server)));
    let step = called.ended(0).step("part");
    assert_eq!((&step["in"], &step["kept"], &step["counts"]["rejected_answers"]), (&json!(3), &json!(2), &json!(3)));

    let rows = lines(&bench, "out/part-00000.jsonl");
    assert_eq!(
        rows[1],
        json!({"file_name": "video000001 (1_0-5_0)", "caption": "Rain falls.", "thinking": THINKING, "writer": "m"})
    );
    let refused = lines(&bench, "out/refused-00000.jsonl");
    assert_eq!(refused.len(), 3);
    assert!(refused[0]["reason"].as_str().unwrap().contains("can only be seen"), "{}", refused[0]);
    assert!(bench.details("out/rejects-00000.jsonl")[0].contains("names the data"));

    let calls: Vec<Value> = server.calls().iter().filter(|call| clip(call) == "1").map(body).collect();
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[1]["seed"].as_u64().unwrap(), calls[0]["seed"].as_u64().unwrap() + 1);
    let turns = calls[1]["messages"].as_array().unwrap();
    assert!(turns.last().unwrap()["content"].as_str().unwrap().contains("can only be seen"));
    assert_eq!((&calls[0]["temperature"], &calls[0]["top_p"]), (&json!(1.0), &json!(1.0)));
    assert_eq!(calls[0]["response_format"]["json_schema"]["schema"]["required"], json!(["thinking", "answer"]));
    assert!(calls[0].get("min_tokens").is_none());
}

#[test]
fn a_judge_decides_on_content_and_its_reason_goes_back() {
    let bench = Bench::new();
    clips(&bench, 2);
    let server = Loopback::start(|call, _| {
        if is_judge(call) {
            let valid = !call.body.contains("Snow falls");
            return say(&json!({"reason": if valid { "" } else { "rule 1" }, "valid": valid}).to_string());
        }
        let is_first = clip(call) == "0" && !call.body.contains("a judge rejects it: rule 1");
        caption(if is_first { "Snow falls." } else { "Rain falls." })
    });
    let step = bench.call(&format!("caption {} --judge -o out", flags(&server))).ended(0).step("part");
    assert_eq!((&step["kept"], &step["counts"]["rejected_answers"]), (&json!(2), &json!(1)));
    assert_eq!(server.calls().iter().filter(|call| is_judge(call)).count(), 3);
    let refused = lines(&bench, "out/refused-00000.jsonl");
    assert_eq!(refused[0]["reason"], "a judge rejects it: rule 1");
    assert!(lines(&bench, "out/part-00000.jsonl").iter().all(|row| row["caption"] == "Rain falls."));
}

/// The server is asked 200 questions, judgements included, eight at a time; a kill after 127 answers repeats none.
#[test]
fn a_killed_run_of_200_questions_asks_nothing_twice() {
    let bench = Bench::new();
    clips(&bench, 100);
    let answer = |call: &ReceivedRequest| {
        sleep(Duration::from_millis(3));
        if is_judge(call) { say(r#"{"reason": "", "valid": true}"#) } else { caption("Rain falls.") }
    };
    let (reached, wait) = mpsc::channel();
    let reached = Mutex::new(reached);
    let hanging = Loopback::start(move |call, n| {
        if n < 127 {
            return answer(call);
        }
        let _ = reached.lock().unwrap().send(());
        Reply::Hang
    });
    let flags = |server: &Loopback| {
        let url = server.url("/v1");
        let server = format!("--server {url} --model m --concurrency 8 --workers 2 --retries 0");
        format!("caption -i clips {server} --judge --judge-with-facts --per-shard 16 -o out")
    };
    let mut child = bench.command(&flags(&hanging)).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait.recv_timeout(Duration::from_secs(60)).unwrap();
    // Until every thread waits for an answer that does not come.
    while wait.recv_timeout(Duration::from_millis(500)).is_ok() {}
    child.kill().unwrap();
    child.wait().unwrap();

    let healthy = Loopback::start(move |call, _| answer(call));
    bench.call(&flags(&healthy)).ended(0);
    assert_eq!(healthy.calls().len(), 200 - 127, "an answered question was asked again");
    let rows: usize = (0..7).map(|i| lines(&bench, &format!("out/part-{i:05}.jsonl")).len()).sum();
    assert_eq!(rows, 100);
}

#[test]
fn rules_write_every_kind_of_record_and_lint_finds_nothing() {
    let bench = Bench::new();
    clips(&bench, 24);
    for (product, task) in [("caption", Task::Caption), ("qa", Task::Qa), ("mcqa", Task::McQa)] {
        for style in ["simple", "semantic"] {
            let out = format!("{product}-{style}");
            let command = format!("{product} -i clips --backend template --style {style} --per-shard 10 -o {out}");
            let step = bench.call(&command).ended(0).step("part");
            assert_eq!((&step["in"], &step["kept"]), (&json!(24), &json!(24)), "{out}");
            let rows = lines(&bench, &format!("{out}/part-00002.jsonl"));
            assert_eq!((rows.len(), &rows[0]["writer"]), (4, &json!("template-1")));
            for row in &rows {
                assert_eq!(task.record().check(row.as_object().unwrap(), style == "semantic"), Ok(()), "{row}");
            }
        }
    }
    let before = bench.tree("mcqa-simple");
    bench.call("mcqa -i clips --backend template --per-shard 10 -o mcqa-simple --fresh --workers 1").ended(0);
    assert_eq!(bench.tree("mcqa-simple"), before);
    let called = bench.call("lint --records mcqa-simple --table clips").ended(0);
    let report: Value = serde_json::from_str(&called.stdout).unwrap();
    let problems = report["problems"].as_object().unwrap();
    // Clips of the same sounds have much the same text.
    assert!(problems.keys().all(|problem| problem == "duplicate"), "{report}");
    let letters = &report["multiple_choice"]["letters"];
    let counts: Vec<u64> = ["A", "B", "C", "D"].iter().map(|letter| letters[letter].as_u64().unwrap()).collect();
    assert_eq!(counts.iter().sum::<u64>(), report["multiple_choice"]["answered"].as_u64().unwrap());
    assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 3, "{counts:?}");
}

/// The rows of all inputs in their order; a clip that an earlier one has counts as failed, with the reason.
#[test]
fn clips_of_several_tables_are_written_about_once() {
    let bench = Bench::new();
    clips(&bench, 2);
    std::fs::rename(bench.path("clips"), bench.path("first")).unwrap();
    clips(&bench, 3);
    let command = "caption -i first clips --backend template --max-fail-rate 1 -o out";
    let step = bench.call(command).ended(0).step("clips");
    assert_eq!((&step["in"], &step["kept"], &step["failed"]), (&json!(5), &json!(3), &json!({"duplicate_clip": 2})));
    let names = |name: &str| -> Vec<String> {
        lines(&bench, name).iter().map(|row| row["file_name"].as_str().unwrap().to_owned()).collect()
    };
    let key = |i: usize| format!("video{i:06} (1_0-5_0)");
    assert_eq!(names("out/part-00000.jsonl"), [key(0), key(1), key(2)]);
    let before = bench.tree("out");
    bench.call(command).ended(0);
    assert_eq!(bench.tree("out"), before);
    bench.call(&command.replace("first clips", "clips")).ended(2).says("inputs");
    bench.call(&command.replace("-i first clips", "-i clips -i first").replace("out", "turned")).ended(0);
    assert_eq!(names("turned/part-00000.jsonl"), names("out/part-00000.jsonl"));
    let shown = bench.call_with("prompt caption -i first -i clips", |command| {
        command.args(["--show", &key(2)]);
    });
    assert!(shown.ended(0).stdout.contains("[rain falls on roof 2]"));
    bench.call("prompt caption -i first -i clips --show nobody").ended(2).says("first, ");
}

#[test]
fn a_sample_is_drawn_by_the_seed() {
    let bench = Bench::new();
    clips(&bench, 30);
    let sample = |seed: u32, out: &str| -> Vec<Value> {
        let command = format!("caption -i clips --backend template --sample 5 --seed {seed} -o {out}");
        let called = bench.call(&command).ended(0);
        assert_eq!(called.step("clips")["dropped"]["not_sampled"], 25);
        lines(&bench, &format!("{out}/part-00000.jsonl")).iter().map(|row| row["file_name"].clone()).collect()
    };
    let (one, other) = (sample(1, "one"), sample(2, "two"));
    assert_eq!((one.len(), one == sample(1, "again"), one == other), (5, true, false));
}

#[test]
fn a_prompt_is_shown_as_the_model_gets_it() {
    let bench = Bench::new();
    clips(&bench, 2);
    let server = Loopback::start(|_, _| caption("Rain falls."));
    bench.call(&format!("caption {} -o out", flags(&server))).ended(0);
    let shown = bench.call_with("prompt caption -i clips", |command| {
        command.args(["--show", "video000001 (1_0-5_0)"]);
    });
    let shown = shown.ended(0).stdout;
    let asked = body(server.calls().iter().find(|call| clip(call) == "1").unwrap());
    for turn in asked["messages"].as_array().unwrap() {
        assert!(shown.contains(turn["content"].as_str().unwrap()), "{shown}");
    }
    bench.call("prompt caption -i clips --show nobody").ended(2).says("no clip has the key");
}

#[test]
fn what_rules_write_can_be_judged_by_a_model() {
    let bench = Bench::new();
    clips(&bench, 3);
    let server = Loopback::start(|call, _| {
        let valid = server_judged(call) != 1;
        say(&json!({"reason": if valid { "" } else { "rule 2" }, "valid": valid}).to_string())
    });
    let flags = flags(&server);
    let called =
        bench.call(&format!("caption {flags} --backend template --judge --judge-with-facts --max-fail-rate 1 -o out"));
    let step = called.ended(0).step("part");
    assert_eq!((&step["kept"], &step["failed"]), (&json!(2), &json!({"answer_refused": 1})));
    // Rules would only write the same again.
    assert_eq!(server.calls().len(), 3);
    assert!(bench.details("out/rejects-00000.jsonl")[0].contains("a judge rejects it: rule 2"));
    assert_eq!(lines(&bench, "out/part-00000.jsonl")[0]["writer"], "template-1");
}

fn server_judged(call: &ReceivedRequest) -> usize {
    assert!(is_judge(call), "{}", call.body);
    clip(call).parse().unwrap()
}

/// Nothing has begun; the same command begins.
#[test]
fn a_stop_before_the_server_has_named_its_model_ends_with_the_code_of_a_stop() {
    let bench = Bench::new();
    clips(&bench, 1);
    for signal in ["-TERM", "-INT"] {
        let (reached, wait) = mpsc::channel();
        let reached = Mutex::new(reached);
        let server = Loopback::start(move |_, _| {
            let _ = reached.lock().unwrap().send(());
            Reply::Send(503, "", b"loading".to_vec())
        });
        let mut command = bench.command(&format!("caption -i clips --server {} -o out", server.url("/v1")));
        let child = command.stderr(Stdio::piped()).spawn().unwrap();
        wait.recv_timeout(Duration::from_secs(60)).unwrap();
        Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        let ended = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(3), "{said}");
        assert!(said.contains("stopped on request, while waiting for the language model server http://"), "{said}");
        assert!(!bench.path("out").exists());
    }
}

#[test]
fn a_page_compares_outputs_and_plays_the_sounds() {
    let bench = Bench::new();
    clips(&bench, 3);
    for (out, style) in [("one", "simple"), ("two", "semantic")] {
        bench.call(&format!("caption -i clips --backend template --style {style} -o {out}")).ended(0);
    }
    let mut tar = ShardWriter::new(Vec::new(), ShardOptions::default());
    let name = |i: usize| format!("{{\"original_filename\": \"video{i:06} (1.0-5.0).mp4\"}}");
    for i in [0, 2] {
        let json = name(i);
        tar.write_sample(&i.to_string(), &[("flac", &b"fLaC"[..]), ("json", json.as_bytes())]).unwrap();
    }
    bench.write("shards/00000.tar", tar.finish().unwrap().0);
    let called = bench.call("sample -r first=one -r second=two --shards shards -n 5 -o page.html").ended(0);
    let said: Value = serde_json::from_str(&called.stdout).unwrap();
    assert_eq!(said, json!({"clips": 3, "without_sound": 1, "common": 3, "unreadable": 0}));
    let page = bench.text("page.html");
    assert_eq!(page.matches("<audio controls").count(), 2);
    assert!(
        page.contains("src=\"data:audio/flac;base64,ZkxhQw==\"") && page.contains("not in the shards given"),
        "{page}"
    );
    assert_eq!((page.matches("<h3>first</h3>").count(), page.matches("<h3>second</h3>").count()), (3, 3));
    assert!(page.contains("Signal-level descriptors"), "{page}");
    bench.call("sample -r first=one -r second=none --shards shards -o page.html").ended(2);
}

/// The scripted model always says B, or knows that rain is the answer: by turning the options, the first gets a quarter.
#[test]
fn contribution_tells_guessing_by_letter_from_knowing_the_answer() {
    let bench = Bench::new();
    clips(&bench, 4);
    bench.call("mcqa -i clips --backend template -o mcqa").ended(0);
    for (knows, silence, share) in [(false, "", 0.25), (true, "--silence 1", 1.0)] {
        let server = Loopback::start(move |call, _| {
            let asked = body(call).to_string();
            let line = asked.find(". Rain\\n").or(asked.find(". Rain\"")).or(asked.find(". Weather or water"));
            let letter = line.filter(|_| knows).map_or("B", |at| &asked[at - 1..at]);
            say(&json!({ "answer": letter }).to_string())
        });
        let out = format!("contribution-{knows}");
        let flags = format!("-r mcqa --server {} --model m --workers 1 --retries 0", server.url("/v1"));
        let called = bench.call(&format!("contribution {flags} {silence} -o {out}")).ended(0);
        let rows = lines(&bench, &format!("{out}/part-00000.jsonl"));
        assert_eq!((rows.len(), called.step("part")["counts"]["tries"].as_u64().unwrap() >= 32), (4, true));
        for row in rows {
            assert_eq!(row["without_audio"], json!(share), "{row}");
            assert!(
                row["qa_pairs"].as_array().unwrap().iter().all(|pair| pair["without_audio"] == json!(share)),
                "{row}"
            );
        }
        assert_eq!(server.calls()[0].body.contains("input_audio"), knows);
    }
}

#[test]
fn a_model_that_hears_gets_the_sound_of_the_clip_and_notes_on_its_pictures() {
    let bench = Bench::new();
    clips(&bench, 2);
    let mut tar = ShardWriter::new(Vec::new(), ShardOptions::default());
    let json = b"{\"original_filename\": \"video000001 (1.0-5.0).mp4\"}";
    tar.write_sample("0", &[("wav", &b"RIFF-of-one"[..]), ("json", json)]).unwrap();
    bench.write("shards/00000.tar", tar.finish().unwrap().0);
    let server = Loopback::start(|_, _| caption("Rain falls."));
    let flags = flags(&server);
    let called = bench.call(&format!("visual-caption {flags} --sounds shards --max-fail-rate 1 -o out")).ended(0);
    assert_eq!((&called.step("part")["kept"], server.calls().len()), (&json!(1), 1));
    let content = body(&server.calls()[0])["messages"][1]["content"].clone();
    assert_eq!(content[0]["input_audio"], json!({"data": "UklGRi1vZi1vbmU=", "format": "wav"}));
    assert!(content[1]["text"].as_str().unwrap().starts_with("Listen to the recording"), "{content}");
    assert!(bench.details("out/rejects-00000.jsonl")[0].contains("no shard has the sound"));
    bench.call(&format!("visual-caption {flags} -o other")).ended(2).says("needs --sounds");
}

/// Runs only where AUDSEM_TEST_SERVER names a server, such as the one `just llm-server` starts. Holds for any model: what
/// was not cut off is JSON of the shape that was asked for, and a second run asks nothing.
#[test]
fn real_server_writes_captions_and_multiple_choice() {
    let Some(url) = std::env::var_os("AUDSEM_TEST_SERVER") else {
        eprintln!("AUDSEM_TEST_SERVER is not set: start one with `just llm-server`");
        return;
    };
    let bench = Bench::new();
    clips(&bench, 3);
    bench.write(
        "caption.txt",
        "--- user ---\nWhat do you hear in a recording of {{ closed_caption }}? Think in the field thinking \
        about its sounds, in a sentence or two, and write a short caption in the field answer.\n",
    );
    bench.write(
        "mcqa.txt",
        "--- user ---\nAsk two questions about a recording of {{ closed_caption }}, each with four choices A to D, \
        a sentence of thinking, and as answer the letter and text of the right choice.\n",
    );
    let url = url.to_str().unwrap();
    let mut n = 0;
    for (name, product) in [("caption", Product::Caption), ("mcqa", Product::Mcqa)] {
        let flags = format!(
            "{name} -i clips --template {name}.txt --min-thinking 1 --server {url} --concurrency 2 --timeout 600 --max-tokens 900 \
             --max-attempts 3 --max-fail-rate 1 --replay replay"
        );
        let called = bench.call(&format!("{flags} -o {name}"));
        // A small model may write nothing that is good enough, least of all multiple choice.
        assert!(called.code == 0 || called.stderr.contains("can be used"), "{}", called.stderr);
        let schema = audsem_llm::Schema::compile(&product.schema(Style::Simple, false)).unwrap();
        let refused = format!("{name}/refused-00000.jsonl");
        for refused in if bench.path(&refused).exists() { lines(&bench, &refused) } else { Vec::new() } {
            let read = schema.read(refused["answer"].as_str().unwrap());
            assert!(read.is_ok() || refused["finish"] == "length", "{refused}");
            n += 1;
        }
        let kept = if called.code == 0 { lines(&bench, &format!("{name}/part-00000.jsonl")) } else { Vec::new() };
        eprintln!("{name}: {} clips, {n} refused answers; {kept:?}", kept.len());
        n += kept.len();
        if called.code == 0 {
            let answers = std::fs::read_dir(bench.path("replay")).unwrap().count();
            bench.call(&format!("{flags} -o {name}-again")).ended(0);
            assert_eq!(std::fs::read_dir(bench.path("replay")).unwrap().count(), answers, "the server was asked again");
        }
    }
    assert!(n >= 6, "{n} answers");
}
