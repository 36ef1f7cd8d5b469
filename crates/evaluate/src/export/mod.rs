//! `export`: predictions and scores in the files that other scorers read.
//!
//! ```text
//! mmau         out/mmau.json                 the published records with `model_output` and `model_prediction`
//! submission   out/mmau.json                 the same without right answers, for the hidden test
//! mmar         out/mmar.jsonl                with `answer_prediction` and `thinking_prediction`
//! mmau-pro     out/mmau-pro.parquet          what its scorer reads, with `model_output`
//! audiobench   out/log/MODEL/DATASET_-1.json and DATASET_METRIC_-1_score.json
//! ```
//!
//! A file has every question, in the order of the data set: one without an answer has an empty one.

mod audiobench;
mod published;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use audsem_core::error::Error as CoreError;
use audsem_core::run::{
    Fingerprint, LeftOut, Run, RunConfig, RunOptions, RunSpec, Shard, ShardError, ShardOutput, Step, Summary,
};
use audsem_metrics::meteor::WordNet;
use audsem_metrics::normalise::Compat;
use audsem_metrics::sentences::SentenceModel;
use serde::{Deserialize, Serialize};

pub use published::MmauProAnswer;

use crate::error::Error;
use crate::judge::Judgements;
use crate::prediction::{HeardSound, Prediction};
use crate::score::predictions::{PredictionRun, for_each_prediction};
use crate::score::{ExtractionChoice, ItemScorer, ScoreFault};
use crate::tables::ItemScore;

/// The files that can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ExportFormat {
    /// JSON for the official scorer of MMAU
    Mmau,
    /// The same without right answers, for the hidden test of MMAU
    Submission,
    /// JSON lines for the scorer of MMAR
    Mmar,
    /// Parquet for the scorer of MMAU-Pro
    MmauPro,
    /// Files of predictions and of scores as AudioBench writes them
    Audiobench,
}

/// What is exported.
#[derive(Debug)]
pub struct Config {
    /// Run folders of `predict` or `import`.
    pub inputs: Vec<PathBuf>,
    /// The files.
    pub format: ExportFormat,
    /// How answers are extracted.
    pub extraction: ExtractionChoice,
    /// Run folder of `judge`, for AudioBench.
    pub judgements: Option<PathBuf>,
    /// Folder of WordNet's database, for AudioBench's METEOR.
    pub wordnet: Option<PathBuf>,
    /// What AudioBench calls the model.
    pub model_name: String,
}

/// What decides the content of the output.
#[derive(Debug, Serialize)]
struct ExportRun<'a> {
    format: ExportFormat,
    extraction: &'a ExtractionChoice,
    model_name: &'a str,
    judged: bool,
    wordnet: bool,
}

impl RunConfig for ExportRun<'_> {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "export";
}

/// A prediction and its scores.
struct Exported {
    /// Number of the run.
    run: usize,
    prediction: Prediction,
    row: ItemScore,
}

impl Exported {
    /// The answer; empty where there is none.
    fn answer(&self) -> &str {
        self.row.answer.as_deref().unwrap_or_default()
    }
}

