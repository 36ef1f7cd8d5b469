//! `rewards`: scores completions that are already written, and tells what GRPO would learn from them.
//!
//! Nothing is trained. The report shows how each reward is distributed, how much it varies within groups, which groups give no
//! gradient, and how often a reward puts a wrong answer before a right one.

mod completions;
mod distribution;
mod order;
mod report;
mod text;

use std::path::PathBuf;

use audsem_core::files::write_atomically;
use serde_json::{Map, Value, json};

pub use completions::{CompletionRecord, read_completions};
pub use distribution::Distribution;
pub use order::Misorder;
pub use report::{GroupReport, RewardReport, TagReport, WorkbenchReport};

use super::{AnswerForm, RewardBreakdown, RewardConfig, RewardItem, RewardSet};
use crate::error::Error;

/// Settings of `rewards`.
#[derive(Debug, Clone)]
pub struct Config {
    /// Files of completions (JSON lines).
    pub completions: Vec<PathBuf>,
    /// The rewards.
    pub rewards: RewardConfig,
    /// The form of the completions.
    pub form: AnswerForm,
    /// Where each completion goes with its rewards.
    pub table: Option<PathBuf>,
    /// Examples shown of each fault.
    pub examples: usize,
}

/// Scores all completions.
///
/// # Errors
/// A file cannot be read or holds no completion, the rewards contradict each other, or a helper program ends. A line that is
/// no completion is a fault, which the report counts.
pub fn run(config: &Config) -> Result<WorkbenchReport, Error> {
    let mut rewards = RewardSet::new(&config.rewards, config.form)?;
    let (records, unreadable) = read_completions(&config.completions)?;
    let items: Vec<RewardItem<'_>> = records.iter().map(CompletionRecord::item).collect();
    let scored = rewards.score(&items)?;
    let weights: Vec<(String, f64)> = rewards.weights().map(|(name, weight)| (name.to_owned(), weight)).collect();
    if let Some(path) = &config.table {
        write_atomically(path, table(&records, &scored, &weights).as_bytes())?;
    }
    Ok(WorkbenchReport::new(&records, &scored, &weights, unreadable, config.examples))
}

/// Each completion with its rewards, as JSON lines.
fn table(records: &[CompletionRecord], scored: &[RewardBreakdown], weights: &[(String, f64)]) -> String {
    let line = |(record, scored): (&CompletionRecord, &RewardBreakdown)| {
        let named = weights.iter().zip(&scored.values);
        let rewards: Map<String, Value> = named.map(|((name, _), value)| (name.clone(), json!(value))).collect();
        let faults = scored.faults.iter().map(|(n, why)| (weights[*n].0.clone(), json!(why)));
        let faults: Map<String, Value> = faults.collect();
        let mut line = json!({
            "group": record.group, "place": record.place, "reward": scored.total, "rewards": rewards,
            "completion": record.completion,
        });
        if !faults.is_empty() {
            line["faults"] = Value::Object(faults);
        }
        format!("{line}\n")
    };
    records.iter().zip(scored).map(line).collect()
}

#[cfg(test)]
mod tests;
