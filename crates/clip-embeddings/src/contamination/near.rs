//! Records and the nearest earlier record of the same run.

use crate::tables::{Duplicate, DuplicateRef};
use audsem_core::parallel::ordered_map;
use audsem_core::run::{Fingerprint, Run, Shard, ShardError, ShardOutput, Step};
use audsem_core::tables::{Columns as _, ParquetWriter, TableError, VectorFile};

use crate::error::Error;
use crate::nearest::{Hit, VectorIndex};
use crate::rejects::BadRows;
use crate::sets::{EmbeddingFile, RowNumbers, keys_of_rows};
use crate::unit_rows::UnitRows;

/// All records of the run.
struct All<'a> {
    files: &'a [EmbeddingFile],
    numbers: RowNumbers,
    index: VectorIndex,
    threshold: f32,
}

/// A later record and the nearest earlier one.
struct Pair {
    key: String,
    hit: Hit,
}

/// Lists records with an earlier one at a cosine of at least `threshold`.
pub(super) fn find(run: &mut Run, files: &[EmbeddingFile], threshold: f32, dim: usize) -> Result<(), Error> {
    let all = All { files, numbers: RowNumbers::of(files), index: VectorIndex::open(files, dim)?, threshold };
    // A record is compared with those before it, so a shard reads its own table and all earlier ones.
    let mut read_so_far = Fingerprint::new();
    let mut plan = Vec::new();
    for (number, file) in files.iter().enumerate() {
        read_so_far = read_so_far.with(&file.fingerprint);
        plan.push(Shard { name: format!("{number:05}"), fingerprint: read_so_far.clone().finish(), work: number });
    }
    let step = Step { name: "near", unit: "vectors", physical: "MB" };
    run.execute(step, &plan, |number, out| find_in(&all, *number, out))?;
    Ok(())
}

fn find_in(all: &All<'_>, number: usize, out: &mut ShardOutput) -> Result<(), ShardError> {
    let file = &all.files[number];
    let vectors = file.vectors().map_err(ShardError::input)?;
    let mut first = all.numbers.start(number);
    let mut groups = Vec::new();
    for group in 0..vectors.n_groups() {
        groups.push((group, first));
        first += vectors.n_rows_in(group) as u64;
    }
    let mut pairs = Vec::new();
    let threads = out.inner_workers();
    ordered_map(
        groups,
        threads,
        2 * threads,
        |(group, first)| find_in_group(all, file, &vectors, group, first),
        |found| {
            let (of_group, bad) = found.map_err(ShardError::input)?;
            let n_rows = vectors.n_rows_in(bad.group()) as u64;
            out.work(n_rows as f64 * vectors.dim() as f64 * 4e-6);
            out.file_kept(n_rows - bad.len() as u64);
            out.count("repeats", of_group.len() as u64);
            pairs.extend(of_group);
            bad.file(file, out)
        },
    )?;
    write(all, file, &pairs, out)
}

fn find_in_group(
    all: &All<'_>,
    file: &EmbeddingFile,
    vectors: &VectorFile,
    group: usize,
    first: u64,
) -> Result<(Vec<Pair>, BadRows), TableError> {
    let unit = UnitRows::read(vectors, group)?;
    let own_numbers: Vec<u64> = unit.rows.iter().map(|row| first + *row as u64).collect();
    let hits = all.index.nearest(&unit.vectors, 1, Some(&own_numbers))?;
    let near = hits.iter().enumerate().filter_map(|(i, hits)| Some((i, *hits.as_slice().first()?)));
    let near: Vec<(usize, Hit)> = near.filter(|(_, hit)| hit.cosine >= all.threshold).collect();
    if near.is_empty() {
        return Ok((Vec::new(), unit.bad));
    }
    let keys = file.keys()?.group(group)?;
    let pair = |(i, hit): (usize, Hit)| Pair { key: keys.get(unit.rows[i]).key.to_owned(), hit };
    Ok((near.into_iter().map(pair).collect(), unit.bad))
}

fn write(all: &All<'_>, file: &EmbeddingFile, pairs: &[Pair], out: &mut ShardOutput) -> Result<(), ShardError> {
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
            source: &file.set,
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
