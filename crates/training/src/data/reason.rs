//! Why an example of a manifest is not trained on.

use std::collections::BTreeMap;

use audsem_core::reason::Reason;
use audsem_core::run::{LeftOut, ShardOutput};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

audsem_core::reasons! {
    /// Why an example of a manifest is not trained on.
    pub enum DataFault {
        Undecodable = "undecodable": "the sound cannot be decoded",
        ShortSound = "short_sound": "the sound is shorter than the minimum" => "--min-samples",
        LongSound = "long_sound": "the sound is longer than the maximum" => "--long-audio",
        LongText = "long_text": "the example has more tokens than the maximum, and is never cut" => "--max-tokens",
        NoSemantic = "no_semantic": "semantic elements are to be learned, and the example has none" => "--target",
        BadText = "bad_text": "the JSON does not hold this example",
        NoTokens = "no_tokens": "the example cannot be turned into tokens",
    }
}

impl DataFault {
    /// The fault of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|fault| fault.name() == name)
    }

    /// An example that is left out, with the value that decided.
    pub(super) fn left_out(self, detail: impl std::fmt::Display) -> LeftOut {
        LeftOut::fail(self, detail.to_string())
    }
}

/// Fewest examples by which the share of those that are left out is judged.
const SAMPLE: usize = 200;

/// Ends a training that would learn from much less than it was given: `seen` of `all` examples so far, of which no larger
/// share than `allowed` may be left out.
///
/// # Errors
/// [`Error::TooManyLeftOut`] with the most frequent reason.
pub fn check_left_out(
    left_out: &BTreeMap<usize, LeftOutExample>,
    (seen, all): (usize, usize),
    allowed: f64,
) -> Result<()> {
    let (failed, read) = (left_out.len(), seen.min(all));
    let is_all = failed > 0 && failed >= all;
    let is_many = read >= SAMPLE && failed as f64 > allowed * read as f64;
    if !(is_all || is_many) {
        return Ok(());
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    left_out.values().for_each(|example| *counts.entry(&example.reason).or_default() += 1);
    let reason = counts.iter().max_by_key(|(_, n)| **n).map_or("", |(reason, _)| reason);
    let first = left_out.values().find(|example| example.reason == reason);
    let (key, detail) = first.map(|example| (example.key.clone(), example.detail.clone())).unwrap_or_default();
    Err(Error::TooManyLeftOut {
        failed,
        read,
        allowed,
        most: counts.get(reason).copied().unwrap_or_default(),
        reason: reason.to_owned(),
        key,
        detail,
        hint: DataFault::named(reason).and_then(DataFault::flag),
    })
}

/// An example that was left out, as checkpoints keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOutExample {
    /// Its key.
    pub key: String,
    /// Name of the reason.
    pub reason: String,
    /// The value that decided.
    pub detail: String,
}

impl LeftOutExample {
    /// The example of this key.
    #[must_use]
    pub fn new(key: &str, why: &LeftOut) -> Self {
        Self { key: key.to_owned(), reason: why.reason().to_owned(), detail: why.detail().clone() }
    }

    /// Files it among the rejects of a shard.
    pub fn file(&self, out: &mut ShardOutput) {
        // Reasons are stored by their names.
        let fault = DataFault::named(&self.reason).unwrap_or(DataFault::BadText);
        out.file_left_out(&self.key, LeftOut::fail(fault, self.detail.as_str()));
    }
}
