//! The encoder of Whisper, which other networks took over.

use candle_core::{Result as TensorResult, Tensor};
use candle_nn::VarBuilder;

use crate::error::{Error, Result};
use crate::nn::{
    Activation, AttentionContext, BlockConfig, Conv1d, ConvConfig, Embedding, LayerNorm, Mode, ProjectionBias,
    TransformerBlock,
};

/// Epsilon of the norms, which no configuration states.
pub(crate) const LAYER_NORM_EPS: f64 = 1e-5;

/// Shape of an encoder.
#[derive(Debug, Clone, Copy)]
pub struct SpeechEncoderConfig {
    /// Mel bands M.
    pub mels: usize,
    /// States of a full sound, half as many as frames.
    pub positions: usize,
    /// Width D.
    pub dim: usize,
    /// Attention heads.
    pub heads: usize,
    /// Layers.
    pub layers: usize,
    /// Width of the feed-forward blocks.
    pub intermediate: usize,
    /// Activation of the feed-forward blocks.
    pub activation: Activation,
}

impl SpeechEncoderConfig {
    /// Refuses sizes that do not fit each other.
    ///
    /// # Errors
    /// The first such size.
    pub fn validate(&self) -> Result<()> {
        Error::check_sizes(&[
            ("num_mel_bins", self.mels),
            ("max_source_positions", self.positions),
            ("d_model", self.dim),
            ("encoder_attention_heads", self.heads),
            ("encoder_layers", self.layers),
            ("encoder_ffn_dim", self.intermediate),
        ])?;
        check_heads("encoder_attention_heads", self.heads, self.dim)
    }
}

/// Refuses heads that do not divide the width.
pub(crate) fn check_heads(key: &'static str, heads: usize, dim: usize) -> Result<()> {
    match dim.is_multiple_of(heads) {
        true => Ok(()),
        false => Err(Error::unsupported(key, &heads, &format!("a divisor of d_model {dim}"))),
    }
}

/// The block of Whisper: norms first, keys without bias.
pub(crate) fn block(dim: usize, heads: usize, intermediate: usize, activation: Activation, cross: bool) -> BlockConfig {
    BlockConfig {
        dim,
        heads,
        intermediate,
        activation,
        layer_norm_eps: LAYER_NORM_EPS,
        norm_first: true,
        attention_bias: ProjectionBias::WHISPER,
        cross,
        dropout: 0.0,
        attention_dropout: 0.0,
        activation_dropout: 0.0,
        initializer_range: 0.02,
    }
}

/// `conv1` and `conv2`: both see their neighbours, the second makes one state of two frames.
pub(crate) fn convolutions(vb: &VarBuilder<'_>, config: &SpeechEncoderConfig) -> TensorResult<[Conv1d; 2]> {
    let same = ConvConfig { padding: [0, 1], ..ConvConfig::over_time(config.mels, config.dim, 3) };
    let halving = ConvConfig { padding: [0, 1], stride: [1, 2], ..ConvConfig::over_time(config.dim, config.dim, 3) };
    Ok([Conv1d::load(&vb.pp("conv1"), &same)?, Conv1d::load(&vb.pp("conv2"), &halving)?])
}

/// Two convolutions over log-mel frames, the second with steps of 2, learned or fixed positions, and transformer blocks.
#[derive(Debug, Clone)]
pub struct SpeechEncoder {
    conv1: Conv1d,
    conv2: Conv1d,
    positions: Tensor, // (S, D)
    blocks: Vec<TransformerBlock>,
    norm: LayerNorm,
}

impl SpeechEncoder {
    /// Loads `conv1`, `conv2`, `embed_positions`, `layers` and `layer_norm` below `vb`.
    ///
    /// # Errors
    /// A tensor is missing or of another shape, or sizes do not fit each other.
    pub fn load(vb: &VarBuilder<'_>, config: &SpeechEncoderConfig) -> Result<Self> {
        config.validate()?;
        let SpeechEncoderConfig { positions, dim, heads, layers, intermediate, activation, .. } = *config;
        let block = block(dim, heads, intermediate, activation, false);
        let blocks = (0..layers).map(|n| TransformerBlock::load(&vb.pp("layers").pp(n), &block));
        let [conv1, conv2] = convolutions(vb, config)?;
        Ok(Self {
            conv1,
            conv2,
            positions: Embedding::load(&vb.pp("embed_positions"), positions, dim, 0.02)?.table().clone(),
            blocks: blocks.collect::<TensorResult<_>>()?,
            norm: LayerNorm::load(&vb.pp("layer_norm"), dim, LAYER_NORM_EPS)?,
        })
    }

    /// The first `kept` states (1, kept, D) of the frames (1, M, F) of one sound, before the last norm. States that are
    /// not kept are not seen by the others either, as if they were masked.
    ///
    /// # Errors
    /// There are more frames than positions call for, or fewer than `kept` states.
    pub fn states(&self, mel: &Tensor, kept: usize) -> Result<Tensor> {
        let mut x = self.stem(mel, kept)?;
        for block in &self.blocks {
            x = block.forward(&x, &AttentionContext::full(Mode::Infer), None, None)?;
        }
        Ok(x)
    }

    /// What the first block gets: the first `kept` states (1, kept, D) behind the convolutions, with their positions.
    ///
    /// # Errors
    /// As [`SpeechEncoder::states`].
    pub fn stem(&self, mel: &Tensor, kept: usize) -> Result<Tensor> {
        let (frames, positions) = (mel.dim(2)?, self.positions.dim(0)?);
        if frames > 2 * positions || kept > frames.div_ceil(2) {
            let message = format!("{kept} states of {frames} frames, of at most {}", 2 * positions);
            return Err(candle_core::Error::Msg(message).into());
        }
        // A state sees two frames behind its own two at most; where the sound ends, padding is what follows.
        let mel = mel.narrow(2, 0, frames.min(2 * kept + 1))?.contiguous()?;
        let x = self.conv1.forward_activated(&mel, Activation::Gelu)?;
        let x = self.conv2.forward_activated(&x, Activation::Gelu)?.narrow(2, 0, kept)?.transpose(1, 2)?;
        Ok(x.broadcast_add(&self.positions.narrow(0, 0, kept)?)?.contiguous()?)
    }

    /// The blocks between the stem and the norm.
    #[must_use]
    pub fn blocks(&self) -> &[TransformerBlock] {
        &self.blocks
    }

    /// The norm behind the blocks.
    #[must_use]
    pub fn norm(&self) -> &LayerNorm {
        &self.norm
    }
}
