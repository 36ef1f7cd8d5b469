//! The sounds of examples, wherever they lie.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use audsem_core::clip_id::ClipId;
use audsem_core::clips::{ClipEntry, for_each_sound};
use audsem_core::error::Error as CoreError;
use audsem_core::input::{self, is_folder};
use audsem_core::tar::{TarError, tars_under};
use audsem_report::{Markup, data_url};

use crate::error::Error;

/// Sounds that are embedded have this length at most, bytes.
const MAX_BYTES: usize = 8 << 20;

/// Sounds by the name that the data set gives them, as the addresses of players.
pub(super) type FoundSounds = BTreeMap<String, Markup>;

/// Looks for sounds in folders, by their path or file name, and in tars, by their keys.
pub(super) fn find(places: &[PathBuf], wanted: &BTreeSet<String>) -> Result<FoundSounds, Error> {
    let mut found = FoundSounds::new();
    for place in places {
        if is_folder(place)? {
            for name in wanted {
                if let Some(path) = file_in(place, name)? {
                    add(&mut found, name, suffix(&path), &input::read_whole(&path)?);
                }
            }
        }
        for tar in tars(place)? {
            in_tar(&tar, wanted, &mut found)?;
        }
    }
    Ok(found)
}

fn tars(place: &Path) -> Result<Vec<PathBuf>, Error> {
    // A folder of sounds has no tars, which is no mistake here.
    match tars_under(place) {
        Err(_) if is_folder(place)? => Ok(Vec::new()),
        found => Ok(found?),
    }
}

/// The file of a sound below a folder: by its relative path, else by its last component.
fn file_in(folder: &Path, name: &str) -> Result<Option<PathBuf>, Error> {
    let relative = Path::new(name.trim_start_matches("./"));
    let inside = relative.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    let last = relative.file_name().map(|name| folder.join(name));
    for path in [inside.then(|| folder.join(relative)), last].into_iter().flatten() {
        if input::is_file(&path)? {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

fn in_tar(tar: &Path, wanted: &BTreeSet<String>, found: &mut FoundSounds) -> Result<(), Error> {
    // A data set may name a sound by its key, or by its file.
    let by_key: BTreeMap<String, &String> = wanted.iter().map(|name| (tar_key(name), name)).collect();
    let accept = |entry: &ClipEntry| by_key.contains_key(&tar_key(&entry.key)) && entry.media.is_some();
    let taken = for_each_sound(tar, accept, |entry, bytes| {
        let suffix = entry.media.as_ref().map_or("flac", |sound| sound.suffix.as_str());
        if let Some(name) = by_key.get(&tar_key(&entry.key)) {
            add(found, name, suffix, bytes);
        }
        Ok::<(), TarError>(())
    });
    Ok(taken.map_err(|error| CoreError::input(tar, error.to_string()))?)
}

fn tar_key(name: &str) -> String {
    name.parse::<ClipId>().map_or_else(|_| name.to_owned(), |clip| clip.tar_key())
}

fn suffix(path: &Path) -> &str {
    path.extension().and_then(|suffix| suffix.to_str()).unwrap_or("wav")
}

fn add(found: &mut FoundSounds, name: &str, suffix: &str, bytes: &[u8]) {
    if bytes.len() <= MAX_BYTES && !found.contains_key(name) {
        found.insert(name.to_owned(), data_url(suffix, bytes));
    }
}
