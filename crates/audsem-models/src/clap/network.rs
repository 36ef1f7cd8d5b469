//! The networks behind [`ClapEncoder`](super::ClapEncoder).

use audsem_core::hub::ModelDir;
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use serde::Deserialize;

use super::config::{AudioConfig, Config};
use super::msclap::{self, MsClap, MsClapConfig};
use super::{Clap, ClapInference};
use crate::error::Result;

/// Two towers of either kind.
#[derive(Debug, Clone)]
pub(super) enum Network {
    Clap(Box<ClapInference>),
    MsClap(Box<MsClap>),
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
        }
    }

    pub(super) fn audio_config(&self) -> &AudioConfig {
        match self {
            Self::Clap(clap) => &clap.config().audio_config,
            Self::MsClap(clap) => &clap.config().audio_config,
        }
    }

    /// Most tokens of a text that the network has positions for, and that it is given.
    pub(super) fn most_tokens(&self) -> usize {
        match self {
            Self::Clap(clap) => {
                let longest = clap.config().text_config.longest();
                clap.config().max_text_tokens.map_or(longest, |most| most.min(longest))
            }
            Self::MsClap(clap) => clap.config().text_config.n_positions,
        }
    }

    pub(super) fn dim(&self) -> usize {
        match self {
            Self::Clap(clap) => clap.config().projection_dim,
            Self::MsClap(clap) => clap.config().projection_dim,
        }
    }

    pub(super) fn logit_scale(&self) -> f32 {
        match self {
            Self::Clap(clap) => clap.logit_scale(),
            Self::MsClap(clap) => clap.logit_scale(),
        }
    }

    pub(super) fn device(&self) -> &Device {
        match self {
            Self::Clap(clap) => clap.device(),
            Self::MsClap(clap) => clap.device(),
        }
    }

    pub(super) fn embed_audio(&self, mel: &Tensor, is_longer: &[bool]) -> Result<Tensor> {
        match self {
            Self::Clap(clap) => clap.embed_audio(mel, is_longer),
            Self::MsClap(clap) => clap.embed_audio(mel, is_longer),
        }
    }

    pub(super) fn embed_text(&self, texts: &[&[u32]]) -> Result<Tensor> {
        match self {
            Self::Clap(clap) => clap.embed_text(texts),
            Self::MsClap(clap) => clap.embed_text(texts),
        }
    }
}
