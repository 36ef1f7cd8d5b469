//! Encoders of text: embeddings and transformer, with one vector per text at the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use audsem_core::batch::{BatchError, Batches};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use rayon::prelude::*;

use super::encoder::{Encoder, EncoderConfig, EncoderScratch, FusedEncoder};
use super::{Dropout, Embedding, LayerNorm, Mode, fused};
use crate::error::{Error, Result};
use crate::tokens::batch;

/// Tokens that go through the fused layers together: enough that the weights' way from memory is hidden, few enough
/// that what they become stays in the second-level cache.
const GROUP_TOKENS: usize = 384;

/// Default number of texts in a padded batch, if the fused layers cannot be used.
const PADDED_BATCH: usize = 64;

/// Sizes of the tables.
#[derive(Debug, Clone, Copy)]
pub struct EmbeddingsConfig {
    /// Rows of the token table.
    pub vocab_size: usize,
    /// Rows of the position table.
    pub positions: usize,
    /// Row of the position table that the first token gets. Where it is not the first row, padding tokens have the row before it
    /// and are not counted, as in RoBERTa; that holds also for one that a text spells out.
    pub first_position: usize,
    /// Rows of the segment table.
    pub segments: usize,
    /// Id of the padding token.
    pub pad_id: u32,
}

/// Sum of token, position and segment vectors, normalised.
#[derive(Debug, Clone)]
struct Embeddings {
    words: Embedding,
    positions: Embedding,
    segments: Embedding,
    norm: LayerNorm,
    dropout: Dropout,
    config: EmbeddingsConfig,
}

impl Embeddings {
    fn load(vb: &VarBuilder<'_>, config: &EmbeddingsConfig, encoder: &EncoderConfig) -> Result<Self> {
        let table = |name: &str, n| Embedding::load(&vb.pp(name), n, encoder.dim, encoder.initializer_range);
        Ok(Self {
            words: table("word_embeddings", config.vocab_size)?,
            positions: table("position_embeddings", config.positions)?,
            segments: table("token_type_embeddings", config.segments)?,
            norm: LayerNorm::load(&vb.pp("LayerNorm"), encoder.dim, encoder.layer_norm_eps)?,
            dropout: Dropout::at(vb, encoder.dropout)?,
            config: *config,
        })
    }

    fn forward(&self, ids: &Tensor, segments: Option<&Tensor>, mode: Mode) -> Result<Tensor> {
        let positions = self.positions.forward(&self.config.position_rows(ids)?)?; // (T, D) or (B, T, D)
        let segments = match segments {
            Some(segments) => self.segments.forward(segments)?, // (B, T, D)
            None => self.segments.forward(&Tensor::zeros((1, 1), DType::U32, ids.device())?)?, // (1, 1, D)
        };
        let x = self.words.forward(ids)?.broadcast_add(&segments)?.broadcast_add(&positions)?; // (B, T, D)
        Ok(self.dropout.forward(&self.norm.forward(&x)?, mode)?)
    }
}

/// A differentiable text encoder.
#[derive(Debug, Clone)]
pub struct TextModel {
    embeddings: Embeddings,
    encoder: Encoder,
}

impl TextModel {
    /// Loads `embeddings` and `encoder` below `vb`.
    ///
    /// # Errors
    /// A tensor is missing or of another shape.
    pub fn load(vb: &VarBuilder<'_>, config: &EmbeddingsConfig, encoder: &EncoderConfig) -> Result<Self> {
        Ok(Self {
            embeddings: Embeddings::load(&vb.pp("embeddings"), config, encoder)?,
            encoder: Encoder::load(&vb.pp("encoder"), encoder)?,
        })
    }

    /// Hidden states (B, T, D) of token ids (B, T). `mask` is 1 at tokens and 0 at padding (B, T), which stands at the
    /// end; none means there is no padding. `segments` are token type ids (B, T), all 0 where absent.
    ///
    /// # Errors
    /// An id outside the table, more tokens than positions, memory, device.
    pub fn forward(
        &self,
        ids: &Tensor,
        mask: Option<&Tensor>,
        segments: Option<&Tensor>,
        mode: Mode,
    ) -> Result<Tensor> {
        Ok(self.encoder.forward(self.embeddings.forward(ids, segments, mode)?, mask, mode)?)
    }

