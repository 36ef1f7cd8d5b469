//! The clip table: which row belongs to which candidate.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use audsem_core::error::Error;
use audsem_core::run::Fingerprint;
use audsem_core::tables::{ParquetFile, is_csv};
use audsem_core::terminal::counted;
use foldhash::fast::FixedState;

use super::name::ClipName;
use super::sources::{Candidate, State};
use crate::error::Result;

audsem_core::row! {
    table "clip texts";
    /// What `clips` reads of a clip table.
    pub struct ClipText / ClipTextRef / ClipTextColumns / ClipTextBuffers {
        /// Id of the video.
        pub video_id: String,
        /// Start in the video, milliseconds.
        pub start_ms: u32,
        /// End in the video, milliseconds.
        pub end_ms: u32,
        /// The caption as it was.
        pub text: String,
        /// The caption after all rules.
        pub clean_text: String,
    }
}

/// How far the starts of a file and a row may be apart: names made from floats may be off by one.
const TOLERANCE_MS: u32 = 1;

/// The row of a candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// Number of the row over all tables.
    number: u64,
    pub(super) end_ms: u32,
    pub(super) text: String,
    pub(super) clean_text: String,
    /// How far start and end are from those of the file name; less is better.
    distance: (u32, u32),
}

impl Row {
    pub(super) fn add_to(&self, sum: Fingerprint) -> Fingerprint {
        sum.with(self.end_ms.to_string()).with(&self.text).with(&self.clean_text)
    }
}

/// Counts of the table.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct TableCounts {
    pub(super) n_rows: u64,
    /// Rows that a candidate has.
    pub(super) n_matched: u64,
    /// Rows that cannot be read.
    pub(super) n_unreadable: u64,
    /// Rows that fitted a candidate, which has another row that fits as well or better.
    pub(super) n_rivals: u64,
}

/// Gives each candidate the row of its video that starts when it does (within a millisecond), of
/// several the one with the nearest start, then the nearest end, then the first. A row goes to
/// its first candidate; further ones become duplicates.
///
/// Only rows that a candidate fits are kept, so memory grows with the media and not with the table.
///
/// # Errors
/// A table cannot be read.
pub(super) fn attach(tables: &[PathBuf], candidates: &mut [Candidate]) -> Result<TableCounts> {
    // Video -> start -> candidates.
    let mut wanted: HashMap<String, HashMap<u32, Vec<usize>, FixedState>, FixedState> = HashMap::default();
    for (at, candidate) in candidates.iter().enumerate() {
        if let State::Named { name, .. } = &candidate.state {
            wanted.entry(name.video_id.clone()).or_default().entry(name.start_ms).or_default().push(at);
        }
    }
    let mut counts = TableCounts::default();
    for table in tables {
        for rows in open(table)?.usable_groups() {
            let rows = rows?;
            if let Some(bad) = rows.bad.first() {
                counts.n_unreadable += rows.bad.len() as u64;
                let n = counted(rows.bad.len(), "rows");
                tracing::warn!("{}: {n} cannot be read, the first of them: {bad}", table.display());
            }
            for (_, row) in rows.iter() {
                counts.n_rows += 1;
                let Ok(row) = row else { continue };
                let Some(starts) = wanted.get(row.video_id) else { continue };
                let near = row.start_ms.saturating_sub(TOLERANCE_MS)..=row.start_ms.saturating_add(TOLERANCE_MS);
                for &at in near.filter_map(|start| starts.get(&start)).flatten() {
                    counts.n_rivals += u64::from(offer(&mut candidates[at], &row, counts.n_rows));
                }
            }
        }
    }
    counts.n_matched = mark_duplicates(candidates);
    Ok(counts)
}

fn open(table: &Path) -> Result<ParquetFile<ClipText>> {
    if is_csv(table) {
        let problem = "a clip table is a Parquet file with the columns of `combine`\nhint: name the output folder of `combine`; not";
        return Err(Error::Input { path: table.to_owned(), problem: problem.to_owned() }.into());
    }
    Ok(ParquetFile::open(table)?)
}

/// Lets a candidate take the row if it fits better than the one it has; returns whether it had one.
fn offer(candidate: &mut Candidate, row: &ClipTextRef<'_>, number: u64) -> bool {
    let State::Named { name: ClipName { start_ms, end_ms, .. }, row: held } = &mut candidate.state else {
        return false;
    };
    let distance = (row.start_ms.abs_diff(*start_ms), end_ms.map_or(0, |end| row.end_ms.abs_diff(end)));
    let rival = held.is_some();
    if held.as_ref().is_none_or(|held| distance < held.distance) {
        let (text, clean_text) = (row.text.to_owned(), row.clean_text.to_owned());
        *held = Some(Box::new(Row { number, end_ms: row.end_ms, text, clean_text, distance }));
    }
    rival
}

/// Leaves each row to one candidate, the best fitting, then the first; returns how many rows are taken.
fn mark_duplicates(candidates: &mut [Candidate]) -> u64 {
    let mut owners: HashMap<u64, ((u32, u32), usize), FixedState> = HashMap::default();
    for (at, candidate) in candidates.iter().enumerate() {
        let State::Named { row: Some(row), .. } = &candidate.state else { continue };
        let owner = owners.entry(row.number).or_insert((row.distance, at));
        *owner = (*owner).min((row.distance, at));
    }
    for at in 0..candidates.len() {
        let State::Named { row: Some(row), .. } = &candidates[at].state else { continue };
        let (_, owner) = owners[&row.number];
        if owner != at {
            candidates[at].state = State::Duplicate { of: candidates[owner].file.clone() };
        }
    }
    owners.len() as u64
}
