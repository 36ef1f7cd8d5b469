//! Flags of `image`.

use std::path::PathBuf;

use audsem_core::cli::RunArgs;
use audsem_core::error::Error as CoreError;
use audsem_media::image::CAPTION_FRAMES;
use audsem_models::vision::places;
use clap::Args;

use super::networks::{ModelPath, PlacementArgs, VIDEOS, with_checkpoints};
use crate::error::Error;
use crate::image::{self, ImageModel};

/// Flags of `image`.
#[derive(Debug, Args)]
pub struct ImageArgs {
    /// Shards of videos or pictures (.tar), videos, pictures (PNG, JPEG), folders of either, or CSV files with a column
    /// `path` and optionally `key`; if a key is repeated, its first clip counts
    #[arg(short, long, value_name = "PATH", required = true, num_args = 1..)]
    pub input: Vec<PathBuf>,
    /// Networks to run, separated by commas; the frames of each clip are decoded once for all
    #[arg(long, value_enum, value_name = "NAMES", value_delimiter = ',', required = true)]
    pub models: Vec<ImageModel>,
    /// Checkpoint of a network: a folder, or an id on the Hugging Face hub; may be given for each network
    /// [default for blip: Salesforce/blip-image-captioning-large, for rt-detr: PekingU/rtdetr_r50vd]
    #[arg(long = "model-dir", value_name = "NAME=ID_OR_PATH")]
    pub model_dirs: Vec<ModelPath<ImageModel>>,
    /// Maximum number of frames of a video to look at: one for each begun second that is not black, evenly spaced
    #[arg(long, value_name = "N", default_value_t = CAPTION_FRAMES as u32, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub frames: u32,
    /// Labels of mobilenet and places to keep, the most probable ones over all frames
    #[arg(long, value_name = "K", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub top_k: u32,
    /// Keep objects with scores above this
    #[arg(long, value_name = "SCORE", default_value_t = 0.3, value_parser = share)]
    pub object_threshold: f32,
    /// Keep a frame's likeliest scene if its probability is above this
    #[arg(long, value_name = "PROBABILITY", default_value_t = places::MIN_PROBABILITY, value_parser = share)]
    pub place_threshold: f32,
    /// List of the classes of places: one name on each line, or `/a/airfield 0` and so on [default: that of Places365]
    #[arg(long, value_name = "FILE")]
    pub place_names: Option<PathBuf>,
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

fn share(text: &str) -> Result<f32, String> {
    let share = text.parse().ok().filter(|share| (0.0..1.0).contains(share));
    share.ok_or_else(|| "expected a number from 0 to below 1".to_owned())
}

impl ImageArgs {
    /// What the flags ask for.
    ///
    /// # Errors
    /// A network has no checkpoint, or something is given for a network that does not run.
    pub fn config(&self) -> Result<image::Config, Error> {
        if self.place_names.is_some() && !self.models.contains(&ImageModel::Places) {
            let problem = "--models does not name `places`".to_owned();
            return Err(CoreError::Config { what: "--place-names".to_owned(), problem }.into());
        }
        let batch_size = self.placement.batch_size(VIDEOS);
        Ok(image::Config {
            inputs: self.input.clone(),
            models: with_checkpoints(&self.models, &self.model_dirs, &self.placement, batch_size)?,
            frames: self.frames as usize,
            top_k: self.top_k as usize,
            object_threshold: self.object_threshold,
            place_threshold: self.place_threshold,
            place_names: self.place_names.clone(),
            batch_size,
            ffmpeg: self.ffmpeg.clone(),
        })
    }
}
