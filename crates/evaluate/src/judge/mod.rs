//! `judge`: a language model rates answers by a rubric.
//!
//! Each answer is judged at temperature 0, with a seed; a judgement without a rating of the rubric's scale is asked for
//! again and then counted as missing, never guessed. Answers of the judge are stored in a replay folder: a killed run asks
//! nothing twice.
//!
//! ```text
//! out/part-00000.jsonl   one judgement for each answer of a file of predictions
//! out/refused-00000.jsonl  what the judge said that was no rating
//! ```

mod judgement;
mod questions;
mod rating;
mod rubric;
mod task;

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use audsem_core::error::Error as CoreError;
use audsem_core::run::{
    FileFingerprint, Fingerprint, ModelFingerprint, Run, RunConfig, RunOptions, RunSpec, Shard, ShardError,
    ShardOutput, Step, Summary,
};
use audsem_llm::{Fault, GenerateStep, TextGenerator, Unanswered};
use serde::Serialize;

pub use judgement::{JudgeRecord, Judgement, JudgementOutcome, Judgements};
pub use rubric::{RatingScale, Rubric};

use crate::error::Error;
use crate::item::audiobench::AudioBenchSet;
use crate::prediction::Prediction;
use crate::score::ExtractionChoice;
use crate::score::predictions::{PredictionRun, for_each_prediction};
use questions::{ToJudge, read};
use task::{GivenRating, Judging, fatal};

/// The subcommand.
pub(crate) const COMMAND: &str = "judge";

/// What is judged, and how.
#[derive(Debug)]
pub struct Config {
    /// Run folders of `predict` or `import`.
    pub inputs: Vec<PathBuf>,
    /// How answers are extracted.
    pub extraction: ExtractionChoice,
    /// The rubric.
    pub rubric: Rubric,
    /// Maximum number of tokens of a judgement.
    pub max_tokens: u32,
    /// How often a judgement is asked for before it counts as missing.
    pub max_attempts: u32,
    /// What happens to answers about which the server said nothing. Not part of the hashed configuration.
    pub unanswered: Unanswered,
}

/// What decides the content of the output.
#[derive(Debug, Serialize)]
struct JudgeRun<'a> {
    by: JudgeRecord,
    runs: u32,
    extraction: &'a ExtractionChoice,
    max_tokens: u32,
    max_attempts: u32,
}

impl RunConfig for JudgeRun<'_> {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = COMMAND;
}

/// Data sets with a rubric of their own name.
const OWN_RUBRICS: [&str; 2] = ["mmar", "mmau-pro"];

/// The rubric of the data sets that a run is about: that of a data set of AudioBench, of MMAR, or of MMAU-Pro.
///
/// # Errors
/// This is no run of predictions, one of its data sets has no rubric, or two have different ones.
pub fn usual_rubric(inputs: &[PathBuf]) -> Result<String, Error> {
    let mut found: Option<(String, &str)> = None;
    let refuse = |problem: String| -> Error {
        let problem = format!("{problem}\nhint: choose with --rubric among {}", Rubric::names().join(", "));
        CoreError::Config { what: "--rubric".to_owned(), problem }.into()
    };
    for path in PredictionRun::open(inputs)?.files() {
        for_each_prediction(path, |_, prediction| {
            let Ok(Prediction { item, .. }) = prediction else { return Ok(()) };
            if found.as_ref().is_some_and(|(name, _)| *name == item.benchmark) {
                return Ok(());
            }
            let own = OWN_RUBRICS.into_iter().find(|name| *name == item.benchmark);
            let rubric = own.or_else(|| AudioBenchSet::named(&item.benchmark)?.rubric.as_deref());
            let rubric =
                rubric.ok_or_else(|| refuse(format!("no rubric belongs to answers about {}", item.benchmark)))?;
            match &found {
                Some((name, other)) if *other != rubric => {
                    Err(refuse(format!("{name} has the rubric {other}, and {} has {rubric}", item.benchmark)))
                }
                _ => {
                    found = Some((item.benchmark, rubric));
                    Ok(())
                }
            }
        })?;
    }
    found.map(|(_, rubric)| rubric.to_owned()).ok_or_else(|| refuse("there is no answer".to_owned()))
}

