//! The items of benchmarks: their number, and which of them cannot be used. A broken
//! benchmark must not look like one without contamination.

use audsem_core::parallel::ordered_map;
use audsem_core::run::{Run, Shard, ShardError, ShardOutput, Step};
use audsem_core::tables::{TableError, VectorFile, VectorScratch};

use super::Benchmark;
use crate::error::Error;
use crate::rejects::BadRows;
use crate::sets::EmbeddingFile;
use crate::vector_math::{dot, scale};

/// The items of one benchmark.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Items {
    /// All.
    pub(super) all: u64,
    /// Those whose vectors cannot be used.
    pub(super) bad: u64,
}

/// Counts the items of each benchmark and files those that cannot be used; `None` when the step was
/// interrupted.
///
/// # Errors
/// [`Error::EmptyBenchmark`]; a table that cannot be read ends the run, because a benchmark without it
/// would be another one.
pub(super) fn count(run: &mut Run, benchmarks: &[Benchmark]) -> Result<Option<Vec<Items>>, Error> {
    let files: Vec<(usize, &EmbeddingFile)> =
        benchmarks.iter().enumerate().flat_map(|(i, set)| set.files.iter().map(move |file| (i, file))).collect();
    let plan: Vec<Shard<&EmbeddingFile>> = files
        .iter()
        .enumerate()
        .map(|(number, (_, file))| Shard {
            name: format!("{number:05}"),
            fingerprint: file.fingerprint.clone(),
            work: *file,
        })
        .collect();
    let step = Step { name: "benchmark", unit: "vectors", physical: "MB" };
    let Some(counted) = run.execute(step, &plan, |file, out| count_file(file, out))?.whole() else { return Ok(None) };
    let mut items = vec![Items::default(); benchmarks.len()];
    for ((benchmark, _), output) in files.iter().zip(&counted.outputs) {
        items[*benchmark].all += output.stats.read;
        items[*benchmark].bad += output.stats.n_failed();
    }
    match items.iter().position(|items| items.all == items.bad) {
        Some(empty) => Err(benchmarks[empty].empty()),
        None => Ok(Some(items)),
    }
}

fn count_file(file: &EmbeddingFile, out: &mut ShardOutput) -> Result<(), ShardError> {
    let vectors = file.vectors().map_err(ShardError::fatal)?;
    let threads = out.inner_workers();
    ordered_map(
        0..vectors.n_groups(),
        threads,
        2 * threads,
        |group| bad_rows(&vectors, group),
        |bad| {
            let bad = bad.map_err(ShardError::fatal)?;
            let (n_rows, n_bad) = (vectors.n_rows_in(bad.group()) as u64, bad.len() as u64);
            out.file_kept(n_rows - n_bad);
            out.count(&format!("{}_items", file.set), n_rows);
            out.count(&format!("{}_bad_items", file.set), n_bad);
            out.work(n_rows as f64 * vectors.dim() as f64 * 4e-6);
            bad.file(file, out)
        },
    )
}

fn bad_rows(vectors: &VectorFile, group: usize) -> Result<BadRows, TableError> {
    let mut bad = BadRows::new(group);
    vectors.for_each_block(group, &mut VectorScratch::default(), |first, rows| {
        for (i, x) in rows.chunks_exact(vectors.dim()).enumerate() {
            if let Err(fault) = scale(dot(x, x)) {
                bad.add(first + i, fault);
            }
        }
    })?;
    Ok(bad)
}
