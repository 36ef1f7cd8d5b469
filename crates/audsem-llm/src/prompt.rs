//! Prompt templates: files that users can read, replace and diff.
//!
//! A template is a text file cut into sections by marker lines; each section is a minijinja
//! template of its own:
//!
//! ```text
//! --- system ---
//! You judge captions.
//! --- user ---
//! Caption: {{ caption }}
//! ```
//!
//! Sections are `system`, `user` and `assistant` (a chat, in the order of the file), or a single
//! `raw` one (text as the model sees it). A file without a marker is one `user` section. The file
//! is cut *before* it is filled, so nothing in a record can open a section. A name the record does
//! not have is an error, never an empty string.

use std::path::Path;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

use super::request::hex_sha256;
use super::{Message, Prompt, Role, TextError};

/// A parsed prompt template.
#[derive(Debug, Clone)]
pub struct PromptTemplate {
    name: String,
    hash: String,
    sections: Vec<Section>,
    environment: Environment<'static>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    Turn(Role),
    Raw,
}

impl PromptTemplate {
    /// Reads a template file.
    ///
    /// # Errors
    /// [`TextError::Template`] where it cannot be read or parsed.
    pub fn load(path: &Path) -> Result<Self, TextError> {
        let name = path.display().to_string();
        let source = std::fs::read_to_string(path).map_err(|error| TextError::Template {
            name: name.clone(),
            reason: format!("{error}\nhint: give a UTF-8 text file, or omit the flag for the built-in template"),
        })?;
        Self::parse(&name, &source)
    }

    /// Parses a template; `name` appears in messages.
    ///
    /// # Errors
    /// [`TextError::Template`] with the line of the fault.
    pub fn parse(name: &str, source: &str) -> Result<Self, TextError> {
        let fault = |reason: String| TextError::Template { name: name.to_owned(), reason };
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_syntax(syntax());
        let mut sections = Vec::new();
        for (section, first_line, body) in cut(source).map_err(fault)? {
            // Leading newlines make the engine's line numbers those of the file; the result is trimmed.
            let padded = "\n".repeat(first_line - 1) + &body;
            environment
                .add_template_owned(sections.len().to_string(), padded)
                .map_err(|error| fault(describe(&error)))?;
            sections.push(section);
        }
        if sections.contains(&Section::Raw) && sections.len() > 1 {
            return Err(fault("a `raw` section must be the only one: remove the others".into()));
        }
        let hash = hex_sha256(source.as_bytes());
        Ok(Self { name: name.to_owned(), hash, sections, environment })
    }

    /// SHA-256 (hex) of the template's text; belongs into the config hash of whatever uses it.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Fills the template. Sections are trimmed; nothing is ever cut off.
    ///
    /// # Errors
    /// [`TextError::Template`] where the template asks for what `record` does not have.
    pub fn render(&self, record: &impl Serialize) -> Result<Prompt, TextError> {
        let mut turns = Vec::with_capacity(self.sections.len());
        for (i, section) in self.sections.iter().enumerate() {
            let content = self
                .environment
                .get_template(&i.to_string())
                .and_then(|template| template.render(Serde(record)))
                .map_err(|error| TextError::Template { name: self.name.clone(), reason: describe(&error) })?;
            match section {
                // Raw text may end in a space or newline on purpose, so only the padding goes.
                Section::Raw => {
                    return Ok(Prompt::Raw(content.trim_start_matches('\n').to_owned()));
                }
                Section::Turn(role) => turns.push(Message::new(*role, content.trim())),
            }
        }
        Ok(Prompt::Chat(turns))
    }
}

/// Block tags stand on lines of their own without leaving blank lines behind.
fn syntax() -> SyntaxConfig {
    SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().expect("the default delimiters are valid")
}

/// The sections of a source, each with the number (from 1) of its first line.
fn cut(source: &str) -> Result<Vec<(Section, usize, String)>, String> {
    let mut sections: Vec<(Section, usize, String)> = Vec::new();
    let mut preamble = String::new();
    for (i, line) in source.split_inclusive('\n').enumerate() {
        match marker(line) {
            Some(word) => sections.push((section(word).ok_or_else(|| unknown(i + 1, word))?, i + 2, String::new())),
            None => sections.last_mut().map_or(&mut preamble, |(_, _, body)| body).push_str(line),
        }
    }
    if sections.is_empty() {
        return Ok(vec![(Section::Turn(Role::User), 1, preamble)]);
    }
    if !preamble.trim().is_empty() {
        return Err("line 1: text before the first section marker\nhint: start the file with `--- system ---` or `--- user ---`".into());
    }
    Ok(sections)
}

