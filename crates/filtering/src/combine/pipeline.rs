//! The rules in their order, with their settings.

use serde::Serialize;

use super::lists::WordList;
use super::pronouns::{self, Pronouns};
use super::reason::DropReason;
use super::rules::{self, Verdict};

/// Thresholds and choices of the rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// Do exactly what the published scripts did.
    pub reference: bool,
    /// Rule 4: minimum number of characters (bytes for the reference).
    pub min_chars: usize,
    /// Rule 4: maximum number of characters (bytes for the reference).
    pub max_chars: usize,
    /// Rule 10: maximum number of persons.
    pub max_persons: usize,
    /// Rule 14: minimum number of words.
    pub min_words: usize,
    /// Rules 2 and 3: make one caption of several bracket groups instead of dropping it.
    pub join_groups: bool,
    /// Rule 8: words that mark speech.
    pub pronouns: Vec<String>,
}

impl Settings {
    /// The published thresholds.
    pub fn new() -> Self {
        Self {
            reference: false,
            min_chars: 5,
            max_chars: 50,
            max_persons: 3,
            min_words: 2,
            join_groups: false,
            pronouns: pronouns::DEFAULT.map(str::to_owned).to_vec(),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::new()
    }
}

/// One rule of the list.
#[derive(Clone, Copy)]
pub struct CaptionRule {
    /// Its number.
    pub number: u8,
    /// Its name.
    pub name: &'static str,
    apply: fn(&CaptionRules, &str) -> Verdict,
}

/// The corrected rules, used by default.
const DEFAULT: &[CaptionRule] = &[
    CaptionRule { number: 2, name: "brackets", apply: |r, text| rules::brackets(text, r.settings.join_groups) },
    CaptionRule {
        number: 4,
        name: "length",
        apply: |r, text| rules::length(text, r.settings.min_chars, r.settings.max_chars),
    },
    CaptionRule { number: 5, name: "charset", apply: |_, text| rules::charset(text) },
    CaptionRule { number: 6, name: "names", apply: |r, text| rules::names(text, &r.names) },
    CaptionRule { number: 7, name: "lower case", apply: |_, text| rules::lower_case(text) },
    CaptionRule { number: 8, name: "pronouns", apply: |r, text| rules::pronouns(text, &r.pronouns) },
    CaptionRule { number: 9, name: "punctuation", apply: |_, text| rules::punctuation(text) },
    CaptionRule { number: 10, name: "persons", apply: |r, text| rules::persons(text, r.settings.max_persons) },
    CaptionRule { number: 12, name: "collapse", apply: |_, text| rules::collapse(text) },
    CaptionRule { number: 14, name: "words", apply: |r, text| rules::words(text, r.settings.min_words) },
    CaptionRule { number: 15, name: "dictionary", apply: |r, text| r.in_dictionary(text, rules::dictionary) },
];

/// The rules as published, used with `--compat reference`.
const REFERENCE: &[CaptionRule] = &[
    CaptionRule { number: 2, name: "opener", apply: |_, text| rules::opener_reference(text) },
    CaptionRule { number: 3, name: "closer", apply: |_, text| rules::closer_reference(text) },
    CaptionRule {
        number: 4,
        name: "length",
        apply: |r, text| rules::length_reference(text, r.settings.min_chars, r.settings.max_chars),
    },
    CaptionRule { number: 5, name: "charset", apply: |_, text| rules::charset(text) },
    CaptionRule { number: 6, name: "names", apply: |r, text| rules::names_reference(text, &r.names) },
    CaptionRule { number: 7, name: "lower case", apply: |_, text| rules::lower_case(text) },
    CaptionRule { number: 8, name: "pronouns", apply: |r, text| rules::pronouns(text, &r.pronouns) },
    CaptionRule { number: 9, name: "punctuation", apply: |_, text| rules::punctuation(text) },
    CaptionRule {
        number: 10,
        name: "persons",
        apply: |r, text| rules::persons_reference(text, r.settings.max_persons),
    },
    CaptionRule { number: 12, name: "collapse", apply: |_, text| rules::collapse_reference(text) },
    CaptionRule { number: 14, name: "words", apply: |r, text| rules::words_reference(text, r.settings.min_words) },
    CaptionRule { number: 15, name: "dictionary", apply: |r, text| r.in_dictionary(text, rules::dictionary_reference) },
];

/// The rules with their lists, ready to be applied.
#[derive(Debug, Clone)]
pub struct CaptionRules {
    settings: Settings,
    names: WordList,
    dictionary: Option<WordList>,
    pronouns: Pronouns,
}

/// Why a rule dropped a caption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// Number of the rule that decided.
    pub rule: u8,
    /// The reason.
    pub reason: DropReason,
    /// The caption as that rule received it.
    pub text: String,
}

