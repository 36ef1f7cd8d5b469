//! First step of `embed-audio` and `embed-text`: which source has which key, so that a clip that lies in several
//! sources is embedded once. Only headers and JSON are read for it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use audsem_core::error::Error as CoreError;
use audsem_core::input;
use audsem_core::parallel::ordered_map;
use audsem_core::run::{Fingerprint, Run, Shard, ShardError, ShardOutput, Step};
use audsem_core::signals::stop_requested;
use audsem_core::tables::text_hash;
use serde::Deserialize;

use super::gate::{Candidate, Gate};
use super::sources::{Kind, Source};
use crate::error::Error;
use crate::sets::Modality;
use crate::tars::scan;

/// A line of `keys-*.csv`.
#[derive(Deserialize)]
struct KeyLine {
    key: String,
}

/// Hashes of the usable keys of a source, or why it cannot be read.
type Keys = Result<Vec<u64>, String>;

/// The keys that lie in several sources, and which of these has each: the first.
#[derive(Debug, Default)]
pub(super) struct Owners {
    repeated: HashMap<u64, u32, foldhash::fast::FixedState>,
    names: Vec<String>,
}

impl Owners {
    /// The number and the name of the source that has a key, where several do.
    pub(super) fn of(&self, hash: u64) -> Option<(usize, &str)> {
        let number = *self.repeated.get(&hash)? as usize;
        Some((number, &self.names[number]))
    }

    /// Gives every key to the first source that has it. One that cannot be read has none.
    fn new(sources: &[Source], keys: &[Keys]) -> Self {
        let mut first: HashMap<u64, u32, foldhash::fast::FixedState> = HashMap::default();
        let mut repeated = HashMap::default();
        for (number, keys) in (0u32..).zip(keys) {
            for hash in keys.iter().flatten() {
                let owner = *first.entry(*hash).or_insert(number);
                if owner != number {
                    repeated.insert(*hash, owner);
                }
            }
        }
        Self { repeated, names: sources.iter().map(|source| source.name.clone()).collect() }
    }

    /// What a source leaves to others, which decides its table as its own content does.
    fn fingerprint(&self, number: usize, source: &Source, keys: &Keys) -> String {
        let mut all = Fingerprint::new().with(&source.fingerprint);
        for hash in keys.iter().flatten() {
            if let Some((owner, name)) = self.of(*hash)
                && owner != number
            {
                all = all.with(hash.to_le_bytes()).with(owner.to_string()).with(name);
            }
        }
        all.finish()
    }
}

/// A source in the plan of the main step.
#[derive(Debug)]
pub(super) struct Planned<'a> {
    pub number: usize,
    pub source: &'a Source,
    /// Why its keys could not be read.
    pub problem: Option<String>,
}

/// The plan of the main step.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub owners: Owners,
    pub shards: Vec<Shard<Planned<'a>>>,
}

/// Runs the step; nothing if it was interrupted.
///
/// # Errors
/// As [`Run::execute`].
pub(super) fn step<'a>(run: &mut Run, sources: &'a [Source], modality: Modality) -> Result<Option<Plan<'a>>, Error> {
    let shard = |(number, source): (usize, &'a Source)| Shard {
        name: format!("{number:05}"),
        fingerprint: source.fingerprint.clone(),
        work: (number, source),
    };
    let plan: Vec<Shard<(usize, &Source)>> = sources.iter().enumerate().map(shard).collect();
    let found: Mutex<BTreeMap<usize, Keys>> = Mutex::default();
    let note = |number, keys| found.lock().unwrap_or_else(PoisonError::into_inner).insert(number, keys);
    let step = Step { name: "keys", unit: "clips", physical: "keys" };
    let report = run.execute(step, &plan, |(number, source), out| {
        let keys = keys_of(source, *number, modality).inspect_err(|error| drop(note(*number, Err(error.clone()))));
        let keys = keys.map_err(ShardError::Input)?;
        write(&keys, out)?;
        note(*number, Ok(hashes(&keys)));
        Ok(())
    })?;
    if stop_requested() {
        return Ok(None);
    }
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    for output in report.outputs {
        let number: usize = output.name.parse().expect("named by its number above");
        if let Some(file) = output.files_ending(".csv").next()
            && !found.contains_key(&number)
        {
            found.insert(number, Ok(read(file)?));
        }
    }
    let keys = with_the_others(found, sources, modality, run.options().workers);
    let owners = Owners::new(sources, &keys);
    let shards = sources.iter().enumerate().zip(keys).map(|((number, source), keys)| Shard {
        name: format!("{number:05}"),
        fingerprint: owners.fingerprint(number, source, &keys),
        work: Planned { number, source, problem: keys.err() },
    });
    let shards = shards.collect();
    Ok(Some(Plan { owners, shards }))
}

