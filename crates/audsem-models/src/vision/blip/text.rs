//! The text decoder.

use candle_core::{DType, Device, Result, Tensor, bail};
use candle_nn::VarBuilder;

use super::config::TextConfig;
use crate::error::Error;
use crate::generate::CausalDecoder;
use crate::nn::{
    Activation, AttentionContext, DecoderCache, Embedding, KvCache, LayerNorm, Linear, Mode, MultiHeadAttention,
    MultiHeadConfig, ProjectionBias, TokenSpan,
};

/// Attention with the names of BERT, and the norm behind it.
#[derive(Debug, Clone)]
struct NormedAttention {
    attention: MultiHeadAttention,
    norm: LayerNorm,
}

impl NormedAttention {
    fn load(vb: &VarBuilder<'_>, config: &TextConfig, source_dim: usize) -> Result<Self> {
        let (dim, heads) = (config.hidden_size, config.num_attention_heads);
        let attention = MultiHeadConfig {
            dim,
            source_dim,
            heads,
            kv_heads: heads,
            head_dim: dim / heads,
            bias: ProjectionBias::ALL,
            output_name: "out_proj",
            dropout: 0.0,
            initializer_range: 0.02,
        };
        let names =
            [("q_proj", "self.query"), ("k_proj", "self.key"), ("v_proj", "self.value"), ("out_proj", "output.dense")];
        let renamed = vb.root().rename_f(move |name: &str| {
            let part = |(ours, theirs): &(&str, &str)| {
                let (start, end) = name.rsplit_once(&format!(".{ours}."))?;
                Some(format!("{start}.{theirs}.{end}"))
            };
            names.iter().find_map(part).unwrap_or_else(|| name.to_owned())
        });
        Ok(Self {
            attention: MultiHeadAttention::load(&renamed.pp(vb.prefix()), &attention)?,
            norm: LayerNorm::load(&vb.pp("output.LayerNorm"), dim, config.layer_norm_eps)?,
        })
    }
}

#[derive(Debug, Clone)]
struct Layer {
    own: NormedAttention,
    cross: NormedAttention,
    up: Linear,
    down: Linear,
    norm: LayerNorm,
    activation: Activation,
}

impl Layer {
    fn load(vb: &VarBuilder<'_>, config: &TextConfig, source_dim: usize, activation: Activation) -> Result<Self> {
        let (dim, wide) = (config.hidden_size, config.intermediate_size);
        Ok(Self {
            own: NormedAttention::load(&vb.pp("attention"), config, dim)?,
            cross: NormedAttention::load(&vb.pp("crossattention"), config, source_dim)?,
            up: Linear::load(&vb.pp("intermediate.dense"), dim, wide, 0.02)?,
            down: Linear::load(&vb.pp("output.dense"), wide, dim, 0.02)?,
            norm: LayerNorm::load(&vb.pp("output.LayerNorm"), dim, config.layer_norm_eps)?,
            activation,
        })
    }
}

/// The decoder: BERT with cross-attention, and an output layer over the vocabulary.
#[derive(Debug, Clone)]
pub(super) struct TextDecoder {
    words: Embedding,
    positions: Embedding,
    norm: LayerNorm,
    layers: Vec<Layer>,
    transform: Linear,
    transform_norm: LayerNorm,
    output: Linear,
    activation: Activation,
    config: TextConfig,
}

