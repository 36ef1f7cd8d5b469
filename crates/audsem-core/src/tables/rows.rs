//! The row types of all tables on disk.

use crate::row;

row! {
    table "cues";
    /// One caption line of a video. Written by `audsem-filtering extract`.
    pub struct Cue / CueRef / CueColumns / CueBuffers {
        /// Number of the cue in the whole run, unique, in input order.
        pub row_id: u64,
        /// Id of the video.
        pub video_id: String,
        /// Start in the video, milliseconds.
        pub start_ms: u32,
        /// Duration, milliseconds.
        pub dur_ms: u32,
        /// The caption, with its brackets; line breaks and tabs are spaces.
        pub text: String,
    }
}

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
    table "clips";
    /// One cue whose text passed every rule. Written by `audsem-filtering combine`.
    pub struct ClipRow / ClipRowRef / ClipRowColumns / ClipRowBuffers {
        /// Number of the cue, as in the cues.
        pub row_id: u64,
        /// Id of the video.
        pub video_id: String,
        /// Start in the video, milliseconds.
        pub start_ms: u32,
        /// End in the video, milliseconds.
        pub end_ms: u32,
        /// The caption as it was.
        pub text: String,
        /// The caption after all rules.
        pub clean_text: String,
        /// XXH3 of the caption as it was (64 bits, seed 0).
        pub text_hash: u64,
        /// The classifier's probability that the caption names a sound.
        pub bert_prob: Option<f32>,
        /// The language model's probability that the caption names a sound.
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
        /// How many bytes it has.
        pub n_bytes: u64,
        /// How long it plays, milliseconds. Cut without re-encoding it begins early, at a key frame,
        /// and what was asked for is its end.
        pub media_ms: u32,
        /// Where it came from: `section` (fetched by itself), `whole` (cut from a fetched video),
        /// `cut` (cut from a file on disk), `copy` (a file on disk).
        pub origin: String,
    }
}

row! {
    table "tar index";
    /// One file inside a tar. Written by `audsem-tarify index`.
    pub struct TarMember / TarMemberRef / TarMemberColumns / TarMemberBuffers {
        /// File name of the tar, relative to the indexed folder.
        pub tar: String,
        /// WebDataset key of the sample the file belongs to.
        pub key: String,
        /// What follows the key in the member's name, lower-cased, without the first dot.
        pub suffix: String,
        /// Id of the video, where the sample names a clip.
        pub video_id: Option<String>,
        /// Start of the clip in the video, milliseconds.
        pub start_ms: Option<u32>,
        /// End of the clip in the video, milliseconds.
        pub end_ms: Option<u32>,
        /// Where the file's bytes begin in the (uncompressed) tar.
        pub offset: u64,
        /// How many bytes the file has.
        pub n_bytes: u64,
    }
}
