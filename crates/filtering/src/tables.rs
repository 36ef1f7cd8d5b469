//! The row types that this stage alone writes and reads. Cues and the clip table are in [`audsem_core::tables`].

use std::path::PathBuf;

use audsem_core::input::open_plain;
use audsem_core::row;
use audsem_core::tables::{CsvCues, ParquetFile, Row, TableError, is_csv};

row! {
    table "bert labels";
    /// The verdict of the sequence classifier on one distinct text. Written by `audsem-filtering classify`.
    pub struct BertLabel / BertLabelRef / BertLabelColumns / BertLabelBuffers {
        /// XXH3 of the text (64 bits, seed 0).
        pub text_hash: u64,
        /// The caption, as in the cues.
        pub text: String,
        /// 1: the caption names a sound; 0: it does not.
        pub bert_label: i8,
        /// Probability of label 1.
        pub bert_prob: f32,
    }
}

row! {
    table "llm labels";
    /// The verdict of a language model on one distinct text. Written by `audsem-filtering label`.
    pub struct LlmLabel / LlmLabelRef / LlmLabelColumns / LlmLabelBuffers {
        /// XXH3 of the text (64 bits, seed 0).
        pub text_hash: u64,
        /// The caption, as in the cues.
        pub text: String,
        /// 1: the caption names a sound; 0: it does not; -1: the answer was neither yes nor no.
        pub llm_label: i8,
        /// P(yes) / (P(yes) + P(no)), where the server gives probabilities.
        pub llm_yes_prob: Option<f32>,
    }
}

row! {
    table "caption texts";
    /// One distinct clean caption, in order of first occurrence. Written by `audsem-filtering combine`.
    pub struct CaptionText / CaptionTextRef / CaptionTextColumns / CaptionTextBuffers {
        /// The caption after all rules.
        pub clean_text: String,
        /// How many clips carry it.
        pub n_clips: u64,
        /// The first of those clips.
        pub first_row_id: u64,
    }
}

row! {
    table "media manifest";
    /// One clip with its media file. Written by `audsem-filtering download`.
    pub struct ClipMedia / ClipMediaRef / ClipMediaColumns / ClipMediaBuffers {
        /// Id of the video.
        pub video_id: String,
        /// Start in the video, milliseconds.
        pub start_ms: u32,
        /// End in the video, milliseconds.
        pub end_ms: u32,
        /// The media file, relative to the run folder.
        pub file: String,
        /// Number of bytes.
        pub n_bytes: u64,
        /// How long it plays, milliseconds. Cut without re-encoding it begins early, at a key frame,
        /// and what was asked for is its end.
        pub media_ms: u32,
        /// Where it came from: `section` (fetched by itself), `whole` (cut from a fetched video),
        /// `cut` (cut from a file on disk), `copy` (a file on disk).
        pub origin: String,
    }
}

/// Refuses tables that lack a column of the row type, before anything runs: the same command could never read them.
/// What is damaged or cannot be opened is left to the shard that reads it, which is tried again.
///
/// # Errors
/// The column that the first such table lacks, and those it has.
pub(crate) fn refuse_other_kinds<R: Row>(tables: &[PathBuf]) -> Result<(), TableError> {
    for path in tables {
        let opened = if is_csv(path) {
            let Ok(file) = open_plain(path) else { continue };
            CsvCues::new(&path.display().to_string(), file).map(drop)
        } else {
            ParquetFile::<R>::open(path).map(drop)
        };
        if let Err(
            error @ (TableError::MissingColumn { .. } | TableError::WrongType { .. } | TableError::CsvHeader { .. }),
        ) = opened
        {
            return Err(error);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use audsem_core::tables::schema_markdown;
    use audsem_core::testing::assert_formats_part;

    use super::*;

    #[test]
    fn docs_formats_md_is_current() {
        let fresh = [
            schema_markdown::<BertLabel>(),
            schema_markdown::<LlmLabel>(),
            schema_markdown::<CaptionText>(),
            schema_markdown::<ClipMedia>(),
        ]
        .concat();
        assert_formats_part("tables of audsem-filtering", &fresh);
    }
}
