//! `filter`: leaves out clips by lists, scores, thresholds and conditions on columns, without running a model.
//!
//! Rows that pass are written as they are, in their order, with the columns that decided, so that thresholds can be
//! changed at any time by filtering the output of `combine` again.
//!
//! ```text
//! out/part-00000.parquet    the rows of the first table that passed
//! ```

mod condition;
mod keys;

use std::path::PathBuf;

use audsem_core::clip_lists::KeySet;
use audsem_core::error::Error as CoreError;
use audsem_core::run::{
    FileFingerprint, Fingerprint, LeftOut, Outcome, Run, RunConfig, RunOptions, RunSpec, Shard, ShardError,
    ShardOutput, Step, Summary,
};
use audsem_core::tables::{Columns as _, JsonReader, JsonRows, ParquetFile, ParquetWriter, TableError};
use serde::Serialize;

pub use condition::{Condition, ConditionError};

use crate::error::Error;
use crate::parquet::{base, parquet_under};
use crate::reason::FilterReason;
use crate::tables::{ClipMetadata, ClipMetadataRef};

/// What is filtered, and how.
#[derive(Debug, Clone)]
pub struct Config {
    /// Tables of `combine`.
    pub inputs: Vec<PathBuf>,
    /// Lists of keys to leave out: Parquet, CSV or JSON lines with a column `key` or `file_name`, or one key per line.
    pub exclude: Vec<PathBuf>,
    /// Tables of `audsem-clip-embeddings score`.
    pub scores: Vec<PathBuf>,
    /// What decides.
    pub thresholds: FilterThresholds,
    /// Conditions that every clip must meet.
    pub conditions: Vec<Condition>,
}

/// The thresholds of `filter`; `None` turns a rule off.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct FilterThresholds {
    /// Clips must be longer than this, in seconds.
    pub min_duration_s: Option<f64>,
    /// Lowest similarity of closed caption and audio caption.
    pub min_similarity: Option<f64>,
    /// Largest share of speech.
    pub max_speech: Option<f64>,
    /// Largest dissimilarity in the tables of scores.
    pub max_dissimilarity: f64,
}

/// What decides the content of the output, beside the lists, which each shard hashes.
#[derive(Serialize)]
struct HashedConfig<'a> {
    thresholds: FilterThresholds,
    conditions: &'a [Condition],
}

impl RunConfig for HashedConfig<'_> {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "filter";
}

/// A table of clips.
struct ClipTable {
    path: PathBuf,
    /// Rows that may be read.
    limit: u64,
}

/// What all shards share.
struct Rules<'a> {
    thresholds: FilterThresholds,
    conditions: &'a [Condition],
    excluded: KeySet,
    dissimilar: KeySet,
}

/// Filters the tables.
///
/// # Errors
/// A table or a list cannot be read, or the output cannot be written.
pub fn run(config: &Config, options: &RunOptions) -> Result<Summary, Error> {
    let record = HashedConfig { thresholds: config.thresholds, conditions: &config.conditions };
    let excluded = KeySet::of_lists(&config.exclude)?;
    let dissimilar = keys::dissimilar(&config.scores, config.thresholds.max_dissimilarity)?;
    let plan = plan(config, &excluded, &dissimilar, options.limit)?;
    let mut run = Run::open(options, RunSpec::new(&record))?;
    let rules = Rules { thresholds: config.thresholds, conditions: &config.conditions, excluded, dissimilar };
    let step = Step { name: "part", unit: "clips", physical: "" };
    run.must_keep(step).explain(FilterReason::ALL);
    run.execute(step, &plan, |table, out| rules.write(table, out))?;
    Ok(run.finish()?)
}

