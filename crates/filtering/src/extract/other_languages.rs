//! The languages that there are where none of those is there that are asked for: `--languages german` takes nothing, and
//! a number of skipped tracks does not say why.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::harvest::Harvest;
use super::sources::CaptionSource;
use crate::languages::Languages;

/// Languages that are named in a warning, the most common first.
const NAMED: usize = 12;

/// Tracks that were skipped, by language, as far as this process has read them: those of dumps and tars show while they are
/// read.
#[derive(Debug, Default)]
pub(super) struct OtherLanguages(Mutex<BTreeMap<String, u64>>);

impl OtherLanguages {
    /// Adds those of a piece of input.
    pub(super) fn add(&self, harvest: &Harvest) {
        if harvest.other_languages.is_empty() {
            return;
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (language, n) in &harvest.other_languages {
            *all.entry(language.clone()).or_default() += n;
        }
    }

    /// Tells, where no caption was read, of the languages that there are.
    pub(super) fn warn(&self) {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !found.is_empty() {
            let found = names(&found);
            tracing::warn!("no caption is in a language that is asked for (--languages); there are tracks in {found}");
        }
    }
}

/// Tells when none of the subtitle files is in a language that is asked for, and which languages there are. Whether it has
/// told.
pub(super) fn warn_of_files(wanted: &Languages, files: &[CaptionSource]) -> bool {
    let mut found: BTreeMap<String, u64> = BTreeMap::new();
    let languages = files.iter().filter_map(|file| file.track.as_ref()?.language.as_deref());
    languages.for_each(|language| *found.entry(language.to_owned()).or_default() += 1);
    if found.is_empty() || found.keys().any(|language| wanted.contain(language)) {
        return false;
    }
    tracing::warn!(
        "no subtitle file is in {wanted} (--languages); there are {}; files that name no language are read",
        names(&found)
    );
    true
}

/// `en (12), fr (3)`.
fn names(found: &BTreeMap<String, u64>) -> String {
    let mut sorted: Vec<_> = found.iter().collect();
    sorted.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
    let more = sorted.len().saturating_sub(NAMED);
    let named: Vec<String> = sorted.iter().take(NAMED).map(|(language, n)| format!("{language} ({n})")).collect();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    named.join(", ") + &more
}
