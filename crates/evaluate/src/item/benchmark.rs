//! Which benchmarks are read, and what is told of their files.

use std::path::{Path, PathBuf};

use audsem_core::error::Error as CoreError;
use audsem_core::files::hex;
use audsem_core::input::{is_folder, read_whole};
use audsem_core::tables::JsonRows;
use audsem_core::terminal::counted;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::audiobench::{self, RowSelection};
use super::{AnswerKind, EvaluationItem, is_outside, lettered, mmau, mmau_pro, shards};
use crate::error::Error;
use crate::sound_library::TableSounds;

/// A benchmark by the form of its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Benchmark {
    /// MMAU: a JSON file with a list of questions, such as mmau-test-mini.json
    Mmau,
    /// MMAR: MMAR-meta.jsonl or the list of it
    Mmar,
    /// MMAU-Pro: test.parquet, or its rows as JSON
    MmauPro,
    /// MMSU: the table with sounds, or the questions as JSON and their sounds as files
    Mmsu,
    /// AIR-Bench, foundation: Foundation_meta.json
    AirBench,
    /// A data set of AudioBench, which --data-set names: its tables with sounds, or its rows as JSON
    #[value(name = "audiobench")]
    #[serde(rename = "audiobench")]
    AudioBench,
    /// Training shards of `audsem-tarify`, such as those that were held out
    Shards,
}

/// The questions of a benchmark.
#[derive(Debug, Clone, Default)]
pub struct BenchmarkItems {
    /// The questions, in the order of the file.
    pub items: Vec<EvaluationItem>,
    /// SHA-256 over questions, options and answers, hexadecimal: what tells versions of a data set apart.
    pub content_sha256: String,
    /// What people should know of the data: the version, and what is wrong with it.
    pub notes: Vec<String>,
    /// The files that were read.
    pub files: Vec<PathBuf>,
    /// The sounds inside tables.
    pub sounds: TableSounds,
}

impl BenchmarkItems {
    /// The questions of one file.
    #[must_use]
    pub fn new(items: Vec<EvaluationItem>, file: &Path) -> Self {
        let content_sha256 = content_sha256(&items);
        Self { items, content_sha256, files: vec![file.to_owned()], ..Self::default() }
    }
}

/// Reads the questions of a data set of AudioBench from its files, or folders of its tables.
///
/// # Errors
/// A file cannot be read, a row has no question, or there is no row.
pub fn read_audiobench(data: &[PathBuf], selection: &RowSelection) -> Result<BenchmarkItems, Error> {
    let mut read = BenchmarkItems::default();
    audiobench::read(data, selection, &mut read)?;
    finished(read, data)
}

/// Reads the questions of a benchmark; those of AudioBench are read by [`read_audiobench`].
///
/// # Errors
/// A file cannot be read or is no such benchmark, two questions have one id, or there is none.
pub fn read_benchmark(benchmark: Benchmark, data: &[PathBuf]) -> Result<BenchmarkItems, Error> {
    let mut read = BenchmarkItems::default();
    for path in data {
        match benchmark {
            Benchmark::Mmau => mmau::read(path, &mmau::MMAU, &mut read)?,
            Benchmark::Mmar => mmau::read(path, &mmau::MMAR, &mut read)?,
            Benchmark::MmauPro => mmau_pro::read(path, &mut read)?,
            Benchmark::Mmsu => lettered::read(path, &lettered::MMSU, &mut read)?,
            Benchmark::AirBench => lettered::read(path, &lettered::AIR_BENCH, &mut read)?,
            Benchmark::Shards => shards::read(path, &mut read)?,
            Benchmark::AudioBench => {
                let problem = "AudioBench has many data sets\nhint: name one with --data-set";
                return Err(CoreError::Config { what: "--benchmark".to_owned(), problem: problem.to_owned() }.into());
            }
        }
    }
    if benchmark == Benchmark::Mmau && !read.items.is_empty() {
        read.content_sha256 = content_sha256(&read.items);
        read.notes.push(mmau::version(&read));
    }
    finished(read, data)
}

