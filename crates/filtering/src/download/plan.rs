//! The clips of a table, video by video.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use audsem_core::clip_id::ClipId;
use audsem_core::error::Error as CoreError;
use audsem_core::input;
use audsem_core::run::{Fingerprint, Shard};
use audsem_core::tables::{CsvCues, ParquetFile, is_csv};

use super::folder::Library;
use crate::by_video::shard_name;
use crate::error::Result;

audsem_core::row! {
    table "clip spans";
    /// The columns of a clip table that are read here.
    pub struct ClipSpan / ClipSpanRef / ClipSpanColumns / ClipSpanBuffers {
        /// Id of the video.
        pub video_id: String,
        /// Start in the video, milliseconds.
        pub start_ms: u32,
        /// End in the video, milliseconds.
        pub end_ms: u32,
    }
}

/// What one shard works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Work {
    /// The clips of a video.
    Video(Video),
    /// Lines of the tables that no clip can be read from: where each stands, and what is wrong with it.
    BadLines(Vec<(String, String)>),
}

/// Name of the shard of [`Work::BadLines`].
const BAD_LINES: &str = "bad.lines";

/// The wanted clips of one video.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Video {
    pub(super) id: String,
    /// Rows of the table, repeated spans included.
    pub(super) n_rows: u64,
    /// Start and end of each row, milliseconds, sorted.
    spans: Vec<(u32, u32)>,
}

impl Video {
    /// The keys of its clips; the spans that stand in the table again; and what makes no key, with the cause.
    pub(super) fn clips(&self) -> (Vec<ClipId>, Vec<String>, Vec<(String, String)>) {
        let (mut clips, mut repeated, mut bad) = (Vec::new(), Vec::new(), Vec::new());
        for (i, &(start_ms, end_ms)) in self.spans.iter().enumerate() {
            match ClipId::new(&*self.id, start_ms, end_ms) {
                Ok(clip) if i > 0 && self.spans[i - 1] == (start_ms, end_ms) => repeated.push(clip.to_string()),
                Ok(clip) => clips.push(clip),
                Err(error) => bad.push((format!("{} {start_ms}-{end_ms} ms", self.id), error.to_string())),
            }
        }
        (clips, repeated, bad)
    }
}

/// One shard for each video, in order of first occurrence, and one for all bad lines, if there are any.
pub(super) fn plan(inputs: &[PathBuf], library: Option<&Library>, limit: Option<u64>) -> Result<Vec<Shard<Work>>> {
    let mut rows = Rows { left: limit.unwrap_or(u64::MAX), ..Rows::default() };
    for path in inputs {
        rows.read(path)?;
    }
    let mut shards: Vec<_> = rows.videos.into_iter().map(|video| video_shard(video, library)).collect();
    if !rows.bad_lines.is_empty() {
        let add = |sum: Fingerprint, (key, detail): &(String, String)| sum.with(key).with(detail);
        let fingerprint = rows.bad_lines.iter().fold(Fingerprint::new(), add).finish();
        shards.push(Shard { name: BAD_LINES.to_owned(), fingerprint, work: Work::BadLines(rows.bad_lines) });
    }
    Ok(shards)
}

fn video_shard(mut video: Video, library: Option<&Library>) -> Shard<Work> {
    video.spans.sort_unstable();
    let mut fingerprint = Fingerprint::new().with(&video.id).with(video.n_rows.to_string());
    for (start_ms, end_ms) in &video.spans {
        fingerprint = fingerprint.with(format!("{start_ms}-{end_ms}"));
    }
    if let Some(library) = library {
        fingerprint = library.fingerprint(&video.id, fingerprint);
    }
    Shard { name: shard_name(&video.id), fingerprint: fingerprint.finish(), work: Work::Video(video) }
}

/// The rows of the tables, by video.
#[derive(Default)]
struct Rows {
    videos: Vec<Video>,
    places: HashMap<String, usize>,
    bad_lines: Vec<(String, String)>,
    /// Rows that may still be read.
    left: u64,
}

impl Rows {
    fn read(&mut self, path: &Path) -> Result<()> {
        if is_csv(path) {
            return self.read_csv(path);
        }
        let file = ParquetFile::<ClipSpan>::open(path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let mut first_row = 0;
        for group in file.usable_groups() {
            let group = group?;
            for (row, clip) in group.iter() {
                if !self.take_one() {
                    return Ok(());
                }
                match clip {
                    Ok(clip) => self.add(clip.video_id, clip.start_ms, clip.end_ms),
                    Err(bad) => self.bad_lines.push((format!("{name}, row {}", first_row + row), bad.to_string())),
                }
            }
            first_row += group.n_rows();
        }
        Ok(())
    }

    fn read_csv(&mut self, path: &Path) -> Result<()> {
        let file = input::open(path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        for cue in CsvCues::spans(&path.display().to_string(), file)? {
            if !self.take_one() {
                return Ok(());
            }
            match cue {
                // The end is not an overflow: the reader has checked the sum.
                Ok(cue) => self.add(&cue.video_id, cue.start_ms, cue.start_ms.saturating_add(cue.dur_ms)),
                // How many clips are lost is not known.
                Err(fault) if fault.ends_reading() => return Err(CoreError::input(path, fault.to_string()).into()),
                Err(fault) => self.bad_lines.push((format!("{name}, line {}", fault.line()), fault.to_string())),
            }
        }
        Ok(())
    }

    /// Whether a further row is within the limit.
    fn take_one(&mut self) -> bool {
        let more = self.left > 0;
        self.left = self.left.saturating_sub(1);
        more
    }

    fn add(&mut self, id: &str, start_ms: u32, end_ms: u32) {
        let place = match self.places.get(id) {
            Some(place) => *place,
            None => {
                self.places.insert(id.to_owned(), self.videos.len());
                self.videos.push(Video { id: id.to_owned(), n_rows: 0, spans: Vec::new() });
                self.videos.len() - 1
            }
        };
        self.videos[place].n_rows += 1;
        self.videos[place].spans.push((start_ms, end_ms));
    }
}
