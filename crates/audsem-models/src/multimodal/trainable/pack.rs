//! A batch of sequences as one, in which none sees another.

use std::sync::Arc;

use candle_core::{DType, Device, Result as TensorResult, Tensor};

use crate::error::{Error, Result};
use crate::train::{LossGradient, Sound, TargetScores, TrainingSequence};

/// The tokens of all sequences one after the other.
#[derive(Debug)]
pub(super) struct Packed {
    /// Token ids, T of them.
    pub(super) tokens: Vec<u32>,
    /// Where sequences begin and end: rising from 0 to T.
    pub(super) cu_seqlens: Vec<usize>,
    /// Each sound once, however many sequences are about it.
    pub(super) sounds: Vec<Sound>,
    /// For each token the row of the vectors of all sounds that stands in its place.
    heard: Vec<Option<u32>>,
    /// For each target the token before it, which predicts it.
    predictors: Vec<u32>,
    /// Targets of all sequences.
    pub(super) targets: Vec<u32>,
    /// Number of targets of each sequence.
    of_sequence: Vec<usize>,
}

/// What a batch has to fit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) audio_token: u32,
    /// The tokens in whose places pictures and videos would be put: the positions of their tokens would not be those of text.
    pub(super) vision_tokens: Option<[u32; 2]>,
    pub(super) vocab_size: usize,
    pub(super) max_tokens: usize,
}

impl Packed {
    /// `vectors` says how many vectors a sound of so many samples has.
    ///
    /// # Errors
    /// A sequence is empty, too long, or has a token outside the vocabulary or a place for a picture; its audio tokens and sounds do not agree; a
    /// target that cannot be predicted.
    pub(super) fn new(
        batch: &[TrainingSequence],
        limits: Limits,
        vectors: impl Fn(usize) -> Result<usize>,
    ) -> Result<Self> {
        let mut packed = Self {
            tokens: Vec::new(),
            cu_seqlens: vec![0],
            sounds: Vec::new(),
            heard: Vec::new(),
            predictors: Vec::new(),
            targets: Vec::new(),
            of_sequence: Vec::new(),
        };
        let mut starts = vec![0u32];
        for sequence in batch {
            check(sequence, limits)?;
            let mut rows = Vec::new();
            for sound in &sequence.sounds {
                let n = packed.place_of(sound);
                if n + 1 == starts.len() {
                    starts.push(starts[n] + vectors(sound.len())? as u32);
                }
                rows.extend(starts[n]..starts[n + 1]);
            }
            packed.push(sequence, rows, limits.audio_token)?;
        }
        Ok(packed)
    }

    /// The number of a sound, which is added unless it is there.
    fn place_of(&mut self, sound: &Sound) -> usize {
        let is_same = |other: &Sound| Arc::ptr_eq(other, sound) || other == sound;
        self.sounds.iter().position(is_same).unwrap_or_else(|| {
            self.sounds.push(Arc::clone(sound));
            self.sounds.len() - 1
        })
    }

    /// Adds a sequence, whose audio tokens stand for these rows.
    fn push(&mut self, sequence: &TrainingSequence, rows: Vec<u32>, audio_token: u32) -> Result<()> {
        let places = sequence.tokens.iter().filter(|token| **token == audio_token).count();
        if places != rows.len() {
            let reason = format!("{places} audio tokens for sounds of {} vectors", rows.len());
            return Err(Error::Sequence { reason });
        }
        let begin = self.tokens.len();
        let mut rows = rows.into_iter();
        self.heard.extend(sequence.tokens.iter().map(|token| match *token == audio_token {
            true => rows.next(),
            false => None,
        }));
        self.predictors.extend(sequence.targets.iter().map(|target| (begin + target - 1) as u32));
        self.targets.extend(sequence.targets.iter().map(|target| sequence.tokens[*target]));
        self.of_sequence.push(sequence.targets.len());
        self.tokens.extend(&sequence.tokens);
        self.cu_seqlens.push(self.tokens.len());
        Ok(())
    }

