//! Flags of `audio-caption`.

use std::path::PathBuf;

use audsem_core::cli::RunArgs;
use audsem_core::run::{RunOptions, Summary};
use audsem_llm::PromptTemplate;
use audsem_models::language::LanguageModelArgs;
use clap::Args;

use crate::audio_caption::{Config, PROMPT, run};
use crate::error::Error;

/// What `--model` means here.
const MODEL_HELP: &str = "With --server: name of the model to request; may be omitted if the server serves exactly one. \
                          Without: the model that runs in this process, a folder with safetensors or an id on the \
                          Hugging Face hub (Qwen2-Audio, Qwen2.5-Omni); how much of a long sound it hears is the checkpoint's setting";

/// Flags of `audio-caption`.
#[derive(Debug, Args)]
#[command(mut_arg("model", |argument| argument.help(MODEL_HELP)))]
pub struct AudioCaptionArgs {
    /// Shards of sounds or videos (.tar), sounds, folders of either, or CSV files with a column `path` and optionally
    /// `key`; if a key is repeated, its first clip counts
    #[arg(short, long, value_name = "PATH", required = true, num_args = 1..)]
    pub input: Vec<PathBuf>,
    /// Prompt template that replaces the built-in one: sections `--- system ---` and `--- user ---`; the sound goes before
    /// the last user section
    #[arg(long, value_name = "FILE")]
    pub prompt: Option<PathBuf>,
    /// Maximum number of tokens of a description
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_tokens: u32,
    /// Maximum number of times to ask about a sound if the answer is empty or cut off
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_attempts: u32,
    /// Path of ffmpeg, for formats that the built-in decoders cannot read [default: from PATH]
    #[arg(long, value_name = "FILE")]
    pub ffmpeg: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub language_model: LanguageModelArgs,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub run: RunArgs,
}

impl AudioCaptionArgs {
    /// Runs the subcommand.
    ///
    /// # Errors
    /// Any error that prevents the run.
    pub fn run(&self, options: &RunOptions) -> Result<Summary, Error> {
        let prompt = match &self.prompt {
            Some(path) => PromptTemplate::load(path)?,
            None => PromptTemplate::parse("built-in", PROMPT)?,
        };
        let config = Config {
            inputs: self.input.clone(),
            prompt,
            max_tokens: self.max_tokens,
            max_attempts: self.max_attempts,
            unanswered: self.language_model.unanswered(),
            ffmpeg: self.ffmpeg.clone(),
        };
        let model = self.language_model.open_hearing(&options.output, options.dry_run)?;
        run(&config, &model, options)
    }
}