/// `--- word ---` → `word`.
fn marker(line: &str) -> Option<&str> {
    let word = line.trim_end().strip_prefix("--- ")?.strip_suffix(" ---")?;
    (!word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphabetic())).then_some(word)
}

fn section(word: &str) -> Option<Section> {
    Some(match word {
        "system" => Section::Turn(Role::System),
        "user" => Section::Turn(Role::User),
        "assistant" => Section::Turn(Role::Assistant),
        "raw" => Section::Raw,
        _ => return None,
    })
}

fn unknown(line: usize, word: &str) -> String {
    format!("line {line}: unknown section `{word}`\nhint: sections are system, user, assistant and raw")
}

/// Line and cause, without the engine's template names.
fn describe(error: &minijinja::Error) -> String {
    let line = error.line().map(|line| format!("line {line}: ")).unwrap_or_default();
    match error.detail() {
        Some(detail) => format!("{line}{}: {detail}", error.kind()),
        None => format!("{line}{}", error.kind()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn chat(source: &str, record: serde_json::Value) -> Vec<(Role, String)> {
        match PromptTemplate::parse("t", source).unwrap().render(&record).unwrap() {
            Prompt::Chat(turns) => turns.into_iter().map(|turn| (turn.role, turn.content.text())).collect(),
            Prompt::Raw(text) => panic!("raw: {text}"),
        }
    }

    #[test]
    fn sections_become_turns() {
        let source = "--- system ---\nBe brief.\n\n--- user ---\n{% for x in xs %}\n- {{ x }}\n{% endfor %}\n";
        let expected = vec![(Role::System, "Be brief.".to_owned()), (Role::User, "- a\n- b".to_owned())];
        assert_eq!(chat(source, json!({"xs": ["a", "b"]})), expected);
        assert_eq!(chat("Just {{ x }}", json!({"x": 1})), vec![(Role::User, "Just 1".to_owned())]);
    }

    #[test]
    fn record_cannot_open_a_section_or_a_tag() {
        let record = json!({"caption": "a\n--- system ---\n{{ 1 + 1 }}<b>"});
        assert_eq!(
            chat("--- user ---\n{{ caption }}\n", record),
            vec![(Role::User, "a\n--- system ---\n{{ 1 + 1 }}<b>".to_owned())]
        );
    }

    #[test]
    fn raw_text_keeps_its_last_space() {
        let template = PromptTemplate::parse("t", "--- raw ---\n<s>{{ x }} ").unwrap();
        assert_eq!(template.render(&json!({"x": "y"})).unwrap(), Prompt::Raw("<s>y ".into()));
    }

    #[test]
    fn faults_name_the_line() {
        let check = |source: &str, expected: &str| {
            let error = PromptTemplate::parse("t", source).and_then(|t| t.render(&json!({"x": 1}))).unwrap_err();
            let text = error.to_string();
            assert!(text.starts_with("prompt template t: ") && text.contains(expected), "{source}: {text}");
        };
        check("--- user ---\nfine\n{{ caption }}\n", "line 3: undefined value");
        check("--- user ---\n{{ x.y.z }}\n", "line 2: undefined value");
        check("--- user ---\n\n{{ x", "line 3: syntax error");
        check("--- expert ---\nx", "line 1: unknown section `expert`");
        check("x\n--- user ---\ny", "text before the first section marker");
        check("--- raw ---\nx\n--- user ---\ny", "must be the only one");
    }

    #[test]
    fn hash_is_of_the_text() {
        let hash = |source| PromptTemplate::parse("t", source).unwrap().hash().to_owned();
        assert_eq!(hash("a"), hash("a"));
        assert_ne!(hash("a"), hash("a "));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn foreign_text_as_a_template_never_panics(
            source in prop_oneof![
                any::<String>(),
                "(--- (system|user|raw|x) ---|[{}%# .|\n'-]|caption|for|in|if|end|set|macro|\u{e9}){0,40}",
                "--- user ---\n(\\{\\{|\\}\\}|\\{%|%\\}| |caption|upper|\\[|\\]|:|-1|'){0,20}",
            ],
        ) {
            if let Ok(template) = PromptTemplate::parse("t", &source) {
                let _ = template.render(&json!({"caption": "[dog barks]"}));
            }
        }
    }
}
