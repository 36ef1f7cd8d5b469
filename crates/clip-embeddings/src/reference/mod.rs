//! Reference sets: their mean direction, saved or computed, and with an index all their vectors.
//!
//! ```text
//! out/reference.json         count, mean direction, model, sets
//! out/sums-00000.json        sums of one table, from which the mean is computed
//! out/index-00000.parquet    with --index: the unit vectors of one table, for nearest neighbours
//! ```

mod index;
mod saved;
mod sum;

use std::path::{Path, PathBuf};

use audsem_core::run::{Run, RunConfig, RunOptions, RunSpec, Shard, Step, Summary};
use serde::Serialize;

use crate::error::Error;
use crate::sets::{Comparable, EmbeddingFile, SetPath, list_files};

pub(crate) use saved::write as save;
pub use saved::{REFERENCE, SavedReference, SavedSet};
pub use sum::{FileSums, mean_of, sum_files};

/// What is summed.
#[derive(Debug, Clone, Serialize)]
pub struct Config {
    /// The sets.
    pub sets: Vec<SetPath>,
    /// Batch size of the weighting that means of batches have; `None` is the exact mean.
    pub compat_batch: Option<u64>,
    /// Whether the vectors themselves are kept.
    pub index: bool,
}

impl RunConfig for Config {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "reference build";
}

/// Builds a reference in the output folder.
///
/// # Errors
/// The sets cannot be read or compared, hold no usable vector, and what [`Run::open`] and
/// [`Run::execute`] give.
pub fn run(config: &Config, options: &RunOptions) -> Result<Summary, Error> {
    let files = list_files(&config.sets)?;
    let comparable = Comparable::of(&files)?;
    let spec = RunSpec::new(config);
    let mut run = Run::open(options, spec)?;
    let mut results = None;
    if let Some(sums) = sum_files(&mut run, "part", &files, comparable.dim, config.compat_batch)? {
        let saved = mean_of(&sums, &files, &comparable, config.compat_batch)?;
        results = Some((saved.count, saved.norm()));
        save(&mut run, &saved, &sums)?;
        if config.index {
            write_index(&mut run, &files)?;
        }
    }
    let summary = run.finish()?;
    Ok(match results {
        Some((count, norm)) => summary.with_result("vectors", count).with_result("norm_of_mean", norm),
        None => summary,
    })
}

fn write_index(run: &mut Run, files: &[EmbeddingFile]) -> Result<(), Error> {
    let step = Step { name: "index", unit: "vectors", physical: "MB" };
    let plan: Vec<Shard<&EmbeddingFile>> = plan(files);
    run.execute(step, &plan, |file, out| index::write(file, out))?;
    Ok(())
}

/// One shard for each table.
pub(crate) fn plan(files: &[EmbeddingFile]) -> Vec<Shard<&EmbeddingFile>> {
    let shard = |(i, file): (usize, _)| -> Shard<&EmbeddingFile> {
        let file: &EmbeddingFile = file;
        Shard { name: format!("{i:05}"), fingerprint: file.fingerprint.clone(), work: file }
    };
    files.iter().enumerate().map(shard).collect()
}

/// The tables of a reference that [`Config::index`] was set for.
///
/// # Errors
/// The folder has no index, or its run has not ended.
pub fn index_files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    Ok(audsem_core::tables::parts(folder, "index")?)
}
