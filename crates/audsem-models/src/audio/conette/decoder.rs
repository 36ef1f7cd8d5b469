//! The part that writes: torch's `TransformerDecoder` with sinusoidal positions.

use std::collections::HashMap;

use candle_core::{Device, Tensor};
use candle_nn::{Init, VarBuilder};

use super::{Config, STDEV};
use crate::error::{Error, Result};
use crate::nn::{Activation, BlockConfig, DecoderCache, Embedding, Linear, ProjectionBias, TransformerBlock};
use crate::text::{TextDecoder, forward_layers};

/// Epsilon of the norms.
const EPS: f64 = 1e-5;

/// Names within a layer: those of the checkpoint and those of [`TransformerBlock`].
const LAYER_NAMES: [(&str, &str); 7] = [
    ("self_attn.out_proj", "self_attn.out_proj"),
    ("multihead_attn.out_proj", "encoder_attn.out_proj"),
    ("linear1", "fc1"),
    ("linear2", "fc2"),
    ("norm1", "self_attn_layer_norm"),
    ("norm2", "encoder_attn_layer_norm"),
    ("norm3", "final_layer_norm"),
];

/// The decoder with its map to logits.
#[derive(Debug, Clone)]
pub(super) struct WordDecoder {
    words: Embedding,
    positions: Tensor, // (max_pred_size, D)
    layers: Vec<TransformerBlock>,
    classifier: Linear,
}

impl WordDecoder {
    /// Loads `emb_layer`, `layers` and `classifier`.
    pub(super) fn load(vb: &VarBuilder<'_>, config: &Config, vocabulary: usize) -> Result<Self> {
        let (dim, layers) = (config.d_model, vb.pp("layers"));
        Ok(Self {
            words: Embedding::load(&vb.pp("emb_layer"), vocabulary, dim, STDEV)?,
            positions: positions(config.max_pred_size, dim, vb.device())?.to_dtype(vb.dtype())?,
            layers: (0..config.num_decoder_layers).map(|n| load_layer(&layers.pp(n), config)).collect::<Result<_>>()?,
            classifier: Linear::load(&vb.pp("classifier"), dim, vocabulary, STDEV)?,
        })
    }
}

impl TextDecoder for WordDecoder {
    fn cache(&self, batch: usize) -> DecoderCache {
        DecoderCache::new(self.layers.len(), batch)
    }

    fn decode(&self, ids: &Tensor, states: &Tensor, cache: &mut DecoderCache) -> Result<Tensor> {
        let x = self.words.forward(ids)?;
        let (before, (_, t, dim), longest) = (cache.len(), x.dims3()?, self.positions.dim(0)?);
        if before + t > longest {
            return Err(Error::TextLength { tokens: before + t, longest });
        }
        let x = (x * (dim as f64).sqrt())?.broadcast_add(&self.positions.narrow(0, before, t)?)?;
        forward_layers(&self.layers, x, states, cache)
    }

    fn logits(&self, states: &Tensor) -> Result<Tensor> {
        Ok(self.classifier.forward(states)?)
    }
}

/// Sines and cosines side by side, of wavelengths from 2π to 20,000π: (T, D).
fn positions(longest: usize, dim: usize, device: &Device) -> Result<Tensor> {
    let step = -(10_000f64.ln()) / dim as f64;
    let pair = |position: usize, i: usize| {
        // In single precision, as torch has them.
        let angle = position as f32 * ((2 * i) as f32 * step as f32).exp();
        [angle.sin(), angle.cos()]
    };
    let values = (0..longest).flat_map(|position| (0..dim / 2).flat_map(move |i| pair(position, i)));
    Ok(Tensor::from_iter(values.collect::<Vec<_>>(), device)?.reshape((longest, dim))?)
}

/// Loads a layer whose projections of queries, keys and values are one tensor.
fn load_layer(vb: &VarBuilder<'_>, config: &Config) -> Result<TransformerBlock> {
    let (dim, wide) = (config.d_model, config.dim_feedforward);
    let random = Init::Randn { mean: 0.0, stdev: STDEV };
    let mut tensors = HashMap::new();
    for (theirs, ours) in LAYER_NAMES {
        let (shape, init) = match ours {
            "fc1" => (vec![wide, dim], random),
            "fc2" => (vec![dim, wide], random),
            _ if ours.ends_with("norm") => (vec![dim], Init::Const(1.0)),
            _ => (vec![dim, dim], random),
        };
        let outputs = shape[0];
        let vb = vb.pp(theirs);
        tensors.insert(format!("{ours}.weight"), vb.get_with_hints(shape, "weight", init)?);
        tensors.insert(format!("{ours}.bias"), vb.get_with_hints(outputs, "bias", Init::Const(0.0))?);
    }
    for (theirs, ours) in [("self_attn", "self_attn"), ("multihead_attn", "encoder_attn")] {
        let vb = vb.pp(theirs);
        let weight = vb.get_with_hints((3 * dim, dim), "in_proj_weight", random)?;
        let bias = vb.get_with_hints(3 * dim, "in_proj_bias", Init::Const(0.0))?;
        for (n, part) in ["q_proj", "k_proj", "v_proj"].into_iter().enumerate() {
            tensors.insert(format!("{ours}.{part}.weight"), weight.narrow(0, n * dim, dim)?.contiguous()?);
            tensors.insert(format!("{ours}.{part}.bias"), bias.narrow(0, n * dim, dim)?.contiguous()?);
        }
    }
    let block = BlockConfig {
        dim,
        heads: config.nhead,
        intermediate: wide,
        activation: Activation::from_name("acti_name", &config.acti_name)?,
        layer_norm_eps: EPS,
        norm_first: false,
        attention_bias: ProjectionBias::ALL,
        cross: true,
        dropout: 0.0,
        attention_dropout: 0.0,
        activation_dropout: 0.0,
        initializer_range: STDEV,
    };
    Ok(TransformerBlock::load(&VarBuilder::from_tensors(tensors, vb.dtype(), vb.device()), &block)?)
}
