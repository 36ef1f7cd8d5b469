//! The row types of captions that two stages share, or that this crate itself reads: cues, which also come from CSV
//! files, and the clip table. A row type that only one stage reads and writes is declared in that stage.

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
    table "clips";
    /// One cue whose text passed every rule. Written by `audsem-filtering combine`.
    pub struct ClipRow / ClipRowRef / ClipRowColumns / ClipRowBuffers {
        /// Number of the cue, as in the cues.
        pub row_id: u64,
        /// The clip's tar key, by which other tables join; absent where the span or the id names no clip.
        pub key: Option<String>,
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
