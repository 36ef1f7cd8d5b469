//! The networks behind [`ClapEncoder`](super::ClapEncoder).

use audsem_core::hub::ModelDir;
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use serde::Deserialize;

use super::config::Config;
use super::features::Features;
use super::msclap::{self, MsClap, MsClapConfig};
use super::{Clap, ClapInference, OpenClip};
use crate::error::{Error, Result};

/// Two towers of any kind.
#[derive(Debug, Clone)]
pub(super) enum Network {
    Clap(Box<ClapInference>),
    MsClap(Box<MsClap>),
    OpenClip(Box<OpenClip>),
}

/// The part of any `config.json` that says which network it is of.
#[derive(Deserialize)]
struct Kind {
    #[serde(default)]
    model_type: String,
}

impl Network {
    /// Opens the network of a folder.
    pub(super) fn open(dir: &ModelDir, device: &Device, dtype: DType) -> Result<Self> {
        if OpenClip::is_in(dir)? {
            return Ok(Self::OpenClip(Box::new(OpenClip::open(dir, device, dtype)?)));
        }
        let kind: Kind = dir.json("config.json")?;
        if kind.model_type == msclap::MODEL_TYPE {
            return Ok(Self::MsClap(Box::new(MsClap::open(dir, device, dtype)?)));
        }
        Ok(Self::Clap(Box::new(Clap::open(dir, device, dtype)?.into_inference()?)))
    }

    pub(super) fn load_clap(vb: &VarBuilder<'_>, config: &Config) -> Result<Self> {
        Ok(Self::Clap(Box::new(Clap::load(vb, config)?.into_inference()?)))
    }

    pub(super) fn load_msclap(vb: &VarBuilder<'_>, config: &MsClapConfig) -> Result<Self> {
        Ok(Self::MsClap(Box::new(MsClap::load(vb, config)?)))
    }

    pub(super) fn with_batch_size(self, batch_size: usize) -> Self {
        match self {
            Self::Clap(clap) => Self::Clap(Box::new(clap.with_batch_size(batch_size))),
            // Texts go through alone.
            Self::MsClap(_) => self,
            Self::OpenClip(clap) => Self::OpenClip(Box::new(clap.with_batch_size(batch_size))),
        }
    }

    /// Mel bands of what the network hears, and most frames; none, where it hears as many as there are.
    pub(super) fn hears(&self) -> (usize, Option<usize>) {
        let audio = match self {
            Self::Clap(clap) => &clap.config().audio_config,
            Self::MsClap(clap) => &clap.config().audio_config,
            Self::OpenClip(clap) => return (clap.config().audio.features().feature_size, None),
        };
        (audio.num_mel_bins, Some(audio.max_frames()))
    }

    /// Most tokens of a text that the network has positions for, and that it is given.
    pub(super) fn most_tokens(&self) -> usize {
        match self {
            Self::Clap(clap) => {
                let longest = clap.config().text_config.longest();
                clap.config().max_text_tokens.map_or(longest, |most| most.min(longest))
            }
            Self::MsClap(clap) => clap.config().text_config.n_positions,
            Self::OpenClip(clap) => clap.longest(),
        }
    }

    pub(super) fn dim(&self) -> usize {
        match self {
            Self::Clap(clap) => clap.config().projection_dim,
            Self::MsClap(clap) => clap.config().projection_dim,
            Self::OpenClip(clap) => clap.config().embed_dim,
        }
    }

    /// What cosines of a sound are multiplied with before a softmax over texts.
    pub(super) fn logit_scale(&self) -> f32 {
        match self {
            Self::Clap(clap) => clap.logit_scale,
            Self::MsClap(clap) => clap.logit_scale,
            Self::OpenClip(clap) => clap.logit_scale,
        }
    }

    /// Where the weights are.
    pub(super) fn device(&self) -> &Device {
        match self {
            Self::Clap(clap) => &clap.device,
            Self::MsClap(clap) => &clap.device,
            Self::OpenClip(clap) => &clap.device,
        }
    }

    /// Unit vectors of sounds, which are of one length but for a network that hears any.
    pub(super) fn embed_features(&self, sounds: &[&Features]) -> Result<Tensor> {
        let embed: &dyn Fn(&Tensor, &[bool]) -> Result<Tensor> = match self {
            Self::Clap(clap) => &|mel, longer| clap.embed_audio(mel, longer),
            Self::MsClap(clap) => &|mel, longer| clap.embed_audio(mel, longer),
            Self::OpenClip(clap) => return clap.embed_features(sounds),
        };
        let Some(first) = sounds.first() else {
            return Ok(Tensor::zeros((0, self.dim()), DType::F32, self.device())?);
        };
        let mels = first.mel.len() / (first.channels * first.frames).max(1);
        let mut values = Vec::with_capacity(sounds.len() * first.mel.len());
        for sound in sounds {
            if sound.mel.len() != first.mel.len() {
                return Err(Error::MixedFeatures);
            }
            values.extend_from_slice(&sound.mel);
        }
        let shape = (sounds.len(), first.channels, first.frames, mels);
        let longer: Vec<bool> = sounds.iter().map(|sound| sound.is_longer).collect();
        embed(&Tensor::from_vec(values, shape, &Device::Cpu)?, &longer)
    }

    pub(super) fn embed_text(&self, texts: &[&[u32]]) -> Result<Tensor> {
        match self {
            Self::Clap(clap) => clap.embed_text(texts),
            Self::MsClap(clap) => clap.embed_text(texts),
            Self::OpenClip(clap) => clap.embed_text(texts),
        }
    }
}
