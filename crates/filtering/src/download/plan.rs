//! The clips of a table, video by video.

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;

use audsem_core::clip_id::ClipId;
use audsem_core::error::Error as CoreError;
use audsem_core::run::{Fingerprint, Shard};
use audsem_core::tables::{Columns, CsvCues, ParquetFile};

use super::folder::Library;
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

/// One shard for each video, in order of first occurrence.
pub(super) fn plan(inputs: &[PathBuf], library: Option<&Library>, limit: Option<u64>) -> Result<Vec<Shard<Video>>> {
    let mut videos = Videos { list: Vec::new(), places: HashMap::new(), left: limit.unwrap_or(u64::MAX) };
    for path in inputs {
        videos.read(path)?;
    }
    let shard = |(i, mut video): (usize, Video)| {
        video.spans.sort_unstable();
        let mut fingerprint = Fingerprint::new().with(&video.id).with(video.n_rows.to_string());
        for (start_ms, end_ms) in &video.spans {
            fingerprint = fingerprint.with(format!("{start_ms}-{end_ms}"));
        }
        if let Some(library) = library {
            fingerprint = library.fingerprint(&video.id, fingerprint);
        }
        Shard { name: format!("{i:05}"), fingerprint: fingerprint.finish(), work: video }
    };
    Ok(videos.list.into_iter().enumerate().map(shard).collect())
}

struct Videos {
    list: Vec<Video>,
    places: HashMap<String, usize>,
    left: u64,
}

impl Videos {
    fn read(&mut self, path: &PathBuf) -> Result<()> {
        if path.extension().is_some_and(|extension| extension == "csv") {
            let file = File::open(path).map_err(CoreError::read(path))?;
            for cue in CsvCues::new(&path.display().to_string(), file)? {
                let cue = cue.map_err(|fault| CoreError::input(path, fault.to_string()))?;
                self.add(&cue.video_id, cue.start_ms, cue.start_ms.saturating_add(cue.dur_ms));
            }
            return Ok(());
        }
        let file = ParquetFile::<ClipSpan>::open(path)?;
        for group in file.groups() {
            let group = group?;
            for i in 0..group.len() {
                let row = group.get(i);
                self.add(row.video_id, row.start_ms, row.end_ms);
            }
        }
        Ok(())
    }

    fn add(&mut self, id: &str, start_ms: u32, end_ms: u32) {
        if self.left == 0 {
            return;
        }
        self.left -= 1;
        let place = match self.places.get(id) {
            Some(place) => *place,
            None => {
                self.places.insert(id.to_owned(), self.list.len());
                self.list.push(Video { id: id.to_owned(), n_rows: 0, spans: Vec::new() });
                self.list.len() - 1
            }
        };
        self.list[place].n_rows += 1;
        self.list[place].spans.push((start_ms, end_ms));
    }
}
