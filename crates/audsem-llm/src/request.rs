//! Requests to a language model.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{MessageContent, Part, TextError};

/// Who speaks in a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Standing instructions.
    System,
    /// The question.
    User,
    /// The model; in a prompt, an example answer.
    Assistant,
}

/// One turn of a chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// Its content.
    pub content: MessageContent,
}

impl Message {
    /// A turn.
    #[must_use]
    pub fn new(role: Role, content: impl Into<MessageContent>) -> Self {
        Self { role, content: content.into() }
    }
}

/// The text a model continues.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Prompt {
    /// Turns; the server applies the model's own chat template.
    Chat(Vec<Message>),
    /// Text exactly as the model sees it, special tokens included.
    Raw(String),
}

impl Prompt {
    /// Puts sounds and pictures before the text of the last user turn.
    ///
    /// # Errors
    /// [`TextError::Prompt`] if there is no such turn: a raw prompt is text alone.
    pub fn with_media(mut self, media: Vec<Part>) -> Result<Self, TextError> {
        let turn = match &mut self {
            Self::Chat(turns) => turns.iter_mut().rev().find(|turn| turn.role == Role::User),
            Self::Raw(_) => None,
        };
        let turn = turn.ok_or(TextError::Prompt {
            reason: "sounds and pictures need a `--- user ---` section",
            hint: "write the template as a chat",
        })?;
        turn.content.prepend(media);
        Ok(self)
    }

    /// Appends an answer and a reply to it, so that the model can correct itself.
    pub(crate) fn reply(&mut self, answer: &str, reply: &str) {
        match self {
            Self::Chat(turns) => {
                turns.push(Message::new(Role::Assistant, answer));
                turns.push(Message::new(Role::User, reply));
            }
            Self::Raw(text) => text.push_str(&format!("{answer}\n{reply}\n")),
        }
    }
}

/// One request. Everything in it takes part in the replay key.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Request {
    /// What to continue.
    pub prompt: Prompt,
    /// Upper bound on new tokens.
    pub max_tokens: u32,
    /// Sampling temperature; 0 is greedy.
    pub temperature: f32,
    /// Nucleus sampling bound, in (0, 1]; `None` leaves it to the server.
    pub top_p: Option<f32>,
    /// Sampling seed, for servers that honour one.
    pub seed: Option<u64>,
    /// Texts at which generation ends; they are not part of the answer.
    pub stop: Vec<String>,
    /// How many alternatives with log-probability to return per token; 0 asks for none.
    pub top_logprobs: u8,
    /// JSON schema the answer must fit; [`crate::GenerateStep`] checks it.
    pub schema: Option<Value>,
}

impl Request {
    /// A greedy request: temperature 0, no stops, no log-probabilities, free text.
    #[must_use]
    pub fn greedy(prompt: Prompt, max_tokens: u32) -> Self {
        Self {
            prompt,
            max_tokens,
            temperature: 0.0,
            top_p: None,
            seed: None,
            stop: Vec::new(),
            top_logprobs: 0,
            schema: None,
        }
    }

    /// SHA-256 (hex) of the canonical JSON of this request to a generator of this identity: what
    /// an answer is filed under. Key order inside a schema does not matter.
    #[must_use]
    pub fn key(&self, identity: &str) -> String {
        let request = serde_json::to_value(self).expect("a request holds nothing JSON cannot say");
        let mut text = String::from("audsem-text-1\n");
        write_canonical(&Value::String(identity.to_owned()), &mut text);
        text.push('\n');
        write_canonical(&request, &mut text);
        hex_sha256(text.as_bytes())
    }
}

/// SHA-256 as lower-case hex.
pub(super) fn hex_sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// JSON with sorted keys and no spaces, so that equal values give equal bytes.
fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.keys().collect();
            keys.sort_unstable();
            out.push('{');
            for (i, key) in keys.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_canonical(&Value::String(key.clone()), out);
                out.push(':');
                write_canonical(&map[key], out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_canonical(item, out);
            }
            out.push(']');
        }
        scalar => {
            let _ = write!(out, "{scalar}");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn base() -> Request {
        Request::greedy(Prompt::Chat(vec![Message::new(Role::System, "s"), Message::new(Role::User, "u")]), 4)
    }

    #[test]
    fn key_changes_with_everything_that_changes_the_answer() {
        type Edit = fn(&mut Request);
        let edits: [Edit; 8] = [
            |r| r.prompt = Prompt::Raw("su".into()),
            |r| r.max_tokens = 5,
            |r| r.temperature = 0.5,
            |r| r.top_p = Some(0.9),
            |r| r.seed = Some(1),
            |r| r.stop = vec!["\n".into()],
            |r| r.top_logprobs = 3,
            |r| r.schema = Some(serde_json::json!({"type": "object"})),
        ];
        let mut keys = vec![base().key("m"), base().key("m2")];
        for edit in edits {
            let mut request = base();
            edit(&mut request);
            keys.push(request.key("m"));
        }
        let n = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), n, "two different requests share a key");
    }

    #[test]
    fn key_ignores_the_order_of_schema_keys() {
        let with = |schema: &str| {
            let mut request = base();
            request.schema = Some(serde_json::from_str(schema).unwrap());
            request.key("m")
        };
        assert_eq!(
            with(r#"{"type":"object","properties":{"a":{},"b":{}}}"#),
            with(r#"{"properties":{"b":{},"a":{}},"type":"object"}"#)
        );
    }

    /// Replay folders outlive a build: a changed key silently asks everything again.
    #[test]
    fn key_is_stable_across_versions() {
        assert_eq!(base().key("m"), "84e627434234117265a28d4dfb73abac743e4155645e066b46e8ef1fcb752325");
    }
}
