//! The two towers with their projections.

use audsem_core::hub::ModelDir;
use audsem_core::weights::Weights;
use candle_core::{D, DType, Device, Tensor};
use candle_nn::{Init, VarBuilder};

use super::config::Config;
use super::htsat::{self, AudioInference, AudioTower};
use crate::error::Result;
use crate::nn::{Activation, Linear, Mode, RowLinear};
use crate::roberta::{self, Roberta, RobertaInference};

/// Smallest norm that vectors are divided by.
const MIN_NORM: f64 = 1e-12;

/// Two linear maps with an activation in between.
#[derive(Debug, Clone)]
struct Projection {
    first: Linear,
    second: Linear,
    activation: Activation,
}

impl Projection {
    fn load(vb: &VarBuilder<'_>, inputs: usize, config: &Config, stdev: f64) -> Result<Self> {
        let dim = config.projection_dim;
        Ok(Self {
            first: Linear::load(&vb.pp("linear1"), inputs, dim, stdev)?,
            second: Linear::load(&vb.pp("linear2"), dim, dim, stdev)?,
            activation: Activation::from_name("projection_hidden_act", &config.projection_hidden_act)?,
        })
    }

    /// Pooled vectors (B, I) to unit vectors (B, D), in f32.
    fn forward(&self, pooled: &Tensor) -> Result<Tensor> {
        let x = pooled.to_dtype(self.first.weight().dtype())?;
        unit(&self.second.forward(&self.activation.forward(&self.first.forward(&x)?)?)?)
    }

    fn into_inference(self) -> Result<InferenceProjection> {
        let Self { first, second, activation } = self;
        Ok(InferenceProjection { first: RowLinear::new(first)?, second: RowLinear::new(second)?, activation })
    }
}

/// [`Projection`] for inference; no row depends on the others.
#[derive(Debug, Clone)]
struct InferenceProjection {
    first: RowLinear,
    second: RowLinear,
    activation: Activation,
}

impl InferenceProjection {
    fn forward(&self, pooled: &Tensor) -> Result<Tensor> {
        let x = self.first.forward(pooled)?;
        // `relu` of candle makes 0 of NaN, and a broken vector would look like a good one. `0 x` is 0 or NaN.
        let activated = (self.activation.forward(&x)? + (&x * 0.0)?)?;
        unit(&self.second.forward(&activated)?)
    }
}

/// Rows (B, D) over their norms, in f32.
pub(super) fn unit(x: &Tensor) -> Result<Tensor> {
    let x = x.to_dtype(DType::F32)?;
    let norm = x.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?;
    Ok(x.broadcast_div(&norm.maximum(MIN_NORM)?)?)
}

/// CLAP: audio and text to vectors of one space (Wu et al., 2023). Differentiable, on any device.
#[derive(Debug, Clone)]
pub struct Clap {
    audio: AudioTower,
    text: Roberta,
    audio_projection: Projection,
    text_projection: Projection,
    logit_scale_a: Tensor,
    logit_scale_t: Tensor,
    config: Config,
}

impl Clap {
    /// Loads all tensors, with the names of `ClapModel`.
    ///
    /// # Errors
    /// The configuration asks for something unsupported, or a tensor is missing or unreadable.
    pub fn load(vb: &VarBuilder<'_>, config: &Config) -> Result<Self> {
        config.validate()?;
        let scale =
            |name| vb.to_dtype(DType::F32).get_with_hints((), name, Init::Const(config.logit_scale_init_value.ln()));
        let (audio, text) = (&config.audio_config, &config.text_config);
        let project = |name, inputs| Projection::load(&vb.pp(name), inputs, config, audio.stdev());
        Ok(Self {
            audio: AudioTower::load(&vb.pp("audio_model.audio_encoder"), audio)?,
            text: Roberta::load(&vb.pp("text_model"), text)?,
            audio_projection: project("audio_projection", audio.output_dim())?,
            text_projection: project("text_projection", text.hidden_size)?,
            logit_scale_a: scale("logit_scale_a")?,
            logit_scale_t: scale("logit_scale_t")?,
            config: config.clone(),
        })
    }

