//! HTSAT, the audio tower: a Swin transformer over the mel features, folded into a square image.
//!
//! Chen et al., "HTS-AT", 2022; numbers agree with `ClapAudioModel` of Hugging Face transformers
//! (`fixtures/regen/clap.py`). [`AudioTower`] is differentiable and runs on any device; [`AudioInference`] is its
//! fastest form.

mod attention;
mod block;
mod fused;
mod image;
mod patches;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use rayon::prelude::*;

use super::config::AudioConfig;
use crate::error::Result;
use crate::nn::{LayerNorm, Linear};
use block::Stage;
use fused::FusedStages;
use image::Folding;
use patches::PatchEmbedding;

/// Epsilon of the norms that the configuration does not set.
const EPS: f64 = 1e-5;

/// Tensors that checkpoints carry and this network computes or has no use for.
pub(super) const IGNORABLE: [&str; 2] = ["relative_position_index", "num_batches_tracked"];

/// The audio tower.
#[derive(Debug, Clone)]
pub struct AudioTower {
    head: Head,
    stages: Vec<Stage>,
    norm: LayerNorm,
}

/// Everything before the stages.
#[derive(Debug, Clone)]
struct Head {
    folding: Folding,
    patches: PatchEmbedding,
    side: usize,
}

impl Head {
    /// Mel features (B, 1 or 4, T, F) to tokens (B, side·side, C).
    fn forward(&self, mel: &Tensor, is_longer: &[bool]) -> Result<Tensor> {
        let image = self.folding.forward(mel)?; // (B, 1 or 4, S, S)
        self.patches.forward(&image, is_longer)
    }

    /// As [`Head::forward`], each clip in products of its own, so that none depends on how many there are.
    fn forward_each(&self, mel: &Tensor, is_longer: &[bool]) -> Result<Tensor> {
        let clips = mel.dim(0)?;
        if clips != is_longer.len() || clips < 2 {
            return self.forward(mel, is_longer);
        }
        let tokens = is_longer.par_chunks(1).enumerate().map(|(n, longer)| self.forward(&mel.narrow(0, n, 1)?, longer));
        Ok(Tensor::cat(&tokens.collect::<Result<Vec<_>>>()?, 0)?)
    }
}

impl AudioTower {
    /// Loads the tensors below `audio_encoder`.
    ///
    /// # Errors
    /// The configuration asks for something unsupported, or a tensor is missing or unreadable.
    pub fn load(vb: &VarBuilder<'_>, config: &AudioConfig) -> Result<Self> {
        config.validate()?;
        let layers = vb.pp("layers");
        let stages = (0..config.depths.len()).map(|stage| Stage::load(&layers.pp(stage), config, stage));
        Ok(Self {
            head: Head {
                folding: Folding::load(&vb.pp("batch_norm"), config)?,
                patches: PatchEmbedding::load(&vb.pp("patch_embed"), config)?,
                side: config.side(0),
            },
            stages: stages.collect::<Result<_>>()?,
            norm: LayerNorm::load(&vb.pp("norm"), config.output_dim(), EPS)?,
        })
    }

    /// Tokens (B, N, D) of mel features (B, 1 or 4, T, F): four channels if the configuration fuses. `is_longer` tells
    /// which clips have four different views.
    ///
    /// # Errors
    /// Features of another shape, memory, device.
    pub fn forward(&self, mel: &Tensor, is_longer: &[bool]) -> Result<Tensor> {
        let mut x = self.head.forward(mel, is_longer)?;
        for stage in &self.stages {
            x = stage.forward(&x)?;
        }
        Ok(self.norm.forward(&x)?)
    }

    /// The patch embedding and the output of every stage, all as (B, N, D).
    ///
    /// # Errors
    /// As [`AudioTower::forward`].
    pub fn hidden_states(&self, mel: &Tensor, is_longer: &[bool]) -> Result<Vec<Tensor>> {
        let mut states = vec![self.head.forward(mel, is_longer)?];
        for stage in &self.stages {
            let x = stage.forward(&states[states.len() - 1])?;
            states.push(x);
        }
        Ok(states)
    }

    /// The image (B, 1 or 4, S, S) that mel features are folded into.
    ///
    /// # Errors
    /// Features of another shape, memory, device.
    pub fn image(&self, mel: &Tensor) -> Result<Tensor> {
        self.head.folding.forward(mel)
    }

    /// The mean over all tokens (B, D), in f32; otherwise as [`AudioTower::forward`].
    ///
    /// # Errors
    /// As [`AudioTower::forward`].
    pub fn pooled(&self, mel: &Tensor, is_longer: &[bool]) -> Result<Tensor> {
        Ok(self.forward(mel, is_longer)?.to_dtype(DType::F32)?.mean(1)?)
    }

    /// Turns it into its fastest form for this device.
    ///
    /// # Errors
    /// A weight cannot be read.
    pub fn into_inference(self) -> Result<AudioInference> {
        let Some(stages) = FusedStages::new(&self)? else {
            return Ok(AudioInference(Form::Composed(self)));
        };
        Ok(AudioInference(Form::Fused { head: self.head, stages }))
    }
}

/// [`AudioTower`] in its fastest form for the device.
#[derive(Debug, Clone)]
pub struct AudioInference(Form);

#[derive(Debug, Clone)]
enum Form {
    Composed(AudioTower),
    Fused { head: Head, stages: FusedStages },
}

impl AudioInference {
    /// As [`AudioTower::pooled`]; no clip depends on the others. On the CPU its vector is the same alone and in any batch, bit
    /// for bit.
    ///
    /// # Errors
    /// As [`AudioTower::pooled`].
    pub fn pooled(&self, mel: &Tensor, is_longer: &[bool]) -> Result<Tensor> {
        match &self.0 {
            Form::Composed(tower)
                if mel.device().is_cpu() && is_longer.len() > 1 && is_longer.len() == mel.dim(0)? =>
            {
                let clips = is_longer.iter().enumerate();
                let pooled = clips.map(|(n, longer)| tower.pooled(&mel.narrow(0, n, 1)?, &[*longer]));
                Ok(Tensor::cat(&pooled.collect::<Result<Vec<_>>>()?, 0)?)
            }
            Form::Composed(tower) => tower.pooled(mel, is_longer),
            Form::Fused { head, stages } => {
                let tokens = head.forward_each(mel, is_longer)?; // (B, N, C)
                let (batch, _, _) = tokens.dims3()?;
                let pooled = stages.pooled(tokens.flatten_all()?.to_vec1()?, batch, head.side);
                Ok(Tensor::from_vec(pooled, (batch, stages.output_dim()), &Device::Cpu)?)
            }
        }
    }
}

/// A linear map of the tower, with or without a bias.
fn linear(vb: &VarBuilder<'_>, inputs: usize, outputs: usize, bias: bool, config: &AudioConfig) -> Result<Linear> {
    let load = if bias { Linear::load } else { Linear::load_no_bias };
    Ok(load(vb, inputs, outputs, config.stdev())?)
}
