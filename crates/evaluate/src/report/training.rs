//! The curves of trainings.

use std::collections::BTreeMap;
use std::path::PathBuf;

use audsem_core::error::Error as CoreError;
use audsem_core::input;
use audsem_core::json::read_object;
use audsem_core::run::CompletedRun;
use audsem_report::{LineChart, Markup};
use serde::Serialize;

use super::named::NamedFolder;
use crate::error::Error;

/// The file of a training's numbers.
const METRICS_FILE: &str = "metrics.jsonl";

/// Curves that are drawn, in this order, as far as a training has them.
const SHOWN: [&str; 8] = [
    "loss",
    "valid_loss",
    "mean_token_accuracy",
    "valid_mean_token_accuracy",
    "reward",
    "eval/reward",
    "rewards/accuracy/mean",
    "eval/rewards/accuracy/mean",
];

/// The curves of one training.
#[derive(Debug, Serialize)]
pub struct TrainingCurves {
    /// The run.
    pub name: String,
    /// Updates that were done.
    pub updates: u64,
    /// The last value of each curve.
    pub last: Vec<(String, f64)>,
    /// The curves.
    pub charts: Vec<Markup>,
    /// The file.
    #[serde(skip)]
    pub file: PathBuf,
}

impl TrainingCurves {
    /// Reads the numbers of a training from its run folder.
    ///
    /// # Errors
    /// The run has not ended, or has no numbers.
    pub fn open(folder: &NamedFolder) -> Result<Self, Error> {
        let found = CompletedRun::outputs_under(&folder.path, |name| name == METRICS_FILE)?;
        let missing =
            || CoreError::input(&folder.path, "this is no run folder of a training: metrics.jsonl is missing");
        let file = found.and_then(|files| files.into_iter().next()).ok_or_else(missing)?;
        let mut curves: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
        let mut updates = 0;
        for line in input::read_whole(&file)?.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let record = read_object(line).map_err(|error| CoreError::input(&file, error.to_string()))?.value;
            let step = record.get("step").and_then(serde_json::Value::as_u64).unwrap_or(0);
            updates = updates.max(step);
            for (name, value) in &record {
                if let Some(value) = value.as_f64().filter(|_| name != "step") {
                    curves.entry(name.clone()).or_default().push((step as f64, value));
                }
            }
        }
        let shown = SHOWN.iter().filter_map(|name| Some((*name, curves.get(*name)?)));
        let last = shown.clone().filter_map(|(name, points)| Some((name.to_owned(), points.last()?.1)));
        let chart = |(name, points): (&str, &Vec<(f64, f64)>)| {
            LineChart { title: name.to_owned(), axis: "updates".to_owned(), points: points.clone() }.draw()
        };
        Ok(Self {
            name: folder.name.clone(),
            updates,
            last: last.collect(),
            charts: shown.filter(|(_, points)| points.len() > 1).map(chart).collect::<Result<_, _>>()?,
            file,
        })
    }
}
