//! What a checkpoint keeps of the loop.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::loss::TokenSums;
use crate::checkpoint::Exact;
use crate::data::{Cursor, LeftOutExample, MicroBatch, check_left_out};
use crate::error::Result;
use crate::metrics::History;
use crate::update::UpdateCounts;

/// The state of a fine-tuning between two updates.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LoopState {
    /// The next batch.
    pub cursor: Cursor,
    /// Examples that the order has up to there, over all epochs.
    pub reached: usize,
    /// Counts of updates.
    pub updates: UpdateCounts,
    /// Tokens that the model has read.
    pub tokens: u64,
    /// Examples whose sound was cropped, as often as they came up.
    pub cropped: u64,
    /// Examples that were left out, by row.
    pub left_out: BTreeMap<usize, LeftOutExample>,
    /// Sums since the last record of the history.
    pub recent: TokenSums,
    /// All records.
    pub history: History,
    /// Update and validation loss of the best checkpoint.
    pub best: Option<(usize, Exact)>,
    /// Validations one after the other without a better one.
    pub not_better: usize,
    /// Whether the training is over.
    pub finished: bool,
}

impl LoopState {
    /// Takes note of a batch: where the training stands behind it, and what was left out before it.
    pub fn pass(&mut self, batch: &MicroBatch) {
        self.cursor = batch.next;
        self.reached = batch.reached;
        for (row, key, why) in &batch.left_out {
            self.left_out.entry(*row).or_insert_with(|| LeftOutExample::new(key, why));
        }
        for example in &batch.examples {
            self.tokens += example.sequence.tokens.len() as u64;
            self.cropped += u64::from(example.cropped);
        }
    }

    /// Ends a training of which too much is left out.
    ///
    /// # Errors
    /// As [`check_left_out`].
    pub fn check_left_out(&self, all: usize, allowed: f64) -> Result<()> {
        check_left_out(&self.left_out, (self.reached, all), allowed)
    }

    /// Updates, those that were skipped included.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.updates.steps
    }
}
