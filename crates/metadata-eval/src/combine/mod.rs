//! `combine`: the tables of the extractors and the clip table as one row for each clip.
//!
//! Rows are joined on the clip's name and its times in whole milliseconds, whichever of the two spellings a table uses.
//! Every clip that some extractor knows is read once, with the first table that has it; what further tables say of it is
//! added. Of several values for one column the first table's counts.
//!
//! ```text
//! out/part-00000.parquet    one row for each clip that the first table of features is the first to name
//! ```
//!
//! Memory holds 24 bytes for each row of the tables, the captions of the clips that have features, and one row group.

mod captions;
mod features;
mod index;
mod join;
mod similarity;

use std::path::PathBuf;

use audsem_core::error::Error as CoreError;
use audsem_core::run::{
    Fingerprint, LeftOut, Reads, Run, RunConfig, RunOptions, RunSpec, Shard, ShardError, ShardOutput, Step, Summary,
};
use audsem_core::tables::{ParquetWriter, Row as _};
use serde::Serialize;

pub use features::Extractor;

pub(crate) use join::new_row;

use crate::checkpoint::NetworkSettings;
use crate::error::Error;
use crate::reason::DropReason;
use crate::tables::ClipMetadata;
use captions::Captions;
use features::FeatureFile;
use index::PlaceIndex;
use similarity::SimilarityScorer;

/// Counter of rows that add nothing but a key that is already known to the same kind of table.
const REPEATED: &str = "repeated_rows";

/// What is joined.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Tables of `audio`.
    pub audio: Vec<PathBuf>,
    /// Tables of `sat`.
    pub sat: Vec<PathBuf>,
    /// Tables of `image`.
    pub image: Vec<PathBuf>,
    /// Tables of `video`.
    pub video: Vec<PathBuf>,
    /// Clip tables of `audsem-filtering combine`; without one, captions are those that the extractors found.
    pub clips: Vec<PathBuf>,
    /// Extractors without whose features a clip is dropped.
    pub require: Vec<Extractor>,
    /// The model that compares captions; none is run if this is `None`.
    pub sentence_model: Option<NetworkSettings>,
}

/// What decides the content of the output.
#[derive(Serialize)]
struct HashedConfig<'a> {
    require: &'a [Extractor],
    clip_table: bool,
    sentence_model: Option<&'a str>,
}

impl RunConfig for HashedConfig<'_> {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "combine";
}

/// What all shards share.
struct Join<'a> {
    files: &'a [FeatureFile],
    index: PlaceIndex,
    captions: Option<Captions>,
    require: &'a [Extractor],
    scorer: Option<SimilarityScorer>,
}

/// Joins the tables.
///
/// # Errors
/// There is no table of features, a table or the model cannot be read, or the output cannot be written.
pub fn run(config: &Config, options: &RunOptions) -> Result<Summary, Error> {
    check(config)?;
    let files = features::list(config)?;
    let clip_tables = captions::list(&config.clips)?;
    let opened = match &config.sentence_model {
        Some(settings) if !options.dry_run => Some(SimilarityScorer::open(settings)?),
        _ => None,
    };
    let record = HashedConfig {
        require: &config.require,
        clip_table: !config.clips.is_empty(),
        sentence_model: opened.as_ref().map(SimilarityScorer::identity),
    };
    let models = opened.iter().map(|scorer| scorer.fingerprint().clone()).collect();
    let mut run = Run::open(options, RunSpec::new(&record).models(models))?;
    let index = PlaceIndex::of(&files)?;
    let captions = if clip_tables.is_empty() { None } else { Some(Captions::read(&clip_tables, &index)?) };
    let all = files.iter().map(|file| &file.fingerprint).chain(clip_tables.iter().map(|table| &table.fingerprint));
    let all = all.fold(Fingerprint::new(), |all, one| all.with(one)).finish();
    let plan = plan(&files, &index, &all, options.limit);
    let join = Join { files: &files, index, captions, require: &config.require, scorer: opened };
    let step = Step { name: "part", unit: "clips", physical: "" };
    run.must_keep(step).explain(DropReason::ALL);
    run.execute(step, &plan, |table, out| join.write(table, out))?;
    Ok(run.finish()?.with_result("tables", files.len()))
}

