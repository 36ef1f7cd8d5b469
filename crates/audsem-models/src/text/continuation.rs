//! Decoders that write text from the states of an encoder, as [`generate`](crate::generate) needs them.

use candle_core::{DType, Tensor};

use crate::error::{Error, Result};
use crate::generate::CausalDecoder;
use crate::nn::{AttentionContext, CrossSource, DecoderCache, Mode, TokenSpan, TransformerBlock};

/// A decoder of text with cross-attention to the states of an encoder.
pub trait TextDecoder {
    /// An empty cache for a batch of so many rows.
    fn cache(&self, batch: usize) -> DecoderCache;

    /// The decoder's states (B, T, D) of token ids (B, T) behind those in `cache`, with a view of the encoder's states
    /// (B, S, D).
    ///
    /// # Errors
    /// More tokens than positions, an id outside the table, memory, device.
    fn decode(&self, ids: &Tensor, states: &Tensor, cache: &mut DecoderCache) -> Result<Tensor>;

    /// The logits (…, V) of decoder states (…, D).
    ///
    /// # Errors
    /// Memory or device.
    fn logits(&self, states: &Tensor) -> Result<Tensor>;
}

/// Runs the layers of a decoder over embedded tokens (B, T, D) behind those in `cache`.
pub(crate) fn forward_layers(
    layers: &[TransformerBlock],
    mut x: Tensor,
    states: &Tensor,
    cache: &mut DecoderCache,
) -> Result<Tensor> {
    let (b, t, _) = x.dims3()?;
    let bias = cache.extend(&TokenSpan::unpadded(b, t))?.bias(None, x.device())?;
    let context = AttentionContext { bias: bias.as_ref(), ..AttentionContext::full(Mode::Infer) };
    for (n, layer) in layers.iter().enumerate() {
        let source = CrossSource { states, bias: None };
        x = layer.forward(&x, &context, Some(source), Some(cache.layer(n)?))?;
    }
    Ok(x)
}

/// A text in the making for each row of an encoder's states.
#[derive(Debug)]
pub struct Continuations<'a, N> {
    network: &'a N,
    states: Tensor, // (B, S, D)
    cache: DecoderCache,
}

impl<'a, N: TextDecoder> Continuations<'a, N> {
    /// Starts behind the encoder's states (B, S, D).
    ///
    /// # Errors
    /// The states have no rows.
    pub fn new(network: &'a N, states: Tensor) -> Result<Self> {
        let cache = network.cache(states.dim(0)?);
        Ok(Self { network, states, cache })
    }

    /// The logits after the last of the tokens of each row.
    fn read(&mut self, ids: Vec<u32>, rows: usize) -> Result<Vec<Vec<f32>>> {
        let t = ids.len() / rows.max(1);
        let ids = Tensor::from_vec(ids, (rows, t), self.states.device())?;
        let x = self.network.decode(&ids, &self.states, &mut self.cache)?.narrow(1, t - 1, 1)?.squeeze(1)?; // (B, D)
        Ok(self.network.logits(&x.contiguous()?)?.to_dtype(DType::F32)?.to_vec2()?)
    }
}

impl<N: TextDecoder> CausalDecoder for Continuations<'_, N> {
    fn prefill(&mut self, prompts: &[&[u32]]) -> Result<Vec<Vec<f32>>> {
        let lengths: Vec<usize> = prompts.iter().map(|prompt| prompt.len()).collect();
        if prompts.len() != self.states.dim(0)? || lengths.iter().any(|length| *length == 0 || *length != lengths[0]) {
            return Err(Error::DecoderPrompts { rows: self.states.dim(0)?, lengths });
        }
        self.cache = self.network.cache(prompts.len());
        self.read(prompts.concat(), prompts.len())
    }

    fn step(&mut self, tokens: &[u32]) -> Result<Vec<Vec<f32>>> {
        self.read(tokens.to_vec(), tokens.len())
    }

    fn select(&mut self, rows: &[usize]) -> Result<()> {
        #[expect(clippy::cast_possible_truncation, reason = "a batch has far fewer rows")]
        let order: Vec<u32> = rows.iter().map(|row| *row as u32).collect();
        self.states = self.states.index_select(&Tensor::new(order.as_slice(), self.states.device())?, 0)?;
        Ok(self.cache.reorder(&order)?)
    }
}
