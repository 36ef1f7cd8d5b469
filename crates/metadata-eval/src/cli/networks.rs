//! Flags that several commands around networks share.

use std::str::FromStr;

use audsem_core::device::{DeviceChoice, Precision};
use clap::{Args, ValueEnum};

use crate::checkpoint::{NamedNetwork, NetworkSettings};
use crate::error::Error;

/// `NAME=ID_OR_PATH` of `--model-dir`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelPath<M> {
    /// The network.
    pub model: M,
    /// Its checkpoint.
    pub checkpoint: String,
}

impl<M: ValueEnum> FromStr for ModelPath<M> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, checkpoint) = text.split_once('=').ok_or("expected NAME=ID_OR_PATH")?;
        let model = M::from_str(name, false)?;
        if checkpoint.is_empty() {
            Err("expected NAME=ID_OR_PATH".to_owned())
        } else {
            Ok(Self { model, checkpoint: checkpoint.to_owned() })
        }
    }
}

/// Where networks run, and on how many clips at once.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Model")]
pub struct PlacementArgs {
    /// Device the networks run on: `auto`, `cpu` or `cuda:N`
    #[arg(long, value_name = "DEVICE", default_value_t)]
    pub device: DeviceChoice,
    /// Number type of the weights
    #[arg(long, value_enum, default_value_t = Precision::F32)]
    pub dtype: Precision,
    /// Clips per forward pass [default: 16 sounds, or the frames of 4 clips]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub batch_size: Option<u32>,
}

impl PlacementArgs {
    /// Clips in a forward pass, by default so many.
    pub(super) fn batch_size(&self, default: u32) -> usize {
        self.batch_size.unwrap_or(default) as usize
    }
}

/// Clips in a forward pass of networks that hear.
pub(super) const SOUNDS: u32 = 16;

/// Clips in a forward pass of networks that see, each with its frames.
pub(super) const VIDEOS: u32 = 4;

/// The networks that run, each once and in their order, with their checkpoints.
///
/// # Errors
/// A network has no checkpoint, or one is named for a network that does not run.
pub(super) fn with_checkpoints<M: NamedNetwork>(
    models: &[M],
    dirs: &[ModelPath<M>],
    placement: &PlacementArgs,
    batch_size: usize,
) -> Result<Vec<(M, NetworkSettings)>, Error> {
    let mut models = models.to_vec();
    models.sort_unstable();
    models.dedup();
    if let Some(idle) = dirs.iter().find(|given| !models.contains(&given.model)) {
        return Err(Error::IdleCheckpoint { model: idle.model.name() });
    }
    let settings = |model: M| {
        let given = dirs.iter().rev().find(|given| given.model == model);
        let checkpoint = given.map(|given| given.checkpoint.as_str()).or(model.default_checkpoint());
        let checkpoint = checkpoint.ok_or(Error::NoCheckpoint { model: model.name() })?;
        let settings = NetworkSettings {
            model: checkpoint.to_owned(),
            revision: None,
            device: placement.device,
            precision: placement.dtype,
            batch_size,
        };
        Ok((model, settings))
    };
    models.into_iter().map(settings).collect()
}