/// Writes the files.
///
/// # Errors
/// There are no predictions, or none that the format can hold, and what [`Run::open`] and [`Run::execute`] give.
pub fn run(config: &Config, options: &RunOptions) -> Result<Summary, Error> {
    let name = &config.model_name;
    if name.is_empty() || name.contains(['/', '\\']) || name.starts_with('.') {
        let problem = format!("a name of a folder is expected, not {name:?}");
        return Err(CoreError::Config { what: "--model-name".to_owned(), problem }.into());
    }
    let predictions = PredictionRun::open(&config.inputs)?;
    let judged = |folder| Judgements::over(folder, &predictions, &config.extraction);
    let judgements = config.judgements.as_deref().map(judged).transpose()?;
    let wordnet = config.wordnet.as_deref().map(WordNet::open).transpose()?;
    let settings = ExportRun {
        format: config.format,
        extraction: &config.extraction,
        model_name: name,
        judged: judgements.is_some(),
        wordnet: config.wordnet.is_some(),
    };
    let mut inputs: Vec<PathBuf> = predictions.files().cloned().collect();
    inputs.extend(judgements.iter().flat_map(|judgements| judgements.files.clone()));
    let mut run = Run::open(options, RunSpec::new(&settings).inputs(&inputs))?;
    let scorer = ItemScorer {
        extraction: config.extraction.of(&predictions.record),
        compat: Compat::Fixed,
        normaliser: None,
        thai: None,
        sentences: &SentenceModel::english(),
        wordnet: wordnet.as_ref(),
        judgements: judgements.as_ref(),
    };
    let fingerprint = run.inputs().iter().fold(Fingerprint::new(), Fingerprint::with_file).finish();
    let plan = [Shard { name: "all".to_owned(), fingerprint, work: predictions }];
    let step = Step { name: "part", unit: "answers", physical: "" };
    run.must_keep(step).explain(ScoreFault::ALL);
    run.execute(step, &plan, |predictions, out| {
        let data_sets = read(predictions, &scorer, out)?;
        write(config, judgements.as_ref(), &data_sets, out)
    })?;
    Ok(run.finish()?)
}

/// The answers by data set, those of each run in their order, with sounds and with the options as published.
fn read(
    predictions: &PredictionRun,
    scorer: &ItemScorer<'_>,
    out: &mut ShardOutput,
) -> Result<BTreeMap<String, Vec<Exported>>, ShardError> {
    let mut data_sets: BTreeMap<String, Vec<Exported>> = BTreeMap::new();
    let (mut seen, mut repeated, mut other) = (BTreeSet::new(), None, 0);
    let files = predictions.runs.iter().enumerate().flat_map(|(run, files)| files.iter().map(move |path| (run, path)));
    for (run, path) in files {
        for_each_prediction(path, |place, prediction| {
            let prediction = prediction.map_err(|problem| LeftOut::fail(ScoreFault::NotAPrediction, problem));
            let is_wanted = |asked: &Prediction| asked.heard == HeardSound::Sound && asked.permutation == 0;
            if prediction.as_ref().is_ok_and(|asked| !is_wanted(asked)) {
                other += 1;
                return Ok(());
            }
            let Some(prediction) = out.file(place, prediction) else { return Ok(()) };
            let key = (prediction.item.benchmark.clone(), prediction.item.id.clone());
            if !seen.insert(key.clone()) {
                repeated.get_or_insert(key);
            }
            let row = scorer.score(&prediction);
            data_sets.entry(row.benchmark.clone()).or_default().push(Exported { run, prediction, row });
            Ok(())
        })
        .map_err(ShardError::fatal)?;
    }
    if let Some((benchmark, id)) = repeated {
        return Err(ShardError::Input(format!("two answers to question {id} of {benchmark}")));
    }
    out.count("asked_in_other_ways", other);
    data_sets.values_mut().for_each(|answers| answers.sort_by_key(|answer| (answer.run, answer.prediction.index)));
    Ok(data_sets)
}

fn write(
    config: &Config,
    judgements: Option<&Judgements>,
    data_sets: &BTreeMap<String, Vec<Exported>>,
    out: &mut ShardOutput,
) -> Result<(), ShardError> {
    for (name, answers) in data_sets {
        match config.format {
            ExportFormat::Mmau => out.write_file(format!("{name}.json"), &published::mmau(answers, false)?)?,
            ExportFormat::Submission => out.write_file(format!("{name}.json"), &published::mmau(answers, true)?)?,
            ExportFormat::Mmar => out.write_file(format!("{name}.jsonl"), &published::mmar(answers)?)?,
            ExportFormat::MmauPro => {
                let mut file = out.create(format!("{name}.parquet"))?;
                published::mmau_pro(answers, &mut file)?;
                out.close(file)?;
            }
            ExportFormat::Audiobench => {
                for (file, value) in audiobench::files(name, answers, judgements, config.wordnet.is_some()) {
                    let path = format!("log/{}/{file}", config.model_name);
                    out.write_file(path, &published::indented(&value, b"    ")?)?;
                }
            }
        }
    }
    Ok(())
}
