//! First step: from the files of generated text to the samples' JSON, one line per clip.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use audsem_core::clip_id::ClipId;
use audsem_core::clip_lists::{KeySet, ScoreVerdict, ScoredClips};
use audsem_core::error::Error as CoreError;
use audsem_core::records::Layout;
use audsem_core::run::{
    Fingerprint, LeftOut, Outcome, ReadBack, Reads, Run, Shard, ShardError, ShardOutput, ShardOutputs, Step,
};
use audsem_core::tar::MAX_NAME_BYTES;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::Config;
use super::config::Duplicates;
use super::lines::Batches;
use super::reason::{DropReason, Fault};
use super::record_files::{self, Found};
use super::sample::{Made, SampleRules, clip_of, identity_of, join};
use crate::error::Error;

/// Name of the step.
pub(super) const STEP: &str = "records";

/// The file this step writes.
const FILE: &str = "records-00000.jsonl";

/// A line of that file.
#[derive(Serialize, Deserialize)]
struct Line<S> {
    clip: String,
    samples: S,
}

/// Where a clip's samples lie.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The clip.
    pub clip: ClipId,
    /// Offset and length in bytes of its lines in the file: one, or one for each row of a table of questions.
    pub lines: Vec<(u64, u32)>,
    /// Bytes of JSON of each sample.
    pub json_bytes: Vec<u32>,
}

/// All clips that have usable text, in the order of the record files.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// The file with the lines.
    path: PathBuf,
    /// Hash of its content.
    pub fingerprint: Reads,
    /// The clips.
    pub entries: Vec<Entry>,
    by_clip: HashMap<ClipId, u32>,
    /// Whether all lines of a clip are one sample.
    joins: bool,
}

impl Records {
    /// The number of a clip's record, `None` if no usable record refers to it.
    pub(super) fn find(&self, clip: &ClipId) -> Option<u32> {
        self.by_clip.get(clip).copied()
    }

    /// The record with this number.
    pub(super) fn entry(&self, number: u32) -> &Entry {
        &self.entries[number as usize]
    }

    /// Opens the file for [`Records::read_samples`].
    ///
    /// # Errors
    /// When it has gone.
    pub(super) fn open(&self) -> Result<File, CoreError> {
        File::open(&self.path).map_err(CoreError::read(&self.path))
    }

    fn push(&mut self, clip: ClipId, line: (u64, u32), json_bytes: Vec<u32>) {
        let next = u32::try_from(self.entries.len()).expect("fewer than 4 billion records");
        let number = *self.by_clip.entry(clip.clone()).or_insert(next);
        if number == next {
            self.entries.push(Entry { clip, lines: vec![line], json_bytes });
            return;
        }
        let entry = &mut self.entries[number as usize];
        entry.lines.push(line);
        match entry.json_bytes.as_mut_slice() {
            [all] if self.joins => *all += json_bytes.iter().sum::<u32>(),
            _ => entry.json_bytes.extend(json_bytes),
        }
    }

    /// The JSON of the samples of `entry`, as it goes into the shards.
    ///
    /// # Errors
    /// When the file cannot be read or is not what this step wrote.
    pub(super) fn read_samples(&self, file: &File, entry: &Entry) -> std::io::Result<Vec<Box<RawValue>>> {
        let mut samples = Vec::with_capacity(entry.json_bytes.len());
        for (offset, length) in &entry.lines {
            let mut line = vec![0; *length as usize];
            file.read_exact_at(&mut line, *offset)?;
            let line: Line<Vec<Box<RawValue>>> = serde_json::from_slice(&line)?;
            samples.extend(line.samples);
        }
        if self.joins && samples.len() > 1 {
            let parts: Result<Vec<_>, _> = samples.iter().map(|sample| serde_json::from_str(sample.get())).collect();
            samples = vec![raw(&join(parts?))];
        }
        Ok(samples)
    }
}