/// Refuses what are no questions, and tells what is strange about them.
fn finished(mut read: BenchmarkItems, data: &[PathBuf]) -> Result<BenchmarkItems, Error> {
    let what = || data.first().cloned().unwrap_or_default();
    if read.items.is_empty() {
        return Err(CoreError::input(&what(), "there is no question in it").into());
    }
    refuse_repeated(&read.items, &what())?;
    read.content_sha256 = content_sha256(&read.items);
    note_strange_answers(&mut read);
    Ok(read)
}

fn refuse_repeated(items: &[EvaluationItem], data: &Path) -> Result<(), Error> {
    let mut seen = std::collections::HashSet::new();
    match items.iter().find(|item| !seen.insert(item.id.as_str())) {
        None => Ok(()),
        Some(item) => Err(CoreError::input(data, format!("two questions have the id `{}`", item.id)).into()),
    }
}

/// Tells which right answers are none of the options: nobody can get these right.
fn note_strange_answers(read: &mut BenchmarkItems) {
    let is_strange = |item: &&EvaluationItem| is_outside(&item.choices, &item.references);
    let strange: Vec<&str> = read.items.iter().filter(is_strange).map(|item| item.id.as_str()).collect();
    if !strange.is_empty() {
        let shown = strange.iter().take(5).copied().collect::<Vec<_>>().join(", ");
        let n = counted(strange.len(), "questions");
        read.notes.push(format!("the right answer of {n} is not among the options: {shown}"));
    }
    for (is, what) in [
        (has_no_options as fn(&EvaluationItem) -> bool, "without options, although one of them is asked for"),
        (has_one_option, "with equal options, of which each is right or each is wrong"),
    ] {
        let named: Vec<&str> = read.items.iter().filter(|item| is(item)).map(|item| item.id.as_str()).collect();
        if let Some(first) = named.first() {
            read.notes.push(format!("{} {what}: {first}", counted(named.len(), "questions")));
        }
    }
}

fn has_no_options(item: &EvaluationItem) -> bool {
    item.kind == AnswerKind::Choice && item.choices.is_empty()
}

fn has_one_option(item: &EvaluationItem) -> bool {
    item.choices.len() > 1 && item.choices.iter().all(|choice| choice.trim() == item.choices[0].trim())
}

/// SHA-256 of what decides a score, blanks at the ends of texts aside.
fn content_sha256(items: &[EvaluationItem]) -> String {
    let mut sha256 = Sha256::new();
    for item in items {
        // Each list is closed, so that an option never stands for an answer.
        for list in [&[item.id.clone(), item.question.clone()][..], &item.choices, &item.references] {
            for text in list {
                sha256.update(text.trim().as_bytes());
                sha256.update([0]);
            }
            sha256.update([1]);
        }
    }
    hex(&sha256.finalize())
}

/// What some editors put in front of a text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The records of a JSON file with a list, of a file with one JSON object on each line or with a single one on several, or of a
/// Parquet table. Columns of bytes, such as embedded sounds, are not among them.
pub(crate) fn records(path: &Path) -> Result<Vec<Map<String, Value>>, Error> {
    if is_folder(path)? {
        return Err(CoreError::input(path, "a file of questions is wanted, and this is a folder").into());
    }
    if path.extension().is_some_and(|suffix| suffix == "parquet") {
        let rows = JsonRows::open(path)?;
        let mut read = Vec::with_capacity(rows.n_rows());
        for group in rows.groups() {
            let group = group?;
            let reader = group.reader();
            read.extend((0..group.len()).map(|row| reader.row(row)));
        }
        return Ok(read);
    }
    let mut bytes = read_whole(path)?;
    if bytes.starts_with(BYTE_ORDER_MARK) {
        bytes.drain(..BYTE_ORDER_MARK.len());
    }
    let refuse = |problem: String| -> Error { CoreError::input(path, problem).into() };
    let object = |(n, value): (usize, Value)| match value {
        Value::Object(fields) => Ok(fields),
        _ => Err(refuse(format!("record {} is no object", n + 1))),
    };
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if first == Some(&b'[') {
        let list: Vec<Value> = serde_json::from_slice(&bytes).map_err(|error| refuse(error.to_string()))?;
        return list.into_iter().enumerate().map(object).collect();
    }
    if let Ok(Value::Object(only)) = serde_json::from_slice(&bytes) {
        return Ok(vec![only]);
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| refuse("it is not UTF-8".to_owned()))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let hint = "hint: a JSON list is expected, or one JSON object on each line";
    let parse = |(n, line): (usize, &str)| {
        let value = serde_json::from_str(line).map_err(|error| refuse(format!("line {}: {error}\n{hint}", n + 1)))?;
        object((n, value))
    };
    lines.map(parse).collect()
}