    /// The embedding output and the output of every layer, as `output_hidden_states` of transformers gives them.
    ///
    /// # Errors
    /// As [`TextModel::forward`].
    pub fn hidden_states(&self, ids: &Tensor, mask: Option<&Tensor>, segments: Option<&Tensor>) -> Result<Vec<Tensor>> {
        Ok(self.encoder.hidden_states(self.embeddings.forward(ids, segments, Mode::Infer)?, mask, Mode::Infer)?)
    }

    /// One vector for each text of a padded batch.
    fn vectors(&self, texts: &[&&[u32]], pooling: Pooling) -> std::result::Result<Vec<Vec<f32>>, BatchError<Error>> {
        let device = self.embeddings.words.table().device();
        let texts: Vec<&[u32]> = texts.iter().map(|text| **text).collect();
        let run = || -> Result<Vec<Vec<f32>>> {
            let (ids, mask) = batch(&texts, self.embeddings.config.pad_id, device)?;
            let hidden = self.forward(&ids, mask.as_ref(), None, Mode::Infer)?.to_dtype(DType::F32)?; // (B, T, D)
            Ok(pool(&hidden, mask.as_ref(), pooling)?.to_vec2()?)
        };
        run().map_err(Error::into_batch_error)
    }

    /// Turns it into its fastest form for this device; the weights are moved, not copied.
    ///
    /// # Errors
    /// A weight cannot be read.
    pub fn into_inference(self) -> Result<FusedTextModel> {
        let Some(encoder) = self.encoder.fuse()? else {
            return Ok(FusedTextModel {
                config: self.embeddings.config,
                batch_size: Arc::new(PADDED_BATCH.into()),
                form: Form::Composed(self),
            });
        };
        let norm = fused::LayerNorm::new(&self.embeddings.norm)?;
        let tables = Tables::new(&self.embeddings)?;
        Ok(FusedTextModel {
            config: self.embeddings.config,
            batch_size: Arc::new(PADDED_BATCH.into()),
            form: Form::Fused(Fused { tables, norm, encoder }),
        })
    }
}

/// How the hidden states of a text become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// That of the first token.
    First,
    /// The mean over all tokens.
    Mean,
}

/// A text encoder for inference. A text's vector does not depend on the texts beside it; on the CPU it is the same alone
/// and in any company, bit for bit.
#[derive(Debug, Clone)]
pub struct FusedTextModel {
    config: EmbeddingsConfig,
    /// Texts in a padded batch, less where memory has run out.
    batch_size: Arc<AtomicUsize>,
    form: Form,
}

#[derive(Debug, Clone)]
enum Form {
    Composed(TextModel),
    Fused(Fused),
}

impl FusedTextModel {
    /// Sets how many texts go through together where they have to be padded, as on a GPU. The fused layers know no
    /// batches.
    #[must_use]
    pub fn with_batch_size(mut self, batch_size: usize) -> Self {
        self.batch_size = Arc::new(batch_size.max(1).into());
        self
    }

    /// One vector (B, D), in f32, for each text given as token ids. The order of the texts does not matter for speed.
    ///
    /// # Errors
    /// A text without a token or with more tokens than positions, an id outside the table, memory, device.
    pub fn pooled(&self, texts: &[&[u32]], pooling: Pooling) -> Result<Tensor> {
        for text in texts {
            self.config.check(text)?;
        }
        match &self.form {
            Form::Composed(network) => self.composed(network, texts, pooling),
            Form::Fused(fused) => fused.pooled(texts, &self.config, pooling),
        }
    }

