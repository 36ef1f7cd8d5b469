//! A server that refuses the settings of all questions, and one that refuses a question.

use std::borrow::Cow;

use audsem_core::run::{Run, RunOptions, RunSpec, Shard, ShardError, Step};
use audsem_core::testing::loopback::{Loopback, Reply};
use audsem_llm::{
    Answered, GenerateStep, GenerateTask, Media, Message, OpenAiServer, Part, Prompt, Refusal, Request, Response, Role,
    ServerConfig, TextError,
};
use serde_json::{Value, json};

use crate::step::{Hashed, say};

/// A question with so many tokens for its answer, with a sound or without.
struct Asked(&'static str, u32, bool);

/// Asks as it stands; a reviewer is asked for 99 tokens.
struct Plain;

impl GenerateTask for Plain {
    type Record = Asked;
    type Row = String;

    fn key<'a>(&self, asked: &'a Asked) -> Cow<'a, str> {
        Cow::Borrowed(asked.0)
    }

    fn request(&self, Asked(text, max_tokens, has_sound): &Asked) -> Result<Request, TextError> {
        let prompt = Prompt::Chat(vec![Message::new(Role::User, *text)]);
        let sound = Part::Audio(Media::from_bytes("wav", *b"odd"));
        Ok(Request::greedy(if *has_sound { prompt.with_media(vec![sound])? } else { prompt }, *max_tokens))
    }

    fn settings_hint(&self) -> &'static str {
        "change --most"
    }

    fn validate(&self, _: &Asked, answer: &Response) -> Result<String, Refusal> {
        Ok(answer.text.clone())
    }

    fn review(&self, asked: &Asked, _: &Response) -> Result<Request, TextError> {
        self.request(&Asked(asked.0, 99, false))
    }
}

/// Asks about records with four at a time; with `review`, the server reviews what it said.
fn ask(server: &Loopback, records: &[Asked], review: bool) -> Result<Vec<Answered<String>>, String> {
    let folder = tempfile::tempdir().unwrap();
    let config = ServerConfig { model: Some("m".into()), ..ServerConfig::new(&server.url("/v1")) };
    let client = OpenAiServer::connect(config).unwrap();
    let step = GenerateStep::new(&Plain, &client).with_batch(4);
    let step = if review { step.with_reviewer(&client) } else { step };
    let options = RunOptions { max_fail_rate: 1.0, ..RunOptions::new(folder.path()) };
    let mut run = Run::open(&options, RunSpec::new(&Hashed {})).unwrap();
    let plan = [Shard { name: "00000".into(), fingerprint: "x".into(), work: () }];
    let found = std::sync::Mutex::new(Vec::new());
    let report = run.execute(Step { name: "part", unit: "clips", physical: "tok" }, &plan, |(), out| {
        found.lock().unwrap().extend(step.run(records, out)?);
        out.file_kept(records.len() as u64);
        Ok::<(), ShardError>(())
    });
    report.map(|_| ()).map_err(|error| error.to_string())?;
    Ok(found.into_inner().unwrap())
}

/// A server that refuses what `refuses` names a reason for.
fn server(refuses: fn(&Value) -> Option<&'static str>) -> Loopback {
    Loopback::start(move |call, _| match refuses(&serde_json::from_str(&call.body).unwrap()) {
        Some(words) => Reply::Send(400, "", words.as_bytes().to_vec()),
        None => say("ok"),
    })
}

fn has_sound(body: &Value) -> bool {
    body["messages"][0]["content"]
        .as_array()
        .is_some_and(|parts| parts.iter().any(|part| part["type"] == "input_audio"))
}

#[test]
fn a_refused_setting_costs_two_requests_and_names_what_to_change() {
    let server = server(|body| (body["max_tokens"].as_u64() > Some(9)).then_some("max_tokens must be below 10"));
    let records: Vec<Asked> = (0..40).map(|_| Asked("hm", 10, false)).collect();
    let error = ask(&server, &records, false).unwrap_err();
    for words in [
        "refuses these settings, whatever the text: status 400: max_tokens must be below 10",
        "hint: change --most, or leave the field that it names out with --server-param max_tokens=null",
    ] {
        assert!(error.contains(words), "{error}");
    }
    let calls = server.calls();
    let asked: Vec<Value> = calls.iter().map(|call| serde_json::from_str(&call.body).unwrap()).collect();
    let texts: Vec<&Value> = asked.iter().map(|body| &body["messages"][0]["content"]).collect();
    assert_eq!(texts, [&json!("hm"), &json!("Hello.")]);
    assert_eq!(asked[1]["max_tokens"], 10);
}

#[test]
fn settings_that_questions_do_not_share_are_tried_each() {
    let server = server(|body| (body["max_tokens"] == 1).then_some("give me room"));
    let records = |last| [Asked("a", 9, false), Asked("b", 9, false), Asked("c", last, false)];
    assert_eq!(ask(&server, &records(9), false).unwrap().len(), 3);
    let n = server.calls().len();
    let error = ask(&server, &records(1), false).unwrap_err();
    assert!(error.contains("give me room") && error.contains("--server-param NAME=null"), "{error}");
    // One with room, at most, and one without; lanes of their own ask each.
    assert!((2..=3 + 1).contains(&(server.calls().len() - n)), "{}", server.calls().len() - n);
}

#[test]
fn a_server_that_hears_nothing_is_told_from_one_odd_sound() {
    let records = || [Asked("a", 9, true), Asked("b", 9, false)];
    let deaf = server(|body| has_sound(body).then_some("no sounds here"));
    let error = ask(&deaf, &records(), false).unwrap_err();
    assert!(error.contains("no sounds here"), "{error}");
    let picky = server(|body| {
        let sound = body["messages"][0]["content"][0]["input_audio"]["data"].as_str();
        sound.is_some_and(|data| data.len() < 100).then_some("not a sound")
    });
    let found = ask(&picky, &records(), false).unwrap();
    assert!(matches!(&found[0], Answered::Failed(TextError::Rejected { body, .. }) if body == "not a sound"));
    assert!(matches!(&found[1], Answered::Accepted(text) if text == "ok"));
}

#[test]
fn a_refused_text_is_no_refused_setting() {
    let server =
        server(|body| body["messages"][0]["content"].as_str().filter(|text| *text == "long").map(|_| "too long"));
    let records = ["long", "a", "b", "long"].map(|text| Asked(text, 9, false));
    let found = ask(&server, &records, false).unwrap();
    let accepted: Vec<bool> = found.iter().map(|one| matches!(one, Answered::Accepted(_))).collect();
    assert_eq!(accepted, [false, true, true, false]);
}

#[test]
fn a_reviewer_that_refuses_its_settings_ends_the_run_too() {
    let server = server(|body| (body["max_tokens"] == 99).then_some("99 is too much"));
    let records: Vec<Asked> = (0..40).map(|_| Asked("hm", 10, false)).collect();
    let error = ask(&server, &records, true).unwrap_err();
    assert!(error.contains("99 is too much") && error.contains("hint: leave the field"), "{error}");
    let reviews = server.calls().iter().filter(|call| call.body.contains("\"max_tokens\":99")).count();
    assert_eq!(reviews, 2);
}
