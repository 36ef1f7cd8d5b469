//! What a checkpoint keeps of the loop.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::checkpoint::Exact;
use crate::data::{Cursor, LeftOutExample, MicroBatch};
use crate::metrics::History;
use crate::update::UpdateCounts;

/// The state of a training between two steps.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GrpoState {
    /// The next prompts.
    pub cursor: Cursor,
    /// Prompts that the order has up to there, over all epochs.
    pub reached: usize,
    /// Steps: rollouts with the updates that they are used for.
    pub steps: usize,
    /// Steps from which nothing could be learned.
    pub idle: usize,
    /// Counts of updates.
    pub updates: UpdateCounts,
    /// Tokens of prompts and completions.
    pub tokens: u64,
    /// Prompts whose sound was cropped, as often as they came up.
    pub cropped: u64,
    /// Prompts that were left out, by row.
    pub left_out: BTreeMap<usize, LeftOutExample>,
    /// All records.
    pub history: History,
    /// Bytes of the file of completions.
    pub completions: u64,
    /// Step and reward of the best checkpoint.
    pub best: Option<(usize, Exact)>,
    /// Whether the training is over.
    pub finished: bool,
}

impl GrpoState {
    /// Takes note of a batch of prompts: where the training stands behind it, and what was left out before it.
    pub(super) fn pass(&mut self, batch: &MicroBatch) {
        self.cursor = batch.next;
        self.reached = batch.reached;
        for (row, key, why) in &batch.left_out {
            self.left_out.entry(*row).or_insert_with(|| LeftOutExample::new(key, why));
        }
        self.cropped += batch.examples.iter().filter(|example| example.cropped).count() as u64;
    }
}