fn plan(
    config: &Config,
    excluded: &KeySet,
    dissimilar: &KeySet,
    limit: Option<u64>,
) -> Result<Vec<Shard<ClipTable>>, Error> {
    let (mut plan, mut left) = (Vec::new(), limit.unwrap_or(u64::MAX));
    for given in &config.inputs {
        for path in parquet_under(given, "`filter` reads the output of `combine`")? {
            if left == 0 {
                return Ok(plan);
            }
            let n_rows = ParquetFile::<ClipMetadata>::open(&path)?.n_rows() as u64;
            let file = FileFingerprint::of_output(&path)?;
            let fingerprint = Fingerprint::new().with(base(&path)).with_file(&file);
            let fingerprint = fingerprint.with(&excluded.fingerprint).with(&dissimilar.fingerprint).finish();
            plan.push(Shard { name: format!("{:05}", plan.len()), fingerprint, work: ClipTable { path, limit: left } });
            left = left.saturating_sub(n_rows);
        }
    }
    if plan.is_empty() {
        let problem = "there is nothing to filter\nhint: name the output of `combine` with --input";
        return Err(CoreError::Config { what: "filter".to_owned(), problem: problem.to_owned() }.into());
    }
    Ok(plan)
}

impl Rules<'_> {
    fn write(&self, table: &ClipTable, out: &mut ShardOutput) -> Result<(), ShardError> {
        let clips = ParquetFile::<ClipMetadata>::open(&table.path).map_err(ShardError::input)?;
        let columns: Vec<&str> = self.conditions.iter().map(Condition::column).collect();
        let values = JsonRows::open(&table.path).map_err(ShardError::input)?.with_columns(&columns);
        let mut file = out.create(format!("part-{}.parquet", out.name()))?;
        let mut writer = ParquetWriter::<ClipMetadata, _>::new(&mut file).map_err(ShardError::fatal)?;
        let mut left = table.limit;
        for group in 0..clips.n_groups() {
            let read = || -> Result<_, TableError> { Ok((clips.group(group)?, values.group(group)?)) };
            let (clips, values) = read().map_err(ShardError::input)?;
            let reader = values.reader();
            for row in 0..clips.len().min(usize::try_from(left).unwrap_or(usize::MAX)) {
                let clip = clips.get(row);
                if out.file(clip.key, self.judge(clip, &reader, row)).is_some() {
                    writer.push(clip).map_err(ShardError::fatal)?;
                }
            }
            left = left.saturating_sub(clips.len() as u64);
        }
        writer.finish().map_err(ShardError::fatal)?;
        Ok(out.close(file)?)
    }

    /// Whether a clip is kept, or the first rule that leaves it out.
    fn judge(&self, clip: ClipMetadataRef<'_>, values: &JsonReader<'_>, row: usize) -> Outcome<()> {
        if self.excluded.has(clip.key) {
            return Err(LeftOut::drop(FilterReason::Excluded, String::new()));
        }
        if self.dissimilar.has(clip.key) {
            let detail = format!("above {}", self.thresholds.max_dissimilarity);
            return Err(LeftOut::drop(FilterReason::Dissimilar, detail));
        }
        let FilterThresholds { min_duration_s, min_similarity, max_speech, .. } = self.thresholds;
        let seconds = clip.duration_ms.map(|ms| f64::from(ms) / 1000.0);
        let bound = |threshold: Option<f64>, value: Option<f64>, absent, reason, passes: fn(f64, f64) -> bool| {
            let Some(threshold) = threshold else { return Ok(()) };
            match value {
                None => Err(LeftOut::drop(absent, String::new())),
                Some(value) if passes(value, threshold) => Ok(()),
                Some(value) => Err(LeftOut::drop(reason, value.to_string())),
            }
        };
        bound(min_duration_s, seconds, FilterReason::NoDuration, FilterReason::TooShort, |value, min| value > min)?;
        let speech = clip.speech.map(f64::from);
        bound(max_speech, speech, FilterReason::NoSpeechShare, FilterReason::Speech, |value, max| value <= max)?;
        let similarity = clip.similarity.map(f64::from);
        let (absent, low) = (FilterReason::NoSimilarity, FilterReason::CaptionsDiffer);
        bound(min_similarity, similarity, absent, low, |value, min| value >= min)?;
        let unmet = |condition: &&Condition| !condition.is_met(&values.value(condition.column(), row));
        match self.conditions.iter().find(unmet) {
            Some(condition) => Err(LeftOut::drop(FilterReason::Condition, condition.to_string())),
            None => Ok(()),
        }
    }
}
