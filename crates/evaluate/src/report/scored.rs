//! A run of `score`, as the report reads it.

use std::path::PathBuf;

use audsem_core::error::Error as CoreError;
use audsem_core::input;
use audsem_core::run::{CompletedRun, RunFacts};
use audsem_core::tables::read_parquet;

use super::named::NamedFolder;
use crate::error::Error;
use crate::score::ScoreSummary;
use crate::score::predictions::{RunRecord, no_run_of};
use crate::score::{SCORES_FILE, SUMMARY_FILE};
use crate::tables::ItemScore;

/// The scores of one model.
#[derive(Debug)]
pub struct ScoredRun {
    /// What it is called on the page.
    pub name: String,
    /// Its summary.
    pub summary: ScoreSummary,
    /// How it was scored.
    pub record: RunRecord,
    /// What has predicted the answers, for people. The day is that of the scores: where the predictions lie is not known.
    pub predicted: RunFacts,
    /// What has scored them.
    pub scored: RunFacts,
    /// Scores of the single answers.
    pub rows: Vec<ItemScore>,
    /// The files.
    pub files: Vec<PathBuf>,
}

impl ScoredRun {
    /// Reads a run folder of `score`.
    ///
    /// # Errors
    /// This is no such folder, or its run has not ended.
    pub fn open(folder: &NamedFolder) -> Result<Self, Error> {
        let path = &folder.path;
        let wanted = |name: &str| name == SCORES_FILE || name == SUMMARY_FILE;
        let files = match input::is_folder(path)? {
            true => CompletedRun::outputs_under(path, wanted)?.filter(|files| files.len() == 2),
            false => None,
        };
        let files = files.ok_or_else(|| no_run_of(path, "`score`"))?;
        let summary_path = path.join(SUMMARY_FILE);
        let summary = serde_json::from_slice(&input::read_whole(&summary_path)?)
            .map_err(|error| CoreError::input(&summary_path, format!("not what `score` has written: {error}")))?;
        let summary: ScoreSummary = summary;
        Ok(Self {
            name: folder.name.clone(),
            predicted: facts_of(&summary.predictions),
            scored: RunFacts::around(path)?.unwrap_or_default(),
            summary,
            record: RunRecord::of(path)?,
            rows: read_parquet(&path.join(SCORES_FILE))?,
            files,
        })
    }

    /// The answers to a data set with its sounds, with the options as published.
    #[must_use]
    pub fn heard(&self, benchmark: &str) -> Vec<&ItemScore> {
        self.heard_as(benchmark, "sound")
    }

    /// The answers to a data set in one way of hearing, with the options as published.
    #[must_use]
    pub fn heard_as(&self, benchmark: &str, heard: &str) -> Vec<&ItemScore> {
        let is_wanted = |row: &&ItemScore| row.benchmark == benchmark && row.heard == heard && row.permutation == 0;
        self.rows.iter().filter(is_wanted).collect()
    }
}

/// The facts of a run of which the record alone is at hand.
fn facts_of(record: &RunRecord) -> RunFacts {
    RunFacts {
        command: format!("{} {}", record.tool, record.command),
        version: record.version.clone(),
        models: record.models.iter().map(|(name, _)| name.clone()).collect(),
        day: None,
    }
}
