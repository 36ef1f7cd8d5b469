//! Several networks over the same decoded clips.

use audsem_core::batch::{BatchError, Batches};
use audsem_core::run::ShardError;

use super::table::JointOutput;
use super::{AnyFeatures, AnyNetwork, ClipError, ClipIdentity, MediaFault};

/// Networks that run over the same clips.
pub(super) struct Networks<'a, O, M> {
    /// Name and network.
    pub list: &'a [(&'a str, &'a dyn AnyNetwork<O, M>)],
    /// Whether a failure of a network is an error of the clips that fail alone; otherwise it ends the run.
    pub isolated: bool,
}

/// A network of one shard and its current batch size.
pub(super) struct Lane<'n, O, M> {
    network: &'n dyn AnyNetwork<O, M>,
    isolated: bool,
    batches: Batches,
}

/// What networks gave for a clip so far.
pub(super) struct Heard<O> {
    /// The result of each network, in their order.
    pub outputs: JointOutput<O>,
    /// The networks among them that were not run.
    pub unasked: Vec<usize>,
}

/// A decoded clip before its networks: who it is, what each network reads of it, and what those so far gave.
pub(super) struct Clip<'c, O> {
    pub identity: &'c ClipIdentity,
    pub features: &'c [Result<AnyFeatures, ClipError>],
    pub heard: Heard<O>,
}

impl<O, M> Networks<'_, O, M> {
    /// A lane for each network.
    pub(super) fn lanes(&self, batch_size: usize) -> Vec<Lane<'_, O, M>> {
        let (isolated, batches) = (self.isolated, Batches::new(batch_size));
        self.list.iter().map(|(_, network)| Lane { network: *network, isolated, batches: batches.clone() }).collect()
    }
}

impl<O, M> Lane<'_, O, M> {
    /// Adds the result of this network, which is `number` of all, to every clip.
    pub(super) fn run(&mut self, number: usize, clips: &mut [Clip<'_, O>]) -> Result<(), ShardError> {
        let mut asked: Vec<(usize, &AnyFeatures)> = Vec::new();
        for (n, Clip { identity, features, heard }) in clips.iter_mut().enumerate() {
            match &features[number] {
                Err(error) => heard.outputs.push(Err(error.clone())),
                Ok(features) => match self.network.any_unasked(identity, &heard.outputs) {
                    None => asked.push((n, features)),
                    Some(output) => {
                        heard.outputs.push(Ok(output));
                        heard.unasked.push(number);
                    }
                },
            }
        }
        let features: Vec<&AnyFeatures> = asked.iter().map(|(_, features)| *features).collect();
        for ((n, _), output) in asked.iter().zip(self.outputs(&features)?) {
            clips[*n].heard.outputs.push(output);
        }
        Ok(())
    }

    /// What the network gives for clips that have features, in their order.
    fn outputs(&mut self, usable: &[&AnyFeatures]) -> Result<Vec<Result<O, ClipError>>, ShardError> {
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
fn forward_isolated<O, M>(
    network: &dyn AnyNetwork<O, M>,
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
