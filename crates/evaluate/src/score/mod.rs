//! `score`: what the answers of a run are worth under every convention, with their uncertainty.
//!
//! ```text
//! out/scores.parquet   one row for each prediction: the answer and its scores
//! out/summary.json     metrics with intervals, by data set, by what the model heard, and by group
//! ```
//!
//! Only predictions are read: neither the model that wrote them nor the sounds are needed. A question without sound, or without
//! an answer, is wrong; a question whose right answer is withheld is counted, and not scored.

pub mod audit;
pub mod extract;
pub mod fense;
mod headlines;
pub mod item;
pub mod letters;
pub mod predictions;
mod several;
pub mod summary;
#[cfg(test)]
pub(crate) mod testing;
pub mod translations;
pub mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use audsem_core::error::Error as CoreError;
use audsem_core::input;
use audsem_core::run::{
    Fingerprint, LeftOut, Run, RunConfig, RunOptions, RunSpec, Shard, ShardError, ShardOutput, Step, Summary,
};
use audsem_core::tables::{csv_lines, write_parquet};
use audsem_metrics::bleu::BleuTokenizer;
use audsem_metrics::interval::Resampling;
use audsem_metrics::meteor::WordNet;
use audsem_metrics::normalise::{Compat, ThaiWords};
use audsem_metrics::sentences::SentenceModel;
use serde::{Deserialize, Serialize};

pub use extract::{AnswerSource, Extraction, ExtractionChoice, ExtractionRule, TagsAsked};
pub use item::ItemScorer;
pub use summary::{BenchmarkSummary, HeardSummary, MetricKind, ScoreSummary};

use crate::error::Error;
use crate::judge::{JudgeRecord, Judgements};
use crate::tables::ItemScore;
use fense::FenseModels;
use predictions::{PredictionRun, for_each_prediction};
use summary::{Estimator, SummarySettings};
use translations::{BleuModel, BleuTokens};
pub use words::Normaliser;

/// The table of scores.
pub const SCORES_FILE: &str = "scores.parquet";
/// The summary.
pub const SUMMARY_FILE: &str = "summary.json";

audsem_core::reasons! {
    /// Why a line of predictions is left out.
    pub enum ScoreFault {
        NotAPrediction = "not_a_prediction": "the line is no prediction as `predict` and `import` write them",
    }
}

/// What is scored, and how.
#[derive(Debug)]
pub struct Config {
    /// Run folders of `predict` or `import`.
    pub inputs: Vec<PathBuf>,
    /// Run folder of `judge` over the same predictions.
    pub judgements: Option<PathBuf>,
    /// How answers are extracted.
    pub extraction: ExtractionChoice,
    /// Whether the published scripts are followed in their faults: those of their text rules, and that questions without
    /// sound do not count.
    pub compat: Compat,
    /// How words of transcripts are compared; `None` for the rules of each data set.
    pub normaliser: Option<Normaliser>,
    /// The words of Thai, one on each line.
    pub thai_words: Option<PathBuf>,
    /// Folder of a model of NLTK that tells sentences apart, for instructions; `None` for common abbreviations of English.
    pub punkt: Option<PathBuf>,
    /// How BLEU cuts texts into tokens; `None` for the rules of each data set.
    pub bleu: Option<BleuTokenizer>,
    /// A SentencePiece model whose pieces are the tokens of BLEU.
    pub bleu_model: Option<PathBuf>,
    /// Folder of WordNet's database, for METEOR.
    pub wordnet: Option<PathBuf>,
    /// SPICE of captions: a CSV file with the columns `id` and `spice`.
    pub spice: Option<PathBuf>,
    /// Folders of the encoder of sentences and of the error detector of FENSE.
    pub fense: Option<[PathBuf; 2]>,
    /// Resamples of each bootstrap interval.
    pub resamples: u32,
}

/// What decides the content of the output.
#[derive(Debug, Serialize)]
struct ScoreRun<'a> {
    extraction: &'a ExtractionChoice,
    compat: Compat,
    normaliser: Option<Normaliser>,
    thai_words: bool,
    punkt: bool,
    bleu: Option<BleuTokenizer>,
    bleu_model: Option<&'a str>,
    wordnet: bool,
    spice: bool,
    fense: bool,
    resamples: u32,
    judge: Option<&'a JudgeRecord>,
}

