//! The post-norm transformer encoder of BERT and RoBERTa.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::fused;
use super::{Activation, Attention, Dropout, LayerNorm, Linear, Mode, join_heads, padding_bias, split_heads};
use crate::error::Error;

/// Shape and behaviour of an encoder.
#[derive(Debug, Clone, Copy)]
pub struct EncoderConfig {
    /// Layers.
    pub layers: usize,
    /// Width D.
    pub dim: usize,
    /// Heads H, a divisor of D.
    pub heads: usize,
    /// Width of the feed-forward block.
    pub intermediate: usize,
    /// Activation of the feed-forward block.
    pub activation: Activation,
    /// Epsilon of layer normalisation.
    pub layer_norm_eps: f64,
    /// Dropout after dense layers.
    pub dropout: f64,
    /// Dropout of attention weights.
    pub attention_dropout: f64,
    /// Standard deviation of new weights.
    pub initializer_range: f64,
}

impl EncoderConfig {
    /// Names the setting that no encoder can have.
    ///
    /// # Errors
    /// A size is 0 or absurd, the heads do not divide the width, or epsilon is no small number.
    pub fn validate(&self) -> crate::error::Result<()> {
        Error::check_sizes(&[("hidden_size", self.dim), ("intermediate_size", self.intermediate)])?;
        Error::check_eps("layer_norm_eps", self.layer_norm_eps)?;
        if self.heads == 0 || !self.dim.is_multiple_of(self.heads) {
            return Err(Error::unsupported("num_attention_heads", &self.heads, "a divisor of hidden_size"));
        }
        Ok(())
    }
}

#[derive(Debug, Clone)]
struct SelfAttention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    norm: LayerNorm,
    heads: usize,
    dropout: Dropout,
    attention_dropout: Dropout,
}

impl SelfAttention {
    fn load(vb: &VarBuilder<'_>, config: &EncoderConfig) -> Result<Self> {
        let dim = config.dim;
        let linear = |name: &str| Linear::load(&vb.pp(name), dim, dim, config.initializer_range);
        Ok(Self {
            query: linear("self.query")?,
            key: linear("self.key")?,
            value: linear("self.value")?,
            output: linear("output.dense")?,
            norm: LayerNorm::load(&vb.pp("output.LayerNorm"), dim, config.layer_norm_eps)?,
            heads: config.heads,
            dropout: Dropout::at(&vb.pp("output"), config.dropout)?,
            attention_dropout: Dropout::at(&vb.pp("self"), config.attention_dropout)?,
        })
    }

    fn forward(&self, x: &Tensor, bias: Option<&Tensor>, mode: Mode) -> Result<Tensor> {
        let heads = |linear: &Linear| split_heads(&linear.forward_in(x, mode)?, self.heads); // (B, H, T, D/H)
        let attention = Attention { bias, dropout: Some(&self.attention_dropout), mode };
        let mixed = attention.forward(&heads(&self.query)?, &heads(&self.key)?, &heads(&self.value)?)?;
        let mixed = join_heads(&mixed)?; // (B, T, D)
        let y = self.dropout.forward(&self.output.forward_in(&mixed, mode)?, mode)?;
        self.norm.forward(&(y + x)?)
    }
}

#[derive(Debug, Clone)]
struct Layer {
    attention: SelfAttention,
    up: Linear,
    down: Linear,
    norm: LayerNorm,
    dropout: Dropout,
    heads: usize,
    activation: Activation,
}

impl Layer {
    fn load(vb: &VarBuilder<'_>, config: &EncoderConfig) -> Result<Self> {
        let (dim, wide, stdev) = (config.dim, config.intermediate, config.initializer_range);
        Ok(Self {
            attention: SelfAttention::load(&vb.pp("attention"), config)?,
            up: Linear::load(&vb.pp("intermediate.dense"), dim, wide, stdev)?,
            down: Linear::load(&vb.pp("output.dense"), wide, dim, stdev)?,
            norm: LayerNorm::load(&vb.pp("output.LayerNorm"), dim, config.layer_norm_eps)?,
            dropout: Dropout::at(&vb.pp("output"), config.dropout)?,
            heads: config.heads,
            activation: config.activation,
        })
    }

