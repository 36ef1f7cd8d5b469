//! The checkpoint of a network: found, identified, and the device it runs on.

use audsem_core::device::{DeviceChoice, Precision};
use audsem_core::hub::ModelDir;
use audsem_core::run::{Fingerprint, ModelFingerprint};
use candle_core::Device;

use crate::error::Error;

/// A network that `--models` of a command names.
pub trait NamedNetwork: Copy + Ord {
    /// Name of the network on the command line, in counters and in `failures`.
    fn name(self) -> &'static str;

    /// Id on the hub of the checkpoint that is used by default; nothing where the published file needs a conversion.
    fn default_checkpoint(self) -> Option<&'static str>;
}

/// A network and where it runs.
#[derive(Debug, Clone)]
pub struct NetworkSettings {
    /// The checkpoint: a folder, or an id on the hub.
    pub model: String,
    /// Branch, tag or commit on the hub.
    pub revision: Option<String>,
    /// Where it runs.
    pub device: DeviceChoice,
    /// Number type of its weights.
    pub precision: Precision,
    /// Records in one forward pass.
    pub batch_size: usize,
}

/// A checkpoint that was found.
#[derive(Debug, Clone)]
pub(crate) struct OpenedCheckpoint {
    pub dir: ModelDir,
    pub device: Device,
    /// All files that decide what the network gives, and the type of its numbers.
    pub identity: String,
    pub fingerprint: ModelFingerprint,
}

impl NetworkSettings {
    /// Finds the checkpoint and opens the device.
    pub(crate) fn open(&self) -> Result<OpenedCheckpoint, Error> {
        let dir = ModelDir::resolve(&self.model, self.revision.as_deref()).map_err(audsem_models::Error::from)?;
        let device = self.device.open().map_err(audsem_models::Error::from)?;
        let fingerprint = dir.fingerprint().map_err(audsem_models::Error::from)?;
        let files = fingerprint.sha256.iter().fold(Fingerprint::new(), |all, sha256| all.with(sha256));
        let identity = format!("{}-{}", files.hash(), self.precision.name());
        Ok(OpenedCheckpoint { dir, device, identity, fingerprint })
    }
}
