//! `import`: answers that another program made, joined with the questions of their benchmark.
//!
//! ```text
//! out/part-00000.jsonl      one prediction for each question, in the order of the questions
//! ```
//!
//! Answers are joined by the ids of their questions, or where records have none, by what they say of it: the sound and the right
//! answer, or the right answer at the place of the row. Where a record repeats its question it must be that of the benchmark,
//! because versions of a benchmark have other questions under the same ids. A question without an answer counts, as `absent`.

mod answers;

use std::collections::HashMap;
use std::io::Write as _;
use std::path::PathBuf;

use audsem_core::error::Error as CoreError;
use audsem_core::run::{
    FileFingerprint, Fingerprint, LeftOut, Run, RunConfig, RunOptions, RunSpec, Shard, ShardError, ShardOutput, Step,
    Summary,
};
use serde::Serialize;

use crate::error::Error;
use crate::item::audiobench::AudioBenchSet;
use crate::item::{BenchmarkItems, EvaluationItem};
use crate::prediction::{HeardSound, Prediction, PredictionStatus};
use answers::{ForeignAnswer, OrderedAnswer, QuestionName, read_answers, read_ordered};

/// Settings of `import`.
#[derive(Debug, Clone)]
pub struct Config {
    /// The questions.
    pub questions: BenchmarkItems,
    /// Files of answers.
    pub answers: Vec<PathBuf>,
    /// The field of the answer, where it has a name of its own.
    pub field: Option<String>,
}

/// What decides the content of the output.
#[derive(Serialize)]
struct HashedConfig<'a> {
    questions_sha256: &'a str,
    field: Option<&'a str>,
}

impl RunConfig for HashedConfig<'_> {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "import";
}

audsem_core::reasons! {
    /// Why an answer is left out.
    pub enum ForeignAnswerFault {
        UnknownQuestion = "unknown_question": "the benchmark has no question with this id",
        RepeatedQuestion = "repeated_question": "the question has an answer already; the first one counts",
        OtherQuestion = "other_question":
            "the record has another question or other options than the benchmark has under this id: look whether --data is \
             the version that was answered",
        AmbiguousQuestion = "ambiguous_question": "the record names a sound that several questions are about",
    }
}

/// Joins answers with their questions.
///
/// # Errors
/// A file has no answers, none of them is about a question of the benchmark, and what [`Run::open`] and [`Run::execute`] give.
pub fn run(config: &Config, options: &RunOptions) -> Result<Summary, Error> {
    let record = HashedConfig { questions_sha256: &config.questions.content_sha256, field: config.field.as_deref() };
    let mut run = Run::open(options, RunSpec::new(&record).inputs(&config.answers))?;
    let mut fingerprint = Fingerprint::new();
    for path in config.questions.files.iter().chain(&config.answers) {
        fingerprint = fingerprint.with_file(&FileFingerprint::of(path)?);
    }
    let plan = [Shard { name: "00000".to_owned(), fingerprint: fingerprint.finish(), work: () }];
    let step = Step { name: "part", unit: "answers", physical: "" };
    run.must_keep(step).explain(ForeignAnswerFault::ALL);
    let report = run.execute(step, &plan, |(), out| join(config, out))?;
    let absent = report.stats.counts.get("absent").copied().unwrap_or(0);
    let summary = run.finish()?.with_result("questions", config.questions.items.len()).with_result("absent", absent);
    let summary = summary.with_result("questions_sha256", config.questions.content_sha256.clone());
    let notes = &config.questions.notes;
    Ok(if notes.is_empty() { summary } else { summary.with_result("notes", notes.clone()) })
}

fn join(config: &Config, out: &mut ShardOutput) -> Result<(), ShardError> {
    let given = match in_order(config).map_err(ShardError::fatal)? {
        Some(given) => given,
        None => by_name(config, out)?,
    };
    let absent = given.iter().filter(|answer| answer.is_none()).count();
    out.count("absent", absent as u64);
    if absent == given.len() {
        let problem =
            "no answer is about a question of this benchmark\nhint: look whether --data is the file that was answered";
        return Err(ShardError::fatal(CoreError::Config { what: "--answers".to_owned(), problem: problem.to_owned() }));
    }
    let mut file = out.create(format!("part-{}.jsonl", out.name()))?;
    for (index, (item, answer)) in config.questions.items.iter().zip(given).enumerate() {
        let line = serde_json::to_string(&prediction(item, index, answer)).map_err(ShardError::fatal)?;
        writeln!(file, "{line}").map_err(CoreError::write(file.path()))?;
    }
    out.file_kept(config.questions.items.len() as u64);
    Ok(out.close(file)?)
}