    fn linears(&self) -> [&Linear; 6] {
        let SelfAttention { query, key, value, output, .. } = &self.attention;
        [query, key, value, output, &self.up, &self.down]
    }

    fn forward(&self, x: &Tensor, bias: Option<&Tensor>, mode: Mode) -> Result<Tensor> {
        let x = self.attention.forward(x, bias, mode)?;
        let y = self.down.forward_in(&self.activation.forward(&self.up.forward_in(&x, mode)?)?, mode)?;
        self.norm.forward(&(self.dropout.forward(&y, mode)? + x)?)
    }
}

/// Layers of attention and feed-forward blocks, each with a residual sum and a norm behind it.
#[derive(Debug, Clone)]
pub struct Encoder {
    layers: Vec<Layer>,
}

impl Encoder {
    /// Loads `layer.0` … below `vb`.
    ///
    /// # Errors
    /// A tensor is missing or of another shape.
    pub fn load(vb: &VarBuilder<'_>, config: &EncoderConfig) -> Result<Self> {
        let layers = vb.pp("layer");
        Ok(Self { layers: (0..config.layers).map(|n| Layer::load(&layers.pp(n), config)).collect::<Result<_>>()? })
    }

    /// Outputs of all layers, of x (B, T, D). `mask` (B, T) is 1 at tokens and 0 at padding; none means there is no
    /// padding.
    ///
    /// # Errors
    /// Memory or device.
    pub fn hidden_states(&self, x: Tensor, mask: Option<&Tensor>, mode: Mode) -> Result<Vec<Tensor>> {
        let bias = mask.map(padding_bias).transpose()?;
        let mut states = vec![x];
        for layer in &self.layers {
            let x = layer.forward(&states[states.len() - 1], bias.as_ref(), mode)?;
            states.push(x);
        }
        Ok(states)
    }

    /// The output of the last layer; otherwise as [`Encoder::hidden_states`].
    ///
    /// # Errors
    /// Memory or device.
    pub fn forward(&self, mut x: Tensor, mask: Option<&Tensor>, mode: Mode) -> Result<Tensor> {
        let bias = mask.map(padding_bias).transpose()?;
        for layer in &self.layers {
            x = layer.forward(&x, bias.as_ref(), mode)?;
        }
        Ok(x)
    }

    /// Converts the network for inference on the CPU, or returns nothing where [`fused::is_supported`] says no.
    ///
    /// # Errors
    /// A weight cannot be read.
    pub fn fuse(&self) -> Result<Option<FusedEncoder>> {
        let is_supported = |linear: &Linear| linear.is_plain() && fused::is_supported(linear.weight());
        if !self.layers.iter().flat_map(Layer::linears).all(is_supported) {
            return Ok(None);
        }
        Ok(Some(FusedEncoder { layers: self.layers.iter().map(FusedLayer::new).collect::<Result<_>>()? }))
    }
}

#[derive(Debug, Clone)]
struct FusedLayer {
    qkv: fused::Linear,
    output: fused::Linear,
    attention_norm: fused::LayerNorm,
    up: fused::Linear,
    down: fused::Linear,
    norm: fused::LayerNorm,
    heads: usize,
    activation: Activation,
}

/// Memory that [`FusedEncoder::forward`] reuses from call to call.
#[derive(Debug, Default, Clone)]
pub struct EncoderScratch {
    qkv: fused::Matrix,
    mixed: fused::Matrix,
    wide: fused::Matrix,
    attention: fused::Scratch,
}

impl FusedLayer {
    fn new(layer: &Layer) -> Result<Self> {
        let attention = &layer.attention;
        Ok(Self {
            qkv: fused::Linear::concat(&[&attention.query, &attention.key, &attention.value])?,
            output: fused::Linear::new(&attention.output)?,
            attention_norm: fused::LayerNorm::new(&attention.norm)?,
            up: fused::Linear::new(&layer.up)?,
            down: fused::Linear::new(&layer.down)?,
            norm: fused::LayerNorm::new(&layer.norm)?,
            heads: layer.heads,
            activation: layer.activation,
        })
    }

