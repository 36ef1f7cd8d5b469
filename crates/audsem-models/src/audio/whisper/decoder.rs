//! The decoder of Whisper.

use candle_core::{DType, Device, Result as TensorResult, Tensor};
use candle_nn::VarBuilder;

use super::WhisperConfig;
use super::encoder::{LAYER_NORM_EPS, block};
use crate::error::{Error, Result};
use crate::generate::CausalDecoder;
use crate::nn::{
    AttentionContext, CrossSource, DecoderCache, Embedding, LayerNorm, Linear, Mode, RowLinear, TokenSpan,
    TransformerBlock,
};

/// The weights.
#[derive(Debug, Clone)]
pub(super) struct TextDecoder {
    table: Embedding,
    positions: Tensor, // (P, D)
    blocks: Vec<TransformerBlock>,
    norm: LayerNorm,
    head: RowLinear,
    source_positions: usize,
    device: Device,
}

impl TextDecoder {
    pub(super) fn load(vb: &VarBuilder<'_>, config: &WhisperConfig) -> Result<Self> {
        let dim = config.d_model;
        let (heads, wide) = (config.decoder_attention_heads, config.decoder_ffn_dim);
        let block = block(dim, heads, wide, config.activation()?, true);
        let blocks = (0..config.decoder_layers).map(|n| TransformerBlock::load(&vb.pp("layers").pp(n), &block));
        let table = Embedding::load(&vb.pp("embed_tokens"), config.vocab_size, dim, 0.02)?;
        let positions = Embedding::load(&vb.pp("embed_positions"), config.max_target_positions, dim, 0.02)?;
        Ok(Self {
            head: RowLinear::new(Linear::from_tensors(table.table().clone(), None))?,
            table,
            positions: positions.table().clone(),
            blocks: blocks.collect::<TensorResult<_>>()?,
            norm: LayerNorm::load(&vb.pp("layer_norm"), dim, LAYER_NORM_EPS)?,
            source_positions: config.max_source_positions,
            device: vb.device().clone(),
        })
    }

    pub(super) fn source_positions(&self) -> usize {
        self.source_positions
    }

    /// Reads the first or next tokens of one text; the logits (V) of the token after them.
    fn read(&self, tokens: &[u32], row: &mut Row) -> Result<Vec<f32>> {
        let vocab_size = self.table.table().dim(0)?;
        if let Some(&id) = tokens.iter().find(|id| **id as usize >= vocab_size) {
            return Err(Error::TokenId { id, vocab_size });
        }
        let (before, longest) = (row.cache.len(), self.positions.dim(0)?);
        let all = before + tokens.len();
        if tokens.is_empty() || all > longest {
            return Err(Error::TextLength { tokens: all, longest });
        }
        let span = row.cache.extend(&TokenSpan::unpadded(1, tokens.len()))?.clone();
        let bias = span.bias(None, &self.device)?;
        let x = self.table.forward(&Tensor::new(tokens, &self.device)?)?;
        let mut x = (x + self.positions.narrow(0, before, tokens.len())?)?.unsqueeze(0)?; // (1, T, D)
        let context = AttentionContext { bias: bias.as_ref(), ..AttentionContext::full(Mode::Infer) };
        for (n, block) in self.blocks.iter().enumerate() {
            let source = CrossSource { states: &row.states, bias: None };
            x = block.forward(&x, &context, Some(source), Some(row.cache.layer(n)?))?;
        }
        let last = self.norm.forward(&x.narrow(1, tokens.len() - 1, 1)?.squeeze(1)?)?;
        Ok(self.head.forward(&last)?.to_dtype(DType::F32)?.squeeze(0)?.to_vec1()?)
    }
}

/// One text in the making.
#[derive(Debug)]
struct Row {
    states: Tensor, // (1, S, D)
    cache: DecoderCache,
}

/// Texts in the making, one for each sound. A text is the same for any sounds beside its own, on the CPU bit for bit.
#[derive(Debug)]
pub struct WhisperDecoder<'a> {
    decoder: &'a TextDecoder,
    sounds: Vec<Tensor>,
    rows: Vec<Row>,
}

impl<'a> WhisperDecoder<'a> {
    pub(super) fn new(decoder: &'a TextDecoder, sounds: Vec<Tensor>) -> Self {
        Self { decoder, sounds, rows: Vec::new() }
    }
}

impl CausalDecoder for WhisperDecoder<'_> {
    fn prefill(&mut self, prompts: &[&[u32]]) -> Result<Vec<Vec<f32>>> {
        if prompts.len() != self.sounds.len() {
            let message = format!("{} texts of {} sounds", prompts.len(), self.sounds.len());
            return Err(candle_core::Error::Msg(message).into());
        }
        let layers = self.decoder.blocks.len();
        let row = |states: &Tensor| Row { states: states.clone(), cache: DecoderCache::new(layers, 1) };
        self.rows = self.sounds.iter().map(row).collect();
        prompts.iter().zip(&mut self.rows).map(|(prompt, row)| self.decoder.read(prompt, row)).collect()
    }

    fn step(&mut self, tokens: &[u32]) -> Result<Vec<Vec<f32>>> {
        tokens.iter().zip(&mut self.rows).map(|(token, row)| self.decoder.read(&[*token], row)).collect()
    }

    fn select(&mut self, rows: &[usize]) -> Result<()> {
        let chosen = rows.iter().map(|&row| {
            let missing = || candle_core::Error::Msg(format!("row {row} of {} texts", self.rows.len()));
            let row = self.rows.get(row).ok_or_else(missing)?;
            Ok(Row { states: row.states.clone(), cache: row.cache.fork()? })
        });
        self.rows = chosen.collect::<Result<_>>()?;
        Ok(())
    }
}
