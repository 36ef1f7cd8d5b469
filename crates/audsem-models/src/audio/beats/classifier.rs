//! From samples to probabilities of AudioSet classes.

use audsem_core::hub::ModelDir;
use audsem_core::weights::Weights;
use audsem_media::audio::{FrontEnd, FrontEndConfig, FrontEndError, Spectrogram};
use candle_core::{DType, Device};

use super::{Beats, Config};
use crate::audio::clips::run_clips;
use crate::error::Result;

/// Whether checkpoints may hold a tensor that the network does not load: each layer of the original refers to the one table
/// of distances.
pub(crate) fn is_ignorable(name: &str) -> bool {
    name.ends_with("self_attn.relative_attention_bias.weight")
}

/// A checkpoint with its features, for inference.
#[derive(Debug)]
pub struct BeatsClassifier {
    front_end: FrontEnd,
    network: Beats,
    config: Config,
    device: Device,
}

impl BeatsClassifier {
    /// Opens a converted checkpoint: `config.json` with what the original keeps under `cfg` and `label_dict`, and weights
    /// with the original names.
    ///
    /// # Errors
    /// A file cannot be read, the configuration is unsupported, or tensors are missing, unused or of another shape, all of
    /// which are named.
    pub fn open(dir: &ModelDir, device: &Device, dtype: DType) -> Result<Self> {
        let config: Config = dir.json("config.json")?;
        let weights = Weights::open(dir, device, dtype)?;
        let network = Beats::load(&weights.var_builder(), &config)?;
        weights.finish(is_ignorable)?;
        let front_end = FrontEnd::new(&FrontEndConfig::beats())?;
        Ok(Self { front_end, network, config, device: device.clone() })
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The AudioSet id of a class, such as `/m/09x0r`; nothing where the checkpoint does not say.
    #[must_use]
    pub fn audioset_id(&self, index: usize) -> Option<&str> {
        self.config.label_dict.get(&index).map(String::as_str)
    }

    /// Features of a clip: mono samples at [`super::SAMPLE_RATE_HZ`], full scale 1.0.
    ///
    /// # Errors
    /// The sound is empty, too short for one row of patches, or not finite.
    pub fn features(&self, samples: &[f32]) -> std::result::Result<Spectrogram, FrontEndError> {
        let frames = &self.front_end.config().frames;
        let needed = frames.length + (self.config.input_patch_size - 1) * frames.hop_length;
        if (1..needed).contains(&samples.len()) {
            return Err(FrontEndError::TooShort { samples: samples.len(), needed });
        }
        self.front_end.features(samples)
    }

    /// The probability of each class, for each clip; any of them may apply.
    ///
    /// # Errors
    /// As [`Beats::forward`].
    pub fn probabilities(&self, clips: &[&Spectrogram]) -> Result<Vec<Vec<f32>>> {
        run_clips(clips, &self.device, |features| {
            let logits = self.network.forward(features)?.to_dtype(DType::F32)?;
            Ok(candle_nn::ops::sigmoid(&logits)?)
        })
    }
}
