//! The share of speech as a network over clips.

use std::rc::Rc;

use audsem_core::batch::BatchError;
use audsem_media::batch::{ClipError, ClipIdentity, ClipNetwork, ClipSound};
use audsem_models::Error as NetworkError;
use audsem_models::audio::silero_vad::{SAMPLE_RATE_HZ, SileroVad};

use super::finding::Finding;
use super::taggers::audible;

/// A detector of speech, of which the share of windows is kept that it calls speech.
pub(super) struct SpeechShare(pub SileroVad);

impl ClipNetwork for SpeechShare {
    type Features = Box<[f32]>;
    type Output = Finding;

    fn features(&self, _: &ClipIdentity, sound: &ClipSound) -> Result<Box<[f32]>, ClipError> {
        let samples: Rc<[f32]> = audible(sound, SAMPLE_RATE_HZ)?;
        Ok(samples.as_ref().into())
    }

    fn cost(&self, samples: &Box<[f32]>) -> usize {
        samples.len()
    }

    fn forward(&self, batch: &[&Box<[f32]>]) -> Result<Vec<Result<Finding, ClipError>>, BatchError> {
        let shares = self.0.speech_shares(batch).map_err(NetworkError::into_batch_error)?;
        Ok(shares.into_iter().map(|share| Ok(Finding::Speech(share))).collect())
    }
}
