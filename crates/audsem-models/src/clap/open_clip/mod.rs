//! CLAP2 of LAION, which `open_clip` calls NaFlexClap: a vision transformer over patches of log-mel spectrograms of any length,
//! and a text tower like that of CLIP or a newer one.
//!
//! A folder has `open_clip_config.json`, `open_clip_model.safetensors` and the files of a tokenizer. Numbers agree with
//! `open_clip` and timm (`fixtures/regen/clap2.py`). For inference.

mod audio;
mod block;
mod config;
mod text;
mod text_config;
mod words;

use std::collections::BTreeMap;

use audsem_core::hub::{ModelDir, OPEN_CLIP_CONFIG};
use audsem_core::weights::{ModelError, Weights};
use audsem_media::audio::Spectrogram;
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use rayon::prelude::*;
use serde_json::Value;

use super::Features;
use crate::audio::clips::run_clips;
use crate::error::{Error, Result};
use audio::AudioTower;
pub use config::{MAX_SECONDS, OpenClipConfig};
use text::TextTower;
pub(super) use words::OpenClipWords;

/// The scale's bias of models with a sigmoid loss. It is the same for all texts, and no vector depends on it.
const IGNORABLE: &str = "logit_bias";

/// The whole model.
#[derive(Debug, Clone)]
pub struct OpenClip {
    audio: AudioTower,
    text: TextTower,
    config: OpenClipConfig,
    pub(super) device: Device,
    pub(super) logit_scale: f32,
    batch_size: usize,
}

impl OpenClip {
    /// Whether a folder holds a model of `open_clip`, and not also one of transformers.
    ///
    /// # Errors
    /// It cannot be told.
    pub(super) fn is_in(dir: &ModelDir) -> Result<bool> {
        if !dir.has(OPEN_CLIP_CONFIG)? {
            return Ok(false);
        }
        match dir.optional_json::<Value>("config.json") {
            Ok(config) => Ok(!config.is_some_and(|config| config["model_type"].is_string())),
            Err(ModelError::Json { .. }) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens a folder.
    ///
    /// # Errors
    /// A file cannot be read, the configuration has a setting that is not supported, or tensors are missing, unused or of
    /// another shape, all of which are named.
    pub fn open(dir: &ModelDir, device: &Device, dtype: DType) -> Result<Self> {
        let config = OpenClipConfig::open(dir)?;
        let weights = Weights::open(dir, device, dtype)?;
        let model = Self::load(&weights.var_builder(), config)?;
        weights.finish(|name| name == IGNORABLE)?;
        Ok(model)
    }

    /// Loads all tensors, with the names of the library.
    ///
    /// # Errors
    /// A tensor is missing or unreadable.
    fn load(vb: &VarBuilder<'_>, config: OpenClipConfig) -> Result<Self> {
        let scale = vb.to_dtype(DType::F32);
        let scale = if config.nonscalar_logit_scale {
            scale.get(1, "logit_scale")?.squeeze(0)?
        } else {
            scale.get((), "logit_scale")?
        };
        Ok(Self {
            audio: AudioTower::load(&vb.pp("audio"), &config.audio, config.embed_dim)?,
            text: TextTower::load(&vb.pp("text"), &config.text, config.embed_dim)?,
            device: scale.device().clone(),
            logit_scale: scale.exp()?.to_scalar()?,
            config,
            batch_size: 1,
        })
    }

    /// Sets how many texts go through the network together, where it is not on the CPU.
    #[must_use]
    pub fn with_batch_size(self, batch_size: usize) -> Self {
        Self { batch_size: batch_size.max(1), ..self }
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &OpenClipConfig {
        &self.config
    }

    /// Most tokens of a text.
    #[must_use]
    pub fn longest(&self) -> usize {
        self.text.longest()
    }

    /// Unit vectors (B, D) of sounds, each of its own length; none depends on the others.
    ///
    /// # Errors
    /// Features of another extractor, memory, device.
    pub fn embed_features(&self, sounds: &[&Features]) -> Result<Tensor> {
        let bands = self.config.audio.features().feature_size;
        let clips: Vec<Spectrogram> = sounds
            .iter()
            .map(|sound| match sound.frames * bands == sound.mel.len() && sound.frames > 0 {
                true => Ok(Spectrogram { values: sound.mel.clone(), n_frames: sound.frames, n_bands: bands }),
                false => Err(Error::MixedFeatures),
            })
            .collect::<Result<_>>()?;
        let clips: Vec<&Spectrogram> = clips.iter().collect();
        self.rows(run_clips(&clips, &self.device, |mel| self.audio.forward(mel))?)
    }

    /// Unit vectors (B, D) of texts given as token ids; no text depends on the others.
    ///
    /// # Errors
    /// A text without a token or with more than the network takes, an id outside the vocabulary, memory, device.
    pub fn embed_text(&self, texts: &[&[u32]]) -> Result<Tensor> {
        // As with sounds: alone on the CPU, with those of its length elsewhere.
        let mut by_length: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (n, ids) in texts.iter().enumerate() {
            by_length.entry(ids.len()).or_default().push(n);
        }
        let together = if self.device.is_cpu() { 1 } else { self.batch_size };
        let batches: Vec<&[usize]> = by_length.values().flat_map(|places| places.chunks(together)).collect();
        let forward = |places: &&[usize]| -> Result<Vec<Vec<f32>>> {
            let batch: Vec<&[u32]> = places.iter().map(|n| texts[*n]).collect();
            Ok(self.text.forward(&batch, &self.device)?.to_vec2()?)
        };
        let vectors: Vec<Vec<Vec<f32>>> = match self.device.is_cpu() {
            true => batches.par_iter().map(forward).collect::<Result<_>>()?,
            false => batches.iter().map(forward).collect::<Result<_>>()?,
        };
        let mut rows = vec![Vec::new(); texts.len()];
        for (places, vectors) in batches.into_iter().zip(vectors) {
            for (n, vector) in places.iter().zip(vectors) {
                rows[*n] = vector;
            }
        }
        self.rows(rows)
    }

    fn rows(&self, rows: Vec<Vec<f32>>) -> Result<Tensor> {
        let (n, dim) = (rows.len(), self.config.embed_dim);
        Ok(Tensor::from_vec(rows.concat(), (n, dim), &self.device)?)
    }
}