    /// Number of targets of each sequence.
    pub(super) fn targets_of_sequences(&self) -> impl Iterator<Item = usize> + '_ {
        self.of_sequence.iter().copied()
    }

    /// Positions (1, T), which begin anew with each sequence.
    pub(super) fn positions(&self, device: &Device) -> TensorResult<Tensor> {
        let of_sequence = |two: &[usize]| 0..(two[1] - two[0]) as u32;
        let positions: Vec<u32> = self.cu_seqlens.windows(2).flat_map(of_sequence).collect();
        Tensor::from_vec(positions, (1, self.tokens.len()), device)
    }

    /// States (1, T, D) of tokens (T, D) and of sounds (A, D), which stand in the places of their audio tokens.
    pub(super) fn merge(&self, text: &Tensor, sounds: Option<&Tensor>) -> TensorResult<Tensor> {
        let Some(sounds) = sounds else { return text.unsqueeze(0) };
        let behind = self.tokens.len() as u32;
        let rows = self.heard.iter().enumerate().map(|(at, heard)| heard.map_or(at as u32, |row| behind + row));
        let rows = Tensor::from_vec(rows.collect::<Vec<u32>>(), self.tokens.len(), text.device())?;
        Tensor::cat(&[text, &sounds.to_dtype(text.dtype())?], 0)?.index_select(&rows, 0)?.unsqueeze(0)
    }

    /// The states (N, D) that predict the targets, of states (1, T, D).
    pub(super) fn predicting(&self, states: &Tensor) -> TensorResult<Tensor> {
        states.squeeze(0)?.index_select(&Tensor::new(self.predictors.as_slice(), states.device())?, 0)
    }

    /// The gradient (1, T, D) of states by that (N, D) of those that predict the targets.
    pub(super) fn spread(&self, grad: &Tensor) -> TensorResult<Tensor> {
        let zeros = Tensor::zeros((self.tokens.len(), grad.dim(1)?), grad.dtype(), grad.device())?;
        zeros.index_add(&Tensor::new(self.predictors.as_slice(), grad.device())?, grad, 0)?.unsqueeze(0)
    }

    /// The gradient of the vectors (A, D) of all sounds by that (1, T, D) of the merged states.
    pub(super) fn of_sounds(&self, grad: &Tensor, rows: usize) -> TensorResult<Tensor> {
        let heard = self.heard.iter().enumerate().filter_map(|(at, row)| Some((at as u32, (*row)?)));
        collected(grad, heard, rows)
    }

    /// The gradient of the token table (V, D) by that (1, T, D) of the merged states.
    pub(super) fn of_table(&self, grad: &Tensor, vocab_size: usize) -> TensorResult<Tensor> {
        let read = self.heard.iter().zip(&self.tokens).enumerate();
        let read = read.filter(|(_, (heard, _))| heard.is_none()).map(|(at, (_, token))| (at as u32, *token));
        collected(&grad.to_dtype(DType::F32)?, read, vocab_size)
    }

    /// The derivatives of a loss by the log-probabilities of all targets.
    ///
    /// # Errors
    /// An error of `loss`, or another number than there are targets.
    pub(super) fn derivatives(&self, scores: &[TargetScores], loss: &mut LossGradient<'_>) -> Result<Vec<f32>> {
        let parts = loss(scores)?;
        let lengths: Vec<usize> = parts.iter().map(Vec::len).collect();
        if lengths != self.of_sequence {
            let reason = format!("derivatives of {lengths:?} log-probabilities for {:?} targets", self.of_sequence);
            return Err(Error::Sequence { reason });
        }
        Ok(parts.concat())
    }
}

/// Adds rows of a gradient (1, T, D) to others of a gradient (`rows`, D): (from, to) for each.
fn collected(grad: &Tensor, pairs: impl Iterator<Item = (u32, u32)>, rows: usize) -> TensorResult<Tensor> {
    let (from, to): (Vec<u32>, Vec<u32>) = pairs.unzip();
    let grad = grad.squeeze(0)?;
    let zeros = Tensor::zeros((rows, grad.dim(1)?), grad.dtype(), grad.device())?;
    if from.is_empty() {
        return Ok(zeros);
    }
    let device = grad.device();
    zeros.index_add(&Tensor::new(to, device)?, &grad.index_select(&Tensor::new(from, device)?, 0)?, 0)
}

fn check(sequence: &TrainingSequence, limits: Limits) -> Result<()> {
    sequence.validate()?;
    let (tokens, vocab_size) = (sequence.tokens.len(), limits.vocab_size);
    if tokens == 0 || tokens > limits.max_tokens {
        return Err(Error::TextLength { tokens, longest: limits.max_tokens });
    }
    if sequence.tokens.iter().any(|id| limits.vision_tokens.is_some_and(|vision| vision.contains(id))) {
        return Err(Error::NoPictures);
    }
    match sequence.tokens.iter().find(|id| **id as usize >= vocab_size) {
        Some(&id) => Err(Error::TokenId { id, vocab_size }),
        None => Ok(()),
    }
}
