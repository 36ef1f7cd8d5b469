//! Flags of whatever asks a site through yt-dlp.

use std::path::PathBuf;
use std::time::Duration;

use audsem_core::error::Error as CoreError;
use audsem_llm::RetryPolicy;
use audsem_media::program::{Program, Tool};
use clap::Args;

use crate::error::Result;
use crate::ytdlp::{Access, Pace};

/// Flags for asking a site.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Site")]
pub struct SiteArgs {
    /// Address of a video, with {id} where its id goes
    #[arg(long, value_name = "URL", default_value = "https://www.youtube.com/watch?v={id}")]
    pub url_template: String,
    /// Videos to ask for in an hour, over all workers; sites block who asks more (about 300 without an
    /// account, 1000 with one, at the time of writing)
    #[arg(long, value_name = "N", default_value_t = 300.0)]
    pub requests_per_hour: f64,
    /// How often a failure that may pass is tried again in this run
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub retries: u32,
    /// Seconds before the first such try; doubles up to 20 minutes
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0)]
    pub retry_wait: f64,
    /// Minutes one video may take
    #[arg(long, value_name = "MINUTES", default_value_t = 30.0)]
    pub video_timeout: f64,
    /// Your own cookies file, for videos that want a login
    #[arg(long, value_name = "FILE")]
    pub cookies: Option<PathBuf>,
    /// Your own browser to take cookies from, as yt-dlp names it (firefox, chrome …)
    #[arg(long, value_name = "BROWSER", conflicts_with = "cookies")]
    pub cookies_from_browser: Option<String>,
    /// Your own configuration file of yt-dlp; without this flag none is read
    #[arg(long, value_name = "FILE")]
    pub yt_dlp_config: Option<PathBuf>,
    /// yt-dlp, if not in PATH
    #[arg(long, value_name = "FILE")]
    pub yt_dlp: Option<PathBuf>,
}

/// Longest wait between two tries.
const RETRY_CAP: Duration = Duration::from_secs(1200);

impl SiteArgs {
    /// yt-dlp as these flags want it called; `ffmpeg` where it is needed.
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
    // The upper bound keeps moments in time representable; nobody waits for a century.
    if !(seconds > 0.0 && seconds < 3e9) {
        return Err(config("expected a number above 0").into());
    }
    Ok(Duration::try_from_secs_f64(seconds).map_err(|error| config(&error.to_string()))?)
}
