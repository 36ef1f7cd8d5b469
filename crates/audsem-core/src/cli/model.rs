//! Flags of every command that runs a network.

use clap::Args;

use crate::device::{DeviceChoice, Precision};
use crate::hub::ModelDir;
use crate::weights::ModelError;

/// Which model is used, where it runs, and its batch size.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Model")]
pub struct ModelArgs {
    /// Checkpoint: a folder, or an id on the Hugging Face hub such as `org/name`
    #[arg(long, value_name = "ID_OR_PATH")]
    pub model: Option<String>,

    /// Branch, tag or commit of the hub repository [default: main]
    #[arg(long, value_name = "REV")]
    pub revision: Option<String>,

    /// Device the model runs on: `auto`, `cpu` or `cuda:N`
    #[arg(long, value_name = "DEVICE", default_value_t)]
    pub device: DeviceChoice,

    /// Number type of the weights
    #[arg(long, value_enum, default_value_t = Precision::F32)]
    pub dtype: Precision,

    /// Records per forward pass [default: depends on the command]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub batch_size: Option<u32>,
}

impl ModelArgs {
    /// Finds the model named by `--model`, or `default` where the flag is absent.
    ///
    /// # Errors
    /// The model was not found in any of the places searched.
    pub fn resolve(&self, default: &str) -> Result<ModelDir, ModelError> {
        ModelDir::resolve(self.model.as_deref().unwrap_or(default), self.revision.as_deref())
    }
}
