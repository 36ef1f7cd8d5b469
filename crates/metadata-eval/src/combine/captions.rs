//! The closed captions of clips, from the clip table of stage 1.

use std::collections::HashMap;
use std::path::PathBuf;

use audsem_core::clip_id::ClipId;
use audsem_core::row;
use audsem_core::run::Reads;
use audsem_core::tables::{ParquetFile, TableError, text_hash};
use audsem_core::terminal::counted;

use super::index::PlaceIndex;
use crate::error::Error;
use crate::parquet::{base, fingerprint, parquet_under};
use crate::tables::ClipMetadata;

row! {
    table "captions of clips";
    /// The columns of the clip table that are read.
    pub struct ClipCaption / ClipCaptionRef / ClipCaptionColumns / ClipCaptionBuffers {
        /// Id of the video.
        pub video_id: String,
        /// Start in the video, milliseconds.
        pub start_ms: u32,
        /// End in the video, milliseconds.
        pub end_ms: u32,
        /// The caption as it was.
        pub text: String,
        /// The caption after all rules.
        pub clean_text: Option<String>,
    }
}

/// A clip table.
#[derive(Debug)]
pub(super) struct ClipTablePath {
    path: PathBuf,
    pub fingerprint: Reads,
}

/// The clip tables that the command line names.
pub(super) fn list(given: &[PathBuf]) -> Result<Vec<ClipTablePath>, Error> {
    let mut tables = Vec::new();
    for given in given {
        for path in parquet_under(given, "run `audsem-filtering combine` without --compat reference")? {
            let fingerprint = fingerprint(&base(&path), &path)?;
            tables.push(ClipTablePath { path, fingerprint });
        }
    }
    Ok(tables)
}

/// The captions of the clips that have features.
pub(super) struct Captions(HashMap<u64, (String, Option<String>), foldhash::fast::FixedState>);

impl Captions {
    /// Reads the captions of indexed clips; of several rows for one clip the first counts.
    pub(super) fn read(tables: &[ClipTablePath], index: &PlaceIndex) -> Result<Self, TableError> {
        let mut captions = HashMap::default();
        for table in tables {
            for rows in ParquetFile::<ClipCaption>::open(&table.path)?.usable_groups() {
                let rows = rows?;
                if let Some(bad) = rows.bad.first() {
                    let n = counted(rows.bad.len(), "rows");
                    tracing::warn!("{}: {n} cannot be read, the first of them: {bad}", table.path.display());
                }
                for row in rows.iter().filter_map(|(_, row)| row.ok()) {
                    // A row that names no clip cannot belong to one that has features.
                    let Ok(clip) = ClipId::new(row.video_id, row.start_ms, row.end_ms) else { continue };
                    let hash = text_hash(&clip.tar_key());
                    if index.has(hash) {
                        let caption = || (row.text.to_owned(), row.clean_text.map(str::to_owned));
                        captions.entry(hash).or_insert_with(caption);
                    }
                }
            }
        }
        Ok(Self(captions))
    }

    /// Whether the clip table has a clip.
    pub(super) fn has(&self, key: &str) -> bool {
        self.0.contains_key(&text_hash(key))
    }

    /// Sets the captions of a clip.
    pub(super) fn add_to(&self, row: &mut ClipMetadata) {
        if let Some((text, clean_text)) = self.0.get(&text_hash(&row.key)) {
            row.text = Some(text.clone());
            row.clean_text.clone_from(clean_text);
        }
    }
}
