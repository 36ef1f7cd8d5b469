//! Requests without fields that a server refuses, and answers whose bytes are unusual.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use audsem_core::testing::loopback::{Loopback, Reply};
use serde_json::{Value, json};

use super::*;
use crate::{Message, Prompt, RetryPolicy, Role};

fn ask(server: &Loopback, edit: impl FnOnce(&mut ServerConfig)) -> Result<Response, TextError> {
    let mut config = ServerConfig::new(&server.url("/v1"));
    config.model = Some("m".into());
    config.retry = RetryPolicy { retries: 1, base: Duration::from_millis(1), cap: Duration::from_millis(1) };
    edit(&mut config);
    let request = Request::greedy(Prompt::Chat(vec![Message::new(Role::User, "hi")]), 4);
    OpenAiServer::connect(config)?.generate(&request)
}

fn body(text: &[u8]) -> Vec<u8> {
    [&br#"{"choices":[{"message":{"content":""#[..], text, br#""},"finish_reason":"stop"}]}"#].concat()
}

#[test]
fn a_parameter_that_is_null_takes_its_field_out() {
    let server = Loopback::start(|_, _| Reply::Send(200, "", body(b"yes")));
    ask(&server, |config| {
        config.extra.insert("max_tokens".into(), Value::Null);
        config.extra.insert("max_completion_tokens".into(), json!(9));
        config.extra.insert("unknown".into(), Value::Null);
    })
    .unwrap();
    let sent: Value = serde_json::from_str(&server.calls()[0].body).unwrap();
    let messages = json!([{"role": "user", "content": "hi"}]);
    let expected = json!({"model": "m", "temperature": 0.0, "messages": messages, "max_completion_tokens": 9});
    assert_eq!(sent, expected);
}

#[test]
fn a_byte_order_mark_is_no_obstacle() {
    let marked = [b"\xef\xbb\xbf", &body("café".as_bytes())[..]].concat();
    let server = Loopback::start(move |_, _| Reply::Send(200, "", marked.clone()));
    assert_eq!(ask(&server, |_| {}).unwrap().text, "café");
}

#[test]
fn bytes_that_are_not_utf_8_are_an_error_that_says_so() {
    let server = Loopback::start(|call, n| match (call.method.as_str(), n) {
        ("POST", 0) => Reply::Send(200, "", body(b"caf\xe9")),
        _ => Reply::Send(200, "", body(b"tea")),
    });
    assert_eq!(ask(&server, |_| {}).unwrap().text, "tea", "it is asked again");
    let server = Loopback::start(|_, _| Reply::Send(200, "", body(b"caf\xe9")));
    let error = ask(&server, |_| {}).unwrap_err();
    let message = error.to_string();
    assert!(matches!(error, TextError::Malformed { .. }), "{message}");
    assert!(message.contains("not UTF-8: invalid utf-8 sequence") && message.contains("caf\u{fffd}"), "{message}");
    // What a refusal says is shown as far as it can be.
    let server = Loopback::start(|_, _| Reply::Send(400, "", b"caf\xe9 is closed".to_vec()));
    assert!(ask(&server, |_| {}).unwrap_err().to_string().contains("caf\u{fffd} is closed"));
}
