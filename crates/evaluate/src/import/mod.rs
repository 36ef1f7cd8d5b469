//! `import`: answers that another program made, joined with the questions of their benchmark.
//!
//! ```text
//! out/part-00000.jsonl      one prediction for each question, in the order of the questions
//! ```
//!
//! Answers are joined by the ids of their questions, never by their order. A question without one counts, as `absent`.

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
use crate::item::{BenchmarkItems, EvaluationItem};
use crate::prediction::{HeardSound, Prediction, PredictionStatus};
use answers::{ForeignAnswer, read_answers};

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
    run.execute(step, &plan, |(), out| join(config, out))?;
    Ok(run.finish()?.with_result("questions", config.questions.items.len()))
}

fn join(config: &Config, out: &mut ShardOutput) -> Result<(), ShardError> {
    let ids: HashMap<&str, usize> =
        config.questions.items.iter().enumerate().map(|(n, item)| (item.id.as_str(), n)).collect();
    let mut given: Vec<Option<ForeignAnswer>> = vec![None; config.questions.items.len()];
    for path in &config.answers {
        for answer in read_answers(path, config.field.as_deref()).map_err(ShardError::fatal)? {
            let left_out = match ids.get(answer.id.as_str()) {
                None => Some(ForeignAnswerFault::UnknownQuestion),
                Some(n) if given[*n].is_some() => Some(ForeignAnswerFault::RepeatedQuestion),
                Some(n) => {
                    given[*n] = Some(answer.clone());
                    None
                }
            };
            if let Some(fault) = left_out {
                out.file_left_out(&answer.id, LeftOut::fail(fault, path.display().to_string()));
            }
        }
    }
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

/// Nothing is known of how the question was put, so it counts as put in the published order, with its sounds.
fn prediction(item: &EvaluationItem, index: usize, answer: Option<ForeignAnswer>) -> Prediction {
    let status = if answer.is_some() { PredictionStatus::Answered } else { PredictionStatus::Absent };
    Prediction {
        item: item.clone(),
        index: index as u64,
        heard: HeardSound::Sound,
        permutation: 0,
        shown_choices: item.choices.clone(),
        prompt_sha256: String::new(),
        status,
        problem: None,
        output: answer.map(|answer| answer.text),
        prompt_tokens: None,
        text_tokens: None,
        output_tokens: None,
        sounds: Vec::new(),
    }
}
