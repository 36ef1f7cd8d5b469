//! Shards that are spread over subfolders, where a step has one for each of millions of subjects.
//!
//! The name of such a shard is `PLACE/NAME`, and its marker, its rejects and its tables lie in the folder `PLACE` of the run folder
//! under `NAME`. The place is two hexadecimal digits of a hash of the name, so each folder holds a 256th of the files, and the place of
//! a name is always the same.

use std::fs;
use std::path::{Path, PathBuf};

use super::execute::Step;
use super::fingerprint::Fingerprint;
use super::marker::Marker;
use super::open::Run;
use super::shard::ShardOutput;
use crate::error::{Error, Result};
use crate::input::is_folder;
use crate::walk::Walk;

/// Digits of a place.
const DIGITS: usize = 2;

/// The name of a shard that is spread: `a7/NAME`.
pub fn spread(name: &str) -> String {
    let hash = Fingerprint::new().with(name).finish();
    format!("{}/{name}", &hash[..DIGITS])
}

/// Whether a folder is called as the places of spread shards are.
pub fn is_place(name: &str) -> bool {
    name.len() == DIGITS && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a path ends in a place.
pub(super) fn is_place_at(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(is_place)
}

/// The place of a shard, or of a file of one, and its name there; the place is empty where it is not spread.
pub(super) fn split(name: &str) -> (&str, &str) {
    name.split_once('/').unwrap_or(("", name))
}

/// The reverse of [`split`].
pub(super) fn join(place: &str, name: &str) -> String {
    if place.is_empty() { name.to_owned() } else { format!("{place}/{name}") }
}

/// The file of a shard, below the run folder: `PREFIXshardENDING`, in the shard's place.
pub(super) fn file_name(prefix: &str, shard: &str, ending: &str) -> String {
    let (place, name) = split(shard);
    join(place, &format!("{prefix}{name}{ending}"))
}

/// Whether a file lies in the run folder itself or in a place, so that no path leads elsewhere.
pub(super) fn is_plain(file: &str) -> bool {
    let (place, name) = split(file);
    (place.is_empty() && !file.contains('/')) || (is_place(place) && !name.contains('/'))
}

/// The places in a run folder, sorted. A link is none: nothing of ours lies behind one.
fn places(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut places = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::read(folder))? {
        let entry = entry.map_err(Error::read(folder))?;
        if entry.file_name().to_str().is_some_and(is_place)
            && entry.file_type().map_err(Error::read(&entry.path()))?.is_dir()
        {
            places.push(entry.path());
        }
    }
    places.sort();
    Ok(places)
}

/// The files in a run folder and in its places whose own names are wanted, as paths below it, sorted.
pub(super) fn files(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<String>> {
    let names = |place: &Path| -> Result<Vec<String>> {
        Ok(Walk::flat().files(place, &wanted)?.into_iter().map(|file| file.name).collect())
    };
    let mut found = names(folder)?;
    for path in places(folder)? {
        let place = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        found.extend(names(&path)?.iter().map(|name| join(&place, name)));
    }
    Ok(found)
}

/// The paths of all that lies in a run folder and in its places.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for place in std::iter::once(folder.to_owned()).chain(places(folder)?) {
        for entry in fs::read_dir(&place).map_err(Error::read(&place))? {
            found.push(entry.map_err(Error::read(&place))?.path());
        }
    }
    Ok(found)
}

/// Whether a folder in the run folder is a place without anything in it: one that a shard has claimed and left.
pub(super) fn is_empty_place(folder: &Path, name: &str) -> bool {
    is_place(name) && fs::read_dir(folder.join(name)).is_ok_and(|mut entries| entries.next().is_none())
}

/// Removes the places that hold nothing.
pub(super) fn remove_empty_places(folder: &Path) -> Result<()> {
    for place in places(folder)? {
        // One that holds something stays.
        let _ = fs::remove_dir(place);
    }
    Ok(())
}

impl Run {
    /// Whether the folder holds shards of a step that are not spread, as versions that did not spread them have left it. Such a folder
    /// is continued as it was begun.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn lies_flat(&self, step: Step) -> Result<bool> {
        let folder = self.folder();
        if !is_folder(folder)? {
            return Ok(false);
        }
        let is_marker = |name: &str| Marker::shard(step.name, name).is_some();
        for entry in fs::read_dir(folder).map_err(Error::read(folder))? {
            if entry.map_err(Error::read(folder))?.file_name().to_str().is_some_and(is_marker) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl ShardOutput {
    /// The name of a file of this shard for [`ShardOutput::create`]: `PREFIX-SHARD.ENDING`, where the shard's marker lies.
    pub fn file_of(&self, prefix: &str, ending: &str) -> String {
        file_name(&format!("{prefix}-"), &self.shard, &format!(".{ending}"))
    }

    /// The name of a file in a subfolder of the run folder, which is spread as the shard is: `FOLDER/a7/NAME`.
    pub fn file_in(&self, folder: &str, name: &str) -> String {
        format!("{folder}/{}", join(split(&self.shard).0, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_name_is_two_digits_and_stays() {
        let names: Vec<String> = (0..2000).map(|n| spread(&format!("video{n}"))).collect();
        let places: std::collections::BTreeSet<&str> = names.iter().map(|name| split(name).0).collect();
        assert!(places.iter().all(|place| is_place(place)) && places.len() > 200, "{}", places.len());
        assert_eq!(names[7], spread("video7"));
        assert_eq!(file_name("part-", "a7/V", ".parquet"), "a7/part-V.parquet");
        assert_eq!(file_name("part-", "00042", ".parquet"), "part-00042.parquet");
    }

    #[test]
    fn only_places_lead_into_folders() {
        for (name, expected) in [
            ("part-00000.done.json", true),
            ("a7/part-V.done.json", true),
            ("../part-V.done.json", false),
            ("/part-V.done.json", false),
            ("a7/../part-V.done.json", false),
            ("sub/part-V.done.json", false),
        ] {
            assert_eq!(is_plain(name), expected, "{name}");
        }
    }
}
