//! From samples to probabilities of classes.

use audsem_core::hub::ModelDir;
use audsem_core::weights::Weights;
use audsem_media::audio::{FrontEnd, FrontEndError, Spectrogram};
use candle_core::{DType, Device};

use super::{Ast, AstFeatureConfig, AstHead, Config};
use crate::audio::clips::run_clips;
use crate::error::{Error, Result};
use crate::nn::softmax;

/// A checkpoint with its features, for inference.
#[derive(Debug)]
pub struct AstClassifier {
    front_end: FrontEnd,
    network: Ast,
    config: Config,
    is_multi_label: bool,
    device: Device,
}

impl AstClassifier {
    /// Opens a checkpoint in the layout of the Hugging Face hub. One without `preprocessor_config.json` has the features of
    /// the AudioSet checkpoint of AST's authors.
    ///
    /// # Errors
    /// A file cannot be read; the configuration is unsupported; features and network do not fit; or tensors are missing,
    /// unused or of another shape, all of which are named.
    pub fn open(dir: &ModelDir, device: &Device, dtype: DType) -> Result<Self> {
        let config: Config = dir.json("config.json")?;
        let features: AstFeatureConfig = dir.optional_json("preprocessor_config.json")?.unwrap_or_default();
        let weights = Weights::open(dir, device, dtype)?;
        let network = Ast::load(&weights.var_builder(), &config)?;
        weights.finish(|_| false)?;
        if (features.max_length, features.num_mel_bins) != (config.max_length, config.num_mel_bins) {
            return Err(Error::FeatureShape {
                frames: features.max_length,
                mels: features.num_mel_bins,
                max_frames: config.max_length,
                wanted_mels: config.num_mel_bins,
            });
        }
        Ok(Self {
            front_end: FrontEnd::new(&features.front_end()?)?,
            network,
            is_multi_label: config.is_multi_label()?,
            config,
            device: device.clone(),
        })
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Which classes the checkpoint tells apart.
    #[must_use]
    pub fn head(&self) -> AstHead {
        self.config.head()
    }

    /// Features of a clip: mono samples at [`super::SAMPLE_RATE_HZ`], full scale 1.0.
    ///
    /// # Errors
    /// The sound is empty, shorter than a frame of 25 ms, or not finite.
    pub fn features(&self, samples: &[f32]) -> std::result::Result<Spectrogram, FrontEndError> {
        self.front_end.features(samples)
    }

    /// Probabilities of all classes, for each clip: they add up to 1 where one class applies, and are each class's own
    /// where several may.
    ///
    /// # Errors
    /// As [`Ast::forward`].
    pub fn probabilities(&self, clips: &[&Spectrogram]) -> Result<Vec<Vec<f32>>> {
        run_clips(clips, &self.device, |features| {
            let logits = self.network.forward(features)?.to_dtype(DType::F32)?;
            Ok(if self.is_multi_label { candle_nn::ops::sigmoid(&logits)? } else { softmax(&logits)? })
        })
    }
}
