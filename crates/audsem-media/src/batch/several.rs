//! Networks of any kind side by side.

use std::any::Any;

use audsem_core::batch::BatchError;
use audsem_core::run::OutputFile;
use audsem_core::tables::TableError;

use super::{ClipError, ClipIdentity, ClipNetwork, ClipTable};
use crate::audio::Audio;

/// What some network reads of one clip.
pub type AnyFeatures = Box<dyn Any + Send>;

/// What some network gives for one clip.
pub type AnyOutput = Box<dyn Any>;

/// A [`ClipNetwork`] whose features and output are not named, so that several networks fit into one list.
pub trait AnyNetwork: Sync {
    /// As [`ClipNetwork::features`].
    ///
    /// # Errors
    /// As there.
    fn any_features(&self, clip: &ClipIdentity, audio: &Audio) -> Result<AnyFeatures, ClipError>;

    /// As [`ClipNetwork::cost`].
    fn any_cost(&self, features: &AnyFeatures) -> usize;

    /// As [`ClipNetwork::forward`].
    ///
    /// # Errors
    /// As there.
    fn any_forward(&self, batch: &[&AnyFeatures]) -> Result<Vec<Result<AnyOutput, ClipError>>, BatchError>;

    /// As [`ClipNetwork::table`].
    ///
    /// # Errors
    /// As there.
    fn any_table<'f>(&self, file: &'f mut OutputFile) -> Result<Box<dyn ClipTable<AnyOutput> + 'f>, TableError>;
}

impl<N: ClipNetwork> AnyNetwork for N
where
    N::Features: 'static,
    N::Output: 'static,
{
    fn any_features(&self, clip: &ClipIdentity, audio: &Audio) -> Result<AnyFeatures, ClipError> {
        Ok(Box::new(self.features(clip, audio)?))
    }

    fn any_cost(&self, features: &AnyFeatures) -> usize {
        self.cost(own::<N>(features))
    }

    fn any_forward(&self, batch: &[&AnyFeatures]) -> Result<Vec<Result<AnyOutput, ClipError>>, BatchError> {
        let batch: Vec<&N::Features> = batch.iter().map(|features| own::<N>(features)).collect();
        let outputs = self.forward(&batch)?;
        Ok(outputs.into_iter().map(|output| output.map(|output| Box::new(output) as AnyOutput)).collect())
    }

    fn any_table<'f>(&self, file: &'f mut OutputFile) -> Result<Box<dyn ClipTable<AnyOutput> + 'f>, TableError> {
        Ok(Box::new(AnyTable(self.table(file)?)))
    }
}

fn own<N: ClipNetwork<Features: 'static>>(features: &AnyFeatures) -> &N::Features {
    features.downcast_ref().expect("a network gets its own features back")
}

struct AnyTable<'f, O>(Box<dyn ClipTable<O> + 'f>);

impl<O: 'static> ClipTable<AnyOutput> for AnyTable<'_, O> {
    fn push(&mut self, clip: &ClipIdentity, output: AnyOutput) -> Result<(), TableError> {
        self.0.push(clip, *output.downcast().expect("a table gets its own network's output"))
    }

    fn finish(self: Box<Self>) -> Result<(), TableError> {
        self.0.finish()
    }
}
