//! First step: from the files of generated text to the samples' JSON, one line per clip.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use audsem_core::clip_id::ClipId;
use audsem_core::error::Error as CoreError;
use audsem_core::parallel::ordered_map;
use audsem_core::run::{Fingerprint, Run, Shard, ShardError, ShardOutput, Step};
use audsem_core::tar::MAX_NAME_BYTES;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::lines::{Batch, Batches};
use super::reason::{Cause, DropReason, Fault};
use super::sample::{Made, Rules, clip_of};
use super::text::LeftOut;
use super::{Config, StepResult, next_step};
use crate::error::Error;

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
    /// Place of its line in the file, in bytes.
    pub offset: u64,
    /// Length of the line in bytes.
    pub length: u32,
    /// Bytes of JSON of each sample.
    pub json_bytes: Vec<u32>,
}

/// All clips that have usable text, in the order of the record files.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// The file with the lines.
    path: PathBuf,
    /// Hash of its content.
    pub fingerprint: String,
    /// The clips.
    pub entries: Vec<Entry>,
    by_clip: HashMap<ClipId, u32>,
}

impl Records {
    /// The number of a clip's record, `None` when no usable record speaks of it.
    pub(super) fn find(&self, clip: &ClipId) -> Option<u32> {
        self.by_clip.get(clip).copied()
    }

    /// The record with this number.
    pub(super) fn entry(&self, number: u32) -> &Entry {
        &self.entries[number as usize]
    }

    /// Opens the file for [`read_samples`].
    ///
    /// # Errors
    /// When it has gone.
    pub(super) fn open(&self) -> Result<File, CoreError> {
        File::open(&self.path).map_err(CoreError::read(&self.path))
    }

    fn push(&mut self, entry: Entry) {
        let number = u32::try_from(self.entries.len()).expect("fewer than 4 billion records");
        self.by_clip.insert(entry.clip.clone(), number);
        self.entries.push(entry);
    }
}

/// The JSON of the samples of `entry`, as it goes into the shards.
///
/// # Errors
/// When the file cannot be read or is not what this step wrote.
pub(super) fn read_samples(file: &File, entry: &Entry) -> std::io::Result<Vec<Box<RawValue>>> {
    let mut line = vec![0; entry.length as usize];
    file.read_exact_at(&mut line, entry.offset)?;
    let line: Line<Vec<Box<RawValue>>> = serde_json::from_slice(&line)?;
    Ok(line.samples)
}

/// Runs the step.
///
/// # Errors
/// As [`Run::execute`], and when the written file cannot be read back.
pub(super) fn step(run: &mut Run, config: &Config, rules: &Rules) -> Result<StepResult<Records>, Error> {
    let fingerprint = run.inputs()[..config.records.len()].iter().fold(Fingerprint::new(), Fingerprint::with_file);
    let plan = [Shard { name: "00000".to_owned(), fingerprint: fingerprint.finish(), work: () }];
    let on_dry_run = Mutex::new(Records::default());
    let limit = run.options().limit.unwrap_or(u64::MAX);
    let step = Step { name: "records", unit: "records", physical: "MB" };
    let report = run.execute(step, &plan, |(), out| {
        let found = make(&config.records, rules, limit, out)?;
        if out.dry_run() {
            *on_dry_run.lock().expect("no thread panics while holding it") = found;
        }
        Ok(())
    })?;
    next_step(&report, &plan, |outputs| {
        if run.options().dry_run {
            return Ok(on_dry_run.into_inner().expect("no thread panics while holding it"));
        }
        load(run.folder().join(FILE), outputs[0].fingerprint.clone())
    })
}

/// What became of one line of a record file.
struct Outcome {
    place: String,
    result: Result<(ClipId, Made), LeftOut>,
    /// The line to write.
    line: Vec<u8>,
    json_bytes: Vec<u32>,
}

fn make(paths: &[PathBuf], rules: &Rules, limit: u64, out: &mut ShardOutput) -> Result<Records, ShardError> {
    let mut file = out.create(FILE).map_err(ShardError::Fatal)?;
    let mut accounts = Accounts { seen: HashSet::new(), records: Records::default(), offset: 0, lines: 0, limit };
    for path in paths {
        let reader = audsem_core::input::open(path).map_err(ShardError::from_core)?;
        let workers = out.inner_workers();
        let judge = |batch: std::io::Result<Batch>| batch.map(|batch| judge_batch(path, &batch, rules));
        ordered_map(Batches::new(reader), workers, 2 * workers, judge, |outcomes| {
            let outcomes = outcomes.map_err(CoreError::read(path)).map_err(ShardError::from_core)?;
            outcomes.into_iter().try_for_each(|outcome| accounts.take(outcome, &mut file, out))
        })?;
    }
    out.close(file)?;
    Ok(accounts.records)
}

fn judge_batch(path: &Path, batch: &Batch, rules: &Rules) -> Vec<Outcome> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    batch.lines().map(|(number, line)| judge_line(format!("{name}:{number}"), line, rules)).collect()
}

