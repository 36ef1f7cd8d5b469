//! Captioners as networks over clips.

use audsem_core::batch::BatchError;
use audsem_media::audio::Spectrogram;
use audsem_media::batch::{ClipError, ClipIdentity, ClipNetwork, ClipSound};
use audsem_models::Error as NetworkError;
use audsem_models::audio::conette::{CaptionSettings, ConetteCaptioner, SAMPLE_RATE_HZ};

use super::finding::Finding;
use super::taggers::audible;

/// CoNeTTE with its own settings of beam search.
pub(super) struct ShortCaptions {
    pub captioner: ConetteCaptioner,
    pub settings: CaptionSettings,
}

impl ClipNetwork for ShortCaptions {
    type Features = Spectrogram;
    type Output = Finding;

    fn features(&self, _: &ClipIdentity, sound: &ClipSound) -> Result<Spectrogram, ClipError> {
        Ok(self.captioner.features(&audible(sound, SAMPLE_RATE_HZ)?)?)
    }

    fn cost(&self, features: &Spectrogram) -> usize {
        features.n_frames
    }

    fn forward(&self, batch: &[&Spectrogram]) -> Result<Vec<Result<Finding, ClipError>>, BatchError> {
        let captions = self.captioner.captions(batch, &self.settings).map_err(NetworkError::into_batch_error)?;
        Ok(captions.into_iter().map(|caption| Ok(Finding::Conette(caption))).collect())
    }
}
