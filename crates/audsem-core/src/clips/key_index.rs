//! The first step of a command over clips: which source has which key, so that a clip that lies in several sources counts
//! once, for the first of them. Only headers and JSON are read for it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;

use super::dedupe::{Candidate, Deduplicator};
use super::samples::scan;
use super::source::{ClipContent, ClipSource, SourceKind};
use crate::blame::Blame;
use crate::error::{Error, Result};
use crate::input;
use crate::parallel::ordered_map;
use crate::run::{Fingerprint, Reads, Run, Shard, ShardError, ShardOutput, Step};
use crate::signals::stop_requested;
use crate::tables::{csv_lines, text_hash};

/// A line of `keys-*.csv`.
#[derive(Deserialize)]
struct KeyLine {
    key: String,
}

/// Hashes of the usable keys of a source, or why it cannot be read.
type Keys = Result<Vec<u64>, String>;

/// The keys that lie in several sources, and which of these has each: the first.
#[derive(Debug, Default)]
pub struct KeyIndex {
    repeated: HashMap<u64, u32, foldhash::fast::FixedState>,
    names: Vec<String>,
}

impl KeyIndex {
    /// The number and the name of the source that has a key, where several do.
    pub fn owner(&self, hash: u64) -> Option<(usize, &str)> {
        let number = *self.repeated.get(&hash)? as usize;
        Some((number, &self.names[number]))
    }

    /// Gives every key to the first source that has it. One that cannot be read has none.
    fn new(sources: &[ClipSource], keys: &[Keys]) -> Self {
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

    /// The keys that a source leaves to earlier ones, which decide its table as much as its own content does.
    fn fingerprint(&self, number: usize, source: &ClipSource, keys: &Keys) -> Reads {
        let mut all = Fingerprint::new().with(&source.fingerprint);
        for hash in keys.iter().flatten() {
            if let Some((owner, name)) = self.owner(*hash)
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
pub struct PlannedSource<'a> {
    /// Its number among the sources.
    pub number: usize,
    /// The source.
    pub source: &'a ClipSource,
    /// How many usable keys it has; 0 if they could not be read.
    pub n_keys: u64,
    /// Why its keys could not be read.
    pub problem: Option<String>,
}

/// The plan of the main step.
#[derive(Debug)]
pub struct ClipPlan<'a> {
    /// Which source has which key.
    pub index: KeyIndex,
    /// One shard for each source.
    pub shards: Vec<Shard<PlannedSource<'a>>>,
}

impl ClipPlan<'_> {
    /// What decides which records of a source are used.
    ///
    /// # Errors
    /// [`ShardError::Input`] if the keys of the source could not be read.
    pub fn deduplicator<'p>(
        &'p self,
        planned: &'p PlannedSource<'p>,
        content: ClipContent,
    ) -> Result<Deduplicator<'p>, ShardError> {
        match &planned.problem {
            Some(problem) => Err(ShardError::input(problem)),
            None => Ok(Deduplicator::new(planned.source, planned.number, content, Some(&self.index))),
        }
    }
}

