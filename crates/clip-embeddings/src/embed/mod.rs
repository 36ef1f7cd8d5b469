//! Embeddings of sounds and captions by a CLAP model.
//!
//! `embed-audio` and `embed-text` read shards as stage 1 wrote them, or any sounds on disk. One shard of input becomes
//! one table. Features exist in memory only. A row depends on its own sound or caption, never on what lies beside it.

pub mod audio;
mod caption_cache;
pub mod similarity;
mod sounds;
mod sources;
pub mod text;

use audsem_core::device::{DeviceChoice, Precision};
use audsem_core::hub::ModelDir;
use audsem_core::run::ModelFingerprint;
use audsem_models::clap::ClapEncoder;

use crate::error::Error;

pub use sounds::{CropRule, Windows};
pub use sources::{Kind, SoundFile, Source, list_captions, list_sounds};

/// Tokens that captions are cut at, special ones included, if nothing else is said.
pub const MAX_TOKENS: usize = 32;

/// The model and where it runs.
#[derive(Debug, Clone)]
pub struct ModelSettings {
    /// The checkpoint.
    pub dir: ModelDir,
    /// Where it runs.
    pub device: DeviceChoice,
    /// Number type of its weights.
    pub precision: Precision,
    /// Sounds or captions in one forward pass.
    pub batch_size: usize,
}

impl ModelSettings {
    /// Loads the model.
    ///
    /// # Errors
    /// The device cannot be opened, or the checkpoint is not one of a supported CLAP.
    pub fn open(&self, max_tokens: usize) -> Result<ClapEncoder, Error> {
        let device = self.device.open().map_err(audsem_models::Error::from)?;
        let encoder = ClapEncoder::open(&self.dir, &device, self.precision.dtype(), max_tokens)?;
        Ok(encoder.with_batch_size(self.batch_size))
    }
}

/// The name by which tables of embeddings tell which model made them: equal weights, equal name.
fn model_name(model: &ModelFingerprint, precision: Precision) -> String {
    let weights = model.sha256.first().map_or("", |sha256| &sha256[..sha256.len().min(16)]);
    let base = model.name.rsplit('/').next().unwrap_or_default();
    format!("{base}@{weights}-{}", precision.name())
}
