//! The interface of a network that runs over clips.

use std::any::Any;

use audsem_core::batch::BatchError;

use super::{ClipSound, MediaFault};

/// A clip as its row names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClipIdentity {
    /// The clip's key.
    pub key: String,
    /// The tar it lies in, or its own path below the input.
    pub place: String,
    /// The caption beside it, where there is one.
    pub text: Option<String>,
    /// Length of the decoded sound, or the time of the last frame that is looked at, in milliseconds.
    pub milliseconds: u64,
}

/// Why a clip has no row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClipError {
    /// The kind of the fault, which is counted.
    pub fault: MediaFault,
    /// What was found.
    pub detail: String,
}

impl ClipError {
    /// A fault with what was found.
    pub fn new(fault: MediaFault, detail: impl Into<String>) -> Self {
        Self { fault, detail: detail.into() }
    }
}

/// A network, or any measure, that gives each clip an output, from its sound or from other media.
///
/// Features are made on many threads at once, one clip after the other; [`ClipNetwork::forward`] sees batches of them.
/// An output must depend on its own clip alone: padding is masked by the network.
pub trait ClipNetwork<M = ClipSound>: Sync {
    /// What the network reads of one clip.
    type Features: Send;
    /// What it gives for one clip.
    type Output;

    /// Makes the features of a decoded clip.
    ///
    /// # Errors
    /// Why this clip cannot be used.
    fn features(&self, clip: &ClipIdentity, media: &M) -> Result<Self::Features, ClipError>;

    /// What a clip costs in a batch, its length for example: clips of similar cost share batches.
    fn cost(&self, features: &Self::Features) -> usize {
        let _ = features;
        1
    }

    /// What the network gives for a clip without being run; nothing if it has to be run. `earlier` is what the networks
    /// before it in a joint run gave for this clip: a network can depend on them.
    fn unasked(&self, clip: &ClipIdentity, earlier: &[Result<Self::Output, ClipError>]) -> Option<Self::Output> {
        let _ = (clip, earlier);
        None
    }

    /// Runs a batch; one result for each clip, in order.
    ///
    /// # Errors
    /// [`BatchError::OutOfMemory`] halves the batch; [`BatchError::Failed`] ends the run of a single network, and is an
    /// error of each clip that fails alone as well where several networks run.
    fn forward(&self, batch: &[&Self::Features]) -> Result<Vec<Result<Self::Output, ClipError>>, BatchError>;
}

/// What some network reads of one clip.
pub type AnyFeatures = Box<dyn Any + Send>;

/// A [`ClipNetwork`] over media `M` with output `O` whose features are not named, so that several networks fit into one list.
pub trait AnyNetwork<O, M = ClipSound>: Sync {
    /// As [`ClipNetwork::features`].
    ///
    /// # Errors
    /// As there.
    fn any_features(&self, clip: &ClipIdentity, media: &M) -> Result<AnyFeatures, ClipError>;

    /// As [`ClipNetwork::cost`].
    fn any_cost(&self, features: &AnyFeatures) -> usize;

    /// As [`ClipNetwork::unasked`].
    fn any_unasked(&self, clip: &ClipIdentity, earlier: &[Result<O, ClipError>]) -> Option<O>;

    /// As [`ClipNetwork::forward`].
    ///
    /// # Errors
    /// As there.
    fn any_forward(&self, batch: &[&AnyFeatures]) -> Result<Vec<Result<O, ClipError>>, BatchError>;
}

impl<M, N: ClipNetwork<M, Features: 'static>> AnyNetwork<N::Output, M> for N {
    fn any_features(&self, clip: &ClipIdentity, media: &M) -> Result<AnyFeatures, ClipError> {
        Ok(Box::new(self.features(clip, media)?))
    }

    fn any_cost(&self, features: &AnyFeatures) -> usize {
        self.cost(own::<M, N>(features))
    }

    fn any_unasked(&self, clip: &ClipIdentity, earlier: &[Result<N::Output, ClipError>]) -> Option<N::Output> {
        self.unasked(clip, earlier)
    }

    fn any_forward(&self, batch: &[&AnyFeatures]) -> Result<Vec<Result<N::Output, ClipError>>, BatchError> {
        let batch: Vec<&N::Features> = batch.iter().map(|features| own::<M, N>(features)).collect();
        self.forward(&batch)
    }
}

fn own<M, N: ClipNetwork<M, Features: 'static>>(features: &AnyFeatures) -> &N::Features {
    features.downcast_ref().expect("a network gets its own features back")
}