/// Runs the step; `None` if it is not whole.
///
/// # Errors
/// As [`Run::execute_via`].
pub(super) fn step(
    run: &mut Run,
    config: &Config,
    rules: &SampleRules,
    choice: &ClipChoice,
) -> Result<Option<Records>, Error> {
    let fingerprint = run.inputs()[..config.records.len()].iter().fold(Fingerprint::new(), Fingerprint::with_file);
    let fingerprint = choice.add_to(fingerprint);
    let plan = [Shard { name: "00000".to_owned(), fingerprint: fingerprint.finish(), work: () }];
    let limit = run.options().limit.unwrap_or(u64::MAX);
    let step = Step { name: STEP, unit: "records", physical: "MB" };
    run.must_keep(step).explain(DropReason::ALL).explain(Fault::ALL);
    let written = ReadBack(|shard: &ShardOutputs| load(shard, joins(rules)));
    let report = run.execute_via(&written, step, &plan, |(), out| make(config, (rules, choice), limit, out))?;
    Ok(report.whole().and_then(|whole| whole.values.into_iter().next()))
}

/// Whether all pairs of a clip are one sample, in whatever records they stand.
fn joins(rules: &SampleRules) -> bool {
    rules.task.has_pairs() && rules.pairs == Layout::Together
}

/// Which clips may be used, by lists and scores.
pub(super) struct ClipChoice {
    excluded: KeySet,
    scored: Option<ScoredClips>,
}

impl ClipChoice {
    /// Reads the lists and tables of scores.
    ///
    /// # Errors
    /// One of them cannot be read, or has no such column.
    pub(super) fn open(config: &Config) -> Result<Self, Error> {
        let scored = (!config.scores.is_empty()).then(|| ScoredClips::read(&config.scores, config.bounds.clone()));
        Ok(Self { excluded: KeySet::of_lists(&config.exclude)?, scored: scored.transpose()? })
    }

    fn add_to(&self, fingerprint: Fingerprint) -> Fingerprint {
        let fingerprint = fingerprint.with(&self.excluded.fingerprint);
        self.scored.iter().fold(fingerprint, |all, scored| all.with(&scored.fingerprint))
    }

    fn check(&self, clip: &ClipId) -> Outcome<()> {
        let key = clip.tar_key();
        if self.excluded.has(&key) {
            return Err(LeftOut::drop(DropReason::Excluded, String::new()));
        }
        match self.scored.as_ref().map(|scored| scored.verdict(&key)) {
            None | Some(ScoreVerdict::Within) => Ok(()),
            Some(ScoreVerdict::Outside(why)) => Err(LeftOut::drop(DropReason::OutsideScores, why)),
            Some(ScoreVerdict::Unknown) => Err(LeftOut::drop(DropReason::NoScore, String::new())),
        }
    }
}

/// The outcome of one record, or of several that are lost together.
struct Judgement {
    place: String,
    n_records: u64,
    is_repaired: bool,
    result: Outcome<Judged>,
}

/// A record with a clip.
struct Judged {
    clip: ClipId,
    identity: (ClipId, u64),
    made: Made,
    /// The line to write; empty without samples.
    line: Vec<u8>,
    json_bytes: Vec<u32>,
}

fn make(
    config: &Config,
    (rules, choice): (&SampleRules, &ClipChoice),
    limit: u64,
    out: &mut ShardOutput,
) -> Result<Records, ShardError> {
    let mut file = out.create(FILE).map_err(ShardError::Fatal)?;
    let workers = out.inner_workers();
    let last = match config.duplicates {
        Duplicates::First => None,
        Duplicates::Last => Some(last_ones(config, rules, limit, workers).map_err(ShardError::from_core)?),
    };
    let records = Records { joins: joins(rules), ..Records::default() };
    let mut accounts = Accounts { seen: HashMap::new(), last, records, offset: 0, n_read: 0, limit };
    record_files::for_each(
        (&config.records, config.from_table),
        workers,
        |found| judge(found, rules, choice),
        |judgement| accounts.take(judgement, &mut file, out).map_err(Stop::Shard),
    )
    .map_err(Stop::into_shard_error)?;
    out.close(file)?;
    Ok(accounts.records)
}

/// Why reading the records stopped.
enum Stop {
    Core(CoreError),
    Shard(ShardError),
}

impl From<CoreError> for Stop {
    fn from(error: CoreError) -> Self {
        Self::Core(error)
    }
}

impl Stop {
    fn into_shard_error(self) -> ShardError {
        match self {
            Self::Core(error) => ShardError::from_core(error),
            Self::Shard(error) => error,
        }
    }
}