    fn forward(&self, x: &mut fused::Matrix, lengths: &[usize], scratch: &mut EncoderScratch) {
        let EncoderScratch { qkv, mixed, wide, attention } = scratch;
        qkv.reshape(x.rows(), 3 * x.columns());
        mixed.reshape(x.rows(), x.columns());
        self.qkv.forward(x, qkv, fused::Epilogue::Set);
        let mut first = 0;
        for &length in lengths {
            let heads = self.heads;
            fused::Attention { qkv, first, length, heads, kv_heads: heads, causal: false, bias: None }
                .forward(mixed, attention);
            first += length;
        }
        self.output.forward(mixed, x, fused::Epilogue::Add);
        self.attention_norm.forward_inplace(x);
        wide.reshape(x.rows(), self.up.outputs());
        self.up.forward(x, wide, fused::Epilogue::Activate(self.activation));
        self.down.forward(wide, x, fused::Epilogue::Add);
        self.norm.forward_inplace(x);
    }
}

/// [`Encoder`] on concatenated sequences.
#[derive(Debug, Clone)]
pub struct FusedEncoder {
    layers: Vec<FusedLayer>,
}

impl FusedEncoder {
    /// Replaces the rows of `x`, concatenated sequences of `lengths` tokens, by their hidden states.
    pub fn forward(&self, x: &mut fused::Matrix, lengths: &[usize], scratch: &mut EncoderScratch) {
        for layer in &self.layers {
            layer.forward(x, lengths, scratch);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::nn::Params;
    use crate::nn::fused::testing::fill;
    use candle_core::{DType, Device};

    /// Widths of heads above, below and at those of a panel; each activation; sequences from 1 to 70 tokens.
    #[test]
    fn both_forms_agree_on_random_input() {
        let shapes = [
            (24, 3, 40, Activation::Gelu),
            (64, 1, 33, Activation::GeluTanh),
            (80, 2, 96, Activation::Silu),
            (32, 1, 32, Activation::Relu),
            (48, 4, 64, Activation::Tanh),
        ];
        for (seed, (dim, heads, intermediate, activation)) in shapes.into_iter().enumerate() {
            let config = EncoderConfig {
                layers: 2,
                dim,
                heads,
                intermediate,
                activation,
                layer_norm_eps: 1e-12,
                dropout: 0.0,
                attention_dropout: 0.0,
                initializer_range: 0.3,
            };
            let params = Params::new(seed as u64);
            Encoder::load(&params.var_builder(DType::F32, &Device::Cpu), &config).unwrap();
            let tensors = params.vars().into_iter().map(|(name, var)| (name, var.as_detached_tensor())).collect();
            let vb = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
            compare(&Encoder::load(&vb, &config).unwrap(), dim);
        }
    }

    fn compare(encoder: &Encoder, dim: usize) {
        let lengths = [7, 1, 70, 32, 33];
        let mut x = fused::Matrix::default();
        fill(&mut x, lengths.iter().sum(), dim, 3);
        let mut before = x.clone();
        encoder.fuse().unwrap().unwrap().forward(&mut x, &lengths, &mut EncoderScratch::default());
        let mut first = 0;
        for length in lengths {
            let values: Vec<f32> = (first..first + length).flat_map(|row| before.row_mut(row).to_vec()).collect();
            let alone = Tensor::from_vec(values, (1, length, dim), &Device::Cpu).unwrap();
            let wanted = encoder.forward(alone, None, Mode::Infer).unwrap().squeeze(0).unwrap();
            for (row, wanted) in wanted.to_vec2::<f32>().unwrap().into_iter().enumerate() {
                let got = x.row(first + row);
                let difference = got.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(difference < 1e-5, "width {dim}, length {length}, row {row}: {difference:e}");
            }
            first += length;
        }
    }

    #[test]
    fn an_encoder_in_training_is_not_fused() {
        let config = EncoderConfig {
            layers: 1,
            dim: 8,
            heads: 2,
            intermediate: 8,
            activation: Activation::Gelu,
            layer_norm_eps: 1e-5,
            dropout: 0.0,
            attention_dropout: 0.0,
            initializer_range: 0.1,
        };
        let params = Params::new(0);
        let encoder = Encoder::load(&params.var_builder(DType::F32, &Device::Cpu), &config).unwrap();
        assert!(encoder.fuse().unwrap().is_none(), "its gradients would be lost");
    }
}
