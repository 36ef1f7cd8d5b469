//! A server that refuses a setting of all questions ends a run with its own words; one that refuses a question does not.

use audsem_core::tar::{ShardOptions, ShardWriter};
use audsem_core::testing::loopback::{Loopback, ReceivedRequest, Reply};
use serde_json::{Value, json};

use crate::audio_caption::flac;
use crate::workbench::Bench;
use crate::write::{caption, clips, is_judge, say};

/// Forms in which a schema is sent, the last of which is none: a server that refuses a question gets each.
const FORMS: usize = 4;

fn max_tokens(call: &ReceivedRequest) -> u64 {
    let body: Value = serde_json::from_str(&call.body).unwrap();
    body["max_tokens"].as_u64().unwrap_or_default()
}

fn refuse(words: &str) -> Reply {
    Reply::Send(400, "", words.as_bytes().to_vec())
}

/// Twenty clips with questions, and their sounds as shards and as files.
fn prepared() -> Bench {
    let bench = Bench::new();
    clips(&bench, 20);
    bench.call("mcqa -i clips --backend template -o mcqa").ended(0);
    let mut tar = ShardWriter::new(Vec::new(), ShardOptions::default());
    for i in 0..20 {
        let json = format!("{{\"original_filename\": \"video{i:06} (1.0-5.0).mp4\"}}");
        let sound = flac(0.5 + i as f32 * 0.05);
        bench.write(&format!("files/{i:02}.flac"), &sound);
        tar.write_sample(&i.to_string(), &[("flac", &sound[..]), ("json", json.as_bytes())]).unwrap();
    }
    bench.write("shards/0.tar", tar.finish().unwrap().0);
    bench
}

#[test]
fn every_command_ends_with_the_words_of_a_server_that_refuses_its_settings() {
    let bench = prepared();
    let writers = "change --max-tokens or --temperature, or leave the field that it names out with --server-param max_tokens=null";
    for (command, requests, hint) in [
        ("caption -i clips", FORMS + 1, writers),
        ("qa -i clips", FORMS + 1, writers),
        ("mcqa -i clips", FORMS + 1, writers),
        ("visual-caption -i clips --sounds shards", FORMS + 1, writers),
        (
            "contribution -r mcqa",
            FORMS + 1,
            "hint: leave the field that it names out with --server-param max_tokens=null",
        ),
        ("audio-caption -i files", 2, "change --max-tokens, or leave"),
    ] {
        let server = Loopback::start(|call, _| match max_tokens(call) {
            17.. => refuse("max_tokens must be at most 16"),
            _ => caption("Rain falls."),
        });
        let called = bench.call(&format!("{command} --server {} --model m -o out --fresh", server.url("/v1"))).ended(2);
        called.says("refuses these settings, whatever the text: status 400: max_tokens must be at most 16");
        called.says(hint);
        assert_eq!(server.calls().len(), requests, "{command}");
    }
}

#[test]
fn a_judge_that_refuses_its_settings_ends_the_run_of_the_writer() {
    let bench = prepared();
    let server = Loopback::start(|call, _| match is_judge(call) || max_tokens(call) == 256 {
        true => refuse("no more than 100 tokens"),
        false => caption("Rain falls."),
    });
    let flags = format!("--max-tokens 90 --judge --server {} --model m -o out", server.url("/v1"));
    bench
        .call(&format!("caption -i clips {flags}"))
        .ended(2)
        .says("whatever the text: status 400: no more than 100 tokens");
    let to_the_judge = server.calls().iter().filter(|call| max_tokens(call) == 256).count();
    // The first form of a schema was shown to be read by then, and the words do not speak of it.
    assert_eq!(to_the_judge, 2);
}

#[test]
fn a_question_that_a_server_refuses_ends_no_run() {
    let bench = prepared();
    let server = Loopback::start(|call, _| match call.body.contains("roof 0]") {
        true => refuse("this text is too long"),
        false => caption("Rain falls."),
    });
    let flags =
        |server: &Loopback| format!("--server {} --model m --concurrency 1 --max-fail-rate 1 -o", server.url("/v1"));
    let step = bench.call(&format!("caption -i clips {} caption", flags(&server))).ended(0).step("part");
    assert_eq!((&step["kept"], &step["failed"]), (&json!(19), &json!({"no_answer": 1})));
    assert!(bench.details("caption/rejects-00000.jsonl")[0].contains("this text is too long"));

    let record = |key: &str, question: &str| {
        let pair = json!({"question": question, "choices": ["a dog", "a cat", "a cow", "a hen"], "answer": "A. a dog"});
        json!({"file_name": key, "qa_pairs": [pair]}).to_string() + "\n"
    };
    bench.write("records.jsonl", record("a (1_0-5_0)", "What rustles?") + &record("b (1_0-5_0)", "What purrs?"));
    let server = Loopback::start(|call, _| match call.body.contains("What rustles?") {
        true => refuse("this text is too long"),
        false => say(r#"{"answer": "B"}"#),
    });
    let step =
        bench.call(&format!("contribution -r records.jsonl {} contribution", flags(&server))).ended(0).step("part");
    assert_eq!((&step["kept"], &step["failed"]), (&json!(1), &json!({"unanswered": 1})));

    // The first sound is the shortest.
    let server = Loopback::start(|call, _| {
        let body: Value = serde_json::from_str(&call.body).unwrap();
        let sound = body["messages"][0]["content"][0]["input_audio"]["data"].as_str().unwrap();
        if sound.len() < 22_000 { refuse("this sound is too short") } else { say("A tone.") }
    });
    let step = bench.call(&format!("audio-caption -i files {} described", flags(&server))).ended(0).step("part");
    assert_eq!((&step["kept"], &step["failed"]), (&json!(19), &json!({"no_answer": 1})));
}