/// A record, and the name of its sound.
#[derive(Debug, Clone, Default)]
pub(super) struct SoundRow {
    /// Its fields, without bytes.
    pub fields: Map<String, Value>,
    /// What its sound is called: by its content where the table holds it, else as the record names it.
    pub sound: Option<String>,
}

/// The records of a file as [`records`] gives them, with the sounds that a table holds in a column. In a file without sounds
/// that column names them: as a text, or as the `path` of an object, which may stand in the field `audio`.
pub(super) fn rows_with_sounds(path: &Path, column: &str, into: &mut BenchmarkItems) -> Result<Vec<SoundRow>, Error> {
    let is_table = !is_folder(path)? && path.extension().is_some_and(|suffix| suffix == "parquet");
    let inside = if is_table { into.sounds.add(path, column)? } else { None };
    let records = records(path)?;
    let sounds = match inside {
        Some(names) => names,
        None => records.iter().map(|fields| named_sound(fields.get(column)?)).collect(),
    };
    if sounds.len() != records.len() {
        let (n, m) = (sounds.len(), records.len());
        return Err(CoreError::input(path, format!("it has {n} sounds and {m} records")).into());
    }
    Ok(records.into_iter().zip(sounds).map(|(fields, sound)| SoundRow { fields, sound }).collect())
}

fn named_sound(value: &Value) -> Option<String> {
    match value {
        Value::String(name) => Some(name.clone()),
        Value::Object(fields) => {
            fields.get("audio").and_then(named_sound).or_else(|| fields.get("path").and_then(named_sound))
        }
        _ => None,
    }
}

/// Reads the fields of a published record.
pub(super) struct PublishedRecord<'a> {
    /// The file.
    pub path: &'a Path,
    /// The number of the record, from 1.
    pub number: usize,
    /// Its fields.
    pub fields: &'a Map<String, Value>,
}

impl PublishedRecord<'_> {
    fn refuse(&self, problem: String) -> Error {
        CoreError::input(self.path, format!("record {}: {problem}", self.number)).into()
    }

    /// A field that must be a text.
    pub(super) fn text(&self, name: &str) -> Result<String, Error> {
        self.optional(name)?.ok_or_else(|| {
            let found: Vec<&str> = self.fields.keys().take(12).map(String::as_str).collect();
            self.refuse(format!("it has no `{name}`; its fields are {}", found.join(", ")))
        })
    }

    /// A field that may be absent; a list of one text counts as that text.
    pub(super) fn optional(&self, name: &str) -> Result<Option<String>, Error> {
        match self.fields.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Array(list)) if list.len() == 1 && list[0].is_string() => {
                Ok(list[0].as_str().map(str::to_owned))
            }
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(_) => Err(self.refuse(format!("`{name}` is no text"))),
        }
    }

    /// A list of texts.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>, Error> {
        let list = self.fields.get(name).and_then(Value::as_array);
        let list = list.ok_or_else(|| self.refuse(format!("`{name}` is no list")))?;
        let text = |value: &Value| match value {
            Value::String(text) => Ok(text.clone()),
            Value::Number(number) => Ok(number.to_string()),
            _ => Err(self.refuse(format!("`{name}` holds something that is no text"))),
        };
        list.iter().map(text).collect()
    }

    /// The fields that scores are told by, as far as the record has them.
    pub(super) fn groups(&self, names: &[&str]) -> Result<std::collections::BTreeMap<String, String>, Error> {
        let group = |name: &&str| Ok(self.optional(name)?.map(|value| ((*name).to_owned(), value)));
        names.iter().filter_map(|name| group(name).transpose()).collect()
    }
}