    /// Opens a checkpoint in the layout of the Hugging Face hub.
    ///
    /// # Errors
    /// A file cannot be read, the configuration is unsupported, or tensors are missing, unused or of another shape, all
    /// of which are named.
    pub fn open(dir: &ModelDir, device: &Device, dtype: DType) -> Result<Self> {
        let config: Config = dir.json("config.json")?;
        let weights = Weights::open(dir, device, dtype)?;
        let model = Self::load(&weights.var_builder(), &config)?;
        weights.finish(ignorable)?;
        Ok(model)
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The audio tower.
    #[must_use]
    pub fn audio(&self) -> &AudioTower {
        &self.audio
    }

    /// The text tower.
    #[must_use]
    pub fn text(&self) -> &Roberta {
        &self.text
    }

    /// Unit vectors (B, D) of mel features (B, 1 or 4, T, F); `is_longer` as in [`AudioTower::forward`].
    ///
    /// # Errors
    /// As [`AudioTower::forward`].
    pub fn embed_audio(&self, mel: &Tensor, is_longer: &[bool]) -> Result<Tensor> {
        self.audio_projection.forward(&self.audio.pooled(mel, is_longer)?)
    }

    /// Unit vectors (B, D) of token ids (B, T); `mask` as in [`Roberta::forward`].
    ///
    /// # Errors
    /// As [`Roberta::forward`].
    pub fn embed_text(&self, ids: &Tensor, mask: Option<&Tensor>, mode: Mode) -> Result<Tensor> {
        self.text_projection.forward(&self.text.pool(&self.text.forward(ids, mask, mode)?)?)
    }

    /// What cosines are multiplied with before a softmax over texts and over clips.
    ///
    /// # Errors
    /// Memory or device.
    pub fn logit_scales(&self) -> Result<(Tensor, Tensor)> {
        Ok((self.logit_scale_a.exp()?, self.logit_scale_t.exp()?))
    }

    /// Turns it into its fastest form for this device; the weights are moved, not copied.
    ///
    /// # Errors
    /// A weight cannot be read.
    pub fn into_inference(self) -> Result<ClapInference> {
        let device = self.logit_scale_a.device().clone();
        let logit_scale = self.logit_scale_a.exp()?.to_scalar()?;
        Ok(ClapInference {
            audio: self.audio.into_inference()?,
            text: self.text.into_inference()?,
            audio_projection: self.audio_projection.into_inference()?,
            text_projection: self.text_projection.into_inference()?,
            config: self.config,
            device,
            logit_scale,
        })
    }
}

/// Tensors of a checkpoint that the network computes or has no use for.
fn ignorable(name: &str) -> bool {
    let computed = htsat::IGNORABLE.iter().any(|known| name.ends_with(known));
    computed || roberta::IGNORABLE.iter().any(|known| name.ends_with(known))
}

/// [`Clap`] in its fastest form for the device.
#[derive(Debug, Clone)]
pub struct ClapInference {
    audio: AudioInference,
    text: RobertaInference,
    audio_projection: InferenceProjection,
    text_projection: InferenceProjection,
    config: Config,
    pub(super) device: Device,
    pub(super) logit_scale: f32,
}

impl ClapInference {
    /// As [`FusedTextModel::with_batch_size`](crate::nn::text::FusedTextModel::with_batch_size).
    #[must_use]
    pub fn with_batch_size(self, batch_size: usize) -> Self {
        Self { text: self.text.with_batch_size(batch_size), ..self }
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Unit vectors (B, D) of mel features (B, 1 or 4, T, F); no clip depends on the others.
    ///
    /// # Errors
    /// As [`AudioTower::forward`].
    pub fn embed_audio(&self, mel: &Tensor, is_longer: &[bool]) -> Result<Tensor> {
        self.audio_projection.forward(&self.audio.pooled(&mel.to_device(&self.device)?, is_longer)?)
    }

    /// Unit vectors (B, D) of texts given as token ids; no text depends on the others.
    ///
    /// # Errors
    /// As [`RobertaInference::pooled`].
    pub fn embed_text(&self, texts: &[&[u32]]) -> Result<Tensor> {
        self.text_projection.forward(&self.text.pooled(texts)?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_vector_that_overflows_is_no_number() {
        let linear = |value: f32| {
            let weight = Tensor::full(value, (2, 2), &Device::Cpu).unwrap();
            RowLinear::new(Linear::from_tensors(weight, None)).unwrap()
        };
        let project = |value| {
            let (first, second) = (linear(value), linear(1.0));
            let projection = InferenceProjection { first, second, activation: Activation::Relu };
            let pooled = Tensor::new(&[[1f32, 2.0], [f32::NAN, 1.0], [f32::MAX, -f32::MAX]], &Device::Cpu).unwrap();
            projection.forward(&pooled).unwrap().to_vec2::<f32>().unwrap()
        };
        let half = 0.5f32.sqrt();
        assert!(project(1.0)[0].iter().all(|x| (x - half).abs() < 1e-6));
        assert!(project(1.0)[1].iter().all(|x| x.is_nan()));
        assert!(project(10.0)[2].iter().all(|x| x.is_nan()), "{:?}", project(10.0));
    }
}