impl TextDecoder {
    /// Loads `bert` and `cls`, for pictures whose tokens have `source_dim` values.
    pub(super) fn load(vb: &VarBuilder<'_>, config: &TextConfig, source_dim: usize) -> crate::Result<Self> {
        let activation = Activation::from_name("hidden_act", &config.hidden_act)?;
        let (dim, vocab, eps) = (config.hidden_size, config.vocab_size, config.layer_norm_eps);
        let (embeddings, head) = (vb.pp("bert.embeddings"), vb.pp("cls.predictions"));
        let words = Embedding::load(&embeddings.pp("word_embeddings"), vocab, dim, 0.02)?;
        let weight = match head.contains_tensor("decoder.weight") {
            true => head.get((vocab, dim), "decoder.weight")?,
            false => words.table().clone(),
        };
        let bias = if head.contains_tensor("bias") { "bias" } else { "decoder.bias" };
        let layers = vb.pp("bert.encoder.layer");
        let layer = |n: usize| Layer::load(&layers.pp(n), config, source_dim, activation);
        Ok(Self {
            positions: Embedding::load(
                &embeddings.pp("position_embeddings"),
                config.max_position_embeddings,
                dim,
                0.02,
            )?,
            norm: LayerNorm::load(&embeddings.pp("LayerNorm"), dim, eps)?,
            layers: (0..config.num_hidden_layers).map(layer).collect::<Result<_>>()?,
            transform: Linear::load(&head.pp("transform.dense"), dim, dim, 0.02)?,
            transform_norm: LayerNorm::load(&head.pp("transform.LayerNorm"), dim, eps)?,
            output: Linear::from_tensors(weight, Some(head.get(vocab, bias)?)),
            words,
            activation,
            config: config.clone(),
        })
    }

    /// States (…, D) to logits (…, V).
    fn logits(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.activation.forward(&self.transform.forward(x)?)?;
        self.output.forward(&self.transform_norm.forward(&x)?)?.to_dtype(DType::F32)
    }
}

/// Continues captions of pictures.
///
/// Keys and values of a picture are held once, however many beams its caption has: rows of one picture stand side by side,
/// and their queries go through cross-attention as if they were of one sequence.
#[derive(Debug)]
pub struct CaptionDecoder<'a> {
    network: &'a TextDecoder,
    /// States of the pictures that are held (P, S, E).
    states: Tensor,
    /// Keys and values of the pictures, layer by layer.
    cross: Vec<KvCache>,
    cache: DecoderCache,
}

impl<'a> CaptionDecoder<'a> {
    pub(super) fn new(network: &'a TextDecoder, states: Tensor) -> crate::Result<Self> {
        let (pictures, _, _) = states.dims3()?;
        let layers = network.layers.len();
        let cross = std::iter::repeat_with(KvCache::default).take(layers).collect();
        Ok(Self { network, states, cross, cache: DecoderCache::new(layers, pictures) })
    }

    /// The states of all layers (B, T, D), embeddings first, and the logits (B, T, V), of captions of equal length.
    pub(super) fn read_all(&mut self, ids: &[&[u32]]) -> crate::Result<(Vec<Tensor>, Tensor)> {
        let states = self.read(ids)?;
        let logits = self.network.logits(&states[states.len() - 1])?;
        Ok((states, logits))
    }

    /// Reads the next tokens of each row; shorter rows are padded in front. States of all layers, embeddings first.
    fn read(&mut self, rows: &[&[u32]]) -> crate::Result<Vec<Tensor>> {
        let config = &self.network.config;
        let longest = rows.iter().map(|row| row.len()).max().unwrap_or(0);
        if let Some(id) = rows.iter().copied().flatten().find(|id| **id as usize >= config.vocab_size) {
            return Err(Error::TokenId { id: *id, vocab_size: config.vocab_size });
        }
        let tokens = self.cache.len() + longest;
        if longest == 0 || tokens > config.max_position_embeddings {
            return Err(Error::TextLength { tokens, longest: config.max_position_embeddings });
        }
        let device = self.states.device().clone();
        let (ids, span) = padded(rows, longest, config.pad_token_id, &device)?;
        let span = self.cache.extend(&span)?.clone();
        let network = self.network;
        let x = (network.words.forward(&ids)? + network.positions.forward(&span.positions(&device)?)?)?;
        let mut states = vec![network.norm.forward(&x)?];
        let bias = span.bias(None, &device)?;
        for number in 0..network.layers.len() {
            let x = self.layer(number, &states[states.len() - 1], bias.as_ref())?;
            states.push(x);
        }
        Ok(states)
    }

