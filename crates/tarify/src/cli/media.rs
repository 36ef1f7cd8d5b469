//! Flags of subcommands that transcode.

use std::path::PathBuf;

use clap::Args;

use crate::encode::{AudioCodec, EncoderPaths, VideoConfig};

/// How audio and video are encoded.
#[derive(Debug, Clone, Args)]
pub struct EncodingArgs {
    /// Audio codec of the MP4
    #[arg(long, value_enum, default_value = "flac", help_heading = "Encoding")]
    pub audio_codec: AudioCodec,
    /// Sample rate of the audio in Hz; audio is mixed to mono
    #[arg(long, value_name = "HZ", default_value_t = 32_000, help_heading = "Encoding")]
    pub audio_rate: u32,
    /// x264 preset: slower presets give smaller files
    #[arg(long, value_name = "NAME", default_value = "medium", help_heading = "Encoding", value_parser =
        ["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"])]
    pub preset: String,
    /// x264 constant rate factor (CRF): 0 is lossless, 51 the lowest quality
    #[arg(long, value_name = "N", default_value_t = 23, value_parser = clap::value_parser!(u8).range(0..=51), help_heading = "Encoding")]
    pub crf: u8,
    /// Timeout of transcoding one clip, in seconds; the clip then fails
    #[arg(long = "timeout", alias = "timeout-s", value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..), help_heading = "Encoding")]
    pub timeout_s: u64,
}

impl EncodingArgs {
    /// `video` with what these flags say.
    pub fn apply(&self, video: VideoConfig) -> VideoConfig {
        VideoConfig {
            preset: self.preset.clone(),
            crf: self.crf,
            audio_codec: self.audio_codec,
            sample_rate_hz: self.audio_rate,
            timeout_s: self.timeout_s,
            ..video
        }
    }
}

/// Programs and temporary folders.
#[derive(Debug, Clone, Args)]
pub struct ProgramArgs {
    /// Path of ffmpeg [default: from PATH]
    #[arg(long, value_name = "FILE", help_heading = "Encoding")]
    pub ffmpeg: Option<PathBuf>,
    /// Folder for temporary files, ideally in memory [default: the system's]
    #[arg(long, value_name = "DIR", help_heading = "Encoding")]
    pub temp_dir: Option<PathBuf>,
}

impl ProgramArgs {
    /// The paths these flags name.
    pub fn paths(&self) -> EncoderPaths {
        EncoderPaths { ffmpeg: self.ffmpeg.clone(), temp_dir: self.temp_dir.clone() }
    }
}
