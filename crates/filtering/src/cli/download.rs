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
    /// Clip table: run folder of `combine`, or any file or folder of tables (Parquet, CSV) with video_id,
    /// start_ms, end_ms. It may grow: the same command then gets the new videos, and those again whose clips
    /// have changed. Videos taken off it keep their files and are not counted
    #[arg(short, long, value_name = "PATH")]
    pub input: PathBuf,
    /// Folder of media on disk to cut the clips from, instead of asking a site: whole videos, whose ids `--id` tells from
    /// their names, or clips named `VIDEO (START-END).ext`. The flags under Site then have no effect
    #[arg(long, value_name = "DIR", conflicts_with_all = ["whole_from", "format"])]
    pub source: Option<PathBuf>,
    /// What is the id of a video in the folder of --source: `auto` takes the site's id in the name (`[ID]`, `-ID`, eleven characters),
    /// else the path below the folder without ending; `stem` the name alone; `path` the path always. Say the same to
    /// `extract`
    #[arg(long, default_value = "auto", value_name = "RULE", requires = "source")]
    pub id: IdRule,
    /// Take the folder for all there is: leave out clips of videos that it does not have. Without this
    /// each of them is a failure
    #[arg(long, requires = "source")]
    pub present_only: bool,
    /// `exact` re-encodes, so that a clip begins at its very sample; `copy` keeps the streams and begins
    /// at the key frame before. Fetched sections are always copied unless this says exact
    #[arg(long, value_enum)]
    pub cut: Option<Cut>,
    /// Fetch a video whole, once, and cut it here, if this many clips are wanted of it
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub whole_from: usize,
    /// Which streams to fetch, in yt-dlp's format language
    #[arg(long, value_name = "FORMAT", default_value = "bv*[height<=720]+ba/b[height<=720]/bv*+ba/b")]
    pub format: String,
    /// How much shorter than asked a clip may be, for captions that outlast their video. A section that comes
    /// shorter though its video goes on is fetched again, in this run and the next
    #[arg(long, value_name = "MS", default_value_t = 500)]
    pub max_missing_ms: u32,
    /// ffmpeg, if not in PATH
    #[arg(long, value_name = "FILE")]
    pub ffmpeg: Option<PathBuf>,
    /// ffprobe, if not in PATH
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
            input: self.input.clone(),
            cut: self.cut.unwrap_or(default_cut),
            max_missing_ms: self.max_missing_ms,
            present_only: self.present_only,
        };
        run(&config, &from, &tools, &options)
    }
}
