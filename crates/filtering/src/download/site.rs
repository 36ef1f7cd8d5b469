//! Clips from a site.

use std::collections::HashMap;
use std::path::PathBuf;

use audsem_core::clip_id::ClipId;
use audsem_core::run::{ScratchFolder, ShardError};

use super::cut::{self, Cut};
use super::{Fault, Fetched, Job, Miss, Piece, probe};
use crate::error::Result;
use crate::ytdlp::{Access, FetchFault, Pace, Trouble, check_id};

/// A site and how it is asked.
pub(super) struct Site<'a> {
    pub(super) access: &'a Access,
    pub(super) pace: &'a Pace,
    pub(super) format: &'a str,
    pub(super) whole_from: usize,
    pub(super) job: &'a Job<'a>,
}

/// A file yt-dlp reports.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reported {
    /// Sections count from 1 in the order asked for.
    number: usize,
    /// How long the whole video plays, where the site says so, milliseconds.
    video_ms: Option<u32>,
    path: PathBuf,
}

/// Why a clip plays shorter than it should.
#[derive(Debug, PartialEq, Eq)]
enum Lack {
    /// The video continues at that time, so the transfer was interrupted.
    Broken { clip: ClipId, played_ms: u32 },
    /// The transfer was interrupted or the video ends there: the site does not say how long it is.
    Unexplained,
}

/// Sites tell the length of a video in whole seconds.
const LENGTH_SLACK_MS: u32 = 1000;

impl Site<'_> {
    /// Gets the pieces of a video's clips, in their order.
    pub(super) fn fetch(
        &self,
        id: &str,
        clips: Vec<ClipId>,
        scratch: &ScratchFolder,
    ) -> Result<Vec<Fetched>, ShardError> {
        if clips.is_empty() {
            return Ok(Vec::new());
        }
        let whole = clips.len() >= self.whole_from;
        let mut repeated = false;
        let fetched = check_id(id).and_then(|()| {
            self.pace.attempts(id, || {
                scratch.clear().map_err(|error| Trouble::Fatal(error.into()))?;
                let files = self.call(id, if whole { &[] } else { &clips }, scratch)?;
                if files.is_empty() {
                    return Err(Trouble::Fetch(FetchFault::Incomplete, "yt-dlp reported no file".into()));
                }
                match self.lack(&clips, &files, whole)? {
                    Some(Lack::Broken { clip, played_ms }) => {
                        let detail = format!("{played_ms} of {} ms of {clip} arrived", clip.duration_ms());
                        Err(Trouble::Fetch(FetchFault::Incomplete, detail))
                    }
                    // A broken transfer does not break at the same place again; the end of a video does.
                    Some(Lack::Unexplained) if !whole && !repeated => {
                        repeated = true;
                        Err(Trouble::Fetch(FetchFault::Incomplete, "a section is too short".into()))
                    }
                    Some(Lack::Unexplained) | None => Ok(files),
                }
            })
        });
        let files = match fetched {
            Ok(files) => files,
            Err(trouble) => {
                let (fault, detail) = trouble.into_fault()?;
                let miss = |clip| (clip, Err(Miss::Fetch(fault, detail.clone())));
                return Ok(clips.into_iter().map(miss).collect());
            }
        };
        if whole { self.cut_all(clips, &files, scratch) } else { Ok(sort_out(clips, files)) }
    }

    fn call(&self, id: &str, sections: &[ClipId], scratch: &ScratchFolder) -> Result<Vec<Reported>, Trouble> {
        let printed = self.access.fetch(id, |mut call| {
            for clip in sections {
                let (start, end) = (f64::from(clip.start_ms()) / 1000.0, f64::from(clip.end_ms()) / 1000.0);
                call = call.arg("--download-sections").arg(format!("*{start:.3}-{end:.3}"));
            }
            if !sections.is_empty() && self.job.config.cut == Cut::Exact {
                call = call.arg("--force-keyframes-at-cuts");
            }
            call.args(["--format", self.format])
                .arg("--output")
                .arg(scratch.path().join("%(autonumber)05d.%(ext)s"))
                .args(["--print", "after_move:%(autonumber)d\t%(duration)s\t%(filepath)s"])
        })?;
        Ok(printed.lines().filter_map(reported).collect())
    }

    /// What is missing of the clips, in the sections or in the whole video; what is missing for certain first.
    fn lack(&self, clips: &[ClipId], files: &[Reported], whole: bool) -> Result<Option<Lack>, Trouble> {
        let video_ms = files.iter().find_map(|file| file.video_ms);
        let length = |file: &Reported| {
            let facts = probe::probe(&self.job.tools.ffprobe, &file.path).map_err(Trouble::Shard)?;
            Ok::<_, Trouble>(facts.duration_ms.unwrap_or(0))
        };
        let whole_ms = if whole { files.first().map(length).transpose()? } else { None };
        let mut lack = None;
        for (i, clip) in clips.iter().enumerate() {
            let played_ms = match (whole_ms, files.iter().find(|file| file.number == i + 1)) {
                (Some(whole_ms), _) => whole_ms.min(clip.end_ms()).saturating_sub(clip.start_ms()),
                (None, Some(file)) => length(file)?,
                (None, None) => 0,
            };
            match lack_of(clip, played_ms, self.job.config.max_missing_ms, video_ms) {
                broken @ Some(Lack::Broken { .. }) => return Ok(broken),
                Some(Lack::Unexplained) => lack = Some(Lack::Unexplained),
                None => {}
            }
        }
        Ok(lack)
    }

    fn cut_all(
        &self,
        clips: Vec<ClipId>,
        files: &[Reported],
        scratch: &ScratchFolder,
    ) -> Result<Vec<Fetched>, ShardError> {
        let source = &files[0].path;
        let facts = probe::probe(&self.job.tools.ffprobe, source)?;
        clips
            .into_iter()
            .map(|clip| cut::cut(self.job, (source, facts), &clip, scratch.path(), "whole").map(|piece| (clip, piece)))
            .collect()
    }
}

