//! Flags of `transcode`.

use std::path::PathBuf;

use audsem_core::cli::RunArgs;
use clap::Args;

use super::{EncodingArgs, ProgramArgs};
use crate::encode::VideoConfig;
use crate::transcode::Config;

/// Flags of `transcode`.
#[derive(Debug, Args)]
pub struct TranscodeArgs {
    /// Video tars (plain, gzip, zstd), or folders of them; they are not modified
    #[arg(short, long, value_name = "PATH", required = true, num_args = 1..)]
    pub input: Vec<PathBuf>,
    /// Height of the videos in pixels
    #[arg(long, value_name = "N", default_value_t = 360, value_parser = clap::value_parser!(u32).range(16..=4320), help_heading = "Encoding")]
    pub height: u32,
    /// Frames per second of the videos
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=240), help_heading = "Encoding")]
    pub fps: u32,
    /// Modification time of the members, seconds since 1970
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub mtime: u64,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub encoding: EncodingArgs,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub programs: ProgramArgs,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub run: RunArgs,
}

impl TranscodeArgs {
    /// What the flags ask for.
    pub fn config(&self) -> Config {
        let video = VideoConfig { height: self.height, fps: self.fps, ..VideoConfig::small() };
        Config {
            inputs: self.input.clone(),
            video: self.encoding.apply(video),
            mtime: self.mtime,
            paths: self.programs.paths(),
        }
    }
}
