//! `download`.

use std::path::PathBuf;

use audsem_core::cli::{GlobalArgs, RunArgs};
use audsem_core::run::Summary;
use audsem_core::video_id::IdRule;
use audsem_media::program::{Program, Tool};
use clap::Args;

use super::SiteArgs;
use crate::download::{Config, Cut, MediaSource, Tools, run};
use crate::error::Result;

/// Flags of `download`.
#[derive(Debug, Clone, Args)]
pub struct DownloadArgs {
    /// Clip tables: run folders of `combine`, or any files or folders of tables (Parquet, CSV) with video_id,
    /// start_ms, end_ms. They may grow: the same command then gets new videos, and again those whose clips
    /// have changed. Videos removed from it keep their files and are not counted
    #[arg(short, long, value_name = "PATH", required = true, num_args = 1..)]
    pub input: Vec<PathBuf>,
    /// Folder of local media to cut the clips from, instead of fetching them: whole videos, whose ids `--id` reads from
    /// their names, or clips named `VIDEO (START-END).ext`. The flags under Site then have no effect
    #[arg(long, value_name = "DIR", conflicts_with_all = ["whole_from", "format"])]
    pub source: Option<PathBuf>,
    /// How the id of a video in the folder of --source is found: `auto` takes the YouTube id in the name (`[ID]` or `-ID`, eleven
    /// characters), else the path below the folder without extension; `stem` takes the file name; `path` always takes the path.
    /// Use the same value for `extract`
    #[arg(long, default_value = "auto", value_name = "RULE", requires = "source")]
    pub id: IdRule,
    /// Drop clips of videos that the folder of --source does not have. Without this flag each of them counts as a
    /// failure
    #[arg(long, requires = "source")]
    pub present_only: bool,
    /// `exact` re-encodes, so that a clip begins exactly at its start; `copy` copies the streams, so that it begins
    /// at the preceding key frame [default: `exact` for local files, `copy` for fetched sections]
    #[arg(long, value_enum)]
    pub cut: Option<Cut>,
    /// Fetch the whole video once and cut it locally if at least this many of its clips are needed
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub whole_from: usize,
    /// Which streams to fetch, in yt-dlp's format language
    #[arg(long, value_name = "FORMAT", default_value = "bv*[height<=720]+ba/b[height<=720]/bv*+ba/b")]
    pub format: String,
    /// How much shorter than its cue a clip may be, for captions that outlast their video. A section that is
    /// shorter although its video continues is fetched again, in this run and the next
    #[arg(long, value_name = "MS", default_value_t = 500)]
    pub max_missing_ms: u32,
    /// Path of ffmpeg [default: from PATH]
    #[arg(long, value_name = "FILE")]
    pub ffmpeg: Option<PathBuf>,
    /// Path of ffprobe [default: from PATH]
    #[arg(long, value_name = "FILE")]
    pub ffprobe: Option<PathBuf>,
    /// The site.
    #[command(flatten)]
    pub site: SiteArgs,
    /// The run.
    #[command(flatten)]
    pub run: RunArgs,
}

impl DownloadArgs {
    /// Runs the subcommand.
    ///
    /// # Errors
    /// Any error that prevents the run.
    pub fn run(&self, global: &GlobalArgs) -> Result<Summary> {
        let options = self.run.options(global)?;
        let tools = Tools {
            ffmpeg: Program::find(Tool::Ffmpeg, self.ffmpeg.as_deref())?,
            ffprobe: Program::find(Tool::Ffprobe, self.ffprobe.as_deref())?,
        };
        let from = match &self.source {
            Some(folder) => MediaSource::Folder { path: folder.clone(), ids: self.id },
            None => MediaSource::Site {
                access: Box::new(self.site.access(Some(tools.ffmpeg.clone()))?),
                pace: self.site.pace()?,
                format: self.format.clone(),
                whole_from: self.whole_from,
            },
        };
        let default_cut = if self.source.is_some() { Cut::Exact } else { Cut::Copy };
        let config = Config {
            inputs: self.input.clone(),
            cut: self.cut.unwrap_or(default_cut),
            max_missing_ms: self.max_missing_ms,
            present_only: self.present_only,
        };
        run(&config, &from, &tools, &options)
    }
}
