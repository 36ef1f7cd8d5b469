//! The part of the thinker that hears: features of sounds, and the audio tower behind them.

use audsem_media::audio::{FrontEnd, FrontEndConfig};
use candle_core::{Device, Tensor};
use candle_nn::VarBuilder;

use super::{HOP_SAMPLES, OmniAudioTower, OmniThinkerConfig, SoundLengths};
use crate::audio::whisper::mel;
use crate::error::Result;

/// The audio tower with its front end.
#[derive(Debug)]
pub struct OmniHearing {
    front_end: FrontEnd,
    tower: OmniAudioTower,
    longest: usize,
    device: Device,
}

impl OmniHearing {
    /// Loads `audio_tower` below `vb`.
    ///
    /// # Errors
    /// A tensor is missing or of another shape, or sizes do not fit each other.
    pub fn load(vb: &VarBuilder<'_>, config: &OmniThinkerConfig) -> Result<Self> {
        let front_end = FrontEndConfig { n_samples: None, ..FrontEndConfig::whisper(config.tower.encoder.mels) };
        Ok(Self {
            front_end: FrontEnd::new(&front_end)?,
            tower: OmniAudioTower::load(&vb.pp("audio_tower"), &config.tower)?,
            longest: config.longest_sound,
            device: vb.device().clone(),
        })
    }

    /// The audio tower.
    #[must_use]
    pub fn tower(&self) -> &OmniAudioTower {
        &self.tower
    }

    /// The lengths of a sound of so many samples.
    ///
    /// # Errors
    /// The sound is too short for one vector.
    pub fn lengths(&self, samples: usize) -> Result<SoundLengths> {
        SoundLengths::of(samples, self.longest)
    }

    /// Log-mel frames (1, M, F) of mono samples at 16 kHz, one for each 10 ms that have begun.
    ///
    /// # Errors
    /// The sound is too short, or a sample is not finite.
    pub fn features(&self, samples: &[f32]) -> Result<Tensor> {
        let heard = &samples[..samples.len().min(self.longest)];
        let frames = self.lengths(samples.len())?.frames;
        // The extractor pads every sound to the longest with zeros. The frames of a sound, and the loudest value of all,
        // do not depend on zeros beyond the second frame behind the sound.
        let mut padded = heard.to_vec();
        padded.resize((HOP_SAMPLES * (frames + 2)).min(self.longest), 0.0);
        Ok(mel(&self.front_end, &padded, &self.device)?.narrow(2, 0, frames)?)
    }
}
