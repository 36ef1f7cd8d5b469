//! Flags of `compose`.

use std::path::PathBuf;

use audsem_core::cli::{CommandOutput, GlobalArgs};
use audsem_core::device::Precision;
use audsem_models::multimodal::compose::Composition;
use clap::Args;
use serde_json::json;

use crate::error::Result;

/// Flags of `compose`.
#[derive(Debug, Args)]
#[command(after_help = "\
The folder has the layout of Qwen2-Audio: weights, config.json, tokenizer with the tokens of sounds, chat template, settings
of features and of generation, and composition.json, which says what it is made of. transformers opens it too. The
projector between both parts is new, so train it before you expect answers about sounds. The head is written out as a
tensor of its own, because transformers does not tie that of Qwen2-Audio to the token table.
A Whisper in another format becomes a folder with `audsem-metadata-eval convert-weights --network whisper`.")]
pub struct ComposeArgs {
    /// Whisper whose encoder hears: a folder of transformers, or an id on the Hugging Face hub
    #[arg(long, value_name = "ID_OR_PATH")]
    pub audio_encoder: String,
    /// Language model that writes: a folder of Qwen2, Qwen2.5 or Llama, an id on the hub, or a GGUF file
    #[arg(long, value_name = "ID_OR_PATH")]
    pub language_model: String,
    /// Folder of the new model; it must not hold another one
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// Seed of the new projector and of the rows of new tokens
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Number type of the weights that are written
    #[arg(long, value_enum, default_value_t = Precision::F32)]
    pub dtype: Precision,
}

impl ComposeArgs {
    /// Composes the model.
    ///
    /// # Errors
    /// A part cannot be read or is of another kind, or the folder cannot be written.
    pub fn run(&self, global: &GlobalArgs) -> Result<CommandOutput> {
        let composition = Composition {
            audio_encoder: self.audio_encoder.clone(),
            language_model: self.language_model.clone(),
            output: self.output.clone(),
            seed: self.seed,
            dtype: self.dtype.dtype(),
        };
        let composed = composition.compose()?;
        if global.json {
            let summary = json!({"output": self.output, "composition": composed});
            return Ok(CommandOutput::Text(summary.to_string()));
        }
        let parts = composed.parameters.iter().map(|(part, n)| format!("{} {n}", part.replace('_', " ")));
        let parts: Vec<String> = parts.collect();
        Ok(CommandOutput::Text(format!(
            "{}: {} parameters ({}), {} new tokens",
            self.output.display(),
            composed.parameters.values().sum::<usize>(),
            parts.join(", "),
            composed.new_tokens.len(),
        )))
    }
}
