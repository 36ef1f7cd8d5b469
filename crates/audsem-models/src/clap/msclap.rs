//! CLAP of Microsoft, 2023: HTSAT for sounds, GPT-2 for texts.
//!
//! Elizalde et al., "Natural language supervision for general-purpose audio representations", 2023; numbers agree with the
//! package `msclap` (`fixtures/regen/msclap.py`). For inference.

use audsem_core::hub::ModelDir;
use audsem_core::weights::Weights;
use candle_core::{DType, Device, Tensor};
use candle_nn::{Init, VarBuilder};
use serde::{Deserialize, Serialize};

use super::config::AudioConfig;
use super::htsat::{self, AudioInference, AudioTower};
use super::model::unit;
use crate::error::{Error, Result};
use crate::nn::{Activation, LayerNorm, Linear, RowLinear};
use crate::text::gpt2::{self, Gpt2};

/// What `model_type` says in `config.json`.
pub(super) const MODEL_TYPE: &str = "msclap";

/// Epsilon of the norms of the projections.
const EPS: f64 = 1e-5;

/// The whole model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MsClapConfig {
    /// Name of the architecture family; must be `msclap`.
    pub model_type: String,
    /// The audio tower.
    pub audio_config: AudioConfig,
    /// The text tower.
    pub text_config: gpt2::Config,
    /// Width of the embeddings.
    pub projection_dim: usize,
}

impl Default for MsClapConfig {
    fn default() -> Self {
        Self {
            model_type: MODEL_TYPE.to_owned(),
            audio_config: AudioConfig::default(),
            text_config: gpt2::Config::default(),
            projection_dim: 1024,
        }
    }
}

impl MsClapConfig {
    /// Checks that this network supports all settings.
    ///
    /// # Errors
    /// The first such setting.
    pub fn validate(&self) -> Result<()> {
        if self.model_type != MODEL_TYPE {
            return Err(Error::unsupported("model_type", &self.model_type, MODEL_TYPE));
        }
        Error::check_sizes(&[("projection_dim", self.projection_dim)])?;
        self.audio_config.validate()?;
        self.text_config.validate()
    }
}

/// A linear map, to whose result that of a second one behind an activation is added; normalised.
#[derive(Debug, Clone)]
struct Projection {
    first: RowLinear,
    second: RowLinear,
    norm: LayerNorm,
}

impl Projection {
    fn load(vb: &VarBuilder<'_>, inputs: usize, config: &MsClapConfig) -> Result<Self> {
        let (dim, stdev) = (config.projection_dim, config.audio_config.stdev());
        let map = |name: &str, inputs| Linear::load_no_bias(&vb.pp(name), inputs, dim, stdev);
        Ok(Self {
            first: RowLinear::new(map("linear1", inputs)?)?,
            second: RowLinear::new(map("linear2", dim)?)?,
            norm: LayerNorm::load(&vb.pp("layer_norm"), dim, EPS)?,
        })
    }

    /// Vectors (B, I) to unit vectors (B, D), in f32.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let first = self.first.forward(x)?;
        let second = self.second.forward(&Activation::Gelu.forward(&first)?)?;
        unit(&self.norm.forward(&(first + second)?)?)
    }
}

/// The model in its fastest form for the device.
#[derive(Debug, Clone)]
pub struct MsClap {
    audio: AudioInference,
    text: Gpt2,
    audio_projection: Projection,
    text_projection: Projection,
    config: MsClapConfig,
    pub(super) device: Device,
    pub(super) logit_scale: f32,
}

impl MsClap {
    /// Loads all tensors: those of the audio tower under the names of `ClapModel`, those of the text tower as [`Gpt2`] has
    /// them below `text_model`.
    ///
    /// # Errors
    /// The configuration asks for something unsupported, or a tensor is missing or unreadable.
    pub fn load(vb: &VarBuilder<'_>, config: &MsClapConfig) -> Result<Self> {
        config.validate()?;
        let (audio, text) = (&config.audio_config, &config.text_config);
        let scale = vb.to_dtype(DType::F32).get_with_hints((), "logit_scale", Init::Const(0.0))?;
        Ok(Self {
            audio: AudioTower::load(&vb.pp("audio_model.audio_encoder"), audio)?.into_inference()?,
            text: Gpt2::load(&vb.pp("text_model"), text)?,
            audio_projection: Projection::load(&vb.pp("audio_projection"), audio.output_dim(), config)?,
            text_projection: Projection::load(&vb.pp("text_projection"), text.n_embd, config)?,
            config: config.clone(),
            device: scale.device().clone(),
            logit_scale: scale.exp()?.to_scalar()?,
        })
    }

    /// Opens a folder that was converted from an original checkpoint.
    ///
    /// # Errors
    /// A file cannot be read, the configuration is unsupported, or tensors are missing, unused or of another shape, all
    /// of which are named.
    pub fn open(dir: &ModelDir, device: &Device, dtype: DType) -> Result<Self> {
        let config: MsClapConfig = dir.json("config.json")?;
        let weights = Weights::open(dir, device, dtype)?;
        let model = Self::load(&weights.var_builder(), &config)?;
        weights.finish(|name| htsat::IGNORABLE.iter().any(|known| name.ends_with(known)))?;
        Ok(model)
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &MsClapConfig {
        &self.config
    }

    /// Unit vectors (B, D) of mel features (B, 1, T, F); no clip depends on the others.
    ///
    /// # Errors
    /// As [`AudioTower::forward`].
    pub fn embed_audio(&self, mel: &Tensor, is_longer: &[bool]) -> Result<Tensor> {
        self.audio_projection.forward(&self.audio.pooled(&mel.to_device(&self.device)?, is_longer)?)
    }

    /// Unit vectors (B, D) of texts given as token ids; no text depends on the others.
    ///
    /// # Errors
    /// As [`Gpt2::forward`].
    pub fn embed_text(&self, texts: &[&[u32]]) -> Result<Tensor> {
        let states = texts.iter().map(|ids| Ok(self.text.forward(ids)?.narrow(0, state_of(ids), 1)?));
        self.text_projection.forward(&Tensor::cat(&states.collect::<Result<Vec<_>>>()?, 0)?)
    }
}

/// Which token's state stands for a text. The library means the last one, and counts the tokens whose id is not that of
/// the padding, 0; but `!` has that id too, so that in a text with n of them an earlier state is taken. Texts and sounds were
/// brought together so in training.
fn state_of(ids: &[u32]) -> usize {
    ids.iter().filter(|id| **id != 0).count().saturating_sub(1)
}
