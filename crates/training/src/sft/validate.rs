//! Loss and accuracy on examples that are not learned from.

use std::sync::Arc;

use audsem_models::train::{TrainableModel, TrainingSequence};

use super::loss::TokenSums;
use crate::data::{BatchConfig, Cursor, DataSet, EpochOrder, Loader, LoaderConfig, Preparer};
use crate::error::Result;

/// The examples of a validation.
#[derive(Debug, Clone)]
pub struct Validation {
    /// The examples.
    pub data: Arc<DataSet>,
    /// How they become sequences.
    pub preparer: Arc<Preparer>,
    /// What is a batch.
    pub batches: BatchConfig,
    /// Threads that prepare examples.
    pub workers: usize,
}

impl Validation {
    /// Scores all examples, each once, in their order; and tells how many could not be used.
    ///
    /// # Errors
    /// A shard has changed, memory, device.
    pub fn run(&self, model: &dyn TrainableModel) -> Result<(TokenSums, usize)> {
        let order = EpochOrder::stored(self.data.rows.len());
        let config = LoaderConfig { batches: self.batches, seed: 0, workers: self.workers, epochs: 1 };
        let (data, preparer) = (Arc::clone(&self.data), Arc::clone(&self.preparer));
        let mut loader = Loader::start(data, preparer, order, config, Cursor::default());
        let (mut sums, mut left_out) = (TokenSums::default(), 0);
        while let Some(batch) = loader.next_batch()? {
            left_out += batch.left_out.len();
            let sequences: Vec<TrainingSequence> = batch.examples.into_iter().map(|example| example.sequence).collect();
            if !sequences.is_empty() {
                sums.add(TokenSums::of(&model.score(&sequences, 1.0, true)?));
            }
        }
        Ok((sums, left_out))
    }
}