impl RunConfig for ScoreRun<'_> {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "score";
}

/// A line of the file of SPICE.
#[derive(Deserialize)]
struct SpiceLine {
    id: String,
    spice: f64,
}

/// Scores the predictions of one run, or of several that asked different questions in the same way.
///
/// # Errors
/// There are no predictions, a file that is named cannot be read, and what [`Run::open`] and [`Run::execute`] give.
pub fn run(config: &Config, options: &RunOptions) -> Result<Summary, Error> {
    let predictions = PredictionRun::open(&config.inputs)?;
    let judged = |folder| Judgements::over(folder, &predictions, &config.extraction);
    let judgements = config.judgements.as_deref().map(judged).transpose()?;
    let wordnet = config.wordnet.as_deref().map(WordNet::open).transpose()?;
    let thai = config.thai_words.as_deref().map(ThaiWords::open).transpose()?;
    let sentences = config.punkt.as_deref().map_or_else(|| Ok(SentenceModel::english()), SentenceModel::open)?;
    let fense = config.fense.as_ref().map(|[sentence, errors]| FenseModels::open(sentence, errors)).transpose()?;
    let bleu_model = config.bleu_model.as_deref().map(BleuModel::open).transpose()?;
    let settings = ScoreRun {
        extraction: &config.extraction,
        compat: config.compat,
        normaliser: config.normaliser,
        thai_words: config.thai_words.is_some(),
        punkt: config.punkt.is_some(),
        bleu: config.bleu,
        bleu_model: bleu_model.as_ref().map(|model| model.sha256.as_str()),
        wordnet: config.wordnet.is_some(),
        spice: config.spice.is_some(),
        fense: fense.is_some(),
        resamples: config.resamples,
        judge: judgements.as_ref().map(|judgements| &judgements.by),
    };
    let mut inputs: Vec<PathBuf> = predictions.files().cloned().collect();
    inputs.extend(judgements.iter().flat_map(|judgements| judgements.files.clone()));
    inputs.extend(config.spice.clone());
    inputs.extend(config.thai_words.clone());
    inputs.extend(config.punkt.iter().flat_map(|folder| SentenceModel::files(folder)));
    inputs.extend(config.bleu_model.clone());
    let models = fense.as_ref().map(|fense| fense.fingerprints.clone()).unwrap_or_default();
    let mut run = Run::open(options, RunSpec::new(&settings).inputs(&inputs).models(models))?;
    let scoring = Scoring {
        config,
        scorer: ItemScorer {
            extraction: config.extraction.of(&predictions.record),
            compat: config.compat,
            normaliser: config.normaliser,
            thai: thai.as_ref(),
            sentences: &sentences,
            wordnet: wordnet.as_ref(),
            judgements: judgements.as_ref(),
        },
        bleu_model: bleu_model.as_ref(),
        fense: fense.as_ref(),
        seed: options.seed,
        spice: config.spice.as_deref().map(spice).transpose()?,
    };
    let fingerprint = run.inputs().iter().fold(Fingerprint::new(), Fingerprint::with_file).finish();
    let plan = [Shard { name: "all".to_owned(), fingerprint, work: predictions }];
    let step = Step { name: "part", unit: "answers", physical: "" };
    run.must_keep(step).explain(ScoreFault::ALL);
    let report = run.execute(step, &plan, |predictions, out| scoring.work(predictions, out))?;
    let summary = run.finish()?;
    match report.complete && !options.dry_run {
        true => headlines::add(summary, &options.output.join(SUMMARY_FILE)),
        false => Ok(summary),
    }
}

/// SPICE by question.
fn spice(path: &Path) -> Result<BTreeMap<String, f64>, Error> {
    let bytes = input::read_whole(path)?;
    let damaged = |error: String| CoreError::input(path, format!("expected the columns id and spice: {error}"));
    let lines = csv_lines::<SpiceLine, _>(bytes.as_slice()).map_err(|error| damaged(error.to_string()))?;
    let mut by_question = BTreeMap::new();
    for line in lines {
        let SpiceLine { id, spice } = line.map_err(|error| damaged(error.to_string()))?;
        if let Some(other) = by_question.insert(id.clone(), spice).filter(|other| *other != spice) {
            let problem = format!("question {id} has two values, {other} and {spice}");
            return Err(CoreError::input(path, problem).into());
        }
    }
    Ok(by_question)
}

