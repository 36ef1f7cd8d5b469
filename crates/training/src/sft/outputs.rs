//! What a fine-tuning leaves.

use audsem_core::run::{ShardError, ShardOutput};
use serde_json::{Map, Value, json};

use super::Config;
use super::state::LoopState;
use crate::card::{TrainingCard, rounded};
use crate::checkpoint::Checkpoints;
use crate::error::Result;
use crate::finished::FinishedTraining;
use crate::setup::{BegunTraining, TrainingData};

/// A training that is over.
pub(super) struct Trained<'a> {
    pub(super) config: &'a Config,
    pub(super) begun: &'a BegunTraining,
    pub(super) data: &'a TrainingData,
    pub(super) state: &'a LoopState,
    pub(super) checkpoints: &'a Checkpoints,
}

impl Trained<'_> {
    /// Writes the files of the run folder, and files the examples. Returns the numbers at the end.
    pub(super) fn write(&self, out: &mut ShardOutput) -> Result<Map<String, Value>, ShardError> {
        let Self { config, begun, data, state, checkpoints } = self;
        state.left_out.values().for_each(|left_out| left_out.file(out));
        let seen = data.order.distinct(state.reached);
        out.file_kept(seen.saturating_sub(state.left_out.len()) as u64);
        out.count("cropped", state.cropped);
        let step = self.final_step();
        let card = TrainingCard::new(&config.setup, begun, data, json!(config.training), self.results(step))?;
        let files = begun.trained_files(&checkpoints.path(step))?;
        let (title, history, folder) = ("Supervised fine-tuning", &state.history, checkpoints.run_folder());
        FinishedTraining { title, files, card, history, folder, lists: &[] }.write(out)
    }

    /// The checkpoint whose tensors are the result: the best where there is a validation, else the last.
    fn final_step(&self) -> usize {
        self.state.best.map_or(self.state.steps(), |(step, _)| step)
    }

    fn results(&self, step: usize) -> Map<String, Value> {
        let state = self.state;
        let mut results = Map::new();
        let mut put = |name: &str, value: Value| drop(results.insert(name.to_owned(), value));
        put("updates", json!(state.steps()));
        put("used_step", json!(step));
        put("examples", json!(self.data.train.rows.len()));
        put("tokens", json!(state.tokens));
        put("skipped_updates", json!(state.updates.bad));
        for name in [
            "log_prob_with_sound",
            "log_prob_with_silence",
            "loss",
            "mean_token_accuracy",
            "valid_loss",
            "valid_mean_token_accuracy",
        ] {
            if let Some(value) = state.history.last(name) {
                put(name, json!(rounded(value)));
            }
        }
        if let Some((_, loss)) = state.best {
            put("best_valid_loss", json!(rounded(loss.0)));
        }
        results
    }
}
