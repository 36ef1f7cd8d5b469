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
    /// The configuration as indented JSON.
    config: String,
}

impl<'a> SourceView<'a> {
    pub(super) fn of(run: &'a ScoredRun) -> Self {
        Self { name: &run.name, steps: [&run.summary.predictions, &run.record].map(step).into() }
    }
}

fn step(record: &RunRecord) -> StepView<'_> {
    let config = |config: &Map<String, Value>| serde_json::to_string_pretty(config).expect("JSON is plain data");
    StepView {
        command: format!("{} {}", record.tool, record.command),
        version: &record.version,
        config_hash: &record.config_hash,
        models: &record.models,
        inputs: &record.inputs,
        config: config(&record.config),
    }
}
