//! Rewards of the likeliest completions of examples that are not learned from.

use std::sync::Arc;

use audsem_models::train::TrainableModel;

use super::experience::{Experience, ScoredGroup};
use super::rollout::{LocalRollouts, RolloutRequest};
use crate::data::{BatchConfig, Cursor, DataSet, EpochOrder, Loader, LoaderConfig, Preparer};
use crate::error::Result;

/// The examples of an evaluation, whose completions this process writes.
#[derive(Debug, Clone)]
pub(super) struct EvaluationSet {
    pub(super) data: Arc<DataSet>,
    pub(super) preparer: Arc<Preparer>,
    pub(super) source: LocalRollouts,
    /// Completions that are written at a time.
    pub(super) rows: usize,
    pub(super) workers: usize,
}

impl EvaluationSet {
    /// One completion of each example, and how many examples could not be used.
    pub(super) fn run(
        &mut self,
        model: &dyn TrainableModel,
        experience: &mut Experience<'_>,
    ) -> Result<(Vec<ScoredGroup>, usize)> {
        let order = EpochOrder::stored(self.data.rows.len());
        let batches = BatchConfig { batch_size: self.rows, batch_tokens: None, window: 0 };
        let config = LoaderConfig { batches, seed: 0, workers: self.workers, epochs: 1 };
        let (data, preparer) = (Arc::clone(&self.data), Arc::clone(&self.preparer));
        let mut loader = Loader::start(data, preparer, order, config, Cursor::default());
        let (mut groups, mut left_out) = (Vec::new(), 0);
        let request = RolloutRequest { per_prompt: 1, seed: 0, step: 0 };
        while let Some(batch) = loader.next_batch()? {
            left_out += batch.left_out.len();
            groups.extend(experience.gather(&mut self.source, model, &batch.examples, request)?);
        }
        Ok((groups, left_out))
    }
}
