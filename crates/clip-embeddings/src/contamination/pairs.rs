//! Human-readable results: all pairs in one CSV file, and a line for each benchmark.

use std::path::PathBuf;

use crate::tables::Contamination;
use audsem_core::run::{Fingerprint, OutputFile, Run, Shard, ShardError, ShardOutput, Step};
use audsem_core::tables::{Columns as _, ParquetFile};

use super::benchmarks::Compared;
use super::items::Items;
use super::{Benchmark, Found};
use crate::error::Error;

/// Writes `pairs.csv` and `benchmarks.csv`; returns the rows of the latter.
pub(super) fn write(
    run: &mut Run,
    benchmarks: &[Benchmark],
    items: &[Items],
    compared: Compared,
) -> Result<Vec<Found>, Error> {
    let found: Vec<Found> = items
        .iter()
        .zip(&compared.nearness)
        .map(|(items, nearness)| Found {
            items: items.all,
            bad_items: items.bad,
            near: nearness.near,
            pairs: nearness.pairs,
            max_cosine: nearness.max_cosine.map(shortest),
        })
        .collect();
    let mut fingerprint = compared.outputs.iter().fold(Fingerprint::new(), |all, output| all.with(&output.fingerprint));
    for (benchmark, items) in benchmarks.iter().zip(items) {
        fingerprint = fingerprint.with(&benchmark.name).with(items.all.to_le_bytes()).with(items.bad.to_le_bytes());
    }
    let parts: Vec<PathBuf> =
        compared.outputs.iter().flat_map(|output| output.files_ending(".parquet").cloned()).collect();
    let plan = [Shard { name: "all".to_owned(), fingerprint: fingerprint.finish(), work: parts }];
    let step = Step { name: "pairs", unit: "pairs", physical: "" };
    run.execute(step, &plan, |parts, out| {
        // On a dry run there are no parts to read, but it is known how many pairs they would hold.
        let n_pairs: u64 = found.iter().map(|found| found.pairs).sum();
        out.file_kept(n_pairs);
        write_pairs(parts, out)?;
        write_benchmarks(benchmarks, &found, out)
    })?;
    Ok(found)
}

/// A number of 32 bits that prints with no more digits as one of 64.
fn shortest(number: f32) -> f64 {
    number.to_string().parse().unwrap_or_else(|_| f64::from(number))
}

fn write_pairs(parts: &[PathBuf], out: &mut ShardOutput) -> Result<(), ShardError> {
    let mut csv = csv::Writer::from_writer(out.create("pairs.csv")?);
    csv.write_record(["key", "source", "benchmark", "benchmark_key", "rank", "cosine"]).map_err(ShardError::fatal)?;
    for part in parts {
        for pairs in ParquetFile::<Contamination>::open(part).map_err(ShardError::fatal)?.groups() {
            let pairs = pairs.map_err(ShardError::fatal)?;
            for pair in (0..pairs.len()).map(|i| pairs.get(i)) {
                let (rank, cosine) = (pair.rank.to_string(), pair.cosine.to_string());
                let record = [pair.key, pair.source, pair.benchmark, pair.benchmark_key, &rank, &cosine];
                csv.write_record(record).map_err(ShardError::fatal)?;
            }
        }
    }
    close(csv, out)
}

fn write_benchmarks(benchmarks: &[Benchmark], found: &[Found], out: &mut ShardOutput) -> Result<(), ShardError> {
    let mut csv = csv::Writer::from_writer(out.create("benchmarks.csv")?);
    csv.write_record(["benchmark", "items", "bad_items", "near", "pairs", "max_cosine"]).map_err(ShardError::fatal)?;
    for (benchmark, found) in benchmarks.iter().zip(found) {
        let counts = [found.items, found.bad_items, found.near, found.pairs].map(|n| n.to_string());
        let cosine = found.max_cosine.map(|cosine| cosine.to_string()).unwrap_or_default();
        let record = std::iter::once(&benchmark.name).chain(&counts).chain([&cosine]);
        csv.write_record(record).map_err(ShardError::fatal)?;
    }
    close(csv, out)
}

fn close(csv: csv::Writer<OutputFile>, out: &mut ShardOutput) -> Result<(), ShardError> {
    let file = csv.into_inner().map_err(|error| ShardError::fatal(error.into_error()))?;
    Ok(out.close(file)?)
}
