//! Whisper: speech to text.
//!
//! Radford et al., 2022; numbers agree with `WhisperForConditionalGeneration` of Hugging Face transformers
//! (`fixtures/regen/whisper.py`).

mod config;
mod decoder;
mod encoder;
mod transcriber;

use audsem_media::audio::{FrontEnd, FrontEndConfig};
use candle_core::{Device, Tensor};
use candle_nn::VarBuilder;

pub use config::WhisperConfig;
pub use decoder::WhisperDecoder;
pub(crate) use encoder::{LAYER_NORM_EPS, block, convolutions};
pub use encoder::{SpeechEncoder, SpeechEncoderConfig};
pub use transcriber::{Transcriber, Transcript, USUAL_LANGUAGE, WhisperTask};

use crate::error::Result;
use decoder::TextDecoder;

/// Sample rate of the sound that the network hears.
pub const SAMPLE_RATE_HZ: u32 = 16_000;

/// Samples of the 30 seconds that are heard at a time; what comes after is cut off.
pub const MAX_SAMPLES: usize = 480_000;

/// Tensors of checkpoints that are the token table once more.
pub const IGNORABLE: [&str; 1] = ["proj_out.weight"];

/// The network.
#[derive(Debug)]
pub struct Whisper {
    front_end: FrontEnd,
    encoder: SpeechEncoder,
    decoder: TextDecoder,
    device: Device,
}

/// Log-mel frames (1, M, 3000) of mono samples at 16 kHz.
pub(crate) fn mel(front_end: &FrontEnd, samples: &[f32], device: &Device) -> Result<Tensor> {
    let frames = front_end.features(samples)?;
    let frames = Tensor::from_vec(frames.values, (1, frames.n_frames, frames.n_bands), device)?;
    Ok(frames.transpose(1, 2)?.contiguous()?)
}

impl Whisper {
    /// Loads `model.encoder` and `model.decoder` below `vb`.
    ///
    /// # Errors
    /// A tensor is missing or of another shape, or the configuration asks for what this network does not have.
    pub fn load(vb: &VarBuilder<'_>, config: &WhisperConfig) -> Result<Self> {
        config.validate()?;
        Ok(Self {
            front_end: FrontEnd::new(&FrontEndConfig::whisper(config.num_mel_bins))?,
            encoder: SpeechEncoder::load(&vb.pp("model.encoder"), &config.encoder()?)?,
            decoder: TextDecoder::load(&vb.pp("model.decoder"), config)?,
            device: vb.device().clone(),
        })
    }

    /// Log-mel frames (1, M, 3000) of mono samples at [`SAMPLE_RATE_HZ`], of which the first 30 seconds are heard.
    ///
    /// # Errors
    /// There are no samples, or one is not finite.
    pub fn features(&self, samples: &[f32]) -> Result<Tensor> {
        mel(&self.front_end, samples, &self.device)
    }

    /// The encoder's states (1, S, D) of the frames of one sound.
    ///
    /// # Errors
    /// Frames of another shape, memory, device.
    pub fn encode(&self, mel: &Tensor) -> Result<Tensor> {
        let states = self.encoder.states(mel, self.decoder.source_positions())?;
        Ok(self.encoder.norm().forward(&states)?)
    }

    /// A decoder that writes one text for each of these sounds, given as the encoder's states.
    #[must_use]
    pub fn decoder(&self, sounds: Vec<Tensor>) -> WhisperDecoder<'_> {
        WhisperDecoder::new(&self.decoder, sounds)
    }
}
