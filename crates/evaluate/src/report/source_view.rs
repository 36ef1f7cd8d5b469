//! What has produced a run's scores.

use serde::Serialize;
use serde_json::{Map, Value};

use super::scored::ScoredRun;
use crate::score::predictions::RunRecord;

/// What has produced the scores of a run.
#[derive(Debug, Serialize)]
pub(super) struct SourceView<'a> {
    name: &'a str,
    steps: Vec<StepView<'a>>,
}

/// One of the commands.
#[derive(Debug, Serialize)]
struct StepView<'a> {
    command: String,
    version: &'a str,
    config_hash: &'a str,
    models: &'a [(String, String)],
    inputs: &'a [String],
    /// What was asked, with marks for what differs: of the model, or of a judge.
    prompts: Vec<(&'static str, String)>,
    /// The rest of the configuration as indented JSON.
    config: String,
}

/// Where the texts of prompts stand in a configuration, and what they are called on the page.
const PROMPTS: [(&str, &str, &str); 4] = [
    ("wording", "system", "system turn"),
    ("wording", "choices", "question with options"),
    ("wording", "open", "question without options"),
    ("judge", "prompt", "question to the judge"),
];

impl<'a> SourceView<'a> {
    pub(super) fn of(run: &'a ScoredRun) -> Self {
        Self { name: &run.name, steps: [&run.summary.predictions, &run.record].map(step).into() }
    }
}

fn step(record: &RunRecord) -> StepView<'_> {
    let mut rest: Map<String, Value> = record.config.clone();
    let mut prompts = Vec::new();
    for (object, field, name) in PROMPTS {
        let texts = rest.get_mut(object).and_then(Value::as_object_mut);
        if let Some(Value::String(text)) = texts.and_then(|texts| texts.remove(field)) {
            prompts.push((name, text));
        }
    }
    StepView {
        command: format!("{} {}", record.tool, record.command),
        version: &record.version,
        config_hash: &record.config_hash,
        models: &record.models,
        inputs: &record.inputs,
        prompts,
        config: serde_json::to_string_pretty(&rest).expect("JSON is plain data"),
    }
}
