//! The parts of networks that hear, as steps that can be differentiated one by one.

use audsem_media::audio::{FrontEnd, FrontEndConfig};
use candle_core::{Device, Result as TensorResult, Tensor};
use candle_nn::VarBuilder;

use crate::audio::whisper::{SpeechEncoder, mel};
use crate::error::Result;
use crate::multimodal::qwen2_audio::Qwen2AudioConfig;
use crate::multimodal::{HOP_SAMPLES, SoundLengths};
use crate::nn::{AttentionContext, Linear, Mode};
use crate::train::Sound;
use crate::train::layerwise::StepFunction;

/// A step of a tower and the beginnings of the names of its tensors.
pub(super) struct TowerStep<'a> {
    pub(super) names: Vec<String>,
    pub(super) run: StepFunction<'a>,
}

/// The part of a network that hears.
pub(super) trait HearingTower: Send + Sync {
    /// Vectors of a sound of so many samples.
    ///
    /// # Errors
    /// The sound is too short for one.
    fn vectors(&self, samples: usize) -> Result<usize>;

    /// What the first step reads of some sounds.
    ///
    /// # Errors
    /// A sound is too short, or a sample is not finite.
    fn features(&self, sounds: &[Sound]) -> Result<Tensor>;

    /// From the features of sounds of these numbers of samples to the vectors (A, E) that the language model gets of all
    /// of them. No sound hears another.
    ///
    /// # Errors
    /// A sound is too short.
    fn steps<'a>(&'a self, samples: &[usize], mode: Mode) -> Result<Vec<TowerStep<'a>>>;
}

/// The tower of Qwen2-Audio and its projector.
pub(super) struct Qwen2AudioTower {
    front_end: FrontEnd,
    encoder: SpeechEncoder,
    projector: Linear,
    /// Samples of a sound that are heard; all sounds are padded to them.
    longest: usize,
    device: Device,
}

/// States of some sounds that lie one after the other, and vectors that are made of them.
#[derive(Debug, Clone)]
pub(super) struct PackedSounds {
    /// States S of each sound.
    pub(super) states: Vec<usize>,
    /// Vectors of each sound.
    pub(super) vectors: Vec<usize>,
}

impl PackedSounds {
    /// Where states begin and end.
    pub(super) fn cu_seqlens(&self) -> Vec<usize> {
        let ends = self.states.iter().scan(0, |end, states| {
            *end += states;
            Some(*end)
        });
        [0].into_iter().chain(ends).collect()
    }

    /// States (1, S, D) averaged by two (V, D); the last of an odd number is dropped.
    pub(super) fn pooled(&self, x: &Tensor) -> TensorResult<Tensor> {
        let dim = x.dim(2)?;
        let mut start = 0;
        let mut parts = Vec::with_capacity(self.states.len());
        for (states, vectors) in self.states.iter().zip(&self.vectors) {
            parts.push(x.narrow(1, start, 2 * vectors)?.reshape((*vectors, 2, dim))?.mean(1)?);
            start += states;
        }
        Tensor::cat(&parts, 0)
    }
}

impl Qwen2AudioTower {
    /// Loads `audio_tower` and `multi_modal_projector` below `vb`.
    ///
    /// # Errors
    /// A tensor is missing or of another shape.
    pub(super) fn load(vb: &VarBuilder<'_>, config: &Qwen2AudioConfig) -> Result<Self> {
        let tower = config.tower;
        let projector = vb.pp("multi_modal_projector").pp("linear");
        let longest = config.longest_sound();
        let front_end = FrontEndConfig { n_samples: Some(longest), ..FrontEndConfig::whisper(tower.mels) };
        Ok(Self {
            front_end: FrontEnd::new(&front_end)?,
            encoder: SpeechEncoder::load(&vb.pp("audio_tower"), &tower)?,
            projector: Linear::load(&projector, tower.dim, config.language.hidden_size, 0.02)?,
            longest,
            device: vb.device().clone(),
        })
    }

    /// The convolutions, of the frames (1, M, N · F) of all sounds.
    fn stem(&self, mel: &Tensor, states: &[usize]) -> Result<Tensor> {
        let frames = self.longest / HOP_SAMPLES;
        let of_sound = |(n, states): (usize, &usize)| {
            self.encoder.stem(&mel.narrow(2, n * frames, frames)?.contiguous()?, *states)
        };
        let parts = states.iter().enumerate().map(of_sound).collect::<Result<Vec<_>>>()?;
        Ok(Tensor::cat(&parts, 1)?)
    }
}

impl HearingTower for Qwen2AudioTower {
    fn vectors(&self, samples: usize) -> Result<usize> {
        Ok(SoundLengths::of(samples, self.longest)?.vectors)
    }

    fn features(&self, sounds: &[Sound]) -> Result<Tensor> {
        let frames = sounds.iter().map(|sound| mel(&self.front_end, sound, &self.device));
        let frames = Tensor::cat(&frames.collect::<Result<Vec<_>>>()?, 2)?;
        Ok(frames.to_dtype(self.encoder.norm().weight().dtype())?)
    }

    fn steps<'a>(&'a self, samples: &[usize], mode: Mode) -> Result<Vec<TowerStep<'a>>> {
        let lengths = samples.iter().map(|n| SoundLengths::of(*n, self.longest)).collect::<Result<Vec<_>>>()?;
        let (states, vectors) = lengths.iter().map(|lengths| (lengths.states, lengths.vectors)).unzip();
        let sizes = PackedSounds { states, vectors };
        let cu_seqlens = sizes.cu_seqlens();
        let states = sizes.states.clone();
        let stem = TowerStep {
            names: ["conv1", "conv2", "embed_positions"].map(|name| format!("audio_tower.{name}.")).to_vec(),
            run: Box::new(move |mel| self.stem(mel, &states)),
        };
        let block = |(n, block): (usize, &'a crate::nn::TransformerBlock)| {
            let cu_seqlens = cu_seqlens.clone();
            let run = move |x: &Tensor| {
                let context = AttentionContext { cu_seqlens: Some(&cu_seqlens), ..AttentionContext::full(mode) };
                Ok(block.forward(x, &context, None, None)?)
            };
            TowerStep { names: vec![format!("audio_tower.layers.{n}.")], run: Box::new(run) }
        };
        let project = TowerStep {
            names: vec!["audio_tower.layer_norm.".to_owned(), "multi_modal_projector.".to_owned()],
            run: Box::new(move |x| {
                let heard = self.encoder.norm().forward(&sizes.pooled(x)?)?;
                Ok(self.projector.forward_in(&heard, mode)?)
            }),
        };
        Ok([stem].into_iter().chain(self.encoder.blocks().iter().enumerate().map(block)).chain([project]).collect())
    }
}