fn check(config: &Config) -> Result<(), Error> {
    let refuse = |what: String, problem: &str| Err(CoreError::Config { what, problem: problem.to_owned() }.into());
    if Extractor::ALL.iter().all(|extractor| extractor.paths(config).is_empty()) {
        let problem =
            "there is nothing to join\nhint: name the outputs of extractors with --audio, --sat, --image or --video";
        return refuse("combine".to_owned(), problem);
    }
    match config.require.iter().find(|extractor| extractor.paths(config).is_empty()) {
        Some(extractor) => refuse(
            format!("--require {}", extractor.name()),
            "no such table is given, so every clip would be dropped\nhint: name one, or leave it out of --require",
        ),
        None => Ok(()),
    }
}

/// A table of features whose clips become rows.
struct DrivingTable {
    /// Its number among all tables.
    number: usize,
    /// Rows that are still allowed.
    limit: u64,
}

/// One shard for each table, each with what `--limit` leaves it.
fn plan(files: &[FeatureFile], index: &PlaceIndex, all: &Reads, limit: Option<u64>) -> Vec<Shard<DrivingTable>> {
    let mut left = limit.unwrap_or(u64::MAX);
    let owned = index.first_places(files.len());
    let mut plan = Vec::with_capacity(files.len());
    for (number, n_clips) in owned.into_iter().enumerate() {
        if left == 0 {
            break;
        }
        plan.push(Shard {
            name: format!("{number:05}"),
            fingerprint: Fingerprint::new().with(all).with(&files[number].name).finish(),
            work: DrivingTable { number, limit: left },
        });
        left = left.saturating_sub(n_clips);
    }
    plan
}

impl Join<'_> {
    fn write(&self, table: &DrivingTable, out: &mut ShardOutput) -> Result<(), ShardError> {
        let mut file = out.create(format!("part-{}.parquet", out.name()))?;
        let mut writer = ParquetWriter::<ClipMetadata, _>::new(&mut file).map_err(ShardError::fatal)?;
        let mut left = table.limit;
        for group in self.index.groups(table.number) {
            let mut clips =
                self.index.clips_of(&self.files[table.number], (table.number, group)).map_err(ShardError::input)?;
            clips.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            left -= clips.len() as u64;
            let joined = join::rows(&clips, self.files).map_err(ShardError::input)?;
            out.count(REPEATED, joined.repeated);
            let mut rows = joined.rows;
            if let Some(captions) = &self.captions {
                rows.iter_mut().for_each(|row| captions.add_to(row));
            }
            let mut kept = Vec::with_capacity(rows.len());
            for row in rows {
                let dropped = self.missing(&row);
                if let Some(reason) = dropped {
                    out.file_left_out(&row.key, LeftOut::drop(reason, ""));
                } else {
                    out.file_kept(1);
                    kept.push(row);
                }
            }
            if let Some(scorer) = &self.scorer {
                scorer.score(&mut kept).map_err(ShardError::fatal)?;
            }
            kept.iter().try_for_each(|row| writer.push(row.as_row())).map_err(ShardError::fatal)?;
        }
        writer.finish().map_err(ShardError::fatal)?;
        Ok(out.close(file)?)
    }

    /// Why a clip is dropped, if it is.
    fn missing(&self, row: &ClipMetadata) -> Option<DropReason> {
        let lacks = self.require.iter().find(|extractor| !extractor.is_in(row));
        let unknown = self.captions.as_ref().is_some_and(|captions| !captions.has(&row.key));
        lacks.map(|extractor| extractor.absence()).or(unknown.then_some(DropReason::NotInClipTable))
    }
}