/// Scores predictions and sums them up.
struct Scoring<'a> {
    config: &'a Config,
    scorer: ItemScorer<'a>,
    bleu_model: Option<&'a BleuModel>,
    fense: Option<&'a FenseModels>,
    seed: u64,
    spice: Option<BTreeMap<String, f64>>,
}

impl Scoring<'_> {
    fn work(&self, predictions: &PredictionRun, out: &mut ShardOutput) -> Result<(), ShardError> {
        let mut rows = self.rows(predictions, out)?;
        refuse_repeated(&rows)?;
        summary::add_cider(&mut rows);
        self.add_spice(&mut rows);
        let highest = self.scorer.judgements.map_or(1.0, |judgements| judgements.by.scale.highest);
        summary::add_overall(&mut rows, highest);
        if let Some(fense) = self.fense {
            fense.add(&mut rows).map_err(ShardError::fatal)?;
        }
        let mut file = out.create(SCORES_FILE)?;
        write_parquet(&rows, &mut file).map_err(ShardError::fatal)?;
        out.close(file)?;
        let mut json = serde_json::to_vec_pretty(&self.summary(predictions, &rows)).map_err(ShardError::fatal)?;
        json.push(b'\n');
        Ok(out.write_file(SUMMARY_FILE, &json)?)
    }

    fn rows(&self, predictions: &PredictionRun, out: &mut ShardOutput) -> Result<Vec<ItemScore>, ShardError> {
        let mut rows = Vec::new();
        for path in predictions.files() {
            for_each_prediction(path, |place, prediction| {
                let prediction = prediction.map_err(|problem| LeftOut::fail(ScoreFault::NotAPrediction, problem));
                if let Some(prediction) = out.file(place, prediction) {
                    rows.push(self.scorer.score(&prediction));
                }
                Ok(())
            })
            .map_err(ShardError::fatal)?;
        }
        Ok(rows)
    }

    fn add_spice(&self, rows: &mut [ItemScore]) {
        let Some(spice) = &self.spice else { return };
        for row in rows.iter_mut().filter(|row| row.kind == "caption" && row.heard == "sound") {
            row.spice = spice.get(&row.id).copied();
        }
    }

    fn summary(&self, predictions: &PredictionRun, rows: &[ItemScore]) -> ScoreSummary {
        let judge = self.scorer.judgements.map(|judgements| judgements.by.clone());
        let resampling = Resampling { draws: self.config.resamples, seed: self.seed };
        let bleu_model = self.bleu_model.map(|model| model.sha256.clone());
        let judge_scale = judge.as_ref().map_or(1.0, |judge| judge.scale.scale);
        let summaries = SummarySettings {
            estimator: Estimator {
                resampling,
                bleu: match (self.bleu_model, self.config.bleu) {
                    (Some(model), _) => BleuTokens::Pieces(&model.pieces),
                    (None, Some(tokenizer)) => BleuTokens::Rules(tokenizer),
                    (None, None) => BleuTokens::OfDataSet,
                },
                wordnet: self.scorer.wordnet.is_some(),
                judge_scale,
            },
            target_words: predictions.record.target_words(),
            normaliser: self.config.normaliser,
            thai_words: self.config.thai_words.is_some(),
            bleu_model: bleu_model.clone(),
            spice: self.spice.is_some(),
        };
        ScoreSummary {
            predictions: predictions.record.clone(),
            judge,
            bleu_tokens: self.config.bleu,
            bleu_model,
            resamples: resampling.draws,
            benchmarks: summaries.benchmarks(rows),
        }
    }
}

/// Refuses two answers to the same question, asked in the same way: a score would count it twice.
fn refuse_repeated(rows: &[ItemScore]) -> Result<(), ShardError> {
    let mut seen = BTreeSet::new();
    for row in rows {
        if !seen.insert((&row.benchmark, &row.id, &row.heard, row.permutation)) {
            let ItemScore { benchmark, id, heard, permutation, .. } = row;
            let problem = format!("two answers to question {id} of {benchmark}, heard {heard}, order {permutation}");
            return Err(ShardError::Input(problem));
        }
    }
    Ok(())
}
