//! Records and the benchmark items nearest to them.

use crate::tables::{Contamination, ContaminationRef};
use audsem_core::parallel::ordered_map;
use audsem_core::run::{Fingerprint, JsonFile, Run, Shard, ShardError, ShardOutput, ShardOutputs, Step};
use audsem_core::tables::{ParquetFile, ParquetWriter, TableError, VectorFile};

use serde::{Deserialize, Serialize};

use super::Config;
use crate::error::Error;
use crate::nearest::{Hit, VectorIndex};
use crate::rejects::BadRows;
use crate::sets::{EmbeddingFile, RowKey, RowNumbers, keys_of_rows};
use crate::unit_rows::UnitRows;

/// A benchmark, ready to be searched.
struct Searchable<'a> {
    name: &'a str,
    files: &'a [EmbeddingFile],
    numbers: RowNumbers,
    index: VectorIndex,
}

/// A record of a row group and the items near to it: benchmark, rank, hit.
struct Near {
    key: String,
    hits: Vec<(usize, usize, Hit)>,
}

/// Contamination with one benchmark.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Nearness {
    /// Records over the threshold.
    pub(super) near: u64,
    /// Pairs listed.
    pub(super) pairs: u64,
    /// The largest cosine, over the threshold or not; `None` without records.
    pub(super) max_cosine: Option<f32>,
}

impl Nearness {
    /// Adds the hits of one record, nearest first, of which `n_pairs` are over the threshold.
    fn add(&mut self, hits: &[Hit], n_pairs: usize) {
        let nearest = hits.first().map(|hit| hit.cosine);
        self.merge(&Self { near: u64::from(n_pairs > 0), pairs: n_pairs as u64, max_cosine: nearest });
    }

    fn merge(&mut self, other: &Self) {
        self.near += other.near;
        self.pairs += other.pairs;
        self.max_cosine = match (self.max_cosine, other.max_cosine) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
    }
}

/// Totals of all records.
pub(super) struct Compared {
    /// What the shards have written.
    pub(super) outputs: Vec<ShardOutputs>,
    /// For each benchmark.
    pub(super) nearness: Vec<Nearness>,
}

/// Result of one row group.
struct ComparedGroup {
    near: Vec<Near>,
    /// Number of records that are not near to any item.
    far: u64,
    nearness: Vec<Nearness>,
    bad: BadRows,
}

/// Lists pairs whose cosine reaches the threshold; `None` when the step was interrupted or a table of
/// the inputs cannot be read.
pub(super) fn compare(
    run: &mut Run,
    config: &Config,
    inputs: &[EmbeddingFile],
    sets: &[super::Benchmark],
    dim: usize,
) -> Result<Option<Compared>, Error> {
    let mut fingerprint = Fingerprint::new();
    let mut benchmarks = Vec::new();
    for super::Benchmark { name, files } in sets {
        fingerprint = files.iter().fold(fingerprint.with(name), |all, file| all.with(&file.fingerprint));
        let index = VectorIndex::open(files, dim)?;
        benchmarks.push(Searchable { name, files, numbers: RowNumbers::of(files), index });
    }
    let fingerprint = fingerprint.finish();
    let plan: Vec<Shard<&EmbeddingFile>> = crate::reference::plan(inputs)
        .into_iter()
        .map(|shard| Shard {
            fingerprint: Fingerprint::new().with(&shard.fingerprint).with(&fingerprint).finish(),
            ..shard
        })
        .collect();
    let step = Step { name: "part", unit: "vectors", physical: "MB" };
    let compare = |file: &&EmbeddingFile, out: &mut ShardOutput| compare_file(file, config, &benchmarks, out);
    let Some(compared) = run.execute_via(&JsonFile("nearness"), step, &plan, compare)?.whole() else {
        return Ok(None);
    };
    let mut total = vec![Nearness::default(); benchmarks.len()];
    compared.values.iter().for_each(|nearness: &Vec<Nearness>| merge(&mut total, nearness));
    Ok(Some(Compared { outputs: compared.outputs, nearness: total }))
}

fn merge(total: &mut [Nearness], nearness: &[Nearness]) {
    total.iter_mut().zip(nearness).for_each(|(total, nearness)| total.merge(nearness));
}

