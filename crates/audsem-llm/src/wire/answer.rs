//! Parsing of answers as servers send them.

use serde_json::Value;

use crate::{Alternative, FinishReason, Prompt, Response, Token, Usage};

/// Reads an answer; the error says what is missing.
pub(crate) fn response(body: &Value, prompt: &Prompt, asked_model: &str) -> Result<Response, String> {
    if let Some(error) = body.get("error").filter(|error| !error.is_null()) {
        return Err(format!("an error under status 200: {error}"));
    }
    let choice = body.pointer("/choices/0").ok_or("no `choices`")?;
    let (text, reasoning) = match prompt {
        Prompt::Chat(_) => {
            let message = choice.get("message").ok_or("no `choices[0].message`")?;
            (content(message.get("content")), reasoning(message))
        }
        Prompt::Raw(_) => (choice.get("text").and_then(Value::as_str).ok_or("no `choices[0].text`")?.to_owned(), None),
    };
    let finish = match choice.get("finish_reason").and_then(Value::as_str) {
        Some("stop" | "eos" | "eos_token") => FinishReason::Stop,
        Some("length") => FinishReason::Length,
        _ => FinishReason::Other,
    };
    let count = |key: &str| body.pointer(&format!("/usage/{key}")).and_then(Value::as_u64).unwrap_or(0);
    Ok(Response {
        text,
        reasoning,
        finish,
        tokens: choice.get("logprobs").map(tokens).unwrap_or_default(),
        usage: Usage { prompt_tokens: count("prompt_tokens"), completion_tokens: count("completion_tokens") },
        model: body.get("model").and_then(Value::as_str).unwrap_or(asked_model).to_owned(),
    })
}

/// The text of an answer: a string, or a list of parts, of which the text parts count; parts that hold
/// reasoning are not part of the answer. Some servers send an empty answer as null.
fn content(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts.iter().filter_map(text_of_part).collect(),
        _ => String::new(),
    }
}

fn text_of_part(part: &Value) -> Option<&str> {
    match part {
        Value::String(text) => Some(text),
        Value::Object(part) => match part.get("type").and_then(Value::as_str) {
            Some("text" | "output_text") | None => part.get("text").and_then(Value::as_str),
            Some(_) => None,
        },
        _ => None,
    }
}

/// The model's reasoning before the answer, under the field names that vLLM, SGLang, llama.cpp, DeepSeek and others use.
fn reasoning(message: &Value) -> Option<String> {
    let text = |key: &&str| message.get(*key).and_then(Value::as_str).filter(|text| !text.is_empty());
    ["reasoning_content", "reasoning"].iter().find_map(text).map(str::to_owned)
}

/// Both shapes of log-probabilities: `content[]` of chat answers, parallel arrays of raw ones. Some
/// servers give the second shape on both routes.
fn tokens(logprobs: &Value) -> Vec<Token> {
    if let Some(content) = logprobs.get("content").and_then(Value::as_array) {
        let entry = |value: &Value| Some((value.get("token")?.as_str()?.to_owned(), logprob(value.get("logprob")?)?));
        let alternative = |value: &Value| entry(value).map(|(text, logprob)| Alternative { text, logprob });
        return content
            .iter()
            .filter_map(|item| {
                let (text, logprob) = entry(item)?;
                let list = item.get("top_logprobs").and_then(Value::as_array);
                let alternatives = list.into_iter().flatten().filter_map(alternative).collect();
                Some(Token { text, logprob, alternatives: sorted(alternatives) })
            })
            .collect();
    }
    let list = |key: &str| logprobs.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let (texts, own, top) = (list("tokens"), list("token_logprobs"), list("top_logprobs"));
    let alternatives = |i: usize| -> Vec<Alternative> {
        let map = top.get(i).and_then(Value::as_object).into_iter().flatten();
        map.filter_map(|(text, value)| Some(Alternative { text: text.clone(), logprob: logprob(value)? })).collect()
    };
    texts
        .iter()
        .zip(own)
        .enumerate()
        .filter_map(|(i, (text, own))| {
            Some(Token {
                text: text.as_str()?.to_owned(),
                logprob: logprob(own)?,
                alternatives: sorted(alternatives(i)),
            })
        })
        .collect()
}

/// A log-probability; servers write -9999 or null for "none".
fn logprob(value: &Value) -> Option<f32> {
    value.as_f64().map(|number| number as f32).filter(|number| number.is_finite())
}

/// Most probable first, ties by text: the order must not depend on the server's map.
fn sorted(mut alternatives: Vec<Alternative>) -> Vec<Alternative> {
    alternatives.sort_by(|a, b| b.logprob.total_cmp(&a.logprob).then_with(|| a.text.cmp(&b.text)));
    alternatives
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// A leaf, or a text or number where an answer has one.
    fn leaf() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-z]{0,5}".prop_map(Value::from),
            prop_oneof![Just("stop"), Just("length")].prop_map(Value::from),
        ]
    }

    /// Usually the fields that the parser reads.
    fn key() -> impl Strategy<Value = String> {
        static KNOWN: &[&str] = &[
            "choices",
            "message",
            "content",
            "text",
            "finish_reason",
            "logprobs",
            "token",
            "logprob",
            "top_logprobs",
            "tokens",
            "token_logprobs",
            "usage",
            "prompt_tokens",
            "model",
            "error",
            "0",
        ];
        prop::sample::select(KNOWN).prop_map(str::to_owned)
    }

    fn json() -> impl Strategy<Value = Value> {
        leaf().prop_recursive(5, 40, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map(key(), inner, 0..5).prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// A body that reaches the parsing of the answer more often than random JSON would.
    fn body() -> impl Strategy<Value = Value> {
        let whole = (json(), json(), json(), json()).prop_map(|(message, text, logprobs, usage)| {
            let choice = json!({"message": message, "text": text, "logprobs": logprobs});
            json!({"choices": [choice], "usage": usage})
        });
        prop_oneof![json(), whole]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn whatever_a_server_sends_is_read_or_refused(body in body()) {
            for prompt in [Prompt::Chat(Vec::new()), Prompt::Raw(String::new())] {
                if let Ok(response) = response(&body, &prompt, "m") {
                    let all = response.tokens.iter().flat_map(|token| &token.alternatives);
                    prop_assert!(all.map(|other| other.logprob).chain(response.tokens.iter().map(|t| t.logprob)).all(f32::is_finite));
                }
            }
        }
    }
}
