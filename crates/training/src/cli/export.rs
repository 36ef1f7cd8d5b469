//! Flags of `export`.

use std::path::PathBuf;

use audsem_core::cli::RunArgs;
use audsem_core::device::Precision;
use audsem_models::multimodal::export::TensorLayout;
use clap::Args;

use crate::export::{Config, PushTarget};

/// Flags of `export`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
The model is in OUT/model: transformers opens it with from_pretrained. Adapters are merged in f32 and rounded once. With
--push-to-hub all files of OUT/model become one commit; HF_ENDPOINT names another hub. An upload that was interrupted is
continued by the same command.")]
pub struct ExportArgs {
    /// Output folder of one training, or a PEFT folder
    #[arg(short, long, value_name = "DIR")]
    pub input: PathBuf,
    /// Model that the training began with: a folder or hub id [default: the one that the training names]
    #[arg(long, value_name = "ID_OR_PATH")]
    pub base: Option<String>,
    /// Tokenizer and chat template, where the base lacks them: a folder or hub id
    #[arg(long, value_name = "ID_OR_PATH")]
    pub processor: Option<String>,
    /// Names of the tensors
    #[arg(long, value_enum, default_value = "base")]
    pub layout: TensorLayout,
    /// Number type of the weights [default: that of the base]
    #[arg(long, value_enum)]
    pub dtype: Option<Precision>,
    /// Upload the model to this repository of the Hugging Face hub, which is made if it is not there
    #[arg(long, value_name = "ORG/NAME")]
    pub push_to_hub: Option<String>,
    /// Make the repository private
    #[arg(long, requires = "push_to_hub")]
    pub private: bool,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub run: RunArgs,
}

impl ExportArgs {
    /// What the flags ask for.
    #[must_use]
    pub fn config(&self) -> Config {
        Config {
            trained: self.input.clone(),
            base: self.base.clone(),
            processor: self.processor.clone(),
            layout: self.layout,
            dtype: self.dtype,
            push: self.push_to_hub.clone().map(|repo| PushTarget { repo, private: self.private }),
        }
    }
}
