//! A server that refuses a setting of all questions ends a run with its own words; one that refuses a question does not.

use audsem_core::testing::loopback::{Loopback, ReceivedRequest, Reply};
use audsem_evaluate::item::AnswerKind;
use audsem_evaluate::prediction::PredictionStatus;
use serde_json::Value;

use crate::answers::{free, write_run};
use crate::judge::rate;
use crate::predict::{answered, items, predictions};
use crate::workbench::Bench;

fn refuse(words: &str) -> Reply {
    Reply::Send(400, "", words.as_bytes().to_vec())
}

/// Refuses more than 16 tokens; the one of a server's first questions is refused nowhere.
fn limited(call: &ReceivedRequest, answer: fn(&ReceivedRequest) -> Reply) -> Reply {
    let body: Value = serde_json::from_str(&call.body).unwrap();
    if body["max_tokens"].as_u64() > Some(16) { refuse("max_tokens must be at most 16") } else { answer(call) }
}

const REFUSED: &str = "refuses these settings, whatever the text: status 400: max_tokens must be at most 16";
const HINT: &str = "change --max-tokens, or leave the field that it names out with --server-param max_tokens=null";

#[test]
fn a_judge_that_refuses_its_settings_is_asked_twice() {
    let bench = Bench::new();
    let asked = (0..30).map(|n| free(AnswerKind::Open, "x", n, &["a dog"], &format!("answer {n}"))).collect();
    write_run(&bench, "asked", &[asked]);
    let server = Loopback::start(|call, _| limited(call, rate));
    let judge = format!("judge -i asked --rubric binary --model m --server {}", server.url("/v1"));
    let called = bench.call(&format!("{judge} -o judged")).ended(2);
    called.says(REFUSED);
    called.says(HINT);
    assert_eq!(server.calls().len(), 2);
    let odd = Loopback::start(|call, _| match call.body.contains("answer 0\\n") || call.body.contains("answer 0\"") {
        true => refuse("this text is too long"),
        false => rate(call),
    });
    let judge = format!("judge -i asked --rubric graded --model m --max-fail-rate 1 --server {}", odd.url("/v1"));
    let step = bench.call(&format!("{judge} -o odd")).ended(0).step("part");
    assert_eq!(step["counts"]["rated"], 29, "{step}");
}

#[test]
fn a_server_that_refuses_the_settings_of_predictions_is_not_asked_all() {
    let bench = Bench::new();
    items(&bench, 6);
    let common = "predict --items items.jsonl --sounds sounds --model m";
    let server = Loopback::start(|call, _| limited(call, answered));
    let called = bench.call(&format!("{common} -o out --server {}", server.url("/v1"))).ended(2);
    called.says(REFUSED);
    called.says(HINT);
    // Whether it hears takes two requests.
    assert_eq!(server.calls().len(), 2 + 2);
    let strict = Loopback::start(|_, _| refuse("temperature is not supported"));
    let called = bench.call(&format!("{common} -o out --server {}", strict.url("/v1"))).ended(2);
    called.says("status 400: temperature is not supported\nhint: leave the field that it names out with --server-param temperature=null");
    assert_eq!(strict.calls().len(), 3, "once without a sound, and once with a sound in each form");
}

/// Gemini behind its OpenAI address: another path, a key, and answers without a text where thinking has used up the tokens.
#[test]
fn gemini_is_asked_by_its_openai_address() {
    let bench = Bench::new();
    items(&bench, 2);
    let server = Loopback::start(|call, _| {
        let body: Value = serde_json::from_str(&call.body).unwrap();
        let tokens = body["messages"].to_string().matches("input_audio").count() / 2 * 128 + 12;
        let (message, finish) = match body["max_tokens"].as_u64() {
            Some(1) => (serde_json::json!({"role": "assistant"}), "length"),
            _ => (serde_json::json!({"role": "assistant", "content": "A. a dog"}), "stop"),
        };
        let answer = serde_json::json!({
            "id": "x", "object": "chat.completion", "created": 1, "model": "gemini-2.5-flash",
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            "usage": {"prompt_tokens": tokens, "completion_tokens": 3, "total_tokens": tokens + 30}});
        Reply::Send(200, "", answer.to_string().into_bytes())
    });
    let flags = "predict --items items.jsonl --sounds sounds --model gemini-2.5-flash --api-key-env GEMINI_KEY -o out";
    let url = server.url("/v1beta/openai/");
    let called = bench.call_with(flags, |command| {
        command.arg("--server").arg(url).env("GEMINI_KEY", "a-secret");
    });
    called.ended(0);
    for call in server.calls() {
        assert_eq!(call.path, "/v1beta/openai/chat/completions");
        assert!(call.headers.contains(&("authorization".into(), "Bearer a-secret".into())), "{:?}", call.headers);
    }
    for one in predictions(&bench, "out", 1) {
        assert_eq!((one.output.as_deref(), one.status), (Some("A. a dog"), PredictionStatus::Answered));
        assert_eq!((one.prompt_tokens, one.text_tokens), (Some(140), Some(12)));
    }
    assert!(!bench.text("out/run.json").contains("a-secret"));
}

#[test]
fn a_sound_that_a_server_refuses_ends_no_run() {
    let bench = Bench::new();
    items(&bench, 3);
    let server = Loopback::start(|call, _| match call.body.contains("What is heard0?") {
        true => refuse("this sound is too short"),
        false => answered(call),
    });
    let flags = "--items items.jsonl --sounds sounds --model m --concurrency 1 --workers 1";
    bench.call(&format!("predict {flags} -o out --server {}", server.url("/v1"))).ended(0);
    let status: Vec<PredictionStatus> = predictions(&bench, "out", 1).iter().map(|one| one.status).collect();
    assert_eq!(status, [PredictionStatus::Refused, PredictionStatus::Answered, PredictionStatus::Answered]);
}
