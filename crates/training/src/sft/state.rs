//! What a checkpoint keeps of the loop.

use std::collections::BTreeMap;

use audsem_core::run::LeftOut;
use serde::{Deserialize, Serialize};

use super::loss::TokenSums;
use crate::checkpoint::Exact;
use crate::data::{Cursor, MicroBatch};
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

/// An example that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOutExample {
    /// Its key.
    pub key: String,
    /// Name of the reason.
    pub reason: String,
    /// The value that decided.
    pub detail: String,
}

impl LoopState {
    /// Takes note of a batch: where the training stands behind it, and what was left out before it.
    pub fn pass(&mut self, batch: &MicroBatch) {
        self.cursor = batch.next;
        self.reached = batch.reached;
        for (row, key, why) in &batch.left_out {
            self.left_out.entry(*row).or_insert_with(|| left_out(key, why));
        }
        for example in &batch.examples {
            self.tokens += example.sequence.tokens.len() as u64;
            self.cropped += u64::from(example.cropped);
        }
    }

    /// Updates, those that were skipped included.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.updates.steps
    }
}

fn left_out(key: &str, why: &LeftOut) -> LeftOutExample {
    LeftOutExample { key: key.to_owned(), reason: why.reason().to_owned(), detail: why.detail().clone() }
}
