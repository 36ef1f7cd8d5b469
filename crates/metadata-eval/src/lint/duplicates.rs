//! Texts that occur more than once.

use std::collections::HashMap;

use serde_json::{Map, Value};
use xxhash_rust::xxh3::xxh3_64;

use super::report::{LintReport, Problem};

/// Captions and pairs seen so far, by the hash of their plain text.
#[derive(Default)]
pub(super) struct Duplicates(HashMap<u64, String>);

impl Duplicates {
    /// A caption equals another by its words; a pair by question and answer, since a question alone may be asked of many
    /// clips. Reasoning counts, too: equal reasoning is a copy.
    pub(super) fn see(&mut self, place: &str, item: &Map<String, Value>, report: &mut LintReport) {
        let text = |name: &str| item.get(name).and_then(Value::as_str).map(plain).unwrap_or_default();
        for (what, text) in
            [("text", [text("question"), text("caption"), text("answer")].join("\n")), ("thinking", text("thinking"))]
        {
            if text.trim().is_empty() {
                continue;
            }
            let hash = xxh3_64(format!("{what}\n{text}").as_bytes());
            match self.0.get(&hash) {
                Some(first) => report.add(Problem::Duplicate, place, &format!("{what} as in {first}")),
                None => {
                    self.0.insert(hash, place.to_owned());
                }
            }
        }
    }
}

/// The words of a text alone.
fn plain(text: &str) -> String {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join(" ")
}