/// The answers to the questions, by what each record says of its own.
fn by_name(config: &Config, out: &mut ShardOutput) -> Result<Vec<Option<String>>, ShardError> {
    let questions = QuestionIndex::new(&config.questions.items);
    let mut given: Vec<Option<String>> = vec![None; config.questions.items.len()];
    for path in &config.answers {
        for answer in read_answers(path, config.field.as_deref()).map_err(ShardError::fatal)? {
            let ForeignAnswer { question, asked, text } = answer;
            let left_out = match questions.find(&question) {
                Err(fault) => Some(fault),
                Ok(n) if !asked.may_be(&config.questions.items[n]) => Some(ForeignAnswerFault::OtherQuestion),
                Ok(n) if given[n].is_some() => Some(ForeignAnswerFault::RepeatedQuestion),
                Ok(n) => {
                    given[n] = Some(text);
                    None
                }
            };
            if let Some(fault) = left_out {
                out.file_left_out(question.text(), LeftOut::fail(fault, path.display().to_string()));
            }
        }
    }
    Ok(given)
}

/// Questions by their names.
struct QuestionIndex<'a> {
    items: &'a [EvaluationItem],
    ids: HashMap<&'a str, usize>,
    sounds: HashMap<&'a str, Vec<usize>>,
}

impl<'a> QuestionIndex<'a> {
    fn new(items: &'a [EvaluationItem]) -> Self {
        let ids = items.iter().enumerate().map(|(n, item)| (item.id.as_str(), n)).collect();
        let mut sounds: HashMap<&str, Vec<usize>> = HashMap::new();
        for (n, item) in items.iter().enumerate() {
            item.sounds.iter().for_each(|name| sounds.entry(name.trim_start_matches("./")).or_default().push(n));
        }
        Self { items, ids, sounds }
    }

    fn find(&self, question: &QuestionName) -> Result<usize, ForeignAnswerFault> {
        let (name, right) = match question {
            QuestionName::Id(id) => {
                return self.ids.get(id.as_str()).copied().ok_or(ForeignAnswerFault::UnknownQuestion);
            }
            QuestionName::Sound { name, right } => (name.trim_start_matches("./"), right),
        };
        let fits = |n: &&usize| {
            let references = &self.items[**n].references;
            right.as_ref().is_none_or(|right| references.iter().any(|reference| reference.trim() == right.trim()))
        };
        let found: Vec<&usize> = self.sounds.get(name).into_iter().flatten().filter(fits).collect();
        match found.as_slice() {
            [] => Err(ForeignAnswerFault::UnknownQuestion),
            [only] => Ok(**only),
            _ => Err(ForeignAnswerFault::AmbiguousQuestion),
        }
    }
}

/// The answers of a file of AudioBench, which has a record for each row, in their order; `None` for other files.
fn in_order(config: &Config) -> Result<Option<Vec<Option<String>>>, Error> {
    let items = &config.questions.items;
    let (Some(set), [path]) =
        (items.first().and_then(|item| AudioBenchSet::named(&item.benchmark)), config.answers.as_slice())
    else {
        return Ok(None);
    };
    let Some(records) = read_ordered(path, config.field.as_deref())? else { return Ok(None) };
    if records.len() != items.len() {
        let problem = format!(
            "it has {} records, and the data set {} rows\nhint: --subset takes the rows of a shorter file",
            records.len(),
            items.len()
        );
        return Err(CoreError::input(path, problem).into());
    }
    let bare =
        |text: &str| set.lead_in.as_deref().and_then(|lead| text.strip_prefix(lead)).unwrap_or(text).trim().to_owned();
    for (n, (OrderedAnswer { reference, .. }, item)) in records.iter().zip(items).enumerate() {
        let right = item.published.get("reference").and_then(serde_json::Value::as_str).unwrap_or_default();
        if bare(reference) != bare(right) {
            let problem = format!(
                "record {}: its right answer is {reference:?}, and that of row {} is {right:?}: these are not the same rows",
                n + 1,
                item.id
            );
            return Err(CoreError::input(path, problem).into());
        }
    }
    Ok(Some(records.into_iter().map(|record| record.text).collect()))
}

/// Nothing is known of how the question was put, so it counts as put in the published order, with its sounds.
fn prediction(item: &EvaluationItem, index: usize, output: Option<String>) -> Prediction {
    let status = if output.is_some() { PredictionStatus::Answered } else { PredictionStatus::Absent };
    Prediction {
        item: item.clone(),
        index: index as u64,
        heard: HeardSound::Sound,
        permutation: 0,
        shown_choices: item.choices.clone(),
        prompt_sha256: String::new(),
        status,
        problem: None,
        output,
        prompt_tokens: None,
        text_tokens: None,
        output_tokens: None,
        sounds: Vec::new(),
    }
}
