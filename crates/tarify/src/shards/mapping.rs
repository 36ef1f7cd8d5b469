//! The table of `index` that says which tar holds which clip: with it, tars without a clip of the
//! records are not opened.
//!
//! Tars that the table does not name, and tars with a line whose name is not that of a clip, are
//! always opened.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use audsem_core::clip_id::ClipId;
use audsem_core::csv_records::CsvRecords;
use audsem_core::error::Error as CoreError;
use audsem_core::input;
use audsem_core::terminal::{by_number, counted};
use serde::Deserialize;

use super::Config;
use super::record_files::{self, Found};
use super::sample::clip_of;
use crate::error::Error;
use crate::tars::plain_name;

/// Maximum number of names in a message; there may be thousands.
const NAMED: usize = 3;

/// A line of the table.
#[derive(Debug, Deserialize)]
struct Line<'a> {
    tar_file: &'a str,
    mp4_name: &'a str,
}

/// The tars that are worth opening.
#[derive(Debug, Default)]
pub(super) struct Selection {
    /// In the order of the input.
    pub sources: Vec<PathBuf>,
    /// Tars skipped.
    pub without_hits: u64,
    /// Tars that the table does not name.
    pub unknown: u64,
}

/// Chooses from the sources of `config` those that may hold a clip of its records.
///
/// # Errors
/// The table or a record file cannot be read, or the table is about other tars.
pub(super) fn select(mapping: &Path, config: &Config, workers: usize) -> Result<Selection, Error> {
    let wanted = clips_of(config, workers)?;
    let tars = hits(mapping, &wanted)?;
    let name_of = |path: &Path| plain_name(&path.file_name().unwrap_or_default().to_string_lossy());
    let given: HashSet<String> = config.sources.iter().map(|path| name_of(path)).collect();
    if !tars.keys().any(|tar| given.contains(tar)) {
        let problem = format!(
            "this table names none of {} of --input ({}), but {}\n\
             hint: make it anew with `audsem-tarify index`, or leave out --mapping-csv",
            counted(given.len(), "tars"),
            some(given.iter().collect::<std::collections::BTreeSet<_>>()),
            if tars.is_empty() { "no tar at all".to_owned() } else { some(tars.keys()) }
        );
        return Err(CoreError::input(mapping, problem).into());
    }
    let missing: Vec<&String> =
        tars.iter().filter(|(tar, hit)| **hit && !given.contains(*tar)).map(|(tar, _)| tar).collect();
    if !missing.is_empty() {
        let (n, names) = (missing.len(), some(missing));
        let are = by_number(n, "is", "are");
        tracing::warn!("{} with clips of the records {are} not in --input: {names}", counted(n, "tars"));
    }
    let mut selection = Selection::default();
    for path in &config.sources {
        match tars.get(&name_of(path)) {
            Some(false) => selection.without_hits += 1,
            Some(true) => selection.sources.push(path.clone()),
            None => {
                selection.unknown += 1;
                selection.sources.push(path.clone());
            }
        }
    }
    Ok(selection)
}

/// The first few of many names.
fn some<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    let mut names = names.into_iter();
    let few: Vec<&str> = names.by_ref().take(NAMED).map(String::as_str).collect();
    format!("{}{}", few.join(", "), if names.next().is_some() { ", …" } else { "" })
}

/// The clips that the records refer to, whatever else is wrong with those.
fn clips_of(config: &Config, workers: usize) -> Result<HashSet<ClipId>, Error> {
    let mut clips = HashSet::new();
    let clip = |found: Found| clip_of(&found.record.ok()?).ok();
    record_files::for_each((&config.records, config.from_table), workers, clip, |clip| {
        clips.extend(clip);
        Ok::<_, CoreError>(())
    })?;
    Ok(clips)
}

/// Whether each tar of the table may hold one of the clips.
fn hits(mapping: &Path, wanted: &HashSet<ClipId>) -> Result<BTreeMap<String, bool>, Error> {
    hits_in(input::open(mapping)?, wanted).map_err(|problem| {
        let hint = "expected the columns tar_file and mp4_name, as `audsem-tarify index` writes them";
        CoreError::input(mapping, format!("{problem}\nhint: {hint}")).into()
    })
}

fn hits_in(text: impl std::io::Read, wanted: &HashSet<ClipId>) -> Result<BTreeMap<String, bool>, String> {
    let mut tars: BTreeMap<String, bool> = BTreeMap::new();
    let mut lines = CsvRecords::new(&csv::ReaderBuilder::new(), text);
    let header = lines.headers().map_err(|error| error.to_string())?;
    let mut record = csv::StringRecord::new();
    loop {
        if !lines.read_record(&mut record).map_err(|error| error.to_string())? {
            break;
        }
        let Line { tar_file, mp4_name } = record.deserialize(Some(&header)).map_err(|error| error.to_string())?;
        let file = tar_file.rsplit('/').next().unwrap_or(tar_file);
        // A name that is not a clip name may still belong to a clip, which the JSON in the tar names.
        let hit = mp4_name.parse::<ClipId>().map_or(true, |clip| wanted.contains(&clip));
        *tars.entry(plain_name(file)).or_default() |= hit;
    }
    Ok(tars)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_tar_is_opened_for_a_clip_or_for_a_name_that_tells_none() {
        let wanted = HashSet::from(["A (1.0-2.0)".parse().unwrap()]);
        let csv = "tar_file,mp4_name\n\
            0.tar,A (1.0-2.0).mp4\n0.tar,B (1.0-2.0).mp4\nx/1.tar.gz,tar/A (1_0-2_0).webm\n2.tar,B (1.0-2.0).mp4\n3.tar,12.flac\n";
        let expected = [("0.tar", true), ("1.tar", true), ("2.tar", false), ("3.tar", true)];
        let expected = expected.map(|(tar, hit)| (tar.to_owned(), hit)).into();
        assert_eq!(hits_in(csv.as_bytes(), &wanted), Ok(expected));
        assert!(hits_in(&b"a,b\n1,2\n"[..], &wanted).unwrap_err().contains("tar_file"));
        assert_eq!(hits_in(&b""[..], &wanted), Ok(BTreeMap::new()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn any_bytes_are_read(header in any::<bool>(), text in proptest::collection::vec(any::<u8>(), 0..80)) {
            let header: &[u8] = if header { b"tar_file,mp4_name\n" } else { b"" };
            let _ = hits_in(&[header, &text].concat()[..], &HashSet::new());
        }
    }
}
