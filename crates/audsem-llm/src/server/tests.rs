//! The client against a real socket: what servers do on bad days.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use clap::ValueEnum as _;
use serde_json::{Value, json};

use super::config::{Secret, redact_url};
use super::*;
use crate::{Alternative, ErrorScope, FinishReason, Media, Message, Part, Prompt, RetryPolicy, Role, Schema};
use audsem_core::testing::loopback::{self, Loopback, Reply};

fn chat(text: &str) -> Request {
    Request::greedy(Prompt::Chat(vec![Message::new(Role::User, text)]), 4)
}

fn client(loopback: &Loopback, edit: impl FnOnce(&mut ServerConfig)) -> OpenAiServer {
    let mut config = ServerConfig::new(&loopback.url("/v1"));
    config.model = Some("m".into());
    config.retry = RetryPolicy { retries: 2, base: Duration::from_millis(1), cap: Duration::from_millis(2) };
    edit(&mut config);
    OpenAiServer::connect(config).unwrap()
}

fn say(text: &str) -> Reply {
    let body = json!({"model": "m-7b", "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
                      "usage": {"prompt_tokens": 9, "completion_tokens": 1}});
    Reply::Send(200, "content-type: application/json\r\n", body.to_string().into_bytes())
}

/// Answers with what the last message says, so that order shows.
fn echo(call: &loopback::ReceivedRequest) -> Reply {
    let body: Value = serde_json::from_str(&call.body).unwrap();
    say(body.pointer("/messages/0/content").and_then(Value::as_str).unwrap())
}

#[test]
fn chat_request_and_answer_on_the_wire() {
    let server = Loopback::start(|_, _| {
        let top = json!([{"token": " yes", "logprob": -0.25}, {"token": "No", "logprob": -1.5}]);
        let body = json!({"model": "m-7b", "choices": [{
            "message": {"content": "Yes"}, "finish_reason": "length",
            "logprobs": {"content": [{"token": "Yes", "logprob": -0.125, "top_logprobs": top}]}}]});
        Reply::Send(200, "", body.to_string().into_bytes())
    });
    let client = client(&server, |config| {
        config.api_key = Secret::new("sk-very-secret");
        config.extra.insert("top_k".into(), json!(1));
    });
    let mut request = chat("hi");
    request.top_logprobs = 5;
    request.stop = vec!["\n".into()];
    request.seed = Some(7);
    let response = client.generate(&request).unwrap();
    let call = &server.calls()[0];
    assert_eq!((call.method.as_str(), call.path.as_str()), ("POST", "/v1/chat/completions"));
    assert!(call.headers.contains(&("authorization".into(), "Bearer sk-very-secret".into())));
    let expected = json!({"model": "m", "max_tokens": 4, "temperature": 0.0, "seed": 7, "stop": ["\n"], "top_k": 1,
        "messages": [{"role": "user", "content": "hi"}], "logprobs": true, "top_logprobs": 5});
    assert_eq!(serde_json::from_str::<Value>(&call.body).unwrap(), expected);
    assert_eq!(
        (response.text.as_str(), response.finish, response.model.as_str()),
        ("Yes", FinishReason::Length, "m-7b")
    );
    let alternative = |text: &str, logprob| Alternative { text: text.into(), logprob };
    assert_eq!(response.tokens[0].alternatives, vec![alternative(" yes", -0.25), alternative("No", -1.5)]);
    assert!(!format!("{:?}", client.config).contains("secret"), "the key shows in debug output");
}

#[test]
fn raw_request_and_answer_on_the_wire() {
    let server = Loopback::start(|_, _| {
        let body = json!({"choices": [{"text": " no", "finish_reason": "stop", "logprobs":
            {"tokens": [" no"], "token_logprobs": [-0.5], "top_logprobs": [{" yes": -2.0, " no": -0.5}]}}]});
        Reply::Send(200, "", body.to_string().into_bytes())
    });
    let mut request = Request::greedy(Prompt::Raw("Q: x A:".into()), 2);
    request.top_logprobs = 2;
    let response = client(&server, |_| {}).generate(&request).unwrap();
    let call = &server.calls()[0];
    assert_eq!(call.path, "/v1/completions");
    let expected = json!({"model": "m", "max_tokens": 2, "temperature": 0.0, "prompt": "Q: x A:", "logprobs": 2});
    assert_eq!(serde_json::from_str::<Value>(&call.body).unwrap(), expected);
    assert_eq!((response.text.as_str(), response.model.as_str()), (" no", "m"));
    assert_eq!(response.tokens[0].alternatives[0].text, " no");
}