    /// Batches of similar length, padded. On the CPU each text goes alone, because a product of other shape has other last
    /// bits.
    fn composed(&self, network: &TextModel, texts: &[&[u32]], pooling: Pooling) -> Result<Tensor> {
        let device = network.embeddings.words.table().device();
        let mut batches = Batches::new(if device.is_cpu() { 1 } else { self.batch_size.load(Ordering::Relaxed) });
        let vectors = batches.run(texts, |text| text.len(), |batch| network.vectors(batch, pooling))?;
        self.batch_size.fetch_min(batches.size().max(1), Ordering::Relaxed);
        let vectors =
            vectors.into_iter().collect::<std::result::Result<Vec<_>, _>>().map_err(candle_core::Error::Msg)?;
        let dim = vectors.first().map_or(0, Vec::len);
        Ok(Tensor::from_vec(vectors.concat(), (texts.len(), dim), device)?)
    }
}

impl EmbeddingsConfig {
    /// Names a size that no table has.
    ///
    /// # Errors
    /// A size is 0 or absurd.
    pub fn validate(&self) -> Result<()> {
        Error::check_sizes(&[
            ("vocab_size", self.vocab_size),
            ("max_position_embeddings", self.positions),
            ("type_vocab_size", self.segments),
        ])
    }

    /// Most tokens of a text.
    #[must_use]
    pub fn longest(&self) -> usize {
        self.positions.saturating_sub(self.first_position)
    }

    /// The token that has no place of its own, and the row of the position table that it gets.
    fn uncounted(&self) -> Option<(u32, usize)> {
        Some((self.pad_id, self.first_position.checked_sub(1)?))
    }

    /// The row of the position table of each token of a text.
    fn positions_of<'a>(&self, text: &'a [u32]) -> impl Iterator<Item = usize> + 'a {
        let (uncounted, mut next) = (self.uncounted(), self.first_position);
        text.iter().map(move |id| match uncounted {
            Some((padding, row)) if *id == padding => row,
            _ => {
                next += 1;
                next - 1
            }
        })
    }

    /// The rows of the position table of token ids (B, T): (T), or (B, T) where they depend on the tokens.
    fn position_rows(&self, ids: &Tensor) -> Result<Tensor> {
        let Some((padding, row)) = self.uncounted() else {
            return Ok(Tensor::arange(0u32, ids.dim(1)? as u32, ids.device())?);
        };
        let counted = ids.ne(padding)?.to_dtype(DType::F32)?;
        let numbers = (counted.cumsum(1)? * counted)?; // from 1; 0 for padding
        Ok((numbers + row as f64)?.to_dtype(DType::U32)?)
    }

    fn check(&self, text: &[u32]) -> Result<()> {
        if text.is_empty() || text.len() > self.longest() {
            return Err(Error::TextLength { tokens: text.len(), longest: self.longest() });
        }
        match text.iter().find(|&&id| id as usize >= self.vocab_size) {
            Some(&id) => Err(Error::TokenId { id, vocab_size: self.vocab_size }),
            None => Ok(()),
        }
    }
}

/// Hidden states (B, T, D) to vectors (B, D).
///
/// # Errors
/// Memory or device.
pub fn pool(hidden: &Tensor, mask: Option<&Tensor>, pooling: Pooling) -> Result<Tensor> {
    match (pooling, mask) {
        (Pooling::First, _) => Ok(hidden.narrow(1, 0, 1)?.squeeze(1)?.contiguous()?),
        (Pooling::Mean, None) => Ok(hidden.mean(1)?),
        (Pooling::Mean, Some(mask)) => {
            let mask = mask.to_dtype(hidden.dtype())?.unsqueeze(2)?; // (B, T, 1)
            Ok(hidden.broadcast_mul(&mask)?.sum(1)?.broadcast_div(&mask.sum(1)?)?)
        }
    }
}

#[derive(Debug, Clone)]
struct Fused {
    tables: Tables,
    norm: fused::LayerNorm,
    encoder: FusedEncoder,
}

/// Scratch memory of one thread.
#[derive(Default)]
struct Scratch {
    x: fused::Matrix,
    encoder: EncoderScratch,
}

