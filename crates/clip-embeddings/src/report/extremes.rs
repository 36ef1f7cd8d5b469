//! The captions of the extremes: those of the table itself, of `--text`, of the shards, in this order.

use std::collections::{BTreeSet, HashSet};

use audsem_core::tables::text_hash;

use super::clips::Sounds;
use super::{Extreme, Summaries};
use crate::error::Error;
use crate::texts::TextTables;

/// All extremes that are shown.
fn all(summaries: &mut Summaries) -> impl Iterator<Item = &mut Extreme> {
    summaries.totals.values_mut().flat_map(|total| total.lowest.iter_mut().chain(&mut total.highest))
}

/// The keys of all extremes.
pub(super) fn keys(summaries: &Summaries) -> BTreeSet<String> {
    let ends = summaries.totals.values().flat_map(|total| total.lowest.iter().chain(&total.highest));
    ends.map(|extreme| extreme.key.clone()).collect()
}

/// Looks captions up in tables.
pub(super) fn add_captions(summaries: &mut Summaries, texts: &TextTables) -> Result<(), Error> {
    if texts.is_empty() {
        return Ok(());
    }
    let wanted: HashSet<u64> = keys(summaries).iter().map(|key| text_hash(key)).collect();
    let captions = texts.captions(&wanted)?;
    for extreme in all(summaries).filter(|extreme| extreme.text.is_none()) {
        extreme.text = captions.get(&extreme.key).map(str::to_owned);
    }
    Ok(())
}

/// Takes captions from the sounds' own descriptions.
pub(super) fn add_captions_of_sounds(summaries: &mut Summaries, sounds: &Sounds) {
    for extreme in all(summaries).filter(|extreme| extreme.text.is_none()) {
        extreme.text = sounds.by_key.get(&extreme.key).and_then(|sound| sound.text.clone());
    }
}
