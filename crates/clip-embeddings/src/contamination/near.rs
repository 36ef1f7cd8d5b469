//! Records and the nearest earlier record of the same run.
//!
//! To look for the neighbours of some records, all earlier tables are read. So the records of many small tables are looked
//! for together: what is read grows with the number of records, not with the square of the number of tables.

use std::num::NonZeroU64;
use std::ops::Range;

use crate::tables::{Duplicate, DuplicateRef};
use audsem_core::parallel::ordered_map;
use audsem_core::run::{Fingerprint, Run, Shard, ShardError, ShardOutput, Step};
use audsem_core::tables::{ParquetWriter, TableError};
use audsem_core::tar::{SplitLimits, plan_shards};

use crate::error::Error;
use crate::nearest::{Hit, VectorIndex};
use crate::rejects::BadRows;
use crate::sets::{EmbeddingFile, RowNumbers, keys_of_rows};
use crate::unit_rows::UnitRows;

/// Records of a shard at most, unless one table has more.
const ROWS_PER_SHARD: u64 = 131_072;

/// Records that are looked for together at most, unless one row group has more.
const ROWS_PER_SEARCH: u64 = 4096;

/// All records of the run.
struct All<'a> {
    files: &'a [EmbeddingFile],
    numbers: RowNumbers,
    index: VectorIndex,
    threshold: f32,
}

/// A row group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    file: usize,
    group: usize,
    /// The number of its first row among all rows.
    first: u64,
    n_rows: u64,
}

/// What was found for a row group.
struct Found {
    part: Part,
    pairs: Vec<Pair>,
    bad: BadRows,
}

/// A later record and the nearest earlier one.
struct Pair {
    file: usize,
    key: String,
    hit: Hit,
}

/// Lists records with an earlier one at a cosine of at least `threshold`.
pub(super) fn find(run: &mut Run, files: &[EmbeddingFile], threshold: f32, dim: usize) -> Result<(), Error> {
    let all = All { files, numbers: RowNumbers::of(files), index: VectorIndex::open(files, dim)?, threshold };
    // A record is compared with those before it, so a shard reads its own tables and all earlier ones.
    let mut read_so_far = Fingerprint::new();
    let mut plan = Vec::new();
    for (number, range) in together(files.iter().map(|file| file.n_rows), ROWS_PER_SHARD).into_iter().enumerate() {
        let own = &files[range.clone()];
        // A shard watches its own tables. Watching the earlier ones, too, would take a time quadratic in their number.
        let fingerprint = own.iter().fold(read_so_far.clone(), |all, file| all.with(&file.fingerprint)).finish();
        read_so_far = own.iter().fold(read_so_far, |all, file| all.with(&*file.fingerprint));
        plan.push(Shard { name: format!("{number:05}"), fingerprint, work: range });
    }
    let step = Step { name: "near", unit: "vectors", physical: "MB" };
    run.execute(step, &plan, |range, out| find_in(&all, range.clone(), out))?;
    Ok(())
}

/// Consecutive pieces that have at most this many rows together, unless one alone has more.
fn together(n_rows: impl IntoIterator<Item = u64>, most: u64) -> Vec<Range<usize>> {
    plan_shards(n_rows, SplitLimits { max_count: NonZeroU64::MAX, max_bytes: NonZeroU64::new(most) })
}

fn find_in(all: &All<'_>, range: Range<usize>, out: &mut ShardOutput) -> Result<(), ShardError> {
    let parts: Vec<Part> = range.flat_map(|file| all.parts_of(file)).collect();
    let searches = together(parts.iter().map(|part| part.n_rows), ROWS_PER_SEARCH);
    let mut pairs = Vec::new();
    let threads = out.inner_workers();
    ordered_map(
        searches,
        threads,
        2 * threads,
        |search| all.search(&parts[search]),
        |found| {
            for Found { part, pairs: of_part, bad } in found.map_err(ShardError::input)? {
                out.work(part.n_rows as f64 * all.index.table(part.file).dim() as f64 * 4e-6);
                out.file_kept(part.n_rows - bad.len() as u64);
                out.count("repeats", of_part.len() as u64);
                pairs.extend(of_part);
                bad.file(&all.files[part.file], out)?;
            }
            Ok::<_, ShardError>(())
        },
    )?;
    write(all, &pairs, out)
}

