//! The external programs the tests call, and media made with them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use audsem_core::run::is_place;
use audsem_filtering::ytdlp::{Access, Pace};
use audsem_llm::RetryPolicy;
use audsem_media::program::{Program, Tool};

/// What lies in a folder and in its places, which shards are spread over, by name and sorted; places are not named.
pub(crate) fn spread_entries(folder: &Path) -> Vec<(String, PathBuf)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        match path.is_dir() && is_place(&name) {
            true => found.append(&mut spread_entries(&path)),
            false => found.push((name, path)),
        }
    }
    found.sort();
    found
}

/// The names of [`spread_entries`].
pub(crate) fn spread_names(folder: &Path) -> Vec<String> {
    spread_entries(folder).into_iter().map(|(name, _)| name).collect()
}

/// The pinned yt-dlp of the test environment.
pub(crate) fn yt_dlp() -> Program {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv/bin/yt-dlp");
    Program::find(Tool::YtDlp, None)
        .or_else(|_| Program::find(Tool::YtDlp, Some(&own)))
        .expect("yt-dlp is in PATH or in .venv; scripts/python-env puts it there")
}

/// Access to a loopback server.
pub(crate) fn access(url_template: &str) -> Access {
    let mut access = Access::new(yt_dlp(), url_template, Duration::from_secs(60)).unwrap();
    access.ffmpeg = Some(Program::find(Tool::Ffmpeg, None).unwrap());
    access
}

/// A rate plan without waits; one retry.
pub(crate) fn pace() -> Pace {
    let retry = RetryPolicy { retries: 1, base: Duration::from_millis(1), cap: Duration::from_millis(1) };
    Pace::new(3.6e9, retry)
}

/// Runs ffmpeg.
pub(crate) fn ffmpeg(arguments: &[&str], target: &Path) {
    let out = Command::new("ffmpeg").args(["-nostdin", "-v", "error", "-y"]).args(arguments).arg(target).output();
    let out = out.expect("ffmpeg is installed");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

/// Eight seconds of moving pictures, a key frame every two seconds, and a tone.
pub(crate) fn video(folder: &Path) -> PathBuf {
    let path = folder.join("video.mp4");
    let picture = "testsrc=s=160x120:r=25:d=8";
    let arguments = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", "sine=f=440:r=44100:d=8", "-c:v", "libx264"];
    let encode = ["-pix_fmt", "yuv420p", "-g", "50", "-c:a", "aac", "-movflags", "+faststart"];
    ffmpeg(&[&arguments[..], &encode[..]].concat(), &path);
    path
}
