//! Records that repeat an earlier one exactly: by key, or by every number of the vector. Vectors that
//! cannot be used are not repeats of each other but rejects.
//!
//! A map from hashes to row numbers finds them: 16 bytes a record for each of the two. Two records of
//! 10⁷ with different vectors share a hash of 64 bits with a probability of 3·10⁻⁶.

use std::collections::HashMap;

use crate::tables::{Duplicate, DuplicateRef};
use audsem_core::parallel::ordered_map;
use audsem_core::run::{Fingerprint, Run, Shard, ShardError, ShardOutput, Step};
use audsem_core::tables::{Columns as _, ParquetFile, ParquetWriter, TableError, VectorFile, VectorScratch, text_hash};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::Error;
use crate::rejects::BadRows;
use crate::sets::{EmbeddingFile, RowKey, RowNumbers, keys_of_rows};
use crate::vector_math::{dot, scale};

/// A record that repeats another one.
struct Repeat {
    row: u64,
    of_row: u64,
    same_key: bool,
}

/// Hashes of a row group: of the key of each row, if it has one, and of its vector where that can be used.
struct Hashes {
    rows: Vec<(Option<u64>, Option<u64>)>,
    bad: BadRows,
}

/// Hashes and the number of the first row that has each.
type FirstRows = HashMap<u64, u64, foldhash::fast::FixedState>;

/// Lists records that repeat an earlier one, in `duplicates-all.parquet`.
pub(super) fn find(run: &mut Run, files: &[EmbeddingFile]) -> Result<(), Error> {
    let fingerprint = files.iter().fold(Fingerprint::new(), |all, file| all.with(&file.fingerprint)).finish();
    let plan = [Shard { name: "all".to_owned(), fingerprint, work: files }];
    let step = Step { name: "duplicates", unit: "vectors", physical: "MB" };
    run.execute(step, &plan, |files, out| find_in(files, out))?;
    Ok(())
}

fn find_in(files: &[EmbeddingFile], out: &mut ShardOutput) -> Result<(), ShardError> {
    let numbers = RowNumbers::of(files);
    let mut repeats = Vec::new();
    let (mut by_key, mut by_vector) = (FirstRows::default(), FirstRows::default());
    for (i, file) in files.iter().enumerate() {
        let vectors = file.vectors().map_err(ShardError::fatal)?;
        let keys = file.keys().map_err(ShardError::fatal)?;
        let mut row = numbers.start(i);
        let threads = out.inner_workers();
        ordered_map(
            0..vectors.n_groups(),
            threads,
            2 * threads,
            |group| hashes(&vectors, &keys, group),
            |hashes| {
                let Hashes { rows, bad } = hashes.map_err(ShardError::fatal)?;
                out.file_kept((rows.len() - bad.len()) as u64);
                out.work(rows.len() as f64 * vectors.dim() as f64 * 4e-6);
                bad.file(file, out)?;
                for (key, vector) in rows {
                    let same_key = key.and_then(|key| first_of(&mut by_key, key, row));
                    let same_vector = vector.and_then(|vector| first_of(&mut by_vector, vector, row));
                    if let Some(of_row) = same_key.or(same_vector) {
                        repeats.push(Repeat { row, of_row, same_key: same_key.is_some() });
                    }
                    row += 1;
                }
                Ok::<(), ShardError>(())
            },
        )?;
    }
    out.count("repeats", repeats.len() as u64);
    write(files, &numbers, &repeats, out)
}

/// The earlier row with this hash; the row itself is remembered if there is none.
fn first_of(seen: &mut FirstRows, hash: u64, row: u64) -> Option<u64> {
    let first = *seen.entry(hash).or_insert(row);
    (first != row).then_some(first)
}

fn hashes(vectors: &VectorFile, keys: &ParquetFile<RowKey>, group: usize) -> Result<Hashes, TableError> {
    let keys = keys.group(group)?;
    let mut hashes = Hashes { rows: Vec::with_capacity(keys.len()), bad: BadRows::new(group) };
    let mut bytes = Vec::with_capacity(4 * vectors.dim());
    vectors.for_each_block(group, &mut VectorScratch::default(), |first, rows| {
        for (i, x) in rows.chunks_exact(vectors.dim()).enumerate() {
            let row = first + i;
            let vector = scale(dot(x, x)).map(|_| {
                bytes.clear();
                // −0 and 0 are the same number.
                bytes.extend(x.iter().flat_map(|value| (value + 0.0).to_le_bytes()));
                xxh3_64(&bytes)
            });
            if let Err(fault) = vector {
                hashes.bad.add(row, fault);
            }
            hashes.rows.push((keys.key.get_opt(row).map(text_hash), vector.ok()));
        }
    })?;
    Ok(hashes)
}

fn write(
    files: &[EmbeddingFile],
    numbers: &RowNumbers,
    repeats: &[Repeat],
    out: &mut ShardOutput,
) -> Result<(), ShardError> {
    let mut rows: Vec<u64> = repeats.iter().flat_map(|repeat| [repeat.row, repeat.of_row]).collect();
    rows.sort_unstable();
    rows.dedup();
    let keys = keys_of_rows(files, numbers, &rows).map_err(ShardError::fatal)?;
    let key = |row: u64| keys[rows.binary_search(&row).expect("the rows of all repeats were listed")].as_str();
    let mut table = out.create("duplicates-all.parquet")?;
    let mut writer = ParquetWriter::<Duplicate, _>::new(&mut table).map_err(ShardError::fatal)?;
    for repeat in repeats {
        let row = DuplicateRef {
            key: key(repeat.row),
            source: &files[numbers.file_of(repeat.row)].set,
            of_key: key(repeat.of_row),
            of_source: &files[numbers.file_of(repeat.of_row)].set,
            kind: if repeat.same_key { "key" } else { "vector" },
            cosine: (!repeat.same_key).then_some(1.0),
        };
        writer.push(row).map_err(ShardError::fatal)?;
    }
    writer.finish().map_err(ShardError::fatal)?;
    Ok(out.close(table)?)
}
