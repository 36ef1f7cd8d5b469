//! `fetch-captions`: manual English subtitle tracks of videos, through yt-dlp.
//!
//! One call of yt-dlp per video, at a bounded rate. Each video is a shard whose marker is named after it, so
//! that the list may grow: what is fetched stays fetched, a video that is gone is not requested again,
//! and one that failed temporarily is tried again by the next run. A site that suspects a bot
//! ends the run. The files are named `subtitles/PLACE/VIDEO.LANGUAGE.FORMAT`, which `extract` reads; each of the 256 places
//! holds its share of the videos.

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use audsem_core::error::Error as CoreError;
use audsem_core::run::{
    Fingerprint, LeftOut, Run, RunConfig, RunOptions, RunSpec, Shard, ShardError, ShardOutput, Step, Summary,
};
use audsem_core::terminal::{by_number, counted};
use serde::Serialize;

use crate::by_video::{UNLISTED, shard_name, spread_shards};
use crate::error::Result;
use crate::ytdlp::{Access, FaultKind, FetchFault, Pace, Trouble, check_id};

audsem_core::reasons! {
    /// Why a video is left out.
    pub enum DropReason {
        NoTrack = "no_track": "the video has no manual subtitle track in a wanted language" => "--languages",
    }
}

/// Settings of `fetch-captions`.
#[derive(Debug, Clone)]
pub struct Config {
    /// Text files of video ids, one a line; blank lines and those that begin with `#` are skipped.
    pub inputs: Vec<PathBuf>,
    /// Languages as yt-dlp names them (`en`), or patterns (`en.*`).
    pub languages: Vec<String>,
    /// Formats by preference, as yt-dlp names them.
    pub formats: Vec<String>,
    /// Address of a video, with `{id}`.
    pub url_template: String,
}

/// What decides the content of the output.
#[derive(Serialize)]
struct HashedConfig<'a> {
    languages: &'a [String],
    formats: &'a [String],
    url_template: &'a str,
}

impl RunConfig for HashedConfig<'_> {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "fetch-captions";
}

impl<'a> HashedConfig<'a> {
    fn of(config: &'a Config) -> Self {
        let Config { inputs: _, languages, formats, url_template } = config;
        Self { languages, formats, url_template }
    }
}

/// Fetches the tracks of all videos of the lists.
///
/// # Errors
/// Any error that prevents the run from continuing, including [`crate::error::Error::Blocked`].
pub fn run(config: &Config, access: &Access, pace: &Pace, options: &RunOptions) -> Result<Summary> {
    let ids = read_ids(&config.inputs, options.limit)?;
    let mut run = Run::open(options, RunSpec::new(&HashedConfig::of(config)))?.rerun_changed()?;
    let shard =
        |id: String| Shard { name: shard_name(&id), fingerprint: Fingerprint::new().with(&id).finish(), work: id };
    let mut plan: Vec<Shard<String>> = ids.into_iter().map(shard).collect();
    let step = Step { name: "part", unit: "videos", physical: "MB" };
    spread_shards(&run, step, &mut plan)?;
    run.must_keep(step).explain(DropReason::ALL).explain(FetchFault::ALL);
    run.execute(step, &plan, |id, out| video(config, access, pace, id, out))?;
    let stale = run.count_stale(step, &plan)?;
    let summary = run.finish()?;
    Ok(if stale > 0 { summary.with_result(UNLISTED, stale) } else { summary })
}

/// The distinct ids of all lists, in order.
fn read_ids(paths: &[PathBuf], limit: Option<u64>) -> Result<Vec<String>> {
    let (mut ids, mut seen) = (Vec::new(), HashSet::new());
    for path in paths {
        let mut n_repeated = 0;
        for line in BufReader::new(audsem_core::input::open(path)?).split(b'\n') {
            if ids.len() as u64 >= limit.unwrap_or(u64::MAX) {
                break;
            }
            // A line that is not UTF-8 is a bad id and is filed as one; other lines are unaffected.
            let line = String::from_utf8_lossy(&line.map_err(CoreError::read(path))?).into_owned();
            let id = line.trim_start_matches('\u{feff}').trim();
            if id.is_empty() || id.starts_with('#') {
                continue;
            }
            if seen.insert(id.to_owned()) {
                ids.push(id.to_owned());
            } else {
                n_repeated += 1;
            }
        }
        if n_repeated > 0 {
            tracing::warn!(
                "{} of {} {} repeated; each is fetched once",
                counted(n_repeated, "ids"),
                path.display(),
                by_number(n_repeated, "is", "are")
            );
        }
    }
    Ok(ids)
}