impl Fused {
    fn pooled(&self, texts: &[&[u32]], config: &EmbeddingsConfig, pooling: Pooling) -> Result<Tensor> {
        let dim = self.tables.dim;
        let mut vectors = vec![0f32; texts.len() * dim];
        let mut groups = Vec::new();
        let tokens = tokens_per_group(texts);
        let (mut texts_left, mut vectors_left) = (texts, vectors.as_mut_slice());
        while !texts_left.is_empty() {
            let n = group_size(texts_left, tokens);
            let (group, rest) = texts_left.split_at(n);
            let (out, rest_out) = vectors_left.split_at_mut(n * dim);
            groups.push((group, out));
            (texts_left, vectors_left) = (rest, rest_out);
        }
        groups.into_par_iter().for_each_init(Scratch::default, |scratch, (texts, out)| {
            self.group(texts, config, scratch);
            let mut row = 0;
            for (text, out) in texts.iter().zip(out.chunks_exact_mut(dim)) {
                match pooling {
                    Pooling::First => out.copy_from_slice(scratch.x.row(row)),
                    Pooling::Mean => mean(&scratch.x, row, text.len(), out),
                }
                row += text.len();
            }
        });
        Ok(Tensor::from_vec(vectors, (texts.len(), dim), &Device::Cpu)?)
    }

    /// Leaves the hidden states of all tokens in `scratch.x`.
    fn group(&self, texts: &[&[u32]], config: &EmbeddingsConfig, scratch: &mut Scratch) {
        let Scratch { x, encoder } = scratch;
        let lengths: Vec<usize> = texts.iter().map(|text| text.len()).collect();
        x.reshape(lengths.iter().sum(), self.tables.dim);
        let tokens = texts.iter().flat_map(|text| text.iter().zip(config.positions_of(text)));
        for (row, (id, position)) in tokens.enumerate() {
            self.tables.sum(*id as usize, position, x.row_mut(row));
        }
        self.norm.forward_inplace(x);
        self.encoder.forward(x, &lengths, encoder);
    }
}

fn mean(x: &fused::Matrix, first: usize, length: usize, out: &mut [f32]) {
    out.fill(0.0);
    for row in first..first + length {
        for (sum, value) in out.iter_mut().zip(x.row(row)) {
            *sum += value;
        }
    }
    let scale = 1.0 / length as f32;
    out.iter_mut().for_each(|sum| *sum *= scale);
}

/// So many that every thread has a group.
fn tokens_per_group(texts: &[&[u32]]) -> usize {
    let tokens: usize = texts.iter().map(|text| text.len()).sum();
    tokens.div_ceil(rayon::current_num_threads()).clamp(1, GROUP_TOKENS)
}

/// Texts from the front, until they have `tokens` tokens; at least one.
fn group_size(texts: &[&[u32]], tokens: usize) -> usize {
    let mut sum = 0;
    let fits = |text: &&&[u32]| {
        sum += text.len();
        sum <= tokens
    };
    texts.iter().take_while(fits).count().max(1)
}

/// The values of the embedding tables, for inference on the CPU.
#[derive(Debug, Clone)]
struct Tables {
    words: Vec<f32>,
    positions: Vec<f32>,
    segment: Vec<f32>,
    dim: usize,
}

impl Tables {
    fn new(embeddings: &Embeddings) -> Result<Self> {
        let segment = embeddings.segments.table().get(0)?.to_vec1()?;
        let values = |table: &Embedding| table.table().flatten_all()?.to_vec1();
        Ok(Self {
            words: values(&embeddings.words)?,
            positions: values(&embeddings.positions)?,
            dim: segment.len(),
            segment,
        })
    }

    /// Writes the sum of the vectors of a token, of its position and of the first segment.
    fn sum(&self, id: usize, position: usize, out: &mut [f32]) {
        let (word, position) = (&self.words[id * self.dim..], &self.positions[position * self.dim..]);
        for (((out, word), segment), position) in out.iter_mut().zip(word).zip(&self.segment).zip(position) {
            *out = word + segment + position;
        }
    }
}