/// Reads the keys of sources that another process of this run has not come to yet, rather than waiting for it: so each of
/// N processes goes through in one call.
fn with_the_others(
    mut found: BTreeMap<usize, Keys>,
    sources: &[Source],
    modality: Modality,
    threads: usize,
) -> Vec<Keys> {
    let others: Vec<usize> = (0..sources.len()).filter(|number| !found.contains_key(number)).collect();
    let read = |number: usize| (number, keys_of(&sources[number], number, modality).map(|keys| hashes(&keys)));
    let Ok(()) = ordered_map(others, threads, 2 * threads, read, |(number, keys)| {
        found.insert(number, keys);
        Ok::<(), std::convert::Infallible>(())
    });
    found.into_values().collect()
}

/// The keys under which something of a source can be embedded, each once, in its order.
fn keys_of(source: &Source, number: usize, modality: Modality) -> Result<Vec<String>, String> {
    let mut gate = Gate::new(source, number, modality, None);
    let mut keys = Vec::new();
    match &source.kind {
        Kind::Tar(path) => scan(path, |entry| {
            if gate.accept(Candidate::of_entry(&entry, modality)) {
                keys.push(entry.key);
            }
        })
        .map_err(|error| error.to_string())?,
        Kind::Rows(rows) => {
            let rows = rows.iter().filter(|row| gate.accept(Candidate::of_row(row, modality)));
            keys.extend(rows.map(|row| row.key.clone()));
        }
    }
    Ok(keys)
}

fn hashes(keys: &[String]) -> Vec<u64> {
    keys.iter().map(|key| text_hash(key)).collect()
}

/// Writes the keys down. Nothing is left out here, so nothing is counted as read: the records come in the main step.
fn write(keys: &[String], out: &mut ShardOutput) -> Result<(), ShardError> {
    let mut csv = csv::Writer::from_writer(out.create(format!("keys-{}.csv", out.name()))?);
    csv.write_record(["key"]).map_err(ShardError::fatal)?;
    for key in keys {
        csv.write_record([key]).map_err(ShardError::fatal)?;
    }
    let file = csv.into_inner().map_err(|error| ShardError::fatal(error.into_error()))?;
    out.count("keys", keys.len() as u64);
    out.work(keys.len() as f64);
    Ok(out.close(file)?)
}

fn read(path: &Path) -> Result<Vec<u64>, Error> {
    let damaged =
        |error: csv::Error| CoreError::input(path, format!("{error}\nhint: pass --fresh to make this file again"));
    let mut csv = csv::Reader::from_reader(input::open(path)?);
    let lines = csv.deserialize().map(|line| line.map(|line: KeyLine| text_hash(&line.key)));
    Ok(lines.collect::<Result<_, _>>().map_err(damaged)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(name: &str) -> Source {
        Source { name: name.to_owned(), fingerprint: name.to_owned(), kind: Kind::Rows(Vec::new()), limit: u64::MAX }
    }

    #[test]
    fn the_first_source_has_the_key_and_one_that_cannot_be_read_has_none() {
        let sources = ["a", "b", "c", "d"].map(source);
        let keys = [Ok(vec![1, 2]), Err("cut".to_owned()), Ok(vec![2, 3]), Ok(vec![3, 1, 4])];
        let owners = Owners::new(&sources, &keys);
        assert_eq!([1, 2, 3, 4].map(|hash| owners.of(hash)), [Some((0, "a")), Some((0, "a")), Some((2, "c")), None]);
        let fingerprint = |n: usize| owners.fingerprint(n, &sources[n], &keys[n]);
        // One more source at the end changes nothing for those before it.
        let more = Owners::new(&sources[..3], &keys[..3]);
        assert_eq!(fingerprint(2), more.fingerprint(2, &sources[2], &keys[2]));
        assert_ne!(fingerprint(2), Fingerprint::new().with(&sources[2].fingerprint).finish());
        assert_eq!(fingerprint(0), Fingerprint::new().with(&sources[0].fingerprint).finish());
    }
}
