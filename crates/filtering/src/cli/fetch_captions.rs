//! `fetch-captions`.

use std::path::PathBuf;

use audsem_core::cli::{GlobalArgs, RunArgs};
use audsem_core::run::Summary;
use clap::Args;

use super::SiteArgs;
use crate::error::Result;
use crate::fetch_captions::{Config, run};
use crate::languages::Languages;

/// Flags of `fetch-captions`.
#[derive(Debug, Clone, Args)]
pub struct FetchCaptionsArgs {
    /// Text file of video ids, one a line (# begins a remark); plain, gzip or zstd. It may grow: the same
    /// command then fetches what is new. Videos taken off the list keep their files and are not counted
    #[arg(short, long, value_name = "FILE")]
    pub input: PathBuf,
    /// Languages of manual tracks, as the site names them, with commas between; `en*` stands for all that
    /// begin so
    #[arg(long, alias = "lang", value_name = "CODES", default_value_t = Languages::english_and_variants())]
    pub languages: Languages,
    /// Formats by preference, as yt-dlp names them; `best` takes what there is where all before it are
    /// missing, and is the only one of the default that `extract` may not be able to read
    #[arg(long, value_name = "FORMAT", default_value = "json3,srv3,vtt,srt,best", value_delimiter = ',')]
    pub formats: Vec<String>,
    /// The site.
    #[command(flatten)]
    pub site: SiteArgs,
    /// The run.
    #[command(flatten)]
    pub run: RunArgs,
}

impl FetchCaptionsArgs {
    /// Runs the subcommand.
    ///
    /// # Errors
    /// Any error that prevents the run.
    pub fn run(&self, global: &GlobalArgs) -> Result<Summary> {
        let options = self.run.options(global)?;
        let config = Config {
            input: self.input.clone(),
            languages: self.languages.yt_dlp_patterns(),
            formats: self.formats.clone(),
            url_template: self.site.url_template.clone(),
        };
        run(&config, &self.site.access(None)?, &self.site.pace()?, &options)
    }
}