    fn layer(&mut self, number: usize, x: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        let layer = &self.network.layers[number];
        let context = AttentionContext { bias, ..AttentionContext::full(Mode::Infer) };
        let own = &mut self.cache.layer(number)?.own;
        let y = layer.own.attention.forward(x, &context, Some(own))?;
        let x = layer.own.norm.forward(&(y + x)?)?;
        let (rows, tokens, dim) = x.dims3()?;
        let pictures = self.states.dim(0)?;
        if !rows.is_multiple_of(pictures) {
            bail!("{rows} captions of {pictures} pictures");
        }
        let merged = x.reshape((pictures, rows / pictures * tokens, dim))?;
        let (everything, cross) = (AttentionContext::full(Mode::Infer), &mut self.cross[number]);
        let y = layer.cross.attention.forward_cross(&merged, &self.states, &everything, Some(cross))?;
        let x = layer.cross.norm.forward(&(y.reshape((rows, tokens, dim))? + x)?)?;
        layer.norm.forward(&layer.up.feed_forward(&x, (layer.activation, &layer.down), &x)?)
    }

    /// Logits (B, V) behind the last token.
    fn next(&mut self, rows: &[&[u32]]) -> crate::Result<Vec<Vec<f32>>> {
        let states = self.read(rows)?;
        let last = &states[states.len() - 1];
        let last = last.narrow(1, last.dim(1)? - 1, 1)?.squeeze(1)?.contiguous()?;
        Ok(self.network.logits(&last)?.to_vec2()?)
    }
}

impl CausalDecoder for CaptionDecoder<'_> {
    fn prefill(&mut self, prompts: &[&[u32]]) -> crate::Result<Vec<Vec<f32>>> {
        self.next(prompts)
    }

    fn step(&mut self, tokens: &[u32]) -> crate::Result<Vec<Vec<f32>>> {
        self.next(&tokens.chunks(1).collect::<Vec<_>>())
    }

    fn select(&mut self, rows: &[usize]) -> crate::Result<()> {
        let group = (self.cache.batch() / self.states.dim(0)?).max(1);
        #[expect(clippy::cast_possible_truncation, reason = "rows are far fewer than 2^32")]
        let order: Vec<u32> = rows.iter().map(|row| *row as u32).collect();
        self.cache.reorder(&order)?;
        let pictures: Vec<u32> = order.iter().map(|row| row / group as u32).collect();
        let held = held_pictures(&pictures);
        if !held.iter().copied().eq(0..self.states.dim(0)? as u32) {
            self.states = self.states.index_select(&Tensor::new(held.as_slice(), self.states.device())?, 0)?;
            self.cross.iter_mut().try_for_each(|cache| cache.reorder(&held))?;
        }
        Ok(())
    }
}

/// The pictures to hold for rows of these pictures: each once if all have the same number of rows side by side, else one
/// for every row.
fn held_pictures(rows: &[u32]) -> Vec<u32> {
    let runs: Vec<&[u32]> = rows.chunk_by(|a, b| a == b).collect();
    let heads: Vec<u32> = runs.iter().filter_map(|run| run.first().copied()).collect();
    let is_even = runs.iter().all(|run| run.len() == runs[0].len());
    if is_even { heads } else { rows.to_vec() }
}

/// Ids (B, T) with padding in front, and where tokens are.
fn padded(rows: &[&[u32]], longest: usize, pad: u32, device: &Device) -> Result<(Tensor, TokenSpan)> {
    let row =
        |row: &&[u32]| std::iter::repeat_n(pad, longest - row.len()).chain(row.iter().copied()).collect::<Vec<_>>();
    let ids: Vec<u32> = rows.iter().flat_map(row).collect();
    let tokens = |row: &&[u32]| (0..longest).map(move |n| u32::from(n >= longest - row.len())).collect::<Vec<_>>();
    let mask: Vec<u32> = rows.iter().flat_map(tokens).collect();
    let mask = Tensor::from_vec(mask, (rows.len(), longest), device)?;
    Ok((Tensor::from_vec(ids, (rows.len(), longest), device)?, TokenSpan::from_mask(&mask)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beams_of_a_picture_share_it() {
        assert_eq!(held_pictures(&[0, 0, 1, 1]), [0, 1]);
        assert_eq!(held_pictures(&[1, 1, 1]), [1]);
        assert_eq!(held_pictures(&[2, 0]), [2, 0]);
        assert_eq!(held_pictures(&[0, 0, 1]), [0, 0, 1]);
    }
}