/// The number of the last record of each identity, among the first `limit`.
fn last_ones(
    config: &Config,
    rules: &SampleRules,
    limit: u64,
    workers: usize,
) -> Result<HashMap<(ClipId, u64), u64>, CoreError> {
    let mut last = HashMap::new();
    let mut number = 0;
    let identity = |record: Map<String, Value>| Some(identity_of(&clip_of(&record).ok()?, &record, rules.task));
    let numbered = |found: Found| (found.n_records, found.record.ok().and_then(identity));
    record_files::for_each((&config.records, config.from_table), workers, numbered, |(n_records, identity)| {
        if let Some(identity) = identity.filter(|_| number < limit) {
            last.insert(identity, number);
        }
        number += n_records;
        Ok::<_, CoreError>(())
    })?;
    Ok(last)
}

/// More pairs than any clip has; where pairs come in several records, their number is not known before all are read.
const MOST_PAIRS: usize = 99_999_999;

fn judge(found: Found, rules: &SampleRules, choice: &ClipChoice) -> Judgement {
    let Found { place, n_records, record, is_repaired } = found;
    let judged = |record: Map<String, Value>| -> Outcome<Judged> {
        let clip = clip_of(&record)?;
        let identity = identity_of(&clip, &record, rules.task);
        let made = match choice.check(&clip) {
            Ok(()) => rules.apply(&clip, record),
            Err(why) => Made::nothing(why),
        };
        let longest = rules.sample_key(&clip, MOST_PAIRS).len() + ".flac".len();
        if longest > MAX_NAME_BYTES {
            return Err(LeftOut::fail(
                Fault::BadName,
                format!("a member name of {longest} bytes is too long for a tar"),
            ));
        }
        let raw: Vec<Box<RawValue>> = made.samples.iter().map(raw).collect();
        let json_bytes = raw.iter().map(|json| json.get().len() as u32).collect();
        let mut line = Vec::new();
        if !raw.is_empty() {
            line = serde_json::to_vec(&Line { clip: clip.tar_key(), samples: raw }).expect("strings and JSON are JSON");
            line.push(b'\n');
        }
        Ok(Judged { clip, identity, made, line, json_bytes })
    };
    Judgement { place, n_records, is_repaired, result: record.and_then(judged) }
}

fn raw(sample: &Map<String, Value>) -> Box<RawValue> {
    serde_json::value::to_raw_value(sample).expect("a JSON object is JSON")
}

/// What has been read and written so far.
struct Accounts {
    /// The place of the first record of each identity.
    seen: HashMap<(ClipId, u64), String>,
    /// Where the last one counts: its number.
    last: Option<HashMap<(ClipId, u64), u64>>,
    records: Records,
    offset: u64,
    n_read: u64,
    limit: u64,
}

impl Accounts {
    fn take(&mut self, judgement: Judgement, file: &mut impl Write, out: &mut ShardOutput) -> Result<(), ShardError> {
        let Judgement { place, n_records, is_repaired, result } = judgement;
        let (number, n_records) = (self.n_read, n_records.min(self.limit - self.n_read));
        if n_records == 0 {
            return Ok(());
        }
        self.n_read += n_records;
        out.count("lines", n_records);
        if is_repaired {
            out.count("repaired_json", 1);
        }
        let judged = match result {
            Ok(judged) => judged,
            Err(why) => {
                out.file_many(place, why, n_records);
                return Ok(());
            }
        };
        if let Some(other) = self.duplicate_of(&judged.identity, number, &place) {
            let detail = format!("{place}; {other} counts");
            out.file_left_out(judged.clip.tar_key(), LeftOut::drop(DropReason::DuplicateRecord, detail));
            return Ok(());
        }
        for (pair, why) in &judged.made.left_out {
            let key = judged.clip.tar_key();
            let key = pair.map_or(key.clone(), |n| format!("{key} pair {n}"));
            out.file_left_out(key, why.borrowed().map_detail(|detail| format!("{place}: {detail}")));
        }
        out.file_kept(judged.made.kept);
        self.write(judged, file, out)
    }

    /// What counts in place of this record, if it does not count itself.
    fn duplicate_of(&mut self, identity: &(ClipId, u64), number: u64, place: &str) -> Option<String> {
        match &self.last {
            Some(last) if last.get(identity) == Some(&number) => None,
            Some(_) => Some("a later record".to_owned()),
            None => match self.seen.get(identity) {
                Some(first) => Some(first.clone()),
                None => {
                    self.seen.insert(identity.clone(), place.to_owned());
                    None
                }
            },
        }
    }

