//! Conversations as the text that a chat model was trained on: the checkpoint's own template.

use std::collections::BTreeMap;

use audsem_core::hub::ModelDir;
use audsem_llm::Message;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, ErrorKind, Value};
use serde::Serialize;

use crate::error::{Error, Result};

/// Name of the template in its environment.
const NAME: &str = "chat";

/// A template in the dialect of Jinja that transformers renders.
#[derive(Debug, Clone)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    bos_token: Option<String>,
    eos_token: Option<String>,
}

/// A turn as templates see it.
#[derive(Serialize)]
struct Turn {
    role: audsem_llm::Role,
    content: String,
}

impl ChatTemplate {
    /// Parses a template; the tokens are its `bos_token` and `eos_token`.
    ///
    /// # Errors
    /// [`Error::ChatTemplate`] with the line.
    pub fn parse(source: &str, bos_token: Option<&str>, eos_token: Option<&str>) -> Result<Self> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(fault)?;
        environment.set_syntax(syntax);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |reason: String| -> std::result::Result<Value, _> {
            Err(minijinja::Error::new(ErrorKind::InvalidOperation, reason))
        });
        environment.add_filter("tojson", python_json);
        environment.add_template_owned(NAME, source.to_owned()).map_err(fault)?;
        let owned = |token: Option<&str>| token.map(str::to_owned);
        Ok(Self { environment, bos_token: owned(bos_token), eos_token: owned(eos_token) })
    }

    /// Reads the template of a checkpoint: `chat_template.jinja`, or `chat_template` of `tokenizer_config.json`, of several
    /// the one that is called `default`. None if there is none.
    ///
    /// # Errors
    /// A file cannot be read, or the template cannot be parsed.
    pub fn open(dir: &ModelDir) -> Result<Option<Self>> {
        let config: serde_json::Value = dir.optional_json("tokenizer_config.json")?.unwrap_or_default();
        let token = |role: &str| config[role].as_str().or_else(|| config[role]["content"].as_str());
        let source = match (dir.optional("chat_template.jinja")?, &config["chat_template"]) {
            (Some(path), _) => std::fs::read_to_string(&path)
                .map_err(|error| Error::ChatTemplate { reason: format!("{}: {error}", path.display()) })?,
            (None, serde_json::Value::String(source)) => source.clone(),
            (None, serde_json::Value::Array(named)) => {
                let default = named.iter().find(|one| one["name"] == "default");
                let source = default.and_then(|one| one["template"].as_str());
                let reason = || Error::ChatTemplate { reason: "none of several is called `default`".to_owned() };
                source.ok_or_else(reason)?.to_owned()
            }
            _ => return Ok(None),
        };
        Self::parse(&source, token("bos_token"), token("eos_token")).map(Some)
    }

    /// The text of a conversation; with the beginning of an answer behind it if `prompt` is set.
    ///
    /// # Errors
    /// The template refuses the conversation, or asks for what it does not have; or a turn has sounds or pictures.
    pub fn render(&self, messages: &[Message], prompt: bool) -> Result<String> {
        if !messages.iter().all(|message| message.content.is_text()) {
            return Err(Error::ChatTemplate { reason: "this model takes text alone".to_owned() });
        }
        let turn = |message: &Message| Turn { role: message.role, content: message.content.text() };
        self.fill(messages.iter().map(turn).collect::<Vec<Turn>>(), prompt)
    }

    /// As [`ChatTemplate::render`], for turns in the form in which the template wants them.
    ///
    /// # Errors
    /// The template refuses the conversation, or asks for what it does not have.
    pub(crate) fn fill(&self, turns: impl Serialize, prompt: bool) -> Result<String> {
        let token = |name, token: &Option<String>| token.clone().map(|token| (name, Value::from(token)));
        let values = [("messages", Value::from(Serde(turns))), ("add_generation_prompt", Value::from(prompt))];
        let tokens = [token("bos_token", &self.bos_token), token("eos_token", &self.eos_token)];
        let values: BTreeMap<&str, Value> = values.into_iter().chain(tokens.into_iter().flatten()).collect();
        self.environment.get_template(NAME).and_then(|template| template.render(Value::from(values))).map_err(fault)
    }
}

fn fault(error: minijinja::Error) -> Error {
    let line = error.line().map(|line| format!("line {line}: ")).unwrap_or_default();
    let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
    Error::ChatTemplate { reason: format!("{line}{}{detail}", error.kind()) }
}

/// JSON with the blanks that Python's `json.dumps` writes.
fn python_json(value: &Value) -> std::result::Result<Value, minijinja::Error> {
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, Blanks);
    let problem = |error: &dyn std::fmt::Display| minijinja::Error::new(ErrorKind::BadSerialization, error.to_string());
    value.serialize(&mut serializer).map_err(|error| problem(&error))?;
    let text = String::from_utf8(bytes).map_err(|error| problem(&error))?;
    Ok(Value::from_safe_string(text))
}

/// `, ` between entries and `: ` behind keys.
struct Blanks;

impl serde_json::ser::Formatter for Blanks {
    fn begin_array_value<W: ?Sized + std::io::Write>(&mut self, out: &mut W, first: bool) -> std::io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(&mut self, out: &mut W, first: bool) -> std::io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, out: &mut W) -> std::io::Result<()> {
        out.write_all(b": ")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use audsem_llm::Role;

    use super::*;

    #[test]
    fn a_refusal_of_the_template_is_an_error_with_its_line() {
        let source = "{% for m in messages %}\n{% if m.role == 'system' %}{{ raise_exception('no system turn') }}{% endif %}\n{% endfor %}";
        let template = ChatTemplate::parse(source, None, None).unwrap();
        let error = template.render(&[Message::new(Role::System, "x")], true).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("no system turn"), "{error}");
        assert!(ChatTemplate::parse("{% for %}", None, None).unwrap_err().to_string().contains("line 1"));
    }

    #[test]
    fn json_has_the_blanks_of_python() {
        let template =
            ChatTemplate::parse("{{ [1, 'a<b', none] | tojson }}{{ {'k': 1.5} | tojson }}", None, None).unwrap();
        assert_eq!(template.render(&[], false).unwrap(), r#"[1, "a<b", null]{"k": 1.5}"#);
    }
}
