//! Flags of `embed-audio`, `embed-text` and `similarity`.

use std::path::PathBuf;

use audsem_core::cli::{ModelArgs, RunArgs};
use clap::Args;

use crate::embed::{CropRule, ModelSettings, Windows, audio, similarity, text};

/// The checkpoint of the published embeddings.
const MODEL: &str = "laion/larger_clap_general";

/// Sounds in a forward pass.
const SOUNDS: usize = 16;

/// Captions in a forward pass, where they are padded.
const CAPTIONS: usize = 256;

/// A CLAP model.
#[derive(Debug, Clone, Args)]
pub struct ClapArgs {
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub model: ModelArgs,
    /// Folder with the tokenizer of the model, where it is not beside its weights: with a file that the authors of LAION's CLAP
    /// published that of roberta-base, with CLAP_weights_2023.pth of MS-CLAP that of gpt2
    #[arg(long, value_name = "DIR", help_heading = "Model")]
    pub tokenizer: Option<PathBuf>,
}

impl ClapArgs {
    fn settings(&self, batch_size: usize) -> ModelSettings {
        let Self { model, tokenizer } = self;
        ModelSettings {
            model: model.model.clone().unwrap_or_else(|| MODEL.to_owned()),
            revision: model.revision.clone(),
            tokenizer: tokenizer.clone(),
            device: model.device,
            precision: model.dtype,
            batch_size: model.batch_size.map_or(batch_size, |n| n as usize),
        }
    }
}

/// Flags of `embed-audio`.
#[derive(Debug, Args)]
pub struct EmbedAudioArgs {
    /// Audio shards (.tar), audio files, folders of either, or CSV files with a column `path` and optionally `key`; if a key
    /// is repeated, its first clip counts
    #[arg(short, long, value_name = "PATH", required = true, num_args = 1..)]
    pub input: Vec<PathBuf>,
    /// Which part to embed of a sound that is longer than the model's input window (CLAP: 10 s, MS-CLAP: 7 s,
    /// CLAP2: 5 min, or less where that is more than 32768 patches)
    #[arg(long, value_enum, default_value = "centre")]
    pub crop: CropRule,
    /// How many windows of such a sound to embed
    #[arg(long, value_enum, default_value = "single")]
    pub windows: Windows,
    /// Path of ffmpeg, for formats that the built-in decoders cannot read [default: from PATH]
    #[arg(long, value_name = "FILE")]
    pub ffmpeg: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub model: ClapArgs,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub run: RunArgs,
}

impl EmbedAudioArgs {
    /// What the flags ask for.
    pub fn config(&self) -> audio::Config {
        audio::Config {
            inputs: self.input.clone(),
            model: self.model.settings(SOUNDS),
            crop: self.crop,
            windows: self.windows,
            ffmpeg: self.ffmpeg.clone(),
        }
    }
}

/// Flags of `embed-text`.
#[derive(Debug, Args)]
pub struct EmbedTextArgs {
    /// Shards (.tar) whose JSON members have `text`, folders of them, or CSV files with columns `text` and `key` (or
    /// `path`); if a key is repeated, its first caption counts
    #[arg(short, long, value_name = "PATH", required = true, num_args = 1..)]
    pub input: Vec<PathBuf>,
    /// Truncate captions to this many tokens, special tokens included; the published embeddings used 32
    /// [default: the model's own limit]
    #[arg(long, alias = "max-length", value_name = "N", value_parser = clap::value_parser!(u32).range(3..))]
    pub max_tokens: Option<u32>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub model: ClapArgs,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub run: RunArgs,
}

impl EmbedTextArgs {
    /// What the flags ask for.
    pub fn config(&self) -> text::Config {
        text::Config {
            inputs: self.input.clone(),
            model: self.model.settings(CAPTIONS),
            max_tokens: self.max_tokens.map(|n| n as usize),
        }
    }
}

/// Flags of `similarity`.
#[derive(Debug, Args)]
pub struct SimilarityArgs {
    /// Audio file
    #[arg(value_name = "CLIP")]
    pub clip: PathBuf,
    /// Texts to compare with it
    #[arg(value_name = "TEXT", required = true, num_args = 1..)]
    pub texts: Vec<String>,
    /// Path of ffmpeg, for formats that the built-in decoders cannot read [default: from PATH]
    #[arg(long, value_name = "FILE")]
    pub ffmpeg: Option<PathBuf>,
    /// Threads to use; never changes the result [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub workers: Option<u16>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub model: ClapArgs,
}

impl SimilarityArgs {
    /// What the flags ask for.
    pub fn config(&self) -> similarity::Config {
        similarity::Config {
            clip: self.clip.clone(),
            texts: self.texts.clone(),
            model: self.model.settings(SOUNDS),
            ffmpeg: self.ffmpeg.clone(),
        }
    }
}