    fn write(&mut self, judged: Judged, file: &mut impl Write, out: &mut ShardOutput) -> Result<(), ShardError> {
        if judged.line.is_empty() {
            return Ok(());
        }
        file.write_all(&judged.line).map_err(CoreError::write(Path::new(FILE)))?;
        let length = u32::try_from(judged.line.len()).expect("a line of a file is far below 4 GB");
        self.records.push(judged.clip, (self.offset, length), judged.json_bytes);
        self.offset += u64::from(length);
        out.work(f64::from(length) / 1e6);
        Ok(())
    }
}

/// Reads back which clips the file of this step refers to.
fn load(shard: &ShardOutputs, joins: bool) -> Result<Records, CoreError> {
    let path = shard.file_ending(FILE)?.clone();
    let reader = BufReader::new(File::open(&path).map_err(CoreError::read(&path))?);
    let fingerprint = shard.fingerprint.clone();
    let mut records = Records { path: path.clone(), fingerprint, joins, ..Records::default() };
    let mut offset = 0;
    for batch in Batches::new(reader) {
        let batch = batch.map_err(CoreError::read(&path))?;
        for line in batch.bytes.split_inclusive(|&byte| byte == b'\n') {
            let damaged = || CoreError::input(&path, "this file is damaged\nhint: pass --fresh to build it again");
            let parsed: Line<Vec<&RawValue>> = serde_json::from_slice(line).map_err(|_| damaged())?;
            let clip = parsed.clip.parse().map_err(|_| damaged())?;
            let json_bytes = parsed.samples.iter().map(|json| json.get().len() as u32).collect();
            records.push(clip, (offset, line.len() as u32), json_bytes);
            offset += line.len() as u64;
        }
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Task;
    use super::*;

    fn config(task: Task) -> Config {
        Config { semantic: task == Task::McQa, ..Config::new(task, Vec::new(), Vec::new()) }
    }

    /// Any JSON value whose names and texts are now and then those that records have.
    fn value() -> impl Strategy<Value = Value> {
        let name = prop_oneof![
            proptest::sample::select(vec![
                "file_name",
                "caption",
                "thinking",
                "qa_pairs",
                "question",
                "answer",
                "choices",
                "semantic_elements",
                "A"
            ])
            .prop_map(str::to_owned),
            ".{0,4}",
        ];
        let text = prop_oneof![
            Just("tar/vid (1.0-2.0).mp4".to_owned()),
            Just("What can be heard here?\nChoices:\nA. A dog\nB. A door".to_owned()),
            ".{0,24}",
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            text.prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 6, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::vec((name.clone(), inner), 0..8)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    /// Every line has one outcome, and what is made of it can be read back.
    fn judge_line(line: &[u8]) {
        for task in Task::ALL {
            let rules = config(task).rules(0).expect("the built-in templates are right");
            let record = audsem_core::json::read_object(line).map(|read| read.value);
            let record = record.map_err(|error| LeftOut::fail(Fault::BadJson, error.to_string()));
            let found = Found { place: "f:1".to_owned(), n_records: 1, record, is_repaired: false };
            let choice = ClipChoice { excluded: KeySet::default(), scored: None };
            let Ok(judged) = judge(found, &rules, &choice).result else { continue };
            assert_eq!(judged.json_bytes.len(), judged.made.samples.len());
            if !judged.line.is_empty() {
                let line: Line<Vec<&RawValue>> = serde_json::from_slice(&judged.line).expect("our own line");
                let samples = judged.made.samples.len();
                assert_eq!((line.samples.len(), line.clip.parse::<ClipId>().is_ok()), (samples, true));
            }
        }
    }

    proptest! {
        // Foreign bytes: no panic, whatever a record file contains.
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn any_bytes_are_lines(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            for batch in Batches::new(&text[..]) {
                batch.expect("memory can be read").lines().for_each(|(_, line)| judge_line(line));
            }
        }

        #[test]
        fn any_json_is_judged(record in value(), wrapped in any::<bool>()) {
            let record = match (wrapped, record) {
                (true, record @ Value::Object(_)) => serde_json::json!({
                    "file_name": "vid (1.0-2.0)", "qa_pairs": [record], "caption": record, "thinking": "It sounds so."
                }),
                (_, record) => record,
            };
            judge_line(record.to_string().as_bytes());
        }
    }
}
