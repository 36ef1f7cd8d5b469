//! Networks that read single frames as networks over clips.

use audsem_core::batch::BatchError;
use audsem_media::batch::{ClipError, ClipFrames, ClipIdentity, ClipNetwork, MediaFault};
use audsem_media::image::{ImageError, RgbImage};
use audsem_models::Error as NetworkError;

use super::finding::{Finding, Said};

/// A network that says something about each frame.
pub(super) trait FrameReader: Sync {
    /// A frame as the network reads it.
    type Prepared: Clone + Send + 'static;
    /// What it says about a frame.
    type Seen;

    /// Prepares a frame.
    fn prepare(&self, picture: &RgbImage) -> Result<Self::Prepared, ImageError>;

    /// What the network says about each frame.
    fn see(&self, frames: &[Self::Prepared]) -> Result<Vec<Self::Seen>, NetworkError>;

    /// What it says about a clip of these frames.
    fn said(&self, frames: Vec<Self::Seen>) -> Result<Said, ClipError>;
}

/// A network that reads all frames of a clip one by one.
pub(super) struct EachFrame<R>(pub R);

/// The frames of a clip as a network reads them.
pub(super) struct PreparedFrames<P> {
    times_ms: Option<Vec<u32>>,
    frames: Vec<P>,
}

impl<R: FrameReader> ClipNetwork<ClipFrames> for EachFrame<R> {
    type Features = PreparedFrames<R::Prepared>;
    type Output = Finding;

    fn features(&self, _: &ClipIdentity, clip: &ClipFrames) -> Result<Self::Features, ClipError> {
        let unusable = |error: ImageError| ClipError::new(MediaFault::Unusable, error.to_string());
        let frames = clip.frames.iter().map(|frame| self.0.prepare(&frame.picture).map_err(unusable));
        Ok(PreparedFrames { times_ms: clip.times_ms(), frames: frames.collect::<Result<_, _>>()? })
    }

    fn cost(&self, clip: &Self::Features) -> usize {
        clip.frames.len()
    }

    fn forward(&self, batch: &[&Self::Features]) -> Result<Vec<Result<Finding, ClipError>>, BatchError> {
        let frames: Vec<R::Prepared> = batch.iter().flat_map(|clip| clip.frames.iter().cloned()).collect();
        let mut seen = self.0.see(&frames).map_err(NetworkError::into_batch_error)?.into_iter();
        let finding = |clip: &&Self::Features| {
            let said = self.0.said(seen.by_ref().take(clip.frames.len()).collect())?;
            Ok(Finding { frames_ms: clip.times_ms.clone(), said })
        };
        Ok(batch.iter().map(finding).collect())
    }
}
