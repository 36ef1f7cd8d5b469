//! The parts of networks that hear, as steps that can be differentiated one by one.

use audsem_media::audio::{FrontEnd, FrontEndConfig};
use candle_core::{Device, Result as TensorResult, Tensor};
use candle_nn::VarBuilder;

use crate::audio::whisper::{SpeechEncoder, mel};
use crate::error::Result;
use crate::multimodal::qwen2_5_omni::OmniHearing;
use crate::multimodal::qwen2_audio::Qwen2AudioConfig;
use crate::multimodal::{HOP_SAMPLES, SoundLengths};
use crate::nn::{AttentionContext, Linear, Mode, TransformerBlock};
use crate::train::Sound;
use crate::train::layerwise::GraphFunction;

/// A step of a tower and the beginnings of the names of its tensors.
pub(super) struct TowerStep<'a> {
    pub(super) names: Vec<String>,
    pub(super) run: GraphFunction<'a>,
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

/// The blocks of a tower over packed states (1, S, D), of which those between two of `cu_seqlens` see only each other.
fn blocks_in<'a>(
    blocks: &'a [TransformerBlock],
    cu_seqlens: &[usize],
    mode: Mode,
) -> impl Iterator<Item = TowerStep<'a>> {
    blocks.iter().enumerate().map(move |(n, block)| {
        let cu_seqlens = cu_seqlens.to_vec();
        let run = move |x: &Tensor| {
            let context = AttentionContext { cu_seqlens: Some(&cu_seqlens), ..AttentionContext::full(mode) };
            Ok(block.forward(x, &context, None, None)?)
        };
        TowerStep { names: vec![format!("audio_tower.layers.{n}.")], run: Box::new(run) }
    })
}

/// Names of parts of a tower.
fn parts<const N: usize>(names: [&str; N]) -> Vec<String> {
    names.map(|name| format!("audio_tower.{name}.")).to_vec()
}

/// Where blocks of these lengths begin and end: rising from 0 to the sum.
fn boundaries(lengths: impl IntoIterator<Item = usize>) -> Vec<usize> {
    let ends = lengths.into_iter().scan(0, |end, length| {
        *end += length;
        Some(*end)
    });
    [0].into_iter().chain(ends).collect()
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
    fn of(lengths: &[SoundLengths]) -> Self {
        let (states, vectors) = lengths.iter().map(|lengths| (lengths.states, lengths.vectors)).unzip();
        Self { states, vectors }
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
        let sizes = PackedSounds::of(&lengths);
        let states = sizes.states.clone();
        let cu_seqlens = boundaries(states.iter().copied());
        let stem = TowerStep {
            names: parts(["conv1", "conv2", "embed_positions"]),
            run: Box::new(move |mel| self.stem(mel, &states)),
        };
        let project = TowerStep {
            names: vec!["audio_tower.layer_norm.".to_owned(), "multi_modal_projector.".to_owned()],
            run: Box::new(move |x| {
                let heard = self.encoder.norm().forward(&sizes.pooled(x)?)?;
                Ok(self.projector.forward_in(&heard, mode)?)
            }),
        };
        let blocks = blocks_in(self.encoder.blocks(), &cu_seqlens, mode);
        Ok([stem].into_iter().chain(blocks).chain([project]).collect())
    }
}

impl HearingTower for OmniHearing {
    fn vectors(&self, samples: usize) -> Result<usize> {
        Ok(self.lengths(samples)?.vectors)
    }

    /// The frames (1, M, ΣF) of all sounds, one after the other: a sound is not padded.
    fn features(&self, sounds: &[Sound]) -> Result<Tensor> {
        let frames = sounds.iter().map(|sound| Self::features(self, sound)).collect::<Result<Vec<_>>>()?;
        Ok(Tensor::cat(&frames, 2)?)
    }

    fn steps<'a>(&'a self, samples: &[usize], mode: Mode) -> Result<Vec<TowerStep<'a>>> {
        let lengths = samples.iter().map(|n| self.lengths(*n)).collect::<Result<Vec<_>>>()?;
        let sizes = PackedSounds::of(&lengths);
        let windows = boundaries(lengths.iter().flat_map(|lengths| self.tower().window_states(lengths.frames)));
        let sounds = boundaries(lengths.iter().map(|lengths| lengths.frames));
        let stem = TowerStep {
            names: parts(["conv1", "conv2"]),
            run: Box::new(move |mel| {
                let of_sound = |two: &[usize]| self.tower().stem(&mel.narrow(2, two[0], two[1] - two[0])?);
                Ok(Tensor::cat(&sounds.windows(2).map(of_sound).collect::<Result<Vec<_>>>()?, 1)?)
            }),
        };
        let project = TowerStep {
            names: parts(["ln_post", "proj"]),
            run: Box::new(move |x| Ok(self.tower().project(&sizes.pooled(x)?, mode)?)),
        };
        let blocks = blocks_in(self.tower().blocks(), &windows, mode);
        Ok([stem].into_iter().chain(blocks).chain([project]).collect())
    }
}