fn video(config: &Config, access: &Access, pace: &Pace, id: &str, out: &mut ShardOutput) -> Result<(), ShardError> {
    if out.dry_run() {
        out.file_kept(1);
        return Ok(());
    }
    let scratch = out.scratch()?;
    let fetched = check_id(id).and_then(|()| {
        pace.attempts(id, || {
            scratch.clear().map_err(|error| Trouble::Fatal(error.into()))?;
            fetch(config, access, id, scratch.path())
        })
    });
    let tracks = match fetched {
        Ok(tracks) => tracks,
        Err(trouble) => {
            let (fault, detail) = trouble.into_fault()?;
            if fault.kind() == FaultKind::Retryable {
                // Not committed, so that the next run tries it again.
                return Err(ShardError::Input(format!("{id}: {detail}")));
            }
            out.file_left_out(id, fault.left_out(detail));
            return Ok(());
        }
    };
    if tracks.is_empty() {
        out.file_left_out(id, LeftOut::drop(DropReason::NoTrack, config.languages.join(",")));
        return Ok(());
    }
    out.count("tracks", tracks.len() as u64);
    for (ending, bytes) in tracks {
        let mut file = out.create(out.file_in("subtitles", &format!("{id}.{ending}")))?;
        file.write_all(&bytes).map_err(CoreError::write(file.path()))?;
        out.work(bytes.len() as f64 / 1e6);
        out.close(file)?;
    }
    out.file_kept(1);
    Ok(())
}

/// Tracks by `LANGUAGE.FORMAT`, with their bytes, in order of name.
type Tracks = Vec<(String, Vec<u8>)>;

fn fetch(config: &Config, access: &Access, id: &str, folder: &Path) -> Result<Tracks, Trouble> {
    access.fetch(id, |call| {
        call.args(["--skip-download", "--ignore-no-formats-error", "--write-subs", "--no-write-auto-subs"])
            .args(["--sub-langs", &config.languages.join(",")])
            .args(["--sub-format", &config.formats.join("/")])
            .arg("--output")
            .arg(folder.join("track.%(ext)s"))
    })?;
    let fatal = |path: &Path| {
        let path = path.to_owned();
        move |source| Trouble::Fatal(CoreError::Read { path, source }.into())
    };
    let mut tracks = Vec::new();
    for entry in fs::read_dir(folder).map_err(fatal(folder))? {
        let path = entry.map_err(fatal(folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(ending) = name.strip_prefix("track.") else { continue };
        let bytes = fs::read(&path).map_err(fatal(&path))?;
        if ending.ends_with(".part") || bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(Trouble::Fetch(FetchFault::Incomplete, format!("{ending}: {} bytes arrived", bytes.len())));
        }
        tracks.push((ending.to_owned(), bytes));
    }
    tracks.sort();
    Ok(tracks)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]
    use super::*;

    #[test]
    fn list_of_ids() {
        let check = |texts: &[&[u8]], limit: Option<u64>, expected: &[&str]| {
            let folder = tempfile::tempdir().unwrap();
            let path = |n: usize| folder.path().join(format!("{n}.txt"));
            (0..texts.len()).for_each(|n| fs::write(path(n), texts[n]).unwrap());
            let paths: Vec<PathBuf> = (0..texts.len()).map(path).collect();
            assert_eq!(read_ids(&paths, limit).unwrap(), expected, "{texts:?}");
        };
        check(&[b"a\n\n# old ones\n  b \r\na\nc"], None, &["a", "b", "c"]);
        check(&[b"a\nb\nc\n"], Some(2), &["a", "b"]);
        check(&[b""], None, &[]);
        check(&[b"\xef\xbb\xbfa\n\xff\xfe\nb"], None, &["a", "\u{fffd}\u{fffd}", "b"]);
        check(&[b"b\na", b"\xef\xbb\xbfc\nb\nd"], None, &["b", "a", "c", "d"]);
        check(&[b"b\na", b"c\nb\nd"], Some(3), &["b", "a", "c"]);
    }
}
