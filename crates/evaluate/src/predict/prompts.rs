//! How questions are worded: by a template of a file, or by an instruction profile that training shares.

use std::collections::BTreeMap;
use std::path::Path;

use audsem_core::answers::ANSWER;
use audsem_core::files::hex;
use audsem_core::input::read_whole;
use audsem_core::instructions::{InstructionProfile, QuestionForm, Wordings};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::Error;
use crate::item::EvaluationItem;

/// The templates that ship with the program.
const BUILT_IN: &str = include_str!("prompts.toml");

const QUESTION: &str = "{question}";
const CHOICES: &str = "{choices}";
const TARGET_WORDS: &str = "{target_words}";

/// The most options that letters can name.
pub(super) const MOST_CHOICES: usize = 26;

/// The texts of a template.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct TemplateTexts {
    choices: String,
    open: String,
}

/// How every question of a run is worded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuestionWording {
    form: Form,
    system: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    Template { name: String, texts: TemplateTexts, target_words: Option<u32> },
    Profile { profile: InstructionProfile, wordings: Wordings },
}

/// What of a wording decides the questions, for `run.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WordingRecord {
    /// The template, or `profile` and its name.
    pub name: String,
    /// SHA-256 of the template's two texts, or of the file of wordings.
    pub sha256: String,
    /// The system turn, where it is not that of the chat template.
    pub system: Option<String>,
    /// What is asked where there are options, with marks for question, options and words.
    pub choices: String,
    /// What is asked where there are none.
    pub open: String,
}

impl QuestionWording {
    /// A template by its name, from a file of the user or the built-in one.
    ///
    /// # Errors
    /// The file cannot be read, has no such template, or one that lacks a placeholder.
    pub fn template(file: Option<&Path>, name: &str, target_words: Option<u32>) -> Result<Self, Error> {
        let (place, text) = match file {
            None => ("built in".to_owned(), BUILT_IN.to_owned()),
            Some(path) => (path.display().to_string(), String::from_utf8_lossy(&read_whole(path)?).into_owned()),
        };
        let fault = |place: String, problem: String| Error::Prompts { place, problem };
        let all: BTreeMap<String, TemplateTexts> =
            toml::from_str(&text).map_err(|error| fault(place.clone(), error.to_string()))?;
        let known = all.keys().cloned().collect::<Vec<_>>().join(", ");
        let texts = all.get(name).cloned().ok_or_else(|| {
            fault(place.clone(), format!("no template is called `{name}`\nhint: choose with --prompt among {known}"))
        })?;
        check(&texts, target_words).map_err(|problem| fault(format!("{place}, `{name}`"), problem))?;
        Ok(Self { form: Form::Template { name: name.to_owned(), texts, target_words }, system: None })
    }

    /// An instruction profile, worded as for training.
    #[must_use]
    pub fn profile(profile: InstructionProfile, wordings: Wordings) -> Self {
        Self { form: Form::Profile { profile, wordings }, system: None }
    }

    /// Puts a system turn in front of each question.
    #[must_use]
    pub fn with_system(self, system: Option<String>) -> Self {
        Self { system, ..self }
    }

    /// The system turn, if there is one.
    #[must_use]
    pub fn system(&self) -> Option<&str> {
        self.system.as_deref()
    }

    /// What stands in `run.json`.
    #[must_use]
    pub fn record(&self) -> WordingRecord {
        let (name, sha256, choices, open) = match &self.form {
            Form::Template { name, texts: TemplateTexts { choices, open }, .. } => {
                let sha256 = hex(&Sha256::digest(format!("{choices}\0{open}").as_bytes()));
                (name.clone(), sha256, choices.clone(), open.clone())
            }
            Form::Profile { profile, wordings } => (
                format!("profile {profile}"),
                wordings.sha256().to_owned(),
                wordings.ask(*profile, QuestionForm::Options, &with_options(QUESTION, CHOICES)),
                wordings.ask(*profile, QuestionForm::Open, QUESTION),
            ),
        };
        WordingRecord { name, sha256, system: self.system.clone(), choices, open }
    }

    /// Words of thinking that the questions ask for.
    #[must_use]
    pub fn target_words(&self) -> Option<u32> {
        match &self.form {
            Form::Template { target_words, .. } => *target_words,
            Form::Profile { profile, .. } => profile.target_words,
        }
    }

    /// Whether the questions ask for an answer inside tags.
    #[must_use]
    pub fn asks_for_tags(&self) -> bool {
        match &self.form {
            Form::Template { texts, .. } => [&texts.choices, &texts.open].iter().any(|text| text.contains(ANSWER.open)),
            Form::Profile { profile, .. } => profile.style.is_some(),
        }
    }

    /// The text that stands behind the sounds of a question, with its options in this order.
    #[must_use]
    pub fn text(&self, item: &EvaluationItem, shown: &[String]) -> String {
        match &self.form {
            Form::Template { texts, target_words, .. } => {
                let template = if shown.is_empty() { &texts.open } else { &texts.choices };
                let words = target_words.map(|n| n.to_string()).unwrap_or_default();
                fill(template, &[(QUESTION, &item.question), (CHOICES, &lettered(shown)), (TARGET_WORDS, &words)])
            }
            Form::Profile { profile, wordings } if shown.is_empty() => {
                wordings.ask(*profile, QuestionForm::Open, item.question.trim())
            }
            Form::Profile { profile, wordings } => {
                let text = with_options(item.question.trim(), &lettered(shown));
                wordings.ask(*profile, QuestionForm::Options, &text)
            }
        }
    }
}

