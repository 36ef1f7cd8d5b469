//! Flags of `video`.

use std::path::PathBuf;

use audsem_core::cli::RunArgs;
use audsem_llm::PromptTemplate;
use clap::Args;

use super::networks::{ModelPath, PlacementArgs, VIDEOS, with_checkpoints};
use crate::error::Error;
use crate::video::{self, PROMPT, VideoModel};

/// Flags of `video`.
#[derive(Debug, Args)]
pub struct VideoArgs {
    /// Shards of videos (.tar), videos, folders of either, or CSV files with a column `path` and optionally `key`; if a key
    /// is repeated, its first clip counts
    #[arg(short, long, value_name = "PATH", required = true, num_args = 1..)]
    pub input: Vec<PathBuf>,
    /// The model
    #[arg(long = "models", value_enum, value_name = "NAME", default_value = "llava-video")]
    pub model: VideoModel,
    /// Its checkpoint: a folder, or an id on the Hugging Face hub
    /// [default: lmms-lab/LLaVA-Video-7B-Qwen2]
    #[arg(long = "model-dir", value_name = "NAME=ID_OR_PATH")]
    pub model_dir: Option<ModelPath<VideoModel>>,
    /// Prompt template that replaces the built-in one: sections `--- system ---` and `--- user ---` with the slots
    /// duration, frames and times; the frames go before the user's text
    #[arg(long, value_name = "FILE")]
    pub prompt: Option<PathBuf>,
    /// Maximum number of tokens of a description; one that has no end within them is a reject
    #[arg(long, value_name = "N", default_value_t = 2048, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_tokens: u32,
    /// Path of ffmpeg, which decodes videos [default: from PATH]
    #[arg(long, value_name = "FILE")]
    pub ffmpeg: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub placement: PlacementArgs,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub run: RunArgs,
}

impl VideoArgs {
    /// What the flags ask for.
    ///
    /// # Errors
    /// The prompt template cannot be read.
    pub fn config(&self) -> Result<video::Config, Error> {
        let prompt = match &self.prompt {
            Some(path) => PromptTemplate::load(path)?,
            None => PromptTemplate::parse("built-in", PROMPT)?,
        };
        let batch_size = self.placement.batch_size(VIDEOS);
        let mut models = with_checkpoints(&[self.model], self.model_dir.as_slice(), &self.placement, batch_size)?;
        Ok(video::Config {
            inputs: self.input.clone(),
            model: models.remove(0),
            prompt,
            max_tokens: self.max_tokens as usize,
            batch_size,
            ffmpeg: self.ffmpeg.clone(),
        })
    }
}