fn judge_line(place: String, line: &[u8], rules: &Rules) -> Outcome {
    let parse = || -> Result<(ClipId, Made), LeftOut> {
        let record: Map<String, Value> =
            serde_json::from_slice(line).map_err(|error| (Fault::BadJson.into(), error.to_string()))?;
        let clip = clip_of(&record)?;
        let made = rules.apply(&clip, record);
        let longest = rules.sample_key(&clip, made.samples.len()).len() + ".flac".len();
        if longest > MAX_NAME_BYTES {
            return Err((Fault::BadName.into(), format!("a member name of {longest} bytes is too long for a tar")));
        }
        Ok((clip, made))
    };
    let result = parse();
    let (mut line, mut json_bytes) = (Vec::new(), Vec::new());
    if let Ok((clip, made)) = &result
        && !made.samples.is_empty()
    {
        let raw: Vec<Box<RawValue>> = made.samples.iter().map(raw).collect();
        json_bytes = raw.iter().map(|json| json.get().len() as u32).collect();
        line = serde_json::to_vec(&Line { clip: clip.tar_key(), samples: raw }).expect("strings and JSON are JSON");
        line.push(b'\n');
    }
    Outcome { place, result, line, json_bytes }
}

fn raw(sample: &Map<String, Value>) -> Box<RawValue> {
    serde_json::value::to_raw_value(sample).expect("a JSON object is JSON")
}

/// What has been read and written so far.
struct Accounts {
    seen: HashSet<ClipId>,
    records: Records,
    offset: u64,
    lines: u64,
    limit: u64,
}

impl Accounts {
    fn take(&mut self, outcome: Outcome, file: &mut impl Write, out: &mut ShardOutput) -> Result<(), ShardError> {
        if self.lines == self.limit {
            return Ok(());
        }
        self.lines += 1;
        out.count("lines", 1);
        let Outcome { place, result, line, json_bytes } = outcome;
        let (clip, made) = match result {
            Ok(parsed) => parsed,
            Err(why) => {
                leave_out(out, &place, &why);
                return Ok(());
            }
        };
        if !self.seen.insert(clip.clone()) {
            leave_out(out, &clip.tar_key(), &(DropReason::DuplicateRecord.into(), place));
            return Ok(());
        }
        for (pair, why) in &made.left_out {
            let key = pair.map_or(clip.tar_key(), |n| format!("{} pair {n}", clip.tar_key()));
            leave_out(out, &key, why);
        }
        out.read(made.kept);
        out.keep(made.kept);
        if line.is_empty() {
            return Ok(());
        }
        file.write_all(&line).map_err(CoreError::write(Path::new(FILE)))?;
        let length = u32::try_from(line.len()).expect("a line of a file is far below 4 GB");
        self.records.push(Entry { clip, offset: self.offset, length, json_bytes });
        self.offset += u64::from(length);
        out.work(f64::from(length) / 1e6);
        Ok(())
    }
}

/// Counts one record, pair or clip as read and left out.
pub(super) fn leave_out(out: &mut ShardOutput, key: &str, (cause, detail): &LeftOut) {
    out.read(1);
    match cause {
        Cause::Drop(reason) => out.drop(key, *reason, detail),
        Cause::Fail(fault) => out.fail(key, *fault, detail),
    }
}

/// Reads back which clips the file of this step speaks of.
fn load(path: PathBuf, fingerprint: String) -> Result<Records, Error> {
    let reader = BufReader::new(File::open(&path).map_err(CoreError::read(&path))?);
    let mut records = Records { path: path.clone(), fingerprint, ..Records::default() };
    let mut offset = 0;
    for batch in Batches::new(reader) {
        let batch = batch.map_err(CoreError::read(&path))?;
        for line in batch.bytes.split_inclusive(|&byte| byte == b'\n') {
            let damaged = || CoreError::input(&path, "this file is damaged\nhint: pass --fresh to build it again");
            let parsed: Line<Vec<&RawValue>> = serde_json::from_slice(line).map_err(|_| damaged())?;
            let clip = parsed.clip.parse().map_err(|_| damaged())?;
            let json_bytes = parsed.samples.iter().map(|json| json.get().len() as u32).collect();
            records.push(Entry { clip, offset, length: line.len() as u32, json_bytes });
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
    fn judge(line: &[u8]) {
        for task in [Task::Caption, Task::Video, Task::Qa, Task::McQa, Task::McQaLong] {
            let rules = config(task).rules(0).expect("the built-in templates are right");
            let outcome = judge_line("f:1".to_owned(), line, &rules);
            let samples = outcome.result.map_or(0, |(_, made)| made.samples.len());
            assert_eq!(outcome.json_bytes.len(), samples);
            if samples > 0 {
                let line: Line<Vec<&RawValue>> = serde_json::from_slice(&outcome.line).expect("our own line");
                assert_eq!((line.samples.len(), line.clip.parse::<ClipId>().is_ok()), (samples, true));
            }
        }
    }

    proptest! {
        // Foreign bytes: no panic, whatever stands in a record file.
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn any_bytes_are_lines(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            for batch in Batches::new(&text[..]) {
                batch.expect("memory can be read").lines().for_each(|(_, line)| judge(line));
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
            judge(record.to_string().as_bytes());
        }
    }
}