/// A question of training with its options.
fn with_options(question: &str, lettered: &str) -> String {
    format!("{question}\nChoices:\n{lettered}")
}

/// One option on each line, with its letter.
fn lettered(shown: &[String]) -> String {
    let lines = ('A'..='Z').zip(shown).map(|(letter, choice)| format!("{letter}. {choice}"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Replaces placeholders in one pass, so that what is filled in is never looked at.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let (mut text, mut rest) = (String::new(), template);
    while let Some(at) = rest.find('{') {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        match values.iter().find(|(name, _)| rest.starts_with(name)) {
            Some((name, value)) => {
                text.push_str(value);
                rest = &rest[name.len()..];
            }
            None => {
                text.push('{');
                rest = &rest[1..];
            }
        }
    }
    text + rest
}

/// Whether the texts hold what they must, and the number of words has a place.
fn check(texts: &TemplateTexts, target_words: Option<u32>) -> Result<(), String> {
    for (name, text, wanted) in
        [("choices", &texts.choices, [QUESTION, CHOICES].as_slice()), ("open", &texts.open, &[QUESTION])]
    {
        if let Some(absent) = wanted.iter().find(|placeholder| text.matches(*placeholder).count() != 1) {
            return Err(format!("`{name}` must hold {absent} once"));
        }
        match (text.contains(TARGET_WORDS), target_words) {
            (true, None) => return Err("it needs a number of words\nhint: give it with --target-words".to_owned()),
            (false, Some(_)) => {
                return Err(format!(
                    "--target-words is given, but `{name}` has no {TARGET_WORDS}\nhint: omit it, or choose --prompt omni-length"
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::predict::testing::item;

    fn texts(name: &str, words: Option<u32>) -> (String, String) {
        let wording = QuestionWording::template(None, name, words).unwrap();
        let item = item("a", &["a dog", "a door"]);
        (wording.text(&item, &item.choices), wording.text(&item, &[]))
    }

    #[test]
    fn templates_ask_for_what_they_are_named_after() {
        let lettered = "What is heard?\nChoices:\nA. a dog\nB. a door";
        assert_eq!(texts("short", None), (lettered.to_owned(), "What is heard?".to_owned()));
        for name in ["long", "omni", "omni-labelled", "omni-length", "omni-free"] {
            for semantic in [false, true] {
                let name = format!("{name}{}", if semantic { "-semantic" } else { "" });
                let words = name.contains("length").then_some(25);
                let (choices, open) = texts(&name, words);
                for text in [&choices, &open] {
                    assert!(text.contains("<think>") && text.contains("</answer>"), "{name}: {text}");
                    assert_eq!(text.contains("<semantic_elements>"), semantic, "{name}: {text}");
                    assert_eq!(text.contains("about 25 words"), words.is_some(), "{name}: {text}");
                    assert!(!text.contains('{') && !text.contains("  "), "{name}: {text}");
                }
                let says_options = choices.contains("several answers") || choices.contains("these options");
                assert_eq!(says_options, !name.contains("free"), "{name}: {choices}");
                assert!(choices.contains("A. a dog\nB. a door") && !open.contains("pick"), "{name}");
                assert_eq!(choices.contains("Question: "), name.contains("labelled") || name.contains("length"));
            }
        }
    }

    #[test]
    fn questions_with_braces_are_not_filled() {
        let mut item = item("a", &["{question}", "{x"]);
        item.question = "Is it {choices} or {target_words}?".to_owned();
        let text = QuestionWording::template(None, "short", None).unwrap().text(&item, &item.choices);
        assert_eq!(text, "Is it {choices} or {target_words}?\nChoices:\nA. {question}\nB. {x");
    }

    #[test]
    fn a_profile_asks_as_training_does() {
        let item = item("a", &["a dog", "a door"]);
        let wording = QuestionWording::profile("think:25".parse().unwrap(), Wordings::built_in().clone());
        let asked = Wordings::built_in().ask(
            "think:25".parse().unwrap(),
            QuestionForm::Options,
            "What is heard?\nChoices:\nA. a dog\nB. a door",
        );
        assert_eq!(wording.text(&item, &item.choices), asked);
        let record = wording.record();
        assert_eq!(record.name, "profile think:25");
        let filled = record.choices.replace(QUESTION, "What is heard?").replace(CHOICES, "A. a dog\nB. a door");
        assert_eq!(filled, asked, "the record says what is asked");
    }

    #[test]
    fn faults_of_templates_say_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("prompts.toml");
        let check = |content: &str, name: &str, words: Option<u32>, expected: &str| {
            audsem_core::files::write_atomically(&path, content.as_bytes()).unwrap();
            let error = QuestionWording::template(Some(&path), name, words).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("prompts.toml"), "{error}");
        };
        let own = "[a]\nchoices = \"{question} {choices}\"\nopen = \"{question}\"\n";
        check(own, "b", None, "hint: choose with --prompt among a");
        check(own, "a", Some(3), "--target-words is given");
        check(&own.replace(" {choices}", ""), "a", None, "`choices` must hold {choices} once");
        check(&own.replace("open", "closed"), "a", None, "unknown field");
        check(&own.replace("{question}", "{question} in {target_words}"), "a", None, "--target-words");
        audsem_core::files::write_atomically(&path, own.as_bytes()).unwrap();
        let wording = QuestionWording::template(Some(&path), "a", None).unwrap();
        assert_eq!(wording.text(&item("a", &["x"]), &["x".to_owned()]), "What is heard? A. x");
        let built_in = QuestionWording::template(None, "short", None).unwrap();
        assert_ne!(wording.record().sha256, built_in.record().sha256);
    }
}
