//! What of a set comes too near to benchmarks, and what of it repeats itself.
//!
//! ```text
//! out/part-00000.parquet         pairs of a record and a benchmark item with a cosine over the threshold
//! out/near-00000.parquet         with --near-duplicates: records and the nearest earlier one
//! out/duplicates-all.parquet     records with the key or the very numbers of an earlier one
//! ```

mod benchmarks;
mod exact;
mod near;

use audsem_core::run::{Run, RunOptions, RunSpec, Summary};
use serde::Serialize;

use crate::error::Error;
use crate::sets::{Comparable, SetPath, list_files};

/// What is compared with what.
#[derive(Debug, Clone, Serialize)]
pub struct Config {
    /// Sets to look through.
    pub inputs: Vec<SetPath>,
    /// Benchmarks, each a set; may be none.
    pub benchmarks: Vec<SetPath>,
    /// Cosine from which a benchmark item counts as near.
    pub threshold: f32,
    /// Pairs to list for each record and benchmark at most.
    pub top_k: usize,
    /// Cosine from which an earlier record of the inputs counts as near; `None` to compare none.
    pub near_duplicates: Option<f32>,
}

/// Looks for contamination and duplicates.
///
/// # Errors
/// A set cannot be read or compared, and what [`Run::open`] and [`Run::execute`] give.
pub fn run(config: &Config, options: &RunOptions) -> Result<Summary, Error> {
    let inputs = list_files(&config.inputs)?;
    let benchmarks = config
        .benchmarks
        .iter()
        .map(|set| Ok((set.name.clone(), list_files(std::slice::from_ref(set))?)))
        .collect::<Result<Vec<_>, Error>>()?;
    let comparable = Comparable::of(benchmarks.iter().flat_map(|(_, files)| files).chain(&inputs))?;
    let spec =
        RunSpec { tool: "audsem-clip-embeddings", command: "contamination", config, inputs: &[], models: Vec::new() };
    let mut run = Run::open(options, spec)?;
    if !benchmarks.is_empty() {
        benchmarks::compare(&mut run, config, &inputs, &benchmarks, comparable.dim)?;
    }
    exact::find(&mut run, &inputs)?;
    if let Some(threshold) = config.near_duplicates {
        near::find(&mut run, &inputs, threshold, comparable.dim)?;
    }
    Ok(run.finish()?)
}
