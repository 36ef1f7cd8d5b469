//! Clips that tables of scores call too unlike their reference.

use std::path::PathBuf;

use audsem_core::clip_lists::KeySet;
use audsem_core::row;
use audsem_core::run::{FileFingerprint, Fingerprint};
use audsem_core::tables::{Columns as _, ParquetFile};

use crate::error::Error;
use crate::parquet::{base, parquet_under};

row! {
    table "scores of clips";
    /// The columns of `audsem-clip-embeddings score` that are read.
    pub struct DissimilarClip / DissimilarClipRef / DissimilarClipColumns / DissimilarClipBuffers {
        /// The clip's tar key.
        pub key: String,
        /// 1 less the mean cosine to the reference.
        pub dissimilarity: f32,
    }
}

/// The keys of clips whose audio or text lies beyond a dissimilarity.
pub(super) fn dissimilar(tables: &[PathBuf], max_dissimilarity: f64) -> Result<KeySet, Error> {
    let (mut keys, mut all) = (Vec::new(), Fingerprint::new());
    for given in tables {
        for path in parquet_under(given, "run `audsem-clip-embeddings score`")? {
            all = all.with(base(&path)).with_file(&FileFingerprint::of_output(&path)?);
            for columns in ParquetFile::<DissimilarClip>::open(&path)?.groups() {
                let columns = columns?;
                let scores = (0..columns.len()).map(|row| columns.get(row));
                let beyond = scores.filter(|score| f64::from(score.dissimilarity) > max_dissimilarity);
                keys.extend(beyond.map(|score| score.key.to_owned()));
            }
        }
    }
    Ok(KeySet::new(keys, all.finish()))
}
