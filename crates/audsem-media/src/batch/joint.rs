//! Several networks over the same decoded clips.

use audsem_core::batch::{BatchError, Batches};
use audsem_core::run::ShardError;

use super::{AnyFeatures, AnyNetwork, ClipError, MediaFault};

/// Networks that run over the same clips.
pub(super) struct Networks<'a, O> {
    /// Name and network.
    pub list: &'a [(&'a str, &'a dyn AnyNetwork<O>)],
    /// Whether a failure of a network is an error of the clips that fail alone; otherwise it ends the run.
    pub isolated: bool,
}

/// A network of one shard and its current batch size.
pub(super) struct Lane<'n, O> {
    network: &'n dyn AnyNetwork<O>,
    isolated: bool,
    batches: Batches,
}

impl<O> Networks<'_, O> {
    /// A lane for each network.
    pub(super) fn lanes(&self, batch_size: usize) -> Vec<Lane<'_, O>> {
        let (isolated, batches) = (self.isolated, Batches::new(batch_size));
        self.list.iter().map(|(_, network)| Lane { network: *network, isolated, batches: batches.clone() }).collect()
    }
}

impl<O> Lane<'_, O> {
    /// What the network gives for clips that have features, in their order.
    pub(super) fn outputs(&mut self, usable: &[&AnyFeatures]) -> Result<Vec<Result<O, ClipError>>, ShardError> {
        let (network, isolated) = (self.network, self.isolated);
        let forward = |batch: &[&&AnyFeatures]| {
            let batch: Vec<&AnyFeatures> = batch.iter().map(|features| **features).collect();
            if isolated { forward_isolated(network, &batch) } else { network.any_forward(&batch) }
        };
        let outputs =
            self.batches.run(usable, |features| network.any_cost(features), forward).map_err(ShardError::fatal)?;
        let fits = |output: Result<Result<O, ClipError>, String>| {
            output.unwrap_or_else(|detail| Err(ClipError::new(MediaFault::OutOfMemory, detail)))
        };
        Ok(outputs.into_iter().map(fits).collect())
    }
}

/// Runs a batch, and each of its clips alone if the network fails, so that only those fail that cause it.
fn forward_isolated<O>(
    network: &dyn AnyNetwork<O>,
    batch: &[&AnyFeatures],
) -> Result<Vec<Result<O, ClipError>>, BatchError> {
    match network.any_forward(batch) {
        Err(BatchError::Failed(error)) if batch.len() == 1 => {
            Ok(vec![Err(ClipError::new(MediaFault::Unusable, error.to_string()))])
        }
        Err(BatchError::Failed(_)) => {
            let mut outputs = Vec::with_capacity(batch.len());
            for features in batch {
                outputs.append(&mut forward_isolated(network, &[*features])?);
            }
            Ok(outputs)
        }
        other => other,
    }
}