/// Why a clip of which `played_ms` arrived is too short. A clip that ends with its video is complete.
fn lack_of(clip: &ClipId, played_ms: u32, max_missing_ms: u32, video_ms: Option<u32>) -> Option<Lack> {
    let enough = |wanted_ms: u32| played_ms.saturating_add(max_missing_ms) >= wanted_ms;
    if enough(clip.duration_ms()) {
        return None;
    }
    let Some(video_ms) = video_ms else { return Some(Lack::Unexplained) };
    let end_ms = clip.end_ms().min(video_ms.saturating_sub(LENGTH_SLACK_MS));
    let broken = || Lack::Broken { clip: clip.clone(), played_ms };
    (!enough(end_ms.saturating_sub(clip.start_ms()))).then(broken)
}

/// Reads a line that yt-dlp was asked to print: number, seconds of the video or `NA`, path.
fn reported(line: &str) -> Option<Reported> {
    let mut fields = line.splitn(3, '\t');
    let number = fields.next()?.trim().parse().ok()?;
    let seconds: Option<f64> = fields.next()?.trim().parse().ok();
    let video_ms = seconds.map(|seconds| (seconds * 1000.0).round()).filter(|ms| *ms >= 1.0 && *ms < 4e9);
    Some(Reported { number, video_ms: video_ms.map(|ms| ms as u32), path: PathBuf::from(fields.next()?) })
}

/// Gives each clip the section that was fetched for it: the sections are numbered as they were
/// asked for, and their times as yt-dlp prints them are never looked at.
fn sort_out(clips: Vec<ClipId>, files: Vec<Reported>) -> Vec<Fetched> {
    let video_ms = files.iter().find_map(|file| file.video_ms);
    let mut paths: HashMap<usize, PathBuf> = files.into_iter().map(|file| (file.number, file.path)).collect();
    clips
        .into_iter()
        .enumerate()
        .map(|(i, clip)| {
            let piece = match (video_ms, paths.remove(&(i + 1))) {
                (Some(video_ms), _) if clip.start_ms() >= video_ms => {
                    Err(Miss::Media(Fault::Outside, format!("the video lasts {video_ms} ms")))
                }
                (_, Some(path)) => Ok(Piece { path, origin: "section", media_ms: None }),
                (_, None) => Err(Miss::Media(Fault::Unreadable, "yt-dlp fetched no such section".into())),
            };
            (clip, piece)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn sections_find_their_clips_by_number() {
        let clip = |start| ClipId::new("v", start, start + 1000).unwrap();
        let files = ["2\tNA\t/x/00002.mp4", "", "1\tNA\t/x/00001.webm", "[debug] noise"];
        let outcomes =
            sort_out(vec![clip(0), clip(500), clip(900)], files.iter().filter_map(|l| reported(l)).collect());
        let paths: Vec<_> =
            outcomes.iter().map(|(_, piece)| piece.as_ref().ok().map(|piece| piece.path.to_str().unwrap())).collect();
        assert_eq!(paths, [Some("/x/00001.webm"), Some("/x/00002.mp4"), None]);
        // An empty section behind the end of the video is told from one that did not come.
        let outcomes = sort_out(vec![clip(9000)], vec![reported("1\t9.0\t/x/\t1.mp4").unwrap()]);
        assert!(matches!(outcomes[0].1, Err(Miss::Media(Fault::Outside, _))));
    }

    #[test]
    fn a_lack_is_told_from_the_end_of_the_video() {
        let check = |(start, end), played_ms, video_ms, expected: &str| {
            let clip = ClipId::new("v", start, end).unwrap();
            let found = match lack_of(&clip, played_ms, 300, video_ms) {
                None => "none",
                Some(Lack::Broken { .. }) => "broken",
                Some(Lack::Unexplained) => "unexplained",
            };
            assert_eq!(found, expected, "{start}-{end}: {played_ms} ms came, the video has {video_ms:?}");
        };
        check((1000, 2000), 700, None, "none");
        check((1000, 2000), 699, None, "unexplained");
        check((1000, 2000), 699, Some(9000), "broken");
        check((1000, 2000), 0, Some(9000), "broken");
        // The video ends within the clip, or before it.
        check((8000, 10_500), 1000, Some(9000), "none");
        check((20_000, 21_000), 0, Some(9000), "none");
        // Said to last 9 s, it may end at 8.2 s.
        check((7500, 8900), 700, Some(9000), "none");
        check((6500, 8900), 700, Some(9000), "broken");
    }
}
