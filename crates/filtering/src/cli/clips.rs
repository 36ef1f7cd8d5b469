//! Flags of `clips`.

use std::path::PathBuf;

use audsem_core::cli::RunArgs;
use clap::Args;

use crate::clips::{Config, Limits};

/// Convert media of clips to audio shards: tars of 48 kHz mono FLAC and JSON.
#[derive(Debug, Args)]
pub struct ClipsArgs {
    /// Media named `VIDEO (START-END).ext`: output folder of `download`, any other folder (searched with its
    /// subfolders), a tar (plain, .gz or .zst) or a file; may be given several times
    #[arg(short, long, required = true, num_args = 1.., value_name = "PATH")]
    pub input: Vec<PathBuf>,
    /// Clip table: output folder of `combine`, or a Parquet file with its columns; may be given several times
    #[arg(short, long = "table", alias = "clips", required = true, num_args = 1.., value_name = "PATH")]
    pub clips: Vec<PathBuf>,
    /// Seconds of media kept before the cue, as far as there are any
    #[arg(long, default_value_t = Limits::DEFAULT.buffer_s, value_name = "SECONDS")]
    pub buffer: f64,
    /// Minimum duration of the media, in seconds
    #[arg(long, default_value_t = Limits::DEFAULT.min_s, value_name = "SECONDS")]
    pub min_duration: f64,
    /// Maximum duration of the media, in seconds
    #[arg(long, default_value_t = Limits::DEFAULT.max_s, value_name = "SECONDS")]
    pub max_duration: f64,
    /// Number of input files per shard; a file that is dropped leaves a gap in the numbering
    #[arg(long, default_value_t = 4096, value_name = "N")]
    pub per_shard: usize,
    /// Path of ffmpeg [default: from PATH]
    #[arg(long, value_name = "FILE", conflicts_with = "no_ffmpeg")]
    pub ffmpeg: Option<PathBuf>,
    /// Decode without ffmpeg; Opus, AC-3 and surround AAC then become rejects
    #[arg(long)]
    pub no_ffmpeg: bool,
    /// Flags of every run.
    #[command(flatten)]
    pub run: RunArgs,
}

impl ClipsArgs {
    /// The configuration these flags stand for.
    #[must_use]
    pub fn config(&self) -> Config {
        Config {
            input: self.input.clone(),
            clips: self.clips.clone(),
            limits: Limits { min_s: self.min_duration, max_s: self.max_duration, buffer_s: self.buffer },
            per_shard: self.per_shard,
            use_ffmpeg: !self.no_ffmpeg,
            ffmpeg: self.ffmpeg.clone(),
        }
    }
}
