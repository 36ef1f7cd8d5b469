//! Instructions in front of questions: the wordings, and how they are put together. Training and evaluation use this one
//! builder, so that a model is asked as it was trained.
//!
//! ```
//! use audsem_core::instructions::{InstructionProfile, QuestionForm, Wordings};
//!
//! let profile: InstructionProfile = "semantic:25".parse()?;
//! let text = Wordings::built_in().ask(profile, QuestionForm::Options, "What barks?\nChoices:\nA. A dog\nB. A door");
//! assert!(text.contains("about 25 words") && text.contains("<semantic_elements>"));
//! assert!(text.ends_with("\nQuestion: What barks?\nChoices:\nA. A dog\nB. A door"));
//! # Ok::<(), audsem_core::instructions::UnknownProfile>(())
//! ```

mod profile;

use std::path::Path;
use std::sync::OnceLock;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

pub use profile::{InstructionProfile, ReasoningStyle, UnknownProfile};

use crate::answers::{ANSWER, SEMANTIC_ELEMENTS, THINK, Tag};
use crate::error::{Error, Result};
use crate::files::hex;
use crate::input::read_whole;

/// The wordings that ship with the program.
const BUILT_IN: &str = include_str!("wordings.toml");

/// Stands in `words` for the number of words.
const TARGET_WORDS: &str = "{target_words}";

/// What kind of answer a question asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuestionForm {
    /// One of several options.
    Options,
    /// Free text; requests for captions are such questions.
    Open,
}

/// The sentences of `wordings.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sentences {
    task: String,
    options: String,
    think: String,
    words: String,
    semantic: String,
    answer: String,
    question: String,
}

/// The wordings of instructions, built in or the user's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wordings {
    sentences: Sentences,
    sha256: String,
}

impl Wordings {
    /// The wordings that ship with the program.
    pub fn built_in() -> &'static Self {
        static PARSED: OnceLock<Wordings> = OnceLock::new();
        PARSED.get_or_init(|| Self::parse(BUILT_IN).expect("the built-in wordings are valid, as a test shows"))
    }

    /// The wordings of a file of the user, or the built-in ones where none is named.
    ///
    /// # Errors
    /// The file cannot be read, lacks a sentence, has an unknown one, or a sentence lacks what the program looks for.
    pub fn open(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else { return Ok(Self::built_in().clone()) };
        let text = String::from_utf8(read_whole(path)?).map_err(|_| Error::input(path, "wordings are not UTF-8"))?;
        Self::parse(&text).map_err(|problem| Error::input(path, format!("wordings cannot be used: {problem}")))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let sentences: Sentences = toml::from_str(text).map_err(|error| error.to_string())?;
        let tagged = [("think", &sentences.think, THINK), ("answer", &sentences.answer, ANSWER)];
        for (name, sentence, tag) in tagged.into_iter().chain([("semantic", &sentences.semantic, SEMANTIC_ELEMENTS)]) {
            check_tag(name, sentence, tag)?;
        }
        if sentences.words.matches(TARGET_WORDS).count() != 1 {
            return Err(format!("`words` must hold {TARGET_WORDS} once"));
        }
        Ok(Self { sentences, sha256: hex(&Sha256::digest(text.as_bytes())) })
    }

    /// SHA-256 (hex) of the file: part of the configuration of whatever uses it.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The text of a user turn, after the sound: the instruction of a profile, then the question. The profile
    /// `none` gives the question alone.
    pub fn ask(&self, profile: InstructionProfile, form: QuestionForm, question: &str) -> String {
        let Some(style) = profile.style else { return question.to_owned() };
        let own = &self.sentences;
        let words = profile.target_words.map(|n| own.words.replace(TARGET_WORDS, &n.to_string()));
        let sentences = [
            Some(own.task.as_str()),
            (form == QuestionForm::Options).then_some(own.options.as_str()),
            Some(own.think.as_str()),
            words.as_deref(),
            (style == ReasoningStyle::Semantic).then_some(own.semantic.as_str()),
            Some(own.answer.as_str()),
        ];
        let instruction: Vec<&str> = sentences.into_iter().flatten().map(str::trim).filter(|s| !s.is_empty()).collect();
        format!("{}\n{}{question}", instruction.join(" "), own.question)
    }
}

