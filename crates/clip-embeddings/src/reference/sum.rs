//! Summing the unit vectors of tables, each table a shard.

use audsem_core::parallel::ordered_map;
use audsem_core::run::{JsonFile, Reads, Run, Shard, ShardError, ShardOutput, ShardOutputs, Step};
use audsem_core::tables::{TableError, VectorFile, VectorScratch};

use super::saved::{SavedReference, SavedSet};
use crate::error::Error;
use crate::mean_embedding::BatchSums;
use crate::rejects::BadRows;
use crate::sets::{Comparable, EmbeddingFile, RowNumbers};
use crate::vector_math::{dot, scale};

/// The sums of one table and where they are kept.
#[derive(Debug, Clone)]
pub struct FileSums {
    /// Hash of the file they were made of or kept in.
    pub fingerprint: Reads,
    /// The sums.
    pub sums: BatchSums,
}

/// One table and the number of its first row among all.
struct Work<'a> {
    file: &'a EmbeddingFile,
    first_row: u64,
}

/// Sums the vectors of `files` in step `step`; `None` when the step was interrupted.
///
/// # Errors
/// As [`Run::execute`]; a table that cannot be read ends the run, because a reference without it
/// would be another one.
pub fn sum_files(
    run: &mut Run,
    step: &'static str,
    files: &[EmbeddingFile],
    dim: usize,
    batch: Option<u64>,
) -> Result<Option<Vec<FileSums>>, Error> {
    let numbers = RowNumbers::of(files);
    let plan: Vec<Shard<Work<'_>>> = files
        .iter()
        .enumerate()
        .map(|(number, file)| Shard {
            name: format!("{number:05}"),
            fingerprint: file.fingerprint.clone(),
            work: Work { file, first_row: numbers.start(number) },
        })
        .collect();
    let step = Step { name: step, unit: "vectors", physical: "MB" };
    let summed = run.execute_via(&JsonFile("sums"), step, &plan, |work, out| sum_file(work, dim, batch, out))?;
    let file_sums = |(output, sums): (ShardOutputs, _)| FileSums { fingerprint: output.fingerprint, sums };
    Ok(summed.whole().map(|summed| summed.outputs.into_iter().zip(summed.values).map(file_sums).collect()))
}

fn sum_file(work: &Work<'_>, dim: usize, batch: Option<u64>, out: &mut ShardOutput) -> Result<BatchSums, ShardError> {
    let vectors = work.file.vectors().map_err(ShardError::fatal)?;
    let mut first = work.first_row;
    let groups: Vec<(usize, u64)> = (0..vectors.n_groups())
        .map(|group| {
            let start = first;
            first += vectors.n_rows_in(group) as u64;
            (group, start)
        })
        .collect();
    let mut total = BatchSums::new(batch);
    let threads = out.inner_workers();
    // Sums of row groups are merged in their order whatever the number of threads, so that the last
    // bit of the mean does not depend on it.
    ordered_map(
        groups,
        threads,
        2 * threads,
        |(group, first_row)| sum_group(&vectors, group, first_row, dim, batch),
        |summed| {
            let (sums, bad) = summed.map_err(ShardError::fatal)?;
            let n_rows = vectors.n_rows_in(bad.group()) as u64;
            out.file_kept(n_rows - bad.len() as u64);
            out.work(n_rows as f64 * dim as f64 * 4e-6);
            total.append(sums);
            bad.file(work.file, out)
        },
    )?;
    Ok(total)
}

fn sum_group(
    vectors: &VectorFile,
    group: usize,
    first_row: u64,
    dim: usize,
    batch: Option<u64>,
) -> Result<(BatchSums, BadRows), TableError> {
    let mut sums = BatchSums::new(batch);
    let mut bad = BadRows::new(group);
    vectors.for_each_block(group, &mut VectorScratch::default(), |first, rows| {
        for (i, x) in rows.chunks_exact(vectors.dim()).enumerate() {
            match scale(dot(x, x)) {
                Ok(factor) => sums.of_row(first_row + (first + i) as u64, dim).add(x, factor),
                Err(fault) => bad.add(first + i, fault),
            }
        }
    })?;
    Ok((sums, bad))
}

/// Puts the sums of all tables together, in the order of the tables.
///
/// # Errors
/// [`Error::EmptyReference`].
pub fn mean_of(
    sums: &[FileSums],
    files: &[EmbeddingFile],
    comparable: &Comparable,
    batch: Option<u64>,
) -> Result<SavedReference, Error> {
    let mut total = BatchSums::new(batch);
    let mut sets: Vec<SavedSet> = Vec::new();
    for (file, FileSums { sums, .. }) in files.iter().zip(sums) {
        if sets.last().is_none_or(|set| set.name != file.set) {
            sets.push(SavedSet { name: file.set.clone(), count: 0 });
        }
        sets.last_mut().expect("one was pushed").count += sums.count();
        total.append(sums.clone());
    }
    let n_rows = files.iter().map(|file| file.n_rows).sum();
    let mean = total.mean().ok_or(Error::EmptyReference { n_files: files.len(), n_rows })?;
    Ok(SavedReference { count: total.count(), dim: mean.len(), model: comparable.model.clone(), batch, sets, mean })
}
