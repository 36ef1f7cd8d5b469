//! `contamination`: finds records of a set that are near to benchmark items, and duplicates in the set.
//!
//! ```text
//! out/part-00000.parquet         pairs of a record and a benchmark item with a cosine over the threshold
//! out/pairs.csv                  the same pairs, human-readable
//! out/benchmarks.csv             items, unusable items, near records and largest cosine of each benchmark
//! out/near-00000.parquet         with --near-duplicates: records and the nearest earlier one
//! out/duplicates-all.parquet     records with the key or exactly the vector of an earlier one
//! ```

mod benchmarks;
mod exact;
mod items;
mod near;
mod pairs;

use audsem_core::run::{Run, RunConfig, RunOptions, RunSpec, Summary};
use serde::Serialize;
use serde_json::json;

use crate::error::Error;
use crate::sets::{Comparable, EmbeddingFile, SetPath, list_files};

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

impl RunConfig for Config {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "contamination";
}

/// Finds contamination and duplicates.
///
/// # Errors
/// A set cannot be read or compared, and what [`Run::open`] and [`Run::execute`] give.
pub fn run(config: &Config, options: &RunOptions) -> Result<Summary, Error> {
    let inputs = list_files(&config.inputs)?;
    let benchmarks = list_benchmarks(config)?;
    let comparable = Comparable::of(benchmarks.iter().flat_map(|set| &set.files).chain(&inputs))?;
    let spec = RunSpec::new(config);
    let mut run = Run::open(options, spec)?;
    let mut found = Vec::new();
    if !benchmarks.is_empty() {
        // The search starts only after it is known that every benchmark has usable items.
        let Some(items) = items::count(&mut run, &benchmarks)? else { return Ok(run.finish()?) };
        if let Some(nearness) = benchmarks::compare(&mut run, config, &inputs, &benchmarks, comparable.dim)? {
            found = pairs::write(&mut run, &benchmarks, &items, nearness)?;
        }
    }
    exact::find(&mut run, &inputs)?;
    if let Some(threshold) = config.near_duplicates {
        near::find(&mut run, &inputs, threshold, comparable.dim)?;
    }
    let mut summary = run.finish()?;
    for (benchmark, found) in benchmarks.iter().zip(found) {
        summary = summary.with_result(&format!("benchmark_{}", benchmark.name), json!(found));
    }
    Ok(summary)
}

/// A benchmark and its tables.
struct Benchmark {
    name: String,
    files: Vec<EmbeddingFile>,
}

impl Benchmark {
    fn n_rows(&self) -> u64 {
        self.files.iter().map(|file| file.n_rows).sum()
    }

    /// What to say of it when nothing in it can be used.
    fn empty(&self) -> Error {
        Error::EmptyBenchmark { name: self.name.clone(), n_files: self.files.len(), n_rows: self.n_rows() }
    }
}

fn list_benchmarks(config: &Config) -> Result<Vec<Benchmark>, Error> {
    let mut benchmarks: Vec<Benchmark> = Vec::new();
    for set in &config.benchmarks {
        if benchmarks.iter().any(|other| other.name == set.name) {
            return Err(Error::SameSet { name: set.name.clone() });
        }
        let benchmark = Benchmark { name: set.name.clone(), files: list_files(std::slice::from_ref(set))? };
        if benchmark.n_rows() == 0 {
            return Err(benchmark.empty());
        }
        benchmarks.push(benchmark);
    }
    Ok(benchmarks)
}

/// What is known of one benchmark at the end.
#[derive(Debug, Clone, Serialize)]
struct Found {
    /// Items in its tables.
    items: u64,
    /// Those whose vectors cannot be used.
    bad_items: u64,
    /// Records that come near to it.
    near: u64,
    /// Pairs listed.
    pairs: u64,
    /// The largest cosine of any record and item, near or not.
    max_cosine: Option<f64>,
}
