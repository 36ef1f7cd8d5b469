//! Flags of `pack`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use audsem_core::cli::RunArgs;
use clap::Args;

use super::{EncodingArgs, ProgramArgs};
use crate::encode::VideoConfig;
use crate::pack::Config;

/// Flags of `pack`.
#[derive(Debug, Args)]
pub struct PackArgs {
    /// Folders with the clips, named `VIDEO_ID (START-END).mp4` (or webm, mkv or another video), or output folders of
    /// `download`; of a clip that several have, the one in the folder named first is packed
    #[arg(short, long, value_name = "DIR", required = true, num_args = 1..)]
    pub input: Vec<PathBuf>,
    /// Clip table: the folder of a `combine` run, a Parquet file, or CSV with video_id,start,duration,text
    #[arg(long, value_name = "PATH")]
    pub table: PathBuf,
    /// Pack the clips unchanged instead of transcoding them
    #[arg(long)]
    pub copy: bool,
    /// Number of clips planned per tar; a clip that fails leaves its tar with fewer samples
    #[arg(long = "per-shard", alias = "per-tar", value_name = "N", default_value = "2048")]
    pub per_tar: NonZeroUsize,
    /// Modification time of the members, seconds since 1970
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub mtime: u64,
    /// Height of the videos in pixels
    #[arg(long, value_name = "N", default_value_t = 720, value_parser = clap::value_parser!(u32).range(16..=4320), help_heading = "Encoding")]
    pub height: u32,
    /// Frames per second of the videos
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=240), help_heading = "Encoding")]
    pub fps: u32,
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

impl PackArgs {
    /// What the flags ask for.
    pub fn config(&self) -> Config {
        let video = VideoConfig { height: self.height, fps: self.fps, ..VideoConfig::packed() };
        Config {
            inputs: self.input.clone(),
            table: self.table.clone(),
            video: (!self.copy).then(|| self.encoding.apply(video)),
            per_tar: self.per_tar,
            mtime: self.mtime,
            paths: self.programs.paths(),
        }
    }
}
