//! Instructions of MMAU-Pro (Kumar et al., 2025) that a program can check: 27 rules, most of which descend from IFEval (Zhou et
//! al., 2023).
//!
//! The published rules are followed to the letter by [`Compat::Reference`]. Some are at odds with what their instruction asks for,
//! and [`Compat::Fixed`] follows that:
//!
//! | rule | published | asked for |
//! |---|---|---|
//! | Forbidden Words | a word inside another counts: `cat` in `category` | whole words |
//! | Keyword Frequency | a word that ends with a mark (`C++`) is found in front of a letter alone | whole words |
//! | Postscript | the letters of the marker anywhere: `P.S.` in `stops` | the marker, not inside a word |
//! | Number Bullets | lines that begin with `*` | those with `-`, `+` and `•`, too |
//! | Minimum Number Highlighted Section | two bullets enclose a highlight | text of one line, with its marks right beside it |
//! | Title | `<< >>` is one | a title has words |
//! | Multiple Sections | the marker inside a word divides (`section` in `intersection`) | whole words |
//! | Two Responses | one of them may be empty | two responses |
//! | Start Checker, End Checker | ASCII letters and blanks alone: `a car` ends `Costa Car` | whole words of any script |
//! | Quotation | a single mark wraps itself, typographic ones do not wrap | a pair of either kind |
//!
//! ```
//! use audsem_metrics::instruction::Instruction;
//! use audsem_metrics::normalise::Compat;
//! use audsem_metrics::sentences::SentenceModel;
//!
//! let parameters = serde_json::json!({ "postscript_marker": "P.S." });
//! let rule = Instruction::read("Postscript", parameters.as_object().unwrap(), "")?;
//! let followed = |text: &str, compat| rule.is_followed(text, compat, &SentenceModel::english());
//! assert!(followed("It rains. P.S. Take a coat.", Compat::Fixed));
//! assert!(followed("The rain stops.", Compat::Reference) && !followed("The rain stops.", Compat::Fixed));
//! # Ok::<(), audsem_metrics::instruction::InstructionProblem>(())
//! ```

mod counts;
mod edges;
mod read;

use crate::normalise::Compat;
use crate::normalise::python_text::{is_space, split};
use crate::sentences::SentenceModel;

pub use read::InstructionProblem;

/// How many there have to be of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The fewest.
    pub least: u64,
    /// The most; none for any number.
    pub most: Option<u64>,
}

impl Bounds {
    fn holds(self, found: usize) -> bool {
        let found = found as u64;
        found >= self.least && self.most.is_none_or(|most| found <= most)
    }

    /// Exactly as many.
    #[must_use]
    pub fn exactly(count: u64) -> Self {
        Self { least: count, most: Some(count) }
    }

    /// As many or more.
    #[must_use]
    pub fn at_least(count: u64) -> Self {
        Self { least: count, most: None }
    }
}

/// What an answer has to be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instruction {
    /// It has all of these, also inside words.
    Keywords(Vec<String>),
    /// It has a word so many times.
    KeywordCount(String, Bounds),
    /// It has none of these.
    ForbiddenWords(Vec<String>),
    /// So many paragraphs, between `***`.
    Paragraphs(Bounds),
    /// So many words.
    Words(Bounds),
    /// So many sentences.
    Sentences(Bounds),
    /// So many words all of whose letters are capital.
    CapitalWords(Bounds),
    /// It has a postscript behind this marker.
    Postscript(String),
    /// So many placeholders in square brackets.
    Placeholders(Bounds),
    /// So many bullet points.
    Bullets(Bounds),
    /// It has a title in double angular brackets.
    Title,
    /// So many passages between asterisks.
    Highlights(Bounds),
    /// So many sections, divided by this marker.
    Sections(String, Bounds),
    /// It begins with the request itself.
    RepeatPrompt(String),
    /// It is two different responses, with six asterisks between them.
    TwoResponses,
    /// All its letters are capital.
    Uppercase,
    /// None of its letters is capital.
    Lowercase,
    /// It begins with this phrase.
    Start(String),
    /// It ends with this phrase.
    End(String),
    /// It is wrapped in quotation marks.
    Quotation,
    /// It has no comma.
    NoCommas,
}

impl Instruction {
    /// Whether an answer follows the instruction. A model of the language tells sentences apart.
    #[must_use]
    pub fn is_followed(&self, text: &str, compat: Compat, sentences: &SentenceModel) -> bool {
        let has = |word: &String| text.to_lowercase().contains(&word.to_lowercase());
        match self {
            Self::Keywords(words) => words.iter().all(has),
            Self::KeywordCount(word, count) => count.holds(counts::keyword(text, word, compat)),
            Self::ForbiddenWords(words) => match compat {
                Compat::Reference => !words.iter().any(has),
                Compat::Fixed => words.iter().all(|word| counts::keyword(text, word, compat) == 0),
            },
            Self::Paragraphs(count) => count.holds(counts::not_blank(text.split("***"))),
            Self::Words(count) => count.holds(split(text).count()),
            Self::Sentences(count) => count.holds(sentences.sentences(text).len()),
            Self::CapitalWords(count) => count.holds(split(text).filter(|word| counts::is_upper(word)).count()),
            Self::Postscript(marker) => edges::has_postscript(text, marker, compat),
            Self::Placeholders(count) => count.holds(counts::placeholders(text)),
            Self::Bullets(count) => count.holds(counts::bullets(text, compat)),
            Self::Title => edges::has_title(text, compat),
            Self::Highlights(count) => count.holds(counts::highlights(text, compat)),
            Self::Sections(marker, count) => count.holds(counts::sections(text, marker, compat)),
            Self::RepeatPrompt(prompt) => trimmed(text).starts_with(&trimmed(prompt)),
            Self::TwoResponses => edges::has_two_responses(text, compat),
            Self::Uppercase => counts::is_upper(text),
            Self::Lowercase => counts::is_lower(text),
            Self::Start(phrase) => edges::starts_with(text, phrase, compat),
            Self::End(phrase) => edges::ends_with(text, phrase, compat),
            Self::Quotation => edges::is_quoted(text, compat),
            Self::NoCommas => !text.contains(','),
        }
    }
}

/// A text in lower case without white space around it.
fn trimmed(text: &str) -> String {
    text.trim_matches(is_space).to_lowercase()
}
