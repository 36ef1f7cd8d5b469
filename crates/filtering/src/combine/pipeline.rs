//! The rules in their order, with their settings.

use serde::Serialize;

use super::lists::WordList;
use super::pronouns::{self, Pronouns};
use super::reason::DropReason;
use super::rules::{self, Verdict};
use crate::explain::{TraceLine, TraceVerdict, measured};

/// Thresholds and choices of the rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// Do exactly what the published scripts did.
    pub reference: bool,
    /// Minimum number of characters (bytes for the reference).
    pub min_chars: usize,
    /// Maximum number of characters (bytes for the reference).
    pub max_chars: usize,
    /// Maximum number of persons.
    pub max_persons: usize,
    /// Minimum number of words.
    pub min_words: usize,
    /// Make one caption of several bracket groups instead of dropping it.
    pub join_groups: bool,
    /// Words that mark speech.
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
    /// Its name.
    pub name: &'static str,
    apply: fn(&CaptionRules, &str) -> Verdict,
    /// What the rule measures, beside its limits, for `explain`.
    measure: Option<fn(&CaptionRules, &str) -> String>,
}

/// The number of the rule that reads the labels.
pub const LABELS_NUMBER: u8 = 1;

/// The number of the first rule of the list: the labels come before it.
const FIRST_NUMBER: u8 = LABELS_NUMBER + 1;

/// The corrected rules, used by default.
const DEFAULT: &[CaptionRule] = &[
    CaptionRule { name: "brackets", apply: |r, text| rules::brackets(text, r.settings.join_groups), measure: None },
    CaptionRule {
        name: "length",
        apply: |r, text| rules::length(text, r.settings.min_chars, r.settings.max_chars),
        measure: Some(|r, text| r.length_of(rules::n_chars(text), "characters")),
    },
    CaptionRule { name: "charset", apply: |_, text| rules::charset(text), measure: None },
    CaptionRule { name: "names", apply: |r, text| rules::names(text, &r.names), measure: Some(CaptionRules::names_of) },
    CaptionRule { name: "lower case", apply: |_, text| rules::lower_case(text), measure: None },
    CaptionRule { name: "pronouns", apply: |r, text| rules::pronouns(text, &r.pronouns), measure: None },
    CaptionRule { name: "punctuation", apply: |_, text| rules::punctuation(text), measure: None },
    CaptionRule {
        name: "persons",
        apply: |r, text| rules::persons(text, r.settings.max_persons),
        measure: Some(|r, text| r.persons_of(rules::n_persons(text))),
    },
    CaptionRule { name: "collapse", apply: |_, text| rules::collapse(text), measure: None },
    CaptionRule {
        name: "words",
        apply: |r, text| rules::words(text, r.settings.min_words),
        measure: Some(|r, text| r.words_of(rules::n_words(text))),
    },
    CaptionRule {
        name: "dictionary",
        apply: |r, text| r.in_dictionary(text, rules::dictionary),
        measure: Some(CaptionRules::dictionary_of),
    },
];

/// The rules as published, used with `--compat reference`.
const REFERENCE: &[CaptionRule] = &[
    CaptionRule { name: "opener", apply: |_, text| rules::opener_reference(text), measure: None },
    CaptionRule { name: "closer", apply: |_, text| rules::closer_reference(text), measure: None },
    CaptionRule {
        name: "length",
        apply: |r, text| rules::length_reference(text, r.settings.min_chars, r.settings.max_chars),
        measure: Some(|r, text| r.length_of(text.len(), "bytes")),
    },
    CaptionRule { name: "charset", apply: |_, text| rules::charset(text), measure: None },
    CaptionRule {
        name: "names",
        apply: |r, text| rules::names_reference(text, &r.names),
        measure: Some(CaptionRules::names_of),
    },
    CaptionRule { name: "lower case", apply: |_, text| rules::lower_case(text), measure: None },
    CaptionRule { name: "pronouns", apply: |r, text| rules::pronouns(text, &r.pronouns), measure: None },
    CaptionRule { name: "punctuation", apply: |_, text| rules::punctuation(text), measure: None },
    CaptionRule {
        name: "persons",
        apply: |r, text| rules::persons_reference(text, r.settings.max_persons),
        measure: Some(|r, text| r.persons_of(rules::n_persons_reference(text))),
    },
    CaptionRule { name: "collapse", apply: |_, text| rules::collapse_reference(text), measure: None },
    CaptionRule {
        name: "words",
        apply: |r, text| rules::words_reference(text, r.settings.min_words),
        measure: Some(|r, text| r.words_of(rules::n_words_reference(text))),
    },
    CaptionRule {
        name: "dictionary",
        apply: |r, text| r.in_dictionary(text, rules::dictionary_reference),
        measure: Some(CaptionRules::dictionary_of),
    },
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

impl CaptionRules {
    /// Builds the rules from their lists. Without a dictionary, its rule keeps everything.
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
        for (number, rule) in (FIRST_NUMBER..).zip(self.list()) {
            match (rule.apply)(self, rewritten.as_deref().unwrap_or(text)) {
                Verdict::Keep => {}
                Verdict::Rewrite(next) => rewritten = Some(next),
                Verdict::Drop(reason) => {
                    dropped = Some((number, reason));
                    break;
                }
            }
        }
        output.push_str(rewritten.as_deref().unwrap_or(text));
        dropped
    }

    /// Applies the rules up to the one that decides, and records what each did.
    pub fn trace(&self, text: &str) -> Vec<TraceLine> {
        let mut current = text.to_owned();
        let mut lines = Vec::new();
        for (number, rule) in (FIRST_NUMBER..).zip(self.list()) {
            let detail = rule.measure.map(|measure| measure(self, &current)).unwrap_or_default();
            let verdict = match (rule.apply)(self, &current) {
                Verdict::Keep => TraceVerdict::Keep,
                Verdict::Rewrite(next) => {
                    current = next;
                    TraceVerdict::Rewrite
                }
                Verdict::Drop(reason) => TraceVerdict::drop(reason),
            };
            lines.push(TraceLine {
                command: "combine",
                rule: number,
                name: rule.name,
                verdict,
                detail,
                text: current.clone(),
            });
            if matches!(verdict, TraceVerdict::Drop { .. }) {
                break;
            }
        }
        lines
    }

    fn length_of(&self, n: usize, units: &str) -> String {
        let Settings { min_chars, max_chars, .. } = self.settings;
        measured(n, units, &[("minimum", min_chars, "--min-chars"), ("maximum", max_chars, "--max-chars")])
    }

    fn persons_of(&self, n: usize) -> String {
        measured(n, "persons", &[("maximum", self.settings.max_persons, "--max-persons")])
    }

    fn words_of(&self, n: usize) -> String {
        measured(n, "words", &[("minimum", self.settings.min_words, "--min-words")])
    }

    fn names_of(&self, _: &str) -> String {
        if self.names.is_empty() { "no --names".to_owned() } else { String::new() }
    }

    fn dictionary_of(&self, _: &str) -> String {
        if self.dictionary.is_none() { "no --dictionary".to_owned() } else { String::new() }
    }

    /// Hashes of the lists of names and words.
    pub fn fingerprints(&self) -> (String, Option<String>) {
        (self.names.fingerprint(), self.dictionary.as_ref().map(WordList::fingerprint))
    }

    fn in_dictionary(&self, text: &str, rule: fn(&str, &WordList) -> Verdict) -> Verdict {
        self.dictionary.as_ref().map_or(Verdict::Keep, |words| rule(text, words))
    }
}
