//! What a judge has said, one JSON line for each answer.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use audsem_core::error::Error as CoreError;
use audsem_core::input;
use audsem_core::run::{CompletedRun, FileFingerprint};
use serde::{Deserialize, Serialize};

use super::rubric::RatingScale;
use crate::error::Error;
use crate::prediction::HeardSound;
use crate::score::ExtractionChoice;
use crate::score::predictions::{PredictionRun, RunRecord, no_run_of};

/// What became of a judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JudgementOutcome {
    /// The judge has given a rating.
    Rated,
    /// However often it was asked, the judge gave no rating of the scale.
    NoRating,
    /// There is no answer to judge; the lowest rating counts.
    NoAnswer,
    /// The rubric grades right answers only, and the answer is wrong or not there; 0 counts.
    Wrong,
}

impl JudgementOutcome {
    /// The name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rated => "rated",
            Self::NoRating => "no-rating",
            Self::NoAnswer => "no-answer",
            Self::Wrong => "wrong",
        }
    }
}

/// A judgement on one answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judgement {
    /// The data set.
    pub benchmark: String,
    /// The question.
    pub id: String,
    /// What the model heard.
    pub heard: HeardSound,
    /// What became of it.
    pub outcome: JudgementOutcome,
    /// The rating that counts, in the scale of the rubric; none where the judge gave none.
    pub rating: Option<f64>,
    /// The ratings of all runs of the judge; null for one that gave none.
    pub ratings: Vec<Option<f64>>,
    /// What the judge said in its runs; null where it was of no use.
    pub responses: Vec<Option<String>>,
}

/// Who judged, and by what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JudgeRecord {
    /// The judge.
    pub judge: String,
    /// Name of the rubric.
    pub rubric: String,
    /// SHA-256 of its file.
    pub rubric_sha256: String,
    /// The text of its prompt, with its slots.
    #[serde(default)]
    pub prompt: String,
    /// Its scale.
    pub scale: RatingScale,
}

impl JudgeRecord {
    /// Whether scores of both may be compared: equal judges with equal rubrics.
    #[must_use]
    pub fn is_comparable(&self, other: &Self) -> bool {
        self == other
    }
}

/// The judgements of one run of `judge`.
#[derive(Debug, Clone)]
pub struct Judgements {
    /// The files, in their order.
    pub files: Vec<PathBuf>,
    /// Who judged.
    pub by: JudgeRecord,
    by_answer: HashMap<(String, String, HeardSound), Judgement>,
}

impl Judgements {
    /// Reads the run folder of `judge` over these predictions.
    ///
    /// # Errors
    /// This is no such folder, its run has not ended, a line is no judgement, or other answers were judged: those of other
    /// predictions, or what other rules find in these.
    pub fn over(folder: &Path, predictions: &PredictionRun, extraction: &ExtractionChoice) -> Result<Self, Error> {
        let wanted = |name: &str| name.starts_with("part-") && name.ends_with(".jsonl");
        let files = match input::is_folder(folder)? {
            true => CompletedRun::outputs_under(folder, wanted)?,
            false => None,
        };
        let record = RunRecord::of(folder).unwrap_or_default();
        let files = files.filter(|_| record.command == super::COMMAND);
        let files = files.ok_or_else(|| no_run_of(folder, "`judge`"))?;
        check_answers(folder, &record, predictions, extraction)?;
        let settings = record.config.get("by").cloned().unwrap_or_default();
        let damaged = |error: serde_json::Error| CoreError::input(&folder.join("run.json"), error.to_string());
        let by: JudgeRecord = serde_json::from_value(settings).map_err(damaged)?;
        let mut by_answer = HashMap::new();
        for path in &files {
            for line in BufReader::new(input::open(path)?).split(b'\n') {
                let line = line.map_err(CoreError::read(path))?;
                let judgement: Judgement =
                    serde_json::from_slice(&line).map_err(|error| CoreError::input(path, error.to_string()))?;
                let key = (judgement.benchmark.clone(), judgement.id.clone(), judgement.heard);
                by_answer.insert(key, judgement);
            }
        }
        Ok(Self { files, by, by_answer })
    }

    /// The judgement on an answer.
    #[must_use]
    pub fn of(&self, benchmark: &str, id: &str, heard: HeardSound) -> Option<&Judgement> {
        self.by_answer.get(&(benchmark.to_owned(), id.to_owned(), heard))
    }
}

/// Refuses ratings of other answers: they would stand beside answers that no judge has seen.
fn check_answers(
    folder: &Path,
    record: &RunRecord,
    predictions: &PredictionRun,
    extraction: &ExtractionChoice,
) -> Result<(), Error> {
    for file in predictions.files() {
        if !record.inputs.contains(&FileFingerprint::of_output(file)?.sha256) {
            let problem = format!(
                "the judge has rated other answers than those in {}\n\
                 hint: run `judge` over the predictions that are named with --input",
                file.display()
            );
            return Err(CoreError::input(folder, problem).into());
        }
    }
    let judged: Option<ExtractionChoice> =
        record.config.get("extraction").and_then(|value| serde_json::from_value(value.clone()).ok());
    let [here, there] = [Some(*extraction), judged].map(|choice| choice.map(|choice| choice.of(&predictions.record)));
    if there.is_some() && here != there {
        let problem = "the judge has rated what other rules take for the answer\n\
                       hint: use the same --extract and --tags here and in `judge`";
        return Err(CoreError::input(folder, problem).into());
    }
    Ok(())
}
