//! How yt-dlp reaches a site.

use std::path::{Path, PathBuf};
use std::time::Duration;

use audsem_core::reason::Reason as _;
use audsem_core::video_id::MAX_ID_BYTES;
use audsem_media::program::{Call, Program, Tool};

use super::{FetchFault, Trouble, classify};
use crate::error::{Error, Result};

/// Where `{id}` stands in an address.
const PLACE: &str = "{id}";

/// Seconds that yt-dlp waits for a server that sends nothing.
const SOCKET_TIMEOUT_S: &str = "30";

/// How long yt-dlp is waited for after a stop request: long enough for most subtitles, and schedulers kill after about half
/// a minute.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// How yt-dlp is called: its program, the addresses, and what the user gives it to identify with.
#[derive(Debug, Clone)]
pub struct Access {
    /// yt-dlp.
    pub program: Program,
    /// ffmpeg, which yt-dlp calls for sections and merging; subtitles need none.
    pub ffmpeg: Option<Program>,
    /// Address of a video, with `{id}` where its id goes.
    pub url_template: String,
    /// The user's cookies file.
    pub cookies: Option<PathBuf>,
    /// The user's browser to take cookies from.
    pub cookies_from_browser: Option<String>,
    /// The user's own configuration file of yt-dlp; no other is read.
    pub config: Option<PathBuf>,
    /// Longest time for one video.
    pub timeout: Duration,
}

impl Access {
    /// Access without any identity.
    ///
    /// # Errors
    /// [`Error::Media`] if yt-dlp is missing; [`Error::Core`] if the template has no `{id}`.
    pub fn new(program: Program, url_template: &str, timeout: Duration) -> Result<Self> {
        if !url_template.contains(PLACE) {
            return Err(Error::Core(audsem_core::error::Error::Config {
                what: "--url-template".into(),
                problem: format!("no {PLACE} in `{url_template}`\nhint: write {PLACE} where the video's id goes"),
            }));
        }
        Ok(Self {
            program,
            ffmpeg: None,
            url_template: url_template.to_owned(),
            cookies: None,
            cookies_from_browser: None,
            config: None,
            timeout,
        })
    }

    /// yt-dlp, by path or as [`Program::find`] finds it.
    ///
    /// # Errors
    /// [`Error::Media`].
    pub fn find(path: Option<&Path>) -> Result<Program> {
        Ok(Program::find(Tool::YtDlp, path)?)
    }

    /// Calls yt-dlp on one video; returns what it printed.
    ///
    /// # Errors
    /// [`Trouble::Fetch`] with the cause read from its error lines; others where it cannot be run.
    pub fn fetch(&self, video_id: &str, arguments: impl FnOnce(Call<'_>) -> Call<'_>) -> Result<String, Trouble> {
        let mut call = self.program.call().args([
            "--ignore-config",
            "--no-playlist",
            "--quiet",
            "--no-warnings",
            "--no-progress",
            "--no-simulate",
            "--retries",
            "3",
            "--socket-timeout",
            SOCKET_TIMEOUT_S,
        ]);
        if let Some(config) = &self.config {
            call = call.arg("--config-locations").arg(config);
        }
        if let Some(cookies) = &self.cookies {
            call = call.arg("--cookies").arg(cookies);
        }
        if let Some(browser) = &self.cookies_from_browser {
            call = call.arg("--cookies-from-browser").arg(browser);
        }
        if let Some(ffmpeg) = &self.ffmpeg {
            call = call.arg("--ffmpeg-location").arg(ffmpeg.path());
        }
        let url = self.url_template.replace(PLACE, video_id);
        // `--` so that an id that begins with a dash is not a flag.
        let call = arguments(call).timeout(self.timeout).stop_after(STOP_GRACE).arg("--").arg(url);
        let finished = call.run().map_err(|error| Trouble::from_media(error, video_id))?;
        let stdout = String::from_utf8_lossy(&finished.stdout).into_owned();
        if finished.status.success() {
            return Ok(stdout);
        }
        let (fault, detail) = classify(&finished.stderr, video_id);
        tracing::debug!(video_id, fault = fault.name(), status = %finished.status, "yt-dlp failed");
        Err(Trouble::Fetch(fault, detail))
    }
}

/// Whether an id can be part of an address and a file name.
pub(crate) fn check_id(video_id: &str) -> Result<(), Trouble> {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    let problem = match video_id.len() {
        n_bytes if n_bytes > MAX_ID_BYTES => format!("an id of {n_bytes} bytes, more than {MAX_ID_BYTES}"),
        0 => "the id is empty".to_owned(),
        _ if !video_id.chars().all(plain) => format!("`{video_id}` is not a video id"),
        _ => return Ok(()),
    };
    Err(Trouble::Fetch(FetchFault::Unsupported, problem))
}