/// Judges the answers of a run.
///
/// # Errors
/// There are no predictions, and what [`Run::open`], [`Run::execute`] and the judge give.
pub fn run(
    config: &Config,
    judge: &dyn TextGenerator,
    models: Vec<ModelFingerprint>,
    options: &RunOptions,
) -> Result<Summary, Error> {
    let predictions = PredictionRun::open(&config.inputs)?;
    let files: Vec<PathBuf> = predictions.files().cloned().collect();
    let judging = Judging { rubric: &config.rubric, max_tokens: config.max_tokens, seed: options.seed };
    judging.check()?;
    let settings = JudgeRun {
        by: JudgeRecord {
            judge: judge.identity(),
            rubric: config.rubric.name.clone(),
            rubric_sha256: config.rubric.sha256.clone(),
            prompt: config.rubric.prompt_text.clone(),
            scale: config.rubric.scale.clone(),
        },
        runs: config.rubric.runs,
        extraction: &config.extraction,
        max_tokens: config.max_tokens,
        max_attempts: config.max_attempts,
    };
    let mut run = Run::open(options, RunSpec::new(&settings).inputs(&files).models(models))?;
    let plan = plan(&files)?;
    let step = Step { name: "part", unit: "answers", physical: "tok" };
    run.must_keep(step).explain(Fault::ALL);
    let generate =
        GenerateStep::new(&judging, judge).with_max_attempts(config.max_attempts).with_unanswered(config.unanswered);
    let extraction = config.extraction.of(&predictions.record);
    let rubric = &config.rubric;
    let shard = ShardJudge { rubric, generate: &generate, extraction };
    let report = run.execute(step, &plan, |path, out| shard.judge(path, out))?;
    let count = |name: &str| report.stats.counts.get(name).copied().unwrap_or(0);
    if report.complete {
        generate.finish(count("rated"), count("rejected_answers"))?;
    }
    let results = ["rated", "no-rating", "no-answer", "wrong"].map(|name| (name, count(name)));
    Ok(results.into_iter().fold(run.finish()?, |summary, (name, n)| summary.with_result(name, n)))
}

/// A shard for each file of predictions.
fn plan(files: &[PathBuf]) -> Result<Vec<Shard<PathBuf>>, Error> {
    let mut plan = Vec::new();
    for (i, path) in files.iter().enumerate() {
        let fingerprint = Fingerprint::new().with_file(&FileFingerprint::of_output(path)?).finish();
        plan.push(Shard { name: format!("{i:05}"), fingerprint, work: path.clone() });
    }
    Ok(plan)
}

/// Judges the answers in a file of predictions.
struct ShardJudge<'a> {
    rubric: &'a Rubric,
    generate: &'a GenerateStep<'a, Judging<'a>>,
    extraction: crate::score::Extraction,
}

impl ShardJudge<'_> {
    fn judge(&self, path: &Path, out: &mut ShardOutput) -> Result<(), ShardError> {
        let (answers, unreadable) = read(path, self.extraction, self.rubric).map_err(fatal)?;
        let questions: Vec<_> = answers.iter().flat_map(|answer| &answer.questions).cloned().collect();
        let given = if out.dry_run() { Vec::new() } else { self.generate.run(&questions, out)? };
        let mut ratings: HashMap<String, GivenRating> = HashMap::new();
        let mut faults = HashMap::new();
        for (question, answered) in questions.iter().zip(given) {
            match answered.outcome() {
                Ok(rating) => _ = ratings.insert(question.key.clone(), rating),
                Err(fault) => _ = faults.insert(question.key.clone(), fault),
            }
        }
        out.announce(answers.len() as u64 + unreadable.len() as u64);
        for (place, problem) in unreadable {
            out.file(&place, Err::<(), _>(problem));
        }
        let mut file = out.create(format!("part-{}.jsonl", out.name()))?;
        for answer in answers {
            let judgement = self.judgement(&answer, &ratings);
            out.count(judgement.outcome.name(), 1);
            let fault = answer.questions.iter().find_map(|question| faults.remove(&question.key));
            let outcome = fault.filter(|_| judgement.rating.is_none()).map_or(Ok(()), Err);
            out.file(&answer.key, outcome);
            let line = serde_json::to_string(&judgement).map_err(ShardError::fatal)?;
            writeln!(file, "{line}").map_err(CoreError::write(file.path()))?;
        }
        Ok(out.close(file)?)
    }

    /// The judgement that follows from the ratings of an answer.
    fn judgement(&self, answer: &ToJudge, ratings: &HashMap<String, GivenRating>) -> Judgement {
        let given: Vec<Option<&GivenRating>> =
            answer.questions.iter().map(|question| ratings.get(&question.key)).collect();
        let rated: Vec<f64> = given.iter().flatten().map(|given| given.rating).collect();
        let (outcome, rating) = match (answer.settled, self.rubric.combined(&rated)) {
            (Some(settled @ JudgementOutcome::Wrong), _) => (settled, Some(0.0)),
            (Some(settled), _) => (settled, Some(self.rubric.scale.lowest)),
            (None, Some(rating)) => (JudgementOutcome::Rated, Some(rating)),
            (None, None) => (JudgementOutcome::NoRating, None),
        };
        Judgement {
            benchmark: answer.benchmark.clone(),
            id: answer.id.clone(),
            heard: answer.heard,
            outcome,
            rating,
            ratings: given.iter().map(|given| given.map(|given| given.rating)).collect(),
            responses: given.iter().map(|given| given.map(|given| given.response.clone())).collect(),
        }
    }
}