#[test]
fn base_model_gets_the_chat_written_out() {
    let server = Loopback::start(|_, _| Reply::Send(200, "", br#"{"choices":[{"text":"ok"}]}"#.to_vec()));
    let client = client(&server, |config| config.api = Api::Raw);
    client.generate(&chat("hi")).unwrap();
    let call = &server.calls()[0];
    assert_eq!(call.path, "/v1/completions");
    assert!(call.body.contains(r#""prompt":"Question:\nhi\n\nAnswer:\n""#), "{}", call.body);
    assert_eq!(client.identity(), "m raw");
}

#[test]
fn passing_failures_are_retried_and_lasting_ones_are_not() {
    type Script = fn(usize) -> Reply;
    let check = |name: &str, script: Script, expected: Result<&str, &str>, n_calls: usize| {
        let server = Loopback::start(move |call, n| if call.method == "GET" { Reply::Close } else { script(n) });
        let result = client(&server, |config| config.timeout = Duration::from_millis(700)).generate(&chat("hi"));
        match (&result, expected) {
            (Ok(response), Ok(text)) => assert_eq!(response.text, text, "{name}"),
            (Err(error), Err(text)) => assert!(error.to_string().contains(text), "{name}: {error}"),
            _ => panic!("{name}: {result:?}"),
        }
        let posts = server.calls().iter().filter(|call| call.method == "POST").count();
        assert_eq!(posts, n_calls, "{name}");
    };
    let ok = |n| {
        if n == 0 { Reply::Send(503, "", b"warming up".to_vec()) } else { say("hello") }
    };
    check("overload passes", ok, Ok("hello"), 2);
    check("dropped connection", |n| if n < 2 { Reply::Close } else { say("back") }, Ok("back"), 3);
    check(
        "cut body",
        |n| {
            if n == 0 { Reply::Cut(b"{\"choi".to_vec()) } else { say("whole") }
        },
        Ok("whole"),
        2,
    );
    check(
        "proxy page",
        |n| {
            if n == 0 { Reply::Send(200, "", b"<html>".to_vec()) } else { say("x") }
        },
        Ok("x"),
        2,
    );
    check("silent server", |n| if n == 0 { Reply::Hang } else { say("late") }, Ok("late"), 2);
    check(
        "no end of overload",
        |_| Reply::Send(500, "", b"boom".to_vec()),
        Err("after 3 attempts: status 500: boom"),
        3,
    );
    check("never JSON", |_| Reply::Send(200, "", b"<html>hi".to_vec()), Err("not JSON: expected value"), 3);
    check("no choices", |_| Reply::Send(200, "", b"{}".to_vec()), Err("unreadable answer: no `choices`"), 3);
    check(
        "bad request",
        |_| Reply::Send(400, "", b"context\n too long".to_vec()),
        Err("status 400: context too long"),
        1,
    );
    check("no key", |_| Reply::Send(401, "", b"".to_vec()), Err("--api-key-env"), 1);
    check("no model", |_| Reply::Send(404, "", b"no such model".to_vec()), Err("--model"), 1);
}

#[test]
fn server_that_asks_for_a_pause_gets_it_from_every_thread() {
    let server = Loopback::start(|call, n| {
        if n == 0 { Reply::Send(429, "retry-after: 0.2\r\n", b"slow down".to_vec()) } else { echo(call) }
    });
    let started = std::time::Instant::now();
    let results = client(&server, |config| config.concurrency = 1).generate_batch(&[chat("a"), chat("b")]);
    assert!(results.iter().all(Result::is_ok));
    assert!(started.elapsed() >= Duration::from_millis(200), "retry-after was not honoured");
}

#[test]
fn batch_keeps_order_and_stays_under_its_bound() {
    use std::sync::Arc;
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (inner_now, inner_most) = (now.clone(), most.clone());
    let server = Loopback::start(move |call, _| {
        let n = inner_now.fetch_add(1, Ordering::SeqCst) + 1;
        inner_most.fetch_max(n, Ordering::SeqCst);
        let reply = echo(call);
        inner_now.fetch_sub(1, Ordering::SeqCst);
        reply
    });
    let client = client(&server, |config| config.concurrency = 3);
    let requests: Vec<_> = (0..60).map(|i| chat(&format!("text {i}"))).collect();
    for (i, result) in client.generate_batch(&requests).into_iter().enumerate() {
        assert_eq!(result.unwrap().text, format!("text {i}"));
    }
    assert!(most.load(Ordering::SeqCst) <= 3, "{} requests at a time", most.load(Ordering::SeqCst));
    assert!(client.generate_batch(&[]).is_empty());
}

/// A server that answers nothing but its list of models is not asked thousands of times, with all retries.
#[test]
fn a_server_that_answers_no_question_counts_as_lost() {
    let server = Loopback::start(|call, _| match call.method.as_str() {
        "GET" => Reply::Send(200, "", b"{}".to_vec()),
        _ => Reply::Send(503, "", b"loading".to_vec()),
    });
    let client = client(&server, |config| {
        config.concurrency = 4;
        config.retry.retries = 0;
    });
    let requests: Vec<_> = (0..200).map(|i| chat(&format!("text {i}"))).collect();
    let results = client.generate_batch(&requests);
    assert!(matches!(&results[0], Err(error) if error.scope() == ErrorScope::Temporary), "{:?}", results[0]);
    assert!(matches!(results[199], Err(TextError::NotSent)), "{:?}", results[199]);
    let asked = server.calls().iter().filter(|call| call.method == "POST").count();
    assert!((64..=68).contains(&asked), "{asked} questions");
}

#[test]
fn one_bad_request_does_not_stop_a_batch_but_a_lost_server_does() {
    let server = Loopback::start(|call, _| match call.method.as_str() {
        "GET" => Reply::Send(404, "", Vec::new()),
        _ if call.body.contains("poison") => Reply::Send(500, "", b"crash".to_vec()),
        _ => echo(call),
    });
    let results = client(&server, |config| config.concurrency = 1).generate_batch(&[chat("poison"), chat("b")]);
    assert!(matches!(&results[0], Err(TextError::Unavailable { attempts: 3, alive: true, .. })), "{:?}", results[0]);
    assert_eq!(results[1].as_ref().unwrap().text, "b");

    let address = server.address;
    drop(server);
    let mut config = ServerConfig::new(&format!("http://{address}/v1"));
    config.model = Some("m".into());
    config.concurrency = 1;
    config.retry = RetryPolicy { retries: 1, base: Duration::from_millis(1), cap: Duration::from_millis(1) };
    let results = OpenAiServer::connect(config).unwrap().generate_batch(&[chat("a"), chat("b"), chat("c")]);
    assert!(results[0].as_ref().is_err_and(TextError::is_systemic), "{:?}", results[0]);
    assert!(matches!(results[1], Err(TextError::NotSent)) && matches!(results[2], Err(TextError::NotSent)));
}

#[test]
fn schema_is_sent_as_the_server_wants_it() {
    let schema = json!({"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]});
    let server = Loopback::start(|_, _| say("{}"));
    let mut request = chat("hi");
    request.schema = Some(schema.clone());
    for format in SchemaFormat::value_variants() {
        client(&server, |config| config.schema_format = *format).generate(&request).unwrap();
    }
    let bodies = bodies(&server);
    assert_eq!(bodies[0]["guided_json"], schema);
    assert_eq!(bodies[1]["response_format"]["json_schema"]["schema"], schema);
    assert_eq!(bodies[2]["json_schema"], schema);
    assert_eq!(bodies[3]["response_format"], json!({"type": "json_object", "schema": schema}));
    assert_eq!(bodies[4]["response_format"], json!({"type": "json_object"}));
    assert_eq!(
        bodies[5].as_object().unwrap().keys().filter(|key| key.contains("json") || key.contains("format")).count(),
        0
    );
}

fn bodies(server: &Loopback) -> Vec<Value> {
    server.calls().iter().map(|call| serde_json::from_str(&call.body).unwrap()).collect()
}

/// The form of the schema in a request.
fn form(body: &Value) -> &'static str {
    let format = &body["response_format"];
    match (format["type"].as_str(), body.get("guided_json"), body.get("json_schema")) {
        (Some("json_schema"), ..) => "json-schema",
        (Some(_), ..) => {
            if format.get("schema").is_some() {
                "json-object"
            } else {
                "any-json"
            }
        }
        (None, Some(_), _) => "guided-json",
        (None, None, Some(_)) => "top-level",
        (None, None, None) => "none",
    }
}

/// Servers that refuse forms of the schema with a message, the form that is asked with first, and the forms of two
/// questions in a row.
#[test]
fn a_server_that_refuses_a_form_of_the_schema_is_asked_in_the_next_and_never_again_in_that() {
    type Refusing = &'static [&'static str];
    let check = |refusing: Refusing, message: &'static str, first: SchemaFormat, expected: &[&str]| {
        let server = Loopback::start(move |call, _| {
            let body: Value = serde_json::from_str(&call.body).unwrap();
            if refusing.contains(&form(&body)) { Reply::Send(400, "", message.as_bytes().to_vec()) } else { say("{}") }
        });
        let client = client(&server, |config| config.schema_format = first);
        let request = Request { schema: Some(json!({"type": "object"})), ..chat("hi") };
        let answers = [client.generate(&request), client.generate(&request)];
        assert_eq!(bodies(&server).iter().map(form).collect::<Vec<_>>(), expected);
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    };
    let default = SchemaFormat::default();
    check(&[], "", default, &["json-schema", "json-schema"]);
    check(&["json-schema"], "bad request", default, &["json-schema", "json-object", "json-object"]);
    let both = "Either \"json_schema\" or \"grammar\" can be specified, but not both";
    check(&["json-schema"], both, default, &["json-schema", "top-level", "top-level"]);
    check(
        &["json-schema", "json-object", "any-json"],
        "extra fields not permitted",
        default,
        &["json-schema", "json-object", "any-json", "none", "none"],
    );
    check(&["guided-json"], "unknown field", SchemaFormat::GuidedJson, &["guided-json", "json-schema", "json-schema"]);
}

#[test]
fn a_refusal_of_the_question_itself_is_no_reason_for_another_form() {
    let server = Loopback::start(|call, _| match call.body.contains("poison") {
        true => Reply::Send(400, "", b"context too long".to_vec()),
        false => say("{}"),
    });
    let client = client(&server, |_| {});
    let request = |text: &str| Request { schema: Some(json!({"type": "object"})), ..chat(text) };
    // Before anything is known of the server, all forms are tried, and none is taken for refused.
    let error = client.generate(&request("poison")).unwrap_err().to_string();
    assert!(error.contains("context too long"), "{error}");
    assert_eq!(
        bodies(&server).iter().map(form).collect::<Vec<_>>(),
        ["json-schema", "json-object", "any-json", "none"]
    );
    client.generate(&request("good")).unwrap();
    client.generate(&request("poison")).unwrap_err();
    assert_eq!(bodies(&server)[4..].iter().map(form).collect::<Vec<_>>(), ["json-schema", "json-schema"]);
}

/// Threads that were refused at the same time agree on one form.
#[test]
fn many_threads_learn_the_form_together() {
    let server = Loopback::start(|call, _| {
        let body: Value = serde_json::from_str(&call.body).unwrap();
        if form(&body) == "json-schema" { Reply::Send(422, "", b"no".to_vec()) } else { say("{}") }
    });
    let client = client(&server, |config| config.concurrency = 8);
    let requests: Vec<Request> =
        (0..60).map(|n| Request { schema: Some(json!({"type": "object"})), ..chat(&format!("text {n}")) }).collect();
    assert!(client.generate_batch(&requests).iter().all(Result::is_ok));
    let refused = bodies(&server).iter().filter(|body| form(body) == "json-schema").count();
    assert!((1..=8).contains(&refused), "{refused} questions were refused");
    assert_eq!(server.calls().len(), 60 + refused);
}

#[test]
fn sounds_and_pictures_go_out_as_openai_writes_them() {
    let server = Loopback::start(|_, _| {
        let parts = json!([{"type": "text", "text": "A dog"}, {"type": "refusal", "refusal": "x"}, {"type": "text", "text": " barks"}]);
        let body = json!({"choices": [{"message": {"content": parts}, "finish_reason": "stop"}]});
        Reply::Send(200, "", body.to_string().into_bytes())
    });
    let client = client(&server, |_| {});
    let media = vec![
        Part::Audio(Media::from_bytes("wav", &b"RIFF"[..])),
        Part::Audio(Media::from_url("http://h/a.mp3")),
        Part::Image(Media::from_bytes("jpg", &[0xff, 0xd8][..])),
        Part::Image(Media::from_url("https://h/b.png")),
    ];
    let mut request = chat("What is heard?");
    request.prompt = request.prompt.with_media(media).unwrap();
    assert_eq!(client.generate(&request).unwrap().text, "A dog barks");
    let body: Value = serde_json::from_str(&server.calls()[0].body).unwrap();
    let expected = json!([{"role": "user", "content": [
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
        {"type": "audio_url", "audio_url": {"url": "http://h/a.mp3"}},
        {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,/9g="}},
        {"type": "image_url", "image_url": {"url": "https://h/b.png"}},
        {"type": "text", "text": "What is heard?"},
    ]}]);
    assert_eq!(body["messages"], expected);

    let raw = OpenAiServer::connect(ServerConfig { api: Api::Raw, ..client.config }).unwrap();
    let error = raw.generate(&request).unwrap_err().to_string();
    assert!(error.contains("no sounds or pictures\nhint: omit --api raw"), "{error}");
    assert_eq!(server.calls().len(), 1, "a prompt that lost its sound was sent");
    let error = Prompt::Raw("x".into()).with_media(Vec::new()).unwrap_err().to_string();
    assert!(error.contains("--- user ---"), "{error}");
}

#[test]
fn only_model_of_a_server_needs_no_name() {
    let check = |body: &'static str, expected: Result<&str, &str>| {
        let server = Loopback::start(move |_, _| Reply::Send(200, "", body.as_bytes().to_vec()));
        match (OpenAiServer::connect(ServerConfig::new(&server.url("/v1/"))), expected) {
            (Ok(client), Ok(model)) => assert_eq!(client.model(), model),
            (Err(error), Err(text)) => assert!(error.to_string().contains(text), "{error}"),
            (got, expected) => panic!("{:?} instead of {expected:?}", got.map(|client| client.model)),
        }
        assert_eq!(server.calls()[0].path, "/v1/models");
    };
    check(r#"{"data":[{"id":"qwen"}]}"#, Ok("qwen"));
    check(r#"{"data":[{"id":"a"},{"id":"b"}]}"#, Err("serves a, b\nhint: name one with --model"));
    check(r#"{"data":[]}"#, Err("names no model"));
}

#[test]
fn secrets_stay_secret() {
    assert_eq!(redact_url("http://me:pw@host:8/v1?token=x"), "http://host:8/v1");
    assert_eq!(redact_url("https://host"), "https://host");
    let server = Loopback::start(|_, _| Reply::Send(403, "", b"bad key sk-123, go away".to_vec()));
    let error = client(&server, |config| config.api_key = Secret::new("sk-123")).generate(&chat("x")).unwrap_err();
    assert!(error.to_string().contains("bad key ***, go away"), "{error}");
}

#[test]
fn impossible_settings_are_refused_before_anything_is_sent() {
    let check = |edit: fn(&mut ServerConfig), expected: &str| {
        let mut config = ServerConfig::new("http://127.0.0.1:9/v1");
        edit(&mut config);
        let error = OpenAiServer::connect(config).err().unwrap();
        assert!(error.to_string().contains(expected), "{error}");
    };
    check(|config| config.url = "localhost:8000".into(), "--server http://127.0.0.1:8000/v1");
    check(|config| config.url = "http://".into(), "name a host");
    check(|config| config.concurrency = 0, "--concurrency");
}

/// Runs only where AUDSEM_TEST_SERVER names a server, such as the one `just llm-server` starts: both
/// routes, log-probabilities, the bound on tokens, guided JSON. Holds for any model.
#[test]
fn real_server_speaks_the_protocol() {
    let Some(url) = std::env::var_os("AUDSEM_TEST_SERVER") else {
        eprintln!("AUDSEM_TEST_SERVER is not set: start one with `just llm-server`");
        return;
    };
    let client = OpenAiServer::connect(ServerConfig::new(url.to_str().unwrap())).unwrap();
    let mut request = chat("Name three animals.");
    request.top_logprobs = 3;
    let answer = client.generate(&request).unwrap();
    assert_eq!((answer.finish, answer.tokens.len()), (FinishReason::Length, 4));
    assert!(answer.tokens.iter().all(|token| token.logprob <= 0.0 && token.alternatives.len() == 3), "{answer:?}");
    assert_eq!(answer.tokens.iter().map(|token| token.text.as_str()).collect::<String>(), answer.text);

    let mut raw = Request::greedy(Prompt::Raw("The dog barks and the cat".into()), 3);
    raw.top_logprobs = 2;
    let answer = client.generate(&raw).unwrap();
    assert!(!answer.tokens.is_empty() && answer.tokens[0].alternatives.len() >= 2, "{answer:?}");

    let mut guided = chat("Is a thunderstorm loud? Answer in JSON with the field loud.");
    guided.max_tokens = 40;
    guided.schema = Some(json!({"type": "object", "properties": {"loud": {"type": "boolean"}}, "required": ["loud"],
        "additionalProperties": false}));
    let answer = client.generate(&guided).unwrap();
    Schema::compile(guided.schema.as_ref().unwrap()).unwrap().read(answer.answer()).unwrap();

    let batch = client.generate_batch(&[request.clone(), raw, request]);
    assert_eq!(batch[0].as_ref().unwrap().text, batch[2].as_ref().unwrap().text, "greedy decoding does not repeat");
}

#[test]
fn other_routes_are_called_with_the_same_patience() {
    let server = Loopback::start(|call, number| match (call.path.as_str(), number) {
        ("/v1/load_lora_adapter", 0) => Reply::Send(503, "", b"busy".to_vec()),
        ("/v1/load_lora_adapter", _) => Reply::Send(200, "", b"Success: loaded".to_vec()),
        _ => Reply::Send(404, "", b"no such adapter".to_vec()),
    });
    let client = client(&server, |_| {});
    assert_eq!(client.call("load_lora_adapter", &json!({"lora_name": "a"})).unwrap(), "Success: loaded");
    assert_eq!(server.calls()[1].body, r#"{"lora_name":"a"}"#);
    let error = client.call("unload_lora_adapter", &json!({})).unwrap_err();
    assert!(matches!(&error, TextError::Rejected { status: 404, body, .. } if body == "no such adapter"), "{error}");
}

#[test]
fn azure_gets_its_version_and_its_header() {
    let server = Loopback::start(|_, _| say("yes"));
    let client = client(&server, |config| {
        config.url = server.url("/openai/deployments/ears/");
        config.api_key = Secret::new("sk-very-secret");
        config.api_version = Some("2024-11-01-preview".into());
    });
    client.generate(&chat("hi")).unwrap();
    let call = &server.calls()[0];
    assert_eq!(call.path, "/openai/deployments/ears/chat/completions?api-version=2024-11-01-preview");
    assert!(call.headers.contains(&("api-key".into(), "sk-very-secret".into())));
    assert!(call.headers.iter().all(|(name, _)| name != "authorization"));
    let config = ServerConfig { api_version: Some("1&x=2".into()), ..ServerConfig::new("http://h/v1") };
    let error = OpenAiServer::connect(config).map(drop).unwrap_err().to_string();
    assert!(error.contains("--azure-api-version"), "{error}");
}
