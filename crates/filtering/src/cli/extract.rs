//! Flags of `extract`.

use std::path::PathBuf;

use audsem_core::cli::RunArgs;
use audsem_core::video_id::IdRule;
use clap::Args;

use crate::extract::config::{Config, ExtractCompat};
use crate::extract::rules::DurationLimits;
use crate::languages::Languages;

/// Extract bracketed sound captions from captions dumps and subtitle files into a table.
#[derive(Debug, Args)]
pub struct ExtractArgs {
    /// Captions dump (JSON objects, one video each; plain, .gz or .zst), subtitle file (.vtt, .srt,
    /// .json3, .srv1-3, .ttml, .sbv, .ass), tar of subtitle files, or folder of any of these; may be given several times
    #[arg(short, long, required = true, num_args = 1.., value_name = "PATH")]
    pub input: Vec<PathBuf>,
    /// Languages whose tracks are read, separated by commas; `en*` matches all that begin with `en`
    /// [default: `en` in dumps, as in the published data set; `en,en-*` among subtitle files]
    #[arg(long, alias = "lang", value_name = "CODES")]
    pub languages: Option<Languages>,
    /// How the video id of a subtitle file is found: `auto` takes the YouTube id in the name (`[ID]` or `-ID`, eleven characters),
    /// else the path below the input folder without extension and language; `stem` takes the file name; `path` always takes the
    /// path. Use the same value for `download --source`
    #[arg(long, default_value = "auto", value_name = "RULE")]
    pub id: IdRule,
    /// Minimum duration of a cue, in seconds
    #[arg(long, default_value_t = 1.0, value_name = "SECONDS")]
    pub min_duration: f64,
    /// Maximum duration of a cue, in seconds
    #[arg(long, default_value_t = 10.0, value_name = "SECONDS")]
    pub max_duration: f64,
    /// Also parse videos that cannot have a bracketed caption, so that every cue is counted (slower)
    #[arg(long)]
    pub count_all: bool,
    /// `reference` writes the CSV files of the published data set's scripts, including their quirks
    #[arg(long, default_value = "none", value_name = "WHOSE")]
    pub compat: ExtractCompat,
    /// Size of a shard of an uncompressed dump, in megabytes (2^20 bytes)
    #[arg(long, default_value_t = 64, value_name = "MB")]
    pub shard_mb: u64,
    /// Largest object of a dump that is parsed, in megabytes (2^20 bytes)
    #[arg(long, default_value_t = 32, value_name = "MB")]
    pub max_object_mb: usize,
    /// Flags of every subcommand.
    #[command(flatten)]
    pub run: RunArgs,
}

impl ExtractArgs {
    /// What the flags ask for.
    #[must_use]
    pub fn config(&self) -> Config {
        let (in_dumps, in_subtitles) = match &self.languages {
            Some(languages) => (languages.clone(), languages.clone()),
            None => (Languages::english(), Languages::english_and_variants()),
        };
        Config {
            inputs: self.input.clone(),
            languages: in_dumps,
            subtitle_languages: in_subtitles,
            ids: self.id,
            duration: DurationLimits { min_s: self.min_duration, max_s: self.max_duration },
            count_all: self.count_all,
            compat: self.compat,
            shard_bytes: self.shard_mb.saturating_mul(1 << 20),
            max_object_bytes: self.max_object_mb.saturating_mul(1 << 20),
        }
    }
}
