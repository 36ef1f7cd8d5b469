//! Clips from a site.

use std::path::PathBuf;

use audsem_core::clip_id::ClipId;
use audsem_core::run::ShardError;

use super::cut::{self, Cut};
use super::{Fault, Job, Miss, Outcome, Piece, probe};
use crate::error::Result;
use crate::scratch::Scratch;
use crate::ytdlp::{Access, FetchFault, Pace, Trouble, check_id};

/// A site and how it is asked.
pub(super) struct Site<'a> {
    pub(super) access: &'a Access,
    pub(super) pace: &'a Pace,
    pub(super) format: &'a str,
    pub(super) whole_from: usize,
    pub(super) job: &'a Job<'a>,
}

/// A file yt-dlp reports: its number (sections count from 1 in the order asked for) and its path.
type Reported = (usize, PathBuf);

impl Site<'_> {
    /// Gets the pieces of a video's clips, in their order.
    pub(super) fn fetch(&self, id: &str, clips: Vec<ClipId>, scratch: &Scratch) -> Result<Vec<Outcome>, ShardError> {
        if clips.is_empty() {
            return Ok(Vec::new());
        }
        let whole = clips.len() >= self.whole_from;
        let mut repeated = false;
        let fetched = check_id(id).and_then(|()| {
            self.pace.attempts(id, || {
                scratch.clear().map_err(Trouble::Fatal)?;
                let files = self.call(id, if whole { &[] } else { &clips }, scratch)?;
                if files.is_empty() {
                    return Err(Trouble::Fetch(FetchFault::Incomplete, "yt-dlp reported no file".into()));
                }
                // A short section is a broken transfer or the end of the video; one more fetch tells.
                if !whole && !repeated && self.any_short(&clips, &files)? {
                    repeated = true;
                    return Err(Trouble::Fetch(FetchFault::Incomplete, "a section is too short".into()));
                }
                Ok(files)
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

    fn call(&self, id: &str, sections: &[ClipId], scratch: &Scratch) -> Result<Vec<Reported>, Trouble> {
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
                .args(["--print", "after_move:%(autonumber)d\t%(filepath)s"])
        })?;
        Ok(printed.lines().filter_map(reported).collect())
    }

    fn any_short(&self, clips: &[ClipId], files: &[Reported]) -> Result<bool, Trouble> {
        for (number, path) in files {
            let Some(clip) = number.checked_sub(1).and_then(|i| clips.get(i)) else { continue };
            let facts = probe::probe(&self.job.tools.ffprobe, path).map_err(Trouble::Shard)?;
            if facts.duration_ms.unwrap_or(0).saturating_add(self.job.config.max_missing_ms) < clip.duration_ms() {
                return Ok(true);
            }
        }
        Ok(files.len() < clips.len())
    }

    fn cut_all(&self, clips: Vec<ClipId>, files: &[Reported], scratch: &Scratch) -> Result<Vec<Outcome>, ShardError> {
        let (_, source) = &files[0];
        let facts = probe::probe(&self.job.tools.ffprobe, source)?;
        clips
            .into_iter()
            .map(|clip| cut::cut(self.job, (source, facts), &clip, scratch.path(), "whole").map(|piece| (clip, piece)))
            .collect()
    }
}

fn reported(line: &str) -> Option<Reported> {
    let (number, path) = line.split_once('\t')?;
    Some((number.trim().parse().ok()?, PathBuf::from(path)))
}

/// Gives each clip the section that was fetched for it: the sections are numbered as they were
/// asked for, and their times as yt-dlp prints them are never looked at.
fn sort_out(clips: Vec<ClipId>, mut files: Vec<Reported>) -> Vec<Outcome> {
    clips
        .into_iter()
        .enumerate()
        .map(|(i, clip)| {
            let file = files.iter().position(|(number, _)| *number == i + 1).map(|place| files.swap_remove(place));
            let piece = match file {
                Some((_, path)) => Ok(Piece { path, origin: "section" }),
                None => Err(Miss::Media(Fault::Unreadable, "yt-dlp fetched no such section".into())),
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
        let files = ["2\t/x/00002.mp4", "", "1\t/x/00001.webm", "[debug] noise"];
        let outcomes =
            sort_out(vec![clip(0), clip(500), clip(900)], files.iter().filter_map(|l| reported(l)).collect());
        let paths: Vec<_> =
            outcomes.iter().map(|(_, piece)| piece.as_ref().ok().map(|piece| piece.path.to_str().unwrap())).collect();
        assert_eq!(paths, [Some("/x/00001.webm"), Some("/x/00002.mp4"), None]);
    }
}
