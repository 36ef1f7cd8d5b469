//! The sounds of examples, as the addresses of players.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use audsem_report::{Markup, data_url};

use crate::error::Error;
use crate::sound_library::SoundLibrary;

/// Sounds that are embedded have this length at most, bytes.
const MAX_BYTES: usize = 8 << 20;

/// Sounds by the name that the data set gives them.
pub(super) type FoundSounds = BTreeMap<String, Markup>;

/// Looks for sounds in folders and tars.
pub(super) fn find(places: &[PathBuf], wanted: &BTreeSet<String>) -> Result<FoundSounds, Error> {
    let library = SoundLibrary::open(places)?;
    let mut found = FoundSounds::new();
    for name in wanted {
        if let Some(sound) = library.read(name)?.filter(|sound| sound.bytes.len() <= MAX_BYTES) {
            found.insert(name.clone(), data_url(&sound.suffix, &sound.bytes));
        }
    }
    Ok(found)
}
