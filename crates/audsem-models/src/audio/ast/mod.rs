//! Audio Spectrogram Transformer: a vision transformer over overlapping patches of a log-mel spectrogram.
//!
//! Gong et al., "AST", 2021; numbers agree with `ASTForAudioClassification` of Hugging Face transformers
//! (`fixtures/regen/ast_classifier.py`). Every clip is cut or filled with zeros to one length by its features, as in
//! training, so that all clips have equally many patches.

mod classifier;
mod config;

use candle_core::{IndexOp, Tensor};
use candle_nn::{Init, VarBuilder};

pub use classifier::AstClassifier;
pub use config::{AstFeatureConfig, AstHead, Config};

use crate::error::{Error, Result};
use crate::nn::{
    Activation, AttentionContext, BlockConfig, Conv2d, ConvConfig, LayerNorm, Linear, Mode, ProjectionBias,
    TransformerBlock,
};

/// Sample rate of the sounds, in Hz.
pub const SAMPLE_RATE_HZ: u32 = 16_000;

/// Standard deviation of new weights.
const STDEV: f64 = 0.02;

/// Names within a layer: those of [`TransformerBlock`] and those of the checkpoint.
const LAYER_NAMES: [(&str, &str); 8] = [
    (".self_attn_layer_norm.", ".layernorm_before."),
    (".final_layer_norm.", ".layernorm_after."),
    (".self_attn.q_proj.", ".attention.attention.query."),
    (".self_attn.k_proj.", ".attention.attention.key."),
    (".self_attn.v_proj.", ".attention.attention.value."),
    (".self_attn.out_proj.", ".attention.output.dense."),
    (".fc1.", ".intermediate.dense."),
    (".fc2.", ".output.dense."),
];

/// The network with its classification head.
#[derive(Debug, Clone)]
pub struct Ast {
    patches: Conv2d,
    first: Tensor,     // (1, 2, D): the class token and the distillation token
    positions: Tensor, // (1, 2 + N, D)
    layers: Vec<TransformerBlock>,
    norm: LayerNorm,
    head_norm: LayerNorm,
    head: Linear,
    max_length: usize,
    num_mel_bins: usize,
}

impl Ast {
    /// Loads all tensors, with the names of `ASTForAudioClassification`.
    ///
    /// # Errors
    /// The configuration asks for something unsupported, or a tensor is missing or of another shape.
    pub fn load(vb: &VarBuilder<'_>, config: &Config) -> Result<Self> {
        config.validate()?;
        let (dim, base) = (config.hidden_size, vb.pp("audio_spectrogram_transformer"));
        let embeddings = base.pp("embeddings");
        let token = |name| embeddings.get_with_hints((1, 1, dim), name, Init::Const(0.0));
        let tokens = 2 + config.grid().iter().product::<usize>();
        let norm = |vb: VarBuilder<'_>| LayerNorm::load(&vb, dim, config.layer_norm_eps);
        Ok(Self {
            patches: load_patches(&embeddings.pp("patch_embeddings.projection"), config)?,
            first: Tensor::cat(&[token("cls_token")?, token("distillation_token")?], 1)?,
            positions: embeddings.get_with_hints((1, tokens, dim), "position_embeddings", Init::Const(0.0))?,
            layers: load_layers(&base.pp("encoder.layer"), config)?,
            norm: norm(base.pp("layernorm"))?,
            head_norm: norm(vb.pp("classifier.layernorm"))?,
            head: Linear::load(&vb.pp("classifier.dense"), dim, config.id2label.len(), STDEV)?,
            max_length: config.max_length,
            num_mel_bins: config.num_mel_bins,
        })
    }

    /// The logits of the classes (B, C) of features (B, T, F).
    ///
    /// # Errors
    /// Features of other sizes than the configuration says, memory, device.
    pub fn forward(&self, features: &Tensor) -> Result<Tensor> {
        let mut x = self.embed(features)?;
        for layer in &self.layers {
            x = layer.forward(&x, &AttentionContext::full(Mode::Infer), None, None)?;
        }
        self.classify(&x)
    }

    /// The embedded patches and the output of every layer (B, 2 + N, D), as `output_hidden_states` of transformers gives
    /// them.
    ///
    /// # Errors
    /// As [`Ast::forward`].
    pub fn hidden_states(&self, features: &Tensor) -> Result<Vec<Tensor>> {
        let mut states = vec![self.embed(features)?];
        for layer in &self.layers {
            let x = layer.forward(&states[states.len() - 1], &AttentionContext::full(Mode::Infer), None, None)?;
            states.push(x);
        }
        Ok(states)
    }

    /// Features (B, T, F) to tokens (B, 2 + N, D); patches in order of frequency, then time.
    fn embed(&self, features: &Tensor) -> Result<Tensor> {
        let (b, frames, mels) = features.dims3()?;
        if (frames, mels) != (self.max_length, self.num_mel_bins) {
            return Err(Error::FeatureShape {
                frames,
                mels,
                max_frames: self.max_length,
                wanted_mels: self.num_mel_bins,
            });
        }
        let image = features.to_dtype(self.first.dtype())?.transpose(1, 2)?.unsqueeze(1)?; // (B, 1, F, T)
        let patches = self.patches.forward(&image)?.flatten_from(2)?.transpose(1, 2)?; // (B, N, D)
        let (_, two, dim) = self.first.dims3()?;
        let x = Tensor::cat(&[&self.first.broadcast_as((b, two, dim))?.contiguous()?, &patches.contiguous()?], 1)?;
        Ok(x.broadcast_add(&self.positions)?)
    }

    /// Hidden states (B, 2 + N, D) to logits (B, C).
    fn classify(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.norm.forward(&x.i((.., ..2))?.contiguous()?)?;
        let pooled = ((x.i((.., 0))? + x.i((.., 1))?)? * 0.5)?; // (B, D)
        Ok(self.head.forward(&self.head_norm.forward(&pooled)?)?)
    }
}

fn load_patches(vb: &VarBuilder<'_>, config: &Config) -> Result<Conv2d> {
    let kernel = [config.patch_size; 2];
    let stride = [config.frequency_stride, config.time_stride];
    let conv = ConvConfig { stride, ..ConvConfig::over_image(1, config.hidden_size, kernel) };
    Ok(Conv2d::load(vb, &conv)?)
}

fn load_layers(vb: &VarBuilder<'_>, config: &Config) -> Result<Vec<TransformerBlock>> {
    let bias = config.qkv_bias;
    let block = BlockConfig {
        dim: config.hidden_size,
        heads: config.num_attention_heads,
        intermediate: config.intermediate_size,
        activation: Activation::from_name("hidden_act", &config.hidden_act)?,
        layer_norm_eps: config.layer_norm_eps,
        norm_first: true,
        attention_bias: ProjectionBias { query: bias, key: bias, value: bias, output: true },
        cross: false,
        dropout: 0.0,
        attention_dropout: 0.0,
        activation_dropout: 0.0,
        initializer_range: STDEV,
    };
    let renamed = vb.root().rename_f(checkpoint_name).set_prefix(vb.prefix());
    Ok((0..config.num_hidden_layers)
        .map(|n| TransformerBlock::load(&renamed.pp(n), &block))
        .collect::<candle_core::Result<_>>()?)
}

/// The name that the checkpoint has for a tensor of a block.
fn checkpoint_name(name: &str) -> String {
    let known = LAYER_NAMES.into_iter().find(|(ours, _)| name.contains(ours));
    known.map_or_else(|| name.to_owned(), |(ours, theirs)| name.replacen(ours, theirs, 1))
}
