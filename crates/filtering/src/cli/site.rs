//! Flags of subcommands that fetch from a site through yt-dlp.

use std::path::PathBuf;
use std::time::Duration;

use audsem_core::error::Error as CoreError;
use audsem_llm::RetryPolicy;
use audsem_media::program::{Program, Tool};
use clap::Args;

use crate::error::Result;
use crate::ytdlp::{Access, Pace};

/// Flags for fetching from a site.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Site")]
pub struct SiteArgs {
    /// Address of a video, with {id} where its id goes
    #[arg(long, value_name = "URL", default_value = "https://www.youtube.com/watch?v={id}")]
    pub url_template: String,
    /// Videos requested per hour, over all workers; sites block clients that request more (at the time of writing
    /// about 300 without an account, 1000 with one)
    #[arg(long, value_name = "N", default_value_t = 300.0)]
    pub requests_per_hour: f64,
    /// Maximum number of retries of a temporary failure in this run
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub retries: u32,
    /// Seconds before the first retry; doubles up to 20 minutes
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0)]
    pub retry_wait: f64,
    /// Timeout of one video, in minutes
    #[arg(long, value_name = "MINUTES", default_value_t = 30.0)]
    pub video_timeout: f64,
    /// Your cookies file, for videos that require a login
    #[arg(long, value_name = "FILE")]
    pub cookies: Option<PathBuf>,
    /// The browser to take your cookies from, as yt-dlp names it (firefox, chrome …)
    #[arg(long, value_name = "BROWSER", conflicts_with = "cookies")]
    pub cookies_from_browser: Option<String>,
    /// Your configuration file of yt-dlp; without this flag yt-dlp reads no configuration file
    #[arg(long, value_name = "FILE")]
    pub yt_dlp_config: Option<PathBuf>,
    /// Path of yt-dlp [default: from PATH]
    #[arg(long, value_name = "FILE")]
    pub yt_dlp: Option<PathBuf>,
}

/// Longest wait between two tries.
const RETRY_CAP: Duration = Duration::from_secs(1200);

impl SiteArgs {
    /// The access to yt-dlp that these flags describe; `ffmpeg` if it is needed.
    ///
    /// # Errors
    /// yt-dlp is missing, or a flag makes no sense.
    pub fn access(&self, ffmpeg: Option<Program>) -> Result<Access> {
        let program = Program::find(Tool::YtDlp, self.yt_dlp.as_deref())?;
        let timeout = duration("--video-timeout", self.video_timeout * 60.0)?;
        let mut access = Access::new(program, &self.url_template, timeout)?;
        access.ffmpeg = ffmpeg;
        access.cookies.clone_from(&self.cookies);
        access.cookies_from_browser.clone_from(&self.cookies_from_browser);
        access.config.clone_from(&self.yt_dlp_config);
        Ok(access)
    }

    /// The rate plan.
    ///
    /// # Errors
    /// A flag makes no sense.
    pub fn pace(&self) -> Result<Pace> {
        duration("--requests-per-hour", self.requests_per_hour)?;
        let base = duration("--retry-wait", self.retry_wait)?;
        Ok(Pace::new(self.requests_per_hour, RetryPolicy { retries: self.retries, base, cap: RETRY_CAP }))
    }
}

fn duration(flag: &str, seconds: f64) -> Result<Duration> {
    let config = |problem: &str| CoreError::Config { what: flag.to_owned(), problem: problem.to_owned() };
    // The upper bound keeps points in time representable.
    if !(seconds > 0.0 && seconds < 3e9) {
        return Err(config("expected a number above 0").into());
    }
    Ok(Duration::try_from_secs_f64(seconds).map_err(|error| config(&error.to_string()))?)
}