fn compare_file(
    file: &EmbeddingFile,
    config: &Config,
    benchmarks: &[Searchable<'_>],
    out: &mut ShardOutput,
) -> Result<Vec<Nearness>, ShardError> {
    let vectors = file.vectors().map_err(ShardError::input)?;
    let keys = file.keys().map_err(ShardError::input)?;
    let (mut found, mut nearness) = (Vec::new(), vec![Nearness::default(); benchmarks.len()]);
    let threads = out.inner_workers();
    ordered_map(
        0..vectors.n_groups(),
        threads,
        2 * threads,
        |group| compare_group(&vectors, &keys, group, config, benchmarks),
        |compared| {
            let compared = compared.map_err(ShardError::input)?;
            let n_rows = vectors.n_rows_in(compared.bad.group()) as u64;
            out.announce(n_rows);
            out.work(n_rows as f64 * vectors.dim() as f64 * 4e-6);
            // Nothing is wrong with a record that is near nothing, so it is not a reject.
            out.file_kept(compared.near.len() as u64 + compared.far);
            out.count("near", compared.near.len() as u64);
            compared.bad.file(file, out)?;
            merge(&mut nearness, &compared.nearness);
            found.extend(compared.near);
            Ok::<(), ShardError>(())
        },
    )?;
    for (benchmark, nearness) in benchmarks.iter().zip(&nearness) {
        out.count(&format!("{}_near", benchmark.name), nearness.near);
    }
    write(file, benchmarks, &found, out)?;
    Ok(nearness)
}

fn compare_group(
    vectors: &VectorFile,
    keys: &ParquetFile<RowKey>,
    group: usize,
    config: &Config,
    benchmarks: &[Searchable<'_>],
) -> Result<ComparedGroup, TableError> {
    let unit = UnitRows::read(vectors, group)?;
    let keys = keys.group(group)?;
    let mut of_record: Vec<Vec<(usize, usize, Hit)>> = vec![Vec::new(); unit.rows.len()];
    let mut nearness = vec![Nearness::default(); benchmarks.len()];
    for (number, benchmark) in benchmarks.iter().enumerate() {
        for (i, hits) in benchmark.index.nearest(&unit.vectors, config.top_k, None)?.iter().enumerate() {
            let hits = hits.as_slice();
            let n_near = hits.partition_point(|hit| hit.cosine >= config.threshold);
            nearness[number].add(hits, n_near);
            of_record[i].extend(hits[..n_near].iter().enumerate().map(|(rank, hit)| (number, rank, *hit)));
        }
    }
    let mut compared = ComparedGroup { near: Vec::new(), far: 0, nearness, bad: unit.bad };
    for (row, hits) in unit.rows.iter().zip(of_record) {
        if hits.is_empty() {
            compared.far += 1;
        } else {
            compared.near.push(Near { key: keys.key.get(*row).to_owned(), hits });
        }
    }
    Ok(compared)
}

/// Looks up the names of the items, benchmark by benchmark, and writes the pairs.
fn write(
    file: &EmbeddingFile,
    benchmarks: &[Searchable<'_>],
    found: &[Near],
    out: &mut ShardOutput,
) -> Result<(), ShardError> {
    let mut names = Vec::new();
    for (number, benchmark) in benchmarks.iter().enumerate() {
        let of_this = found.iter().flat_map(|near| &near.hits).filter(|(other, _, _)| *other == number);
        let mut rows: Vec<u64> = of_this.map(|(_, _, hit)| hit.row).collect();
        rows.sort_unstable();
        rows.dedup();
        let keys = keys_of_rows(benchmark.files, &benchmark.numbers, &rows).map_err(ShardError::fatal)?;
        names.push((rows, keys));
    }
    let mut table = out.create(format!("part-{}.parquet", out.name()))?;
    let mut writer = ParquetWriter::<Contamination, _>::new(&mut table).map_err(ShardError::fatal)?;
    for near in found {
        for (number, rank, hit) in &near.hits {
            let (rows, keys) = &names[*number];
            let at = rows.binary_search(&hit.row).expect("the rows of all hits were listed");
            let row = ContaminationRef {
                key: &near.key,
                source: &file.set,
                benchmark: benchmarks[*number].name,
                benchmark_key: &keys[at],
                rank: u32::try_from(*rank).unwrap_or(u32::MAX),
                cosine: hit.cosine,
            };
            writer.push(row).map_err(ShardError::fatal)?;
        }
    }
    out.count("pairs", writer.finish().map_err(ShardError::fatal)?);
    Ok(out.close(table)?)
}