/// Runs the step `keys` and plans one shard for each source; `None` if it was interrupted.
///
/// # Errors
/// As [`Run::execute`].
pub fn index_keys<'a>(run: &mut Run, sources: &'a [ClipSource], content: ClipContent) -> Result<Option<ClipPlan<'a>>> {
    let shard = |(number, source): (usize, &'a ClipSource)| Shard {
        name: format!("{number:05}"),
        fingerprint: source.fingerprint.clone(),
        work: (number, source),
    };
    let plan: Vec<Shard<(usize, &ClipSource)>> = sources.iter().enumerate().map(shard).collect();
    let found: Mutex<BTreeMap<usize, Keys>> = Mutex::default();
    let note = |number, keys| found.lock().unwrap_or_else(PoisonError::into_inner).insert(number, keys);
    let step = Step { name: "keys", unit: "clips", physical: "keys" };
    let report = run.execute(step, &plan, |(number, source), out| {
        let keys = keys_of(source, *number, content)?;
        note(*number, keys.as_ref().map(|keys| hashes(keys)).map_err(String::clone));
        write(&keys.map_err(ShardError::Input)?, out)
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
    let keys = with_the_others(found, sources, content, run.options().workers)?;
    let index = KeyIndex::new(sources, &keys);
    let shards = sources.iter().enumerate().zip(keys).map(|((number, source), keys)| Shard {
        name: format!("{number:05}"),
        fingerprint: index.fingerprint(number, source, &keys),
        work: PlannedSource {
            number,
            source,
            n_keys: keys.as_ref().map_or(0, |keys| keys.len() as u64),
            problem: keys.err(),
        },
    });
    let shards = shards.collect();
    Ok(Some(ClipPlan { index, shards }))
}

/// Reads the keys of sources that another process of this run has not processed yet instead of waiting for it, so that
/// each of N processes finishes in one call.
///
/// # Errors
/// As [`keys_of`].
fn with_the_others(
    mut found: BTreeMap<usize, Keys>,
    sources: &[ClipSource],
    content: ClipContent,
    threads: usize,
) -> Result<Vec<Keys>> {
    let others: Vec<usize> = (0..sources.len()).filter(|number| !found.contains_key(number)).collect();
    let read = |number: usize| (number, keys_of(&sources[number], number, content));
    ordered_map(others, threads, 2 * threads, read, |(number, keys)| {
        found.insert(number, keys?.map(|keys| hashes(&keys)));
        Ok::<(), Error>(())
    })?;
    Ok(found.into_values().collect())
}

/// The keys under which something of a source can be embedded, each once, in its order; or what is wrong with the source.
///
/// # Errors
/// The disk cannot be read. The tables of other sources depend on these keys, so none can be made without them: a later
/// run would read more keys and make other tables.
fn keys_of(source: &ClipSource, number: usize, content: ClipContent) -> Result<Result<Vec<String>, String>> {
    let mut dedupe = Deduplicator::new(source, number, content, None);
    let mut keys = Vec::new();
    match &source.kind {
        SourceKind::Tar(path) => {
            let scanned = scan(path, content, |entry| {
                if dedupe.accept(Candidate::of_entry(&entry, content)) {
                    keys.push(entry.key);
                }
            });
            match scanned {
                Err(error) if error.blame() == Blame::Surroundings => return Err(Error::Stage(Box::new(error))),
                Err(error) => return Ok(Err(error.to_string())),
                Ok(()) => {}
            }
        }
        SourceKind::Rows(rows) => {
            let rows = rows.iter().filter(|row| dedupe.accept(Candidate::of_row(row, content)));
            keys.extend(rows.map(|row| row.key.clone()));
        }
    }
    Ok(Ok(keys))
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

fn read(path: &Path) -> Result<Vec<u64>> {
    let damaged =
        |error: csv::Error| Error::input(path, format!("{error}\nhint: pass --fresh to make this file again"));
    let lines = csv_lines(input::open(path)?).map_err(damaged)?;
    lines.map(|line| line.map(|line: KeyLine| text_hash(&line.key))).collect::<Result<_, _>>().map_err(damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(name: &str) -> ClipSource {
        ClipSource {
            name: name.to_owned(),
            fingerprint: name.into(),
            kind: SourceKind::Rows(Vec::new()),
            limit: u64::MAX,
        }
    }

    #[test]
    fn the_first_source_has_the_key_and_one_that_cannot_be_read_has_none() {
        let sources = ["a", "b", "c", "d"].map(source);
        let keys = [Ok(vec![1, 2]), Err("cut".to_owned()), Ok(vec![2, 3]), Ok(vec![3, 1, 4])];
        let index = KeyIndex::new(&sources, &keys);
        assert_eq!([1, 2, 3, 4].map(|hash| index.owner(hash)), [Some((0, "a")), Some((0, "a")), Some((2, "c")), None]);
        let fingerprint = |n: usize| index.fingerprint(n, &sources[n], &keys[n]);
        // Appending a source does not change those before it.
        let more = KeyIndex::new(&sources[..3], &keys[..3]);
        assert_eq!(fingerprint(2), more.fingerprint(2, &sources[2], &keys[2]));
        assert_ne!(fingerprint(2), Fingerprint::new().with(&sources[2].fingerprint).finish());
        assert_eq!(fingerprint(0), Fingerprint::new().with(&sources[0].fingerprint).finish());
    }
}
