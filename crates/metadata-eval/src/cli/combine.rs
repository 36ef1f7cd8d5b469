//! Flags of `combine`.

use std::path::PathBuf;

use audsem_core::cli::RunArgs;
use audsem_core::device::{DeviceChoice, Precision};
use clap::Args;

use crate::checkpoint::NetworkSettings;
use crate::combine::{Config, Extractor};

/// Flags of `combine`.
#[derive(Debug, Args)]
pub struct CombineArgs {
    /// Outputs of `audio`: run folders or Parquet files; of several values for one column the first counts
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub audio: Vec<PathBuf>,
    /// Outputs of `sat`
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub sat: Vec<PathBuf>,
    /// Outputs of `image`
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub image: Vec<PathBuf>,
    /// Outputs of `video`
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub video: Vec<PathBuf>,
    /// Clip tables of `audsem-filtering combine`, for the closed captions; clips that they do not have are dropped
    /// [default: captions as the extractors found them beside the clips]
    #[arg(long = "table", alias = "clips", value_name = "PATH", num_args = 1..)]
    pub clips: Vec<PathBuf>,
    /// Drop clips that lack features of these extractors; `none` drops no clip [default: all whose outputs are given]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub require: Option<Vec<Requirement>>,
    /// Sentence encoder (folder, or id on the Hugging Face hub such as sentence-transformers/all-MiniLM-L6-v2) that fills
    /// the column `similarity` with the cosine of closed caption and audio caption
    #[arg(long, value_name = "ID_OR_PATH", help_heading = "Model")]
    pub sentence_model: Option<String>,
    /// Device the sentence encoder runs on: `auto`, `cpu` or `cuda:N`
    #[arg(long, value_name = "DEVICE", default_value_t, help_heading = "Model")]
    pub device: DeviceChoice,
    /// Number type of its weights
    #[arg(long, value_enum, default_value_t = Precision::F32, help_heading = "Model")]
    pub dtype: Precision,
    /// Pairs of captions per forward pass
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Model")]
    pub batch_size: u32,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub run: RunArgs,
}

/// A value of `--require`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Requirement {
    /// Features of `audio`
    Audio,
    /// Features of `sat`
    Sat,
    /// Features of `image`
    Image,
    /// Features of `video`
    Video,
    /// Nothing
    None,
}

impl Requirement {
    fn extractor(self) -> Option<Extractor> {
        match self {
            Self::Audio => Some(Extractor::Audio),
            Self::Sat => Some(Extractor::Sat),
            Self::Image => Some(Extractor::Image),
            Self::Video => Some(Extractor::Video),
            Self::None => None,
        }
    }
}

impl CombineArgs {
    /// What the flags ask for.
    pub fn config(&self) -> Config {
        let given = [
            (&self.audio, Extractor::Audio),
            (&self.sat, Extractor::Sat),
            (&self.image, Extractor::Image),
            (&self.video, Extractor::Video),
        ];
        let mut require: Vec<Extractor> = match &self.require {
            Some(named) => named.iter().filter_map(|name| name.extractor()).collect(),
            None => given.into_iter().filter(|(paths, _)| !paths.is_empty()).map(|(_, extractor)| extractor).collect(),
        };
        require.sort_unstable();
        require.dedup();
        Config {
            audio: self.audio.clone(),
            sat: self.sat.clone(),
            image: self.image.clone(),
            video: self.video.clone(),
            clips: self.clips.clone(),
            require,
            sentence_model: self.sentence_model.as_ref().map(|model| NetworkSettings {
                model: model.clone(),
                revision: None,
                device: self.device,
                precision: self.dtype,
                batch_size: self.batch_size as usize,
            }),
        }
    }
}
