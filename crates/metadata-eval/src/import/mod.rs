//! `import-reference`: the outputs of the Python scripts of the reference pipeline as our tables.
//!
//! Their CSV files hold dictionaries as Python prints them, which are read by a reader of literals that executes nothing;
//! their pickles are read as data.
//! One file of input becomes one table.
//!
//! ```text
//! out/part-00000.parquet    the rows of the first file
//! ```

mod drift;
mod literal;
mod records;
mod rows;

use std::path::{Path, PathBuf};

use audsem_core::error::Error as CoreError;
use audsem_core::input::is_folder;
use audsem_core::run::{
    FileFingerprint, Fingerprint, LeftOut, Run, RunConfig, RunOptions, RunSpec, Shard, ShardError, ShardOutput, Step,
    Summary,
};
use audsem_core::tables::{ParquetWriter, Row};
use audsem_core::walk::Walk;
use serde::Serialize;

use crate::error::Error;
use crate::parquet::base;
use crate::reason::ImportFault;
use crate::tables::{AudioFeatures, ClipMetadata, DriftScore, ImageFeatures, SecondFeatures, VideoFeatures};
use records::Record;
use rows::FromReference;

/// What the files of the reference hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum ReferenceKind {
    /// CSV files of audio_model/main.py
    Audio,
    /// CSV files of audio_model/sat.py
    Sat,
    /// JSON lines of image_model
    Image,
    /// CSV files of video_model
    Video,
    /// JSON lines of combine_data, such as final_combined_outputs.jsonl
    Combined,
    /// Pickled lists of postprocess_sim.py, such as most_dissimilar_files_audio_0.95.pkl
    Drift,
}

/// What is imported.
#[derive(Debug, Clone)]
pub struct Config {
    /// Files, or folders of them.
    pub inputs: Vec<PathBuf>,
    /// What they hold.
    pub kind: ReferenceKind,
}

/// What decides the content of the output.
#[derive(Serialize)]
struct HashedConfig {
    kind: ReferenceKind,
}

impl RunConfig for HashedConfig {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "import-reference";
}

/// Imports the files.
///
/// # Errors
/// There are no files, or the output cannot be written.
pub fn run(config: &Config, options: &RunOptions) -> Result<Summary, Error> {
    let plan = plan(config, options.limit)?;
    let record = HashedConfig { kind: config.kind };
    let mut run = Run::open(options, RunSpec::new(&record))?;
    let step = Step { name: "part", unit: "clips", physical: "" };
    run.must_keep(step).explain(ImportFault::ALL);
    run.execute(step, &plan, |(path, limit), out| match config.kind {
        ReferenceKind::Audio => import::<AudioFeatures>(path, *limit, out),
        ReferenceKind::Sat => import::<SecondFeatures>(path, *limit, out),
        ReferenceKind::Image => import::<ImageFeatures>(path, *limit, out),
        ReferenceKind::Video => import::<VideoFeatures>(path, *limit, out),
        ReferenceKind::Combined => import::<ClipMetadata>(path, *limit, out),
        ReferenceKind::Drift => import::<DriftScore>(path, *limit, out),
    })?;
    Ok(run.finish()?.with_result("files", plan.len()))
}

/// One shard for each file, each with what `--limit` leaves it.
fn plan(config: &Config, limit: Option<u64>) -> Result<Vec<Shard<(PathBuf, u64)>>, Error> {
    let (mut plan, mut left) = (Vec::new(), limit.unwrap_or(u64::MAX));
    for path in list(config)? {
        if left == 0 {
            break;
        }
        let fingerprint = Fingerprint::new().with(base(&path)).with_file(&FileFingerprint::of(&path)?).finish();
        let allowed = left;
        if limit.is_some() {
            // A file that cannot be read fails its own shard.
            let counted = records::for_each(&path, |_, _| {
                left -= 1;
                Ok(left > 0)
            });
            drop(counted);
        }
        plan.push(Shard { name: format!("{:05}", plan.len()), fingerprint, work: (path, allowed) });
    }
    Ok(plan)
}

/// The files that are named, and those in folders that are named.
fn list(config: &Config) -> Result<Vec<PathBuf>, Error> {
    let endings: &[&str] = match config.kind {
        ReferenceKind::Audio | ReferenceKind::Sat | ReferenceKind::Video => &[".csv"],
        ReferenceKind::Image | ReferenceKind::Combined => &[".jsonl"],
        ReferenceKind::Drift => &[".pkl"],
    };
    let mut files = Vec::new();
    for given in &config.inputs {
        if !is_folder(given)? {
            files.push(given.clone());
            continue;
        }
        let found = Walk::flat().by_number().files(given, |name| endings.iter().any(|ending| name.ends_with(ending)));
        let found = found.map_err(CoreError::from)?;
        if found.is_empty() {
            return Err(CoreError::input(given, format!("no *{} in this folder", endings[0])).into());
        }
        files.extend(found.into_iter().map(|file| file.path));
    }
    Ok(files)
}

/// Imports one file, up to `limit` records of it.
fn import<R: Row + FromReference>(path: &Path, limit: u64, out: &mut ShardOutput) -> Result<(), ShardError> {
    let mut file = out.create(format!("part-{}.parquet", out.name()))?;
    let mut writer = ParquetWriter::<R, _>::new(&mut file).map_err(ShardError::fatal)?;
    let mut left = limit;
    records::for_each(path, |place, record| {
        if left == 0 {
            return Ok(false);
        }
        left -= 1;
        let row = record.and_then(|record: Record| R::from_reference(record));
        let outcome = row.map_err(|problem| LeftOut::fail(ImportFault::BadRecord, problem));
        if let Some(row) = out.file(format_args!("{}, {place}", base(path)), outcome) {
            writer.push(row.as_row()).map_err(ShardError::fatal)?;
        }
        Ok(true)
    })?;
    writer.finish().map_err(ShardError::fatal)?;
    Ok(out.close(file)?)
}