/// What one rule did to a caption.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TraceLine {
    /// Number of the rule.
    pub rule: u8,
    /// Its name.
    pub name: &'static str,
    /// `keep`, `rewrite`, or the name of the reason for dropping the caption.
    pub verdict: &'static str,
    /// The caption after the rule.
    pub text: String,
}

impl CaptionRules {
    /// Builds the rules from their lists. Without a dictionary, rule 15 keeps everything.
    pub fn new(settings: Settings, names: WordList, dictionary: Option<WordList>) -> Self {
        let pronouns = Pronouns::new(&settings.pronouns);
        Self { settings, names, dictionary, pronouns }
    }

    /// The rules in order.
    pub fn list(&self) -> &'static [CaptionRule] {
        if self.settings.reference { REFERENCE } else { DEFAULT }
    }

    /// Applies all rules and returns the clean caption.
    ///
    /// # Errors
    /// [`Dropped`] when a rule drops the caption.
    pub fn apply(&self, text: &str) -> Result<String, Dropped> {
        let mut output = String::new();
        match self.apply_to(text, &mut output) {
            None => Ok(output),
            Some((rule, reason)) => Err(Dropped { rule, reason, text: output }),
        }
    }

    /// Applies all rules. Appends the clean caption to `output`; if a rule drops the caption, appends it as that rule
    /// received it and returns the rule's number and reason.
    pub(super) fn apply_to(&self, text: &str, output: &mut String) -> Option<(u8, DropReason)> {
        let mut rewritten: Option<String> = None;
        let mut dropped = None;
        for rule in self.list() {
            match (rule.apply)(self, rewritten.as_deref().unwrap_or(text)) {
                Verdict::Keep => {}
                Verdict::Rewrite(next) => rewritten = Some(next),
                Verdict::Drop(reason) => {
                    dropped = Some((rule.number, reason));
                    break;
                }
            }
        }
        output.push_str(rewritten.as_deref().unwrap_or(text));
        dropped
    }

    /// Applies the rules up to the one that decides, and records what each did.
    pub fn trace(&self, text: &str) -> Vec<TraceLine> {
        use audsem_core::reason::Reason;

        let mut current = text.to_owned();
        let mut lines = Vec::new();
        for rule in self.list() {
            let verdict = match (rule.apply)(self, &current) {
                Verdict::Keep => "keep",
                Verdict::Rewrite(next) => {
                    current = next;
                    "rewrite"
                }
                Verdict::Drop(reason) => reason.name(),
            };
            lines.push(TraceLine { rule: rule.number, name: rule.name, verdict, text: current.clone() });
            if !matches!(verdict, "keep" | "rewrite") {
                break;
            }
        }
        lines
    }

    /// Hashes of the lists of names and words.
    pub fn fingerprints(&self) -> (String, Option<String>) {
        (self.names.fingerprint(), self.dictionary.as_ref().map(WordList::fingerprint))
    }

    fn in_dictionary(&self, text: &str, rule: fn(&str, &WordList) -> Verdict) -> Verdict {
        self.dictionary.as_ref().map_or(Verdict::Keep, |words| rule(text, words))
    }
}
