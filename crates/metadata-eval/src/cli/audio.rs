//! Flags of `audio` and `sat`.

use std::path::PathBuf;

use audsem_core::cli::{ModelArgs, RunArgs};
use clap::Args;

use super::networks::{ModelPath, PlacementArgs, SOUNDS, with_checkpoints};
use crate::audio::{self, AudioModel, MusicRule, MusicSettings};
use crate::checkpoint::NetworkSettings;
use crate::error::Error;
use crate::sat;

/// Flags of `audio`.
#[derive(Debug, Args)]
pub struct AudioArgs {
    /// Shards of sounds or videos (.tar), sounds, folders of either, or CSV files with a column `path` and optionally
    /// `key`; if a key is repeated, its first clip counts
    #[arg(short, long, value_name = "PATH", required = true, num_args = 1..)]
    pub input: Vec<PathBuf>,
    /// Networks to run, separated by commas; each clip is decoded once for all
    #[arg(long, value_enum, value_name = "NAMES", value_delimiter = ',', required = true)]
    pub models: Vec<AudioModel>,
    /// Checkpoint of a network: a folder, or an id on the Hugging Face hub; may be given for each network
    /// [default for ast: MIT/ast-finetuned-audioset-10-10-0.4593]
    #[arg(long = "model-dir", value_name = "NAME=ID_OR_PATH")]
    pub model_dirs: Vec<ModelPath<AudioModel>>,
    /// Labels to keep, the most probable ones
    #[arg(long, value_name = "K", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub top_k: u32,
    /// class_labels_indices.csv of AudioSet (columns index, mid, display_name), for checkpoints that name classes by id
    #[arg(long, value_name = "FILE")]
    pub class_names: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub music: MusicArgs,
    /// Path of ffmpeg, for formats that the built-in decoders cannot read [default: from PATH]
    #[arg(long, value_name = "FILE")]
    pub ffmpeg: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub placement: PlacementArgs,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub run: RunArgs,
}

/// Flags of music captions.
#[derive(Debug, Args)]
#[command(next_help_heading = "Music (--models lp-musiccaps)")]
pub struct MusicArgs {
    /// Clips whose music is captioned: those for which any of these rules, separated by commas, applies [default: tags,text]
    #[arg(long, value_enum, value_name = "RULES", value_delimiter = ',')]
    pub music: Vec<MusicRule>,
    /// Least probability of a label of music, for the rule `tags`
    #[arg(long, value_name = "P", default_value_t = 0.1, value_parser = probability)]
    pub music_probability: f32,
    /// Caption each 10 s of a clip; without it the first 10 s. A rest of less than a second has no caption
    #[arg(long)]
    pub music_throughout: bool,
    /// Draw captions at random by the seed (beam sampling, four beams) in place of a beam search with five beams
    #[arg(long)]
    pub music_draw: bool,
}

fn probability(text: &str) -> Result<f32, String> {
    let value: f32 = text.parse().map_err(|_| "expected a number".to_owned())?;
    if (0.0..=1.0).contains(&value) { Ok(value) } else { Err("expected 0 to 1".to_owned()) }
}

impl MusicArgs {
    /// What the flags ask for, with these networks in the run.
    fn settings(&self, models: &[AudioModel]) -> Result<MusicSettings, Error> {
        let runs = models.contains(&AudioModel::LpMusicCaps);
        if !runs && (!self.music.is_empty() || self.music_throughout || self.music_draw) {
            return Err(Error::IdleMusic);
        }
        let mut rules = self.music.clone();
        if rules.is_empty() {
            rules = vec![MusicRule::Tags, MusicRule::Text];
        }
        rules.sort_unstable();
        rules.dedup();
        if runs && rules.contains(&MusicRule::Tags) && !models.iter().any(|model| model.tags_audioset()) {
            return Err(Error::NoTagger);
        }
        Ok(MusicSettings {
            rules,
            probability: self.music_probability,
            throughout: self.music_throughout,
            drawn: self.music_draw,
        })
    }
}

impl AudioArgs {
    /// What the flags ask for.
    ///
    /// # Errors
    /// A network has no checkpoint, or one is named for a network that does not run.
    pub fn config(&self) -> Result<audio::Config, Error> {
        let batch_size = self.placement.batch_size(SOUNDS);
        Ok(audio::Config {
            inputs: self.input.clone(),
            music: self.music.settings(&self.models)?,
            models: with_checkpoints(&self.models, &self.model_dirs, &self.placement, batch_size)?,
            top_k: self.top_k as usize,
            class_names: self.class_names.clone(),
            batch_size,
            ffmpeg: self.ffmpeg.clone(),
        })
    }
}

/// Flags of `sat`.
#[derive(Debug, Args)]
pub struct SatArgs {
    /// Shards of sounds or videos (.tar), sounds, folders of either, or CSV files with a column `path` and optionally
    /// `key`; if a key is repeated, its first clip counts
    #[arg(short, long, value_name = "PATH", required = true, num_args = 1..)]
    pub input: Vec<PathBuf>,
    /// Labels to keep for each second, the most probable ones
    #[arg(long, value_name = "K", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub top_k: u32,
    /// class_labels_indices.csv of AudioSet (columns index, mid, display_name), for the names of the classes
    #[arg(long, value_name = "FILE", required = true)]
    pub class_names: PathBuf,
    /// Path of ffmpeg, for formats that the built-in decoders cannot read [default: from PATH]
    #[arg(long, value_name = "FILE")]
    pub ffmpeg: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub model: ModelArgs,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub run: RunArgs,
}

impl SatArgs {
    /// What the flags ask for.
    ///
    /// # Errors
    /// No checkpoint is named.
    pub fn config(&self) -> Result<sat::Config, Error> {
        Ok(sat::Config {
            inputs: self.input.clone(),
            model: NetworkSettings {
                model: self.model.model.clone().ok_or(Error::NoModel)?,
                revision: self.model.revision.clone(),
                device: self.model.device,
                precision: self.model.dtype,
                batch_size: self.model.batch_size.unwrap_or(SOUNDS) as usize,
            },
            top_k: self.top_k as usize,
            class_names: self.class_names.clone(),
            ffmpeg: self.ffmpeg.clone(),
        })
    }
}
