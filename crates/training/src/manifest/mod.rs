//! `index`: the manifest of training shards, so that any example can be read alone, in any order.
//!
//! ```text
//! out/part-00000.parquet    one row for each example: its place in the shard, key, clip, digest of its JSON
//! out/manifest.json         counts of examples, clips and videos, examples of each shard, and a digest of all
//! out/scan-00000.parquet    the examples of one shard, from which the first file is made
//! out/rejects-scan-*.jsonl  what cannot be trained on, and why
//! ```
//!
//! Headers and JSON are read, sounds are skipped. Shards are uncompressed tars, as `audsem-tarify shards` writes them.

mod access;
mod example;
mod merge;
mod read;
mod reason;
mod scan;

use std::path::PathBuf;

use audsem_core::run::{Run, RunConfig, RunOptions, RunSpec, Shard, Step, Summary};
use audsem_core::tar::{TarInput, list_tars};
use serde::Serialize;

pub use access::{ExampleBytes, ShardFiles};
pub use example::{ExampleText, read_example};
pub use merge::ManifestSummary;
pub use read::Manifest;
pub use reason::{DropReason, Fault};
pub use scan::example_key;

use crate::error::Result;

/// What is indexed.
#[derive(Debug, Clone)]
pub struct Config {
    /// Shards, or folders of them.
    pub inputs: Vec<PathBuf>,
}

/// What decides the content of the manifest: paths are part of it, because they are where training finds the shards.
#[derive(Serialize)]
struct HashedConfig {
    tars: Vec<PathBuf>,
}

impl RunConfig for HashedConfig {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "index";
}

/// Writes the manifest into the output folder.
///
/// # Errors
/// There is no tar, and what [`Run::open`] and [`Run::execute`] give.
pub fn run(config: &Config, options: &RunOptions) -> Result<Summary> {
    let mut tars: Vec<TarInput> = Vec::new();
    for input in &config.inputs {
        tars.extend(list_tars(input)?);
    }
    let effective = HashedConfig { tars: tars.iter().map(|tar| tar.path.clone()).collect() };
    let mut run = Run::open(options, RunSpec::new(&effective))?;
    let scan_step = Step { name: "scan", unit: "examples", physical: "MB" };
    run.must_keep(scan_step).explain(DropReason::ALL).explain(Fault::ALL);
    let scanned = run.execute(scan_step, &plan(tars), scan::scan)?;
    let damaged = scanned.stats.failed.get("corrupt_tar").is_some_and(|n| *n > 0);
    // A shard that failed may be mended, so the manifest waits for it.
    let merged = match scanned.whole() {
        Some(scanned) => merge::merge(&mut run, &scanned, options.limit)?,
        None => None,
    };
    let mut summary = run.finish()?;
    if let Some(merged) = merged {
        summary = summary
            .with_result("examples", merged.examples)
            .with_result("clips", merged.clips)
            .with_result("digest", merged.digest);
    }
    Ok(if damaged { summary.as_broken_input() } else { summary })
}

fn plan(tars: Vec<TarInput>) -> Vec<Shard<TarInput>> {
    let shard = |(number, tar): (usize, TarInput)| Shard {
        name: format!("{number:05}"),
        fingerprint: tar.fingerprint.clone(),
        work: tar,
    };
    tars.into_iter().enumerate().map(shard).collect()
}