/// A sentence that asks for a tag must name both ends of it, or models would be asked for what nobody reads.
fn check_tag(name: &str, sentence: &str, tag: Tag) -> Result<(), String> {
    match sentence.contains(tag.open) && sentence.contains(tag.close) {
        true => Ok(()),
        false => Err(format!("`{name}` must name {} and {}", tag.open, tag.close)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ask(profile: &str, form: QuestionForm) -> String {
        Wordings::built_in().ask(profile.parse().unwrap(), form, "What barks?")
    }

    #[test]
    fn profiles_ask_for_what_they_are_named_after() {
        use QuestionForm::{Open, Options};
        for (profile, form, wanted, unwanted) in [
            ("think", Open, vec!["<think> </think>", "<answer> </answer>"], vec!["options", "words", "semantic"]),
            ("think", Options, vec!["options", "<answer>"], vec!["words", "semantic"]),
            ("think:25", Options, vec!["about 25 words", "options"], vec!["semantic", "{"]),
            ("semantic", Open, vec!["<semantic_elements> </semantic_elements>"], vec!["words", "options"]),
            ("semantic:100", Open, vec!["about 100 words", "<semantic_elements>"], vec!["{"]),
        ] {
            let text = ask(profile, form);
            assert!(text.ends_with("\nQuestion: What barks?"), "{profile}: {text}");
            wanted.iter().for_each(|part| assert!(text.contains(part), "{profile}: {text}"));
            unwanted.iter().for_each(|part| assert!(!text.contains(part), "{profile}: {text}"));
        }
        assert_eq!(ask("none", Options), "What barks?");
    }

    #[test]
    fn tags_are_asked_for_in_the_order_in_which_they_are_read() {
        let text = ask("semantic:7", QuestionForm::Options);
        let places =
            ["<think>", "about 7 words", "<semantic_elements>", "<answer>"].map(|part| text.find(part).unwrap());
        assert!(places.is_sorted(), "{text}");
    }

    #[test]
    fn a_question_with_braces_stays_as_it_is() {
        let text = Wordings::built_in().ask("think:5".parse().unwrap(), QuestionForm::Open, "Is it {target_words}?");
        assert!(text.ends_with("Is it {target_words}?"), "{text}");
    }

    #[test]
    fn wordings_of_users_are_checked() {
        for (from, to, expected) in [
            ("{target_words}", "some", "`words` must hold {target_words} once"),
            ("<answer> </answer>", "the answer tags", "`answer` must name <answer> and </answer>"),
            ("</semantic_elements>", "", "`semantic` must name"),
            ("task =", "tsak =", "unknown field"),
            ("question =", "# question =", "missing field"),
        ] {
            let problem = Wordings::parse(&BUILT_IN.replace(from, to)).unwrap_err();
            assert!(problem.contains(expected), "{from}: {problem}");
        }
        let own = Wordings::parse(&BUILT_IN.replace("You hear a sound", "Here is a sound")).unwrap();
        assert_ne!(own.sha256(), Wordings::built_in().sha256());
        assert!(own.ask("think".parse().unwrap(), QuestionForm::Open, "Q").starts_with("Here is a sound"));
    }

    #[test]
    fn a_file_of_wordings_replaces_the_built_in_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wordings.toml");
        crate::files::write_atomically(&path, BUILT_IN.replace("Question: ", "Q: ").as_bytes()).unwrap();
        let own = Wordings::open(Some(&path)).unwrap();
        assert!(own.ask("think".parse().unwrap(), QuestionForm::Open, "Why?").ends_with("\nQ: Why?"));
        assert_eq!(&Wordings::open(None).unwrap(), Wordings::built_in());
        let error = Wordings::open(Some(&folder.path().join("absent.toml"))).unwrap_err().to_string();
        assert!(error.contains("absent.toml"), "{error}");
    }
}
