//! What a training leaves: the trained tensors, completions, metrics, and a card that says how it was made.

use std::path::Path;

use audsem_core::error::Error as CoreError;
use audsem_core::run::{ShardError, ShardOutput};
use serde_json::{Map, Value, json};

use super::completions_log::{COMPLETIONS, CompletionLog};
use super::config::Config;
use super::state::GrpoState;
use crate::card::{TrainingCard, rounded};
use crate::checkpoint::Checkpoints;
use crate::finished::FinishedTraining;
use crate::setup::{BegunTraining, TrainingData};

/// A training that is over.
pub(super) struct Trained<'a> {
    pub(super) config: &'a Config,
    pub(super) begun: &'a BegunTraining,
    pub(super) data: &'a TrainingData,
    pub(super) state: &'a GrpoState,
    pub(super) checkpoints: &'a Checkpoints,
    /// The run folder.
    pub(super) folder: &'a Path,
}

impl Trained<'_> {
    /// Writes the files of the run folder, and files the prompts. Returns the numbers at the end.
    pub(super) fn write(&self, out: &mut ShardOutput) -> Result<Map<String, Value>, ShardError> {
        let Self { config, begun, data, state, checkpoints, .. } = self;
        state.left_out.values().for_each(|left_out| left_out.file(out));
        let seen = data.order.distinct(state.reached);
        out.file_kept(seen.saturating_sub(state.left_out.len()) as u64);
        out.count("cropped", state.cropped);
        let step = self.final_step();
        self.completions(out)?;
        let card = TrainingCard::new(&config.setup, begun, data, self.settings(), self.results(step))?;
        let files = begun.trained_files(&checkpoints.path(step))?;
        let (title, history, folder) = ("Reinforcement learning", &state.history, self.folder);
        let lists = &[(COMPLETIONS, "what the model answered, with its rewards")];
        FinishedTraining { title, files, card, history, folder, lists }.write(out)
    }

    /// Copies the file of completions that was written step by step.
    fn completions(&self, out: &mut ShardOutput) -> Result<(), ShardError> {
        let mut log = CompletionLog::open(self.folder, self.state.completions)?;
        let mut file = out.create(COMPLETIONS)?;
        log.copy_to(&mut file).map_err(CoreError::write(file.path()))?;
        Ok(out.close(file)?)
    }

    /// The checkpoint whose tensors are the result: the best where there is an evaluation, else the last.
    fn final_step(&self) -> usize {
        self.state.best.map_or(self.state.steps, |(step, _)| step)
    }

    fn settings(&self) -> Value {
        let Config { rewards, sampling, scale, training, rollouts, .. } = self.config;
        json!({
            "rewards": rewards, "sampling": sampling, "scale": scale, "rollouts": rollouts.name(), "loop": training,
        })
    }

    fn results(&self, step: usize) -> Map<String, Value> {
        let state = self.state;
        let mut results = Map::new();
        let mut put = |name: &str, value: Value| drop(results.insert(name.to_owned(), value));
        put("steps", json!(state.steps));
        put("updates", json!(state.updates.steps));
        put("used_step", json!(step));
        put("idle_steps", json!(state.idle));
        put("skipped_updates", json!(state.updates.bad));
        put("examples", json!(self.data.train.rows.len()));
        put("tokens", json!(state.tokens));
        for name in ["log_prob_with_sound", "log_prob_with_silence", "reward", "kl"] {
            if let Some(value) = state.history.last(name) {
                put(name, json!(rounded(value)));
            }
        }
        for (name, called) in [("eval/reward", "eval_reward"), ("eval/rewards/accuracy/mean", "eval_accuracy")] {
            let at = |step: usize| {
                let records = state.history.records.iter().filter(|record| record.step == step);
                records.filter_map(|record| record.get(name)).next_back()
            };
            for (suffix, value) in [("_at_start", at(0)), ("", at(step))] {
                if let Some(value) = value {
                    put(&format!("{called}{suffix}"), json!(rounded(value)));
                }
            }
        }
        results
    }
}
