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
    /// Text files of video ids, one per line (# begins a comment); plain, gzip or zstd. A video that several lines name is
    /// fetched once. Lists may grow: the same command then fetches the new videos. Videos removed from them keep their
    /// files and are not counted
    #[arg(short, long, value_name = "FILE", required = true, num_args = 1..)]
    pub input: Vec<PathBuf>,
    /// Languages of manual tracks, as the site names them, separated by commas; `en*` matches all that
    /// begin with `en`
    #[arg(long, alias = "lang", value_name = "CODES", default_value_t = Languages::english_and_variants())]
    pub languages: Languages,
    /// Formats in order of preference, as yt-dlp names them; `best` accepts any format if those before it are
    /// missing, and is the only default that may give a format that `extract` cannot read
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
            inputs: self.input.clone(),
            languages: self.languages.yt_dlp_patterns(),
            formats: self.formats.clone(),
            url_template: self.site.url_template.clone(),
        };
        run(&config, &self.site.access(None)?, &self.site.pace()?, &options)
    }
}