impl All<'_> {
    fn parts_of(&self, file: usize) -> impl Iterator<Item = Part> {
        let (table, mut first) = (self.index.table(file), self.numbers.start(file));
        (0..table.n_groups()).map(move |group| {
            let part = Part { file, group, first, n_rows: table.n_rows_in(group) as u64 };
            first += part.n_rows;
            part
        })
    }

    /// Looks for the neighbours of all rows of some row groups.
    fn search(&self, parts: &[Part]) -> Result<Vec<Found>, TableError> {
        let (mut vectors, mut numbers, mut units) = (Vec::new(), Vec::new(), Vec::new());
        for part in parts {
            let mut unit = UnitRows::read(self.index.table(part.file), part.group)?;
            numbers.extend(unit.rows.iter().map(|row| part.first + *row as u64));
            if vectors.is_empty() {
                vectors = std::mem::take(&mut unit.vectors);
            } else {
                vectors.append(&mut unit.vectors);
            }
            units.push(unit);
        }
        let hits = self.index.nearest(&vectors, 1, Some(&numbers))?;
        let mut hits = hits.iter().map(|hits| hits.as_slice().first().copied());
        let found = parts.iter().zip(units).map(|(part, unit)| {
            let near = unit.rows.iter().copied().zip(hits.by_ref());
            let near = near.filter_map(|(row, hit)| Some((row, hit.filter(|hit| hit.cosine >= self.threshold)?)));
            Ok(Found { part: *part, pairs: self.pairs(*part, near.collect())?, bad: unit.bad })
        });
        found.collect()
    }

    fn pairs(&self, part: Part, near: Vec<(usize, Hit)>) -> Result<Vec<Pair>, TableError> {
        if near.is_empty() {
            return Ok(Vec::new());
        }
        let keys = self.files[part.file].keys()?.group(part.group)?;
        let pair = |(row, hit): (usize, Hit)| Pair { file: part.file, key: keys.key.get(row).to_owned(), hit };
        Ok(near.into_iter().map(pair).collect())
    }
}

fn write(all: &All<'_>, pairs: &[Pair], out: &mut ShardOutput) -> Result<(), ShardError> {
    let mut rows: Vec<u64> = pairs.iter().map(|pair| pair.hit.row).collect();
    rows.sort_unstable();
    rows.dedup();
    let keys = keys_of_rows(all.files, &all.numbers, &rows).map_err(ShardError::fatal)?;
    let mut table = out.create(format!("near-{}.parquet", out.name()))?;
    let mut writer = ParquetWriter::<Duplicate, _>::new(&mut table).map_err(ShardError::fatal)?;
    for pair in pairs {
        let at = rows.binary_search(&pair.hit.row).expect("the rows of all pairs were listed");
        let row = DuplicateRef {
            key: &pair.key,
            source: &all.files[pair.file].set,
            of_key: &keys[at],
            of_source: &all.files[all.numbers.file_of(pair.hit.row)].set,
            kind: "near",
            cosine: Some(pair.hit.cosine),
        };
        writer.push(row).map_err(ShardError::fatal)?;
    }
    writer.finish().map_err(ShardError::fatal)?;
    Ok(out.close(table)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read: each search reads all earlier tables once.
    #[test]
    fn many_small_tables_are_read_as_often_as_the_same_records_in_few() {
        let reads = |n_tables: usize, n_rows: u64| {
            let shards = together(std::iter::repeat_n(n_rows, n_tables), ROWS_PER_SHARD);
            let searches =
                |shard: Range<usize>| together(std::iter::repeat_n(n_rows, shard.len()), ROWS_PER_SEARCH).len();
            (shards.len(), shards.into_iter().map(searches).sum::<usize>())
        };
        assert_eq!(reads(5000, 4), (1, 5));
        assert_eq!(reads(1250, 4), (1, 2));
        assert_eq!(reads(5, 4000), (1, 5));
        assert_eq!(reads(100, 4096), (4, 100));
        assert_eq!(reads(3, 1 << 20), (3, 3));
    }
}
