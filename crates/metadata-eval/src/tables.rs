//! The row types of what extractors say about clips, and of their join.

use audsem_core::reason::Reason as _;
use audsem_core::row;
use audsem_media::batch::ClipError;

row! {
    /// A label and its probability.
    pub struct SoundTag / SoundTagRef / SoundTagColumns / SoundTagBuffers {
        /// The label, as the class list of the network has it.
        pub label: String,
        /// Its probability, 0 to 1.
        pub prob: f32,
    }
}

row! {
    /// A network that gave nothing for a clip, and why.
    pub struct ModelFailure / ModelFailureRef / ModelFailureColumns / ModelFailureBuffers {
        /// The network, as `--models` names it.
        pub model: String,
        /// The kind of the fault.
        pub fault: String,
        /// What was found.
        pub detail: String,
    }
}

impl ModelFailure {
    /// The failure of a network on a clip.
    #[must_use]
    pub fn of(model: &str, error: ClipError) -> Self {
        Self { model: model.to_owned(), fault: error.fault.name().to_owned(), detail: error.detail }
    }
}

row! {
    table "sound features";
    /// What audio networks say about one clip. Written by `audsem-metadata-eval audio`. A column is absent where its
    /// network did not run or failed; `failures` tells which.
    pub struct AudioFeatures / AudioFeaturesRef / AudioFeaturesColumns / AudioFeaturesBuffers {
        /// The clip's tar key.
        pub key: String,
        /// The tar it lies in, or its own path below the input.
        pub place: Option<String>,
        /// The closed caption, where the sample or the list has one.
        pub text: Option<String>,
        /// Length of the decoded sound in milliseconds.
        pub duration_ms: Option<u32>,
        /// Free description of the sound, by an audio language model.
        pub audio_caption: Option<String>,
        /// AudioSet labels by BEATs, the most probable first.
        pub beats_tags: Option<Vec<SoundTag>>,
        /// AudioSet labels by CED, the most probable first.
        pub ced_tags: Option<Vec<SoundTag>>,
        /// AudioSet labels by YAMNet, the most probable first.
        pub yamnet_tags: Option<Vec<SoundTag>>,
        /// The most probable label by AST; all there is of it in imported files.
        pub ast_label: Option<String>,
        /// Labels by AST, the most probable first.
        pub ast_tags: Option<Vec<SoundTag>>,
        /// Class list of AST's head: `AudioSet`, `ESC-50` or `other`.
        pub ast_head: Option<String>,
        /// Short caption by CoNeTTE, lower case.
        pub conette_caption: Option<String>,
        /// Captions by LP-MusicCaps, one for each window of 10 s that was asked for; absent where the rule of `--music`
        /// does not call the clip music.
        pub music_captions: Option<Vec<String>>,
        /// Share of the clip that the voice activity detector calls speech, 0 to 1.
        pub speech: Option<f32>,
        /// Networks that ran and gave nothing.
        pub failures: Vec<ModelFailure>,
    }
}

impl AudioFeatures {
    /// The row of a clip about which nothing is known yet.
    #[must_use]
    pub fn of_key(key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            place: None,
            text: None,
            duration_ms: None,
            audio_caption: None,
            beats_tags: None,
            ced_tags: None,
            yamnet_tags: None,
            ast_label: None,
            ast_tags: None,
            ast_head: None,
            conette_caption: None,
            music_captions: None,
            speech: None,
            failures: Vec::new(),
        }
    }
}

row! {
    /// The labels of one second of a clip.
    pub struct SecondTags / SecondTagsRef / SecondTagsColumns / SecondTagsBuffers {
        /// Start in the clip, milliseconds.
        pub start_ms: u32,
        /// End in the clip, milliseconds.
        pub end_ms: u32,
        /// AudioSet labels, the most probable first.
        pub tags: Vec<SoundTag>,
    }
}

row! {
    table "second features";
    /// The labels of each second of one clip. Written by `audsem-metadata-eval sat`.
    pub struct SecondFeatures / SecondFeaturesRef / SecondFeaturesColumns / SecondFeaturesBuffers {
        /// The clip's tar key.
        pub key: String,
        /// The tar it lies in, or its own path below the input.
        pub place: Option<String>,
        /// The seconds in order; the last may be shorter.
        pub seconds: Vec<SecondTags>,
    }
}

row! {
    /// A label and its score.
    pub struct ScoredLabel / ScoredLabelRef / ScoredLabelColumns / ScoredLabelBuffers {
        /// The label, as the class list of the network has it.
        pub label: String,
        /// Mean score over the detections or frames that have the label, 0 to 1.
        pub score: f32,
    }
}

row! {
    /// A detected object.
    pub struct ObjectBox / ObjectBoxRef / ObjectBoxColumns / ObjectBoxBuffers {
        /// Number of the frame among those that were looked at, from 0.
        pub frame: u32,
        /// The label, as the class list of the detector has it.
        pub label: String,
        /// Its score, 0 to 1.
        pub score: f32,
        /// Left edge in pixels of the frame.
        pub left: f32,
        /// Upper edge in pixels of the frame.
        pub top: f32,
        /// Right edge in pixels of the frame.
        pub right: f32,
        /// Lower edge in pixels of the frame.
        pub bottom: f32,
    }
}

row! {
    table "frame features";
    /// What image networks say about the frames of one clip. Written by `audsem-metadata-eval image`. A column is absent
    /// where its network did not run or failed.
    pub struct ImageFeatures / ImageFeaturesRef / ImageFeaturesColumns / ImageFeaturesBuffers {
        /// The clip's tar key.
        pub key: String,
        /// The tar it lies in, or its own path below the input.
        pub place: Option<String>,
        /// Times in the clip of the frames that were looked at, milliseconds; absent for a single picture.
        pub frames_ms: Option<Vec<u32>>,
        /// Different captions of the frames, in order of first appearance.
        pub descriptions: Option<Vec<String>>,
        /// Detected objects by label, in order of first appearance.
        pub objects: Option<Vec<ScoredLabel>>,
        /// Every detection.
        pub boxes: Option<Vec<ObjectBox>>,
        /// Likeliest scenes of frames by label, in order of first appearance.
        pub places: Option<Vec<ScoredLabel>>,
        /// Scenes, the highest mean probability over the frames first.
        pub place_labels: Option<Vec<ScoredLabel>>,
        /// ImageNet labels, the highest mean score over the frames first.
        pub image_labels: Option<Vec<ScoredLabel>>,
        /// Networks that ran and gave nothing.
        pub failures: Vec<ModelFailure>,
    }
}

impl ImageFeatures {
    /// The row of a clip about which nothing is known yet.
    #[must_use]
    pub fn of_key(key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            place: None,
            frames_ms: None,
            descriptions: None,
            objects: None,
            boxes: None,
            places: None,
            place_labels: None,
            image_labels: None,
            failures: Vec::new(),
        }
    }
}

row! {
    table "video features";
    /// The description of one clip by a video language model. Written by `audsem-metadata-eval video`.
    pub struct VideoFeatures / VideoFeaturesRef / VideoFeaturesColumns / VideoFeaturesBuffers {
        /// The clip's tar key.
        pub key: String,
        /// The tar it lies in, or its own path below the input.
        pub place: Option<String>,
        /// Times in the clip of the frames that were looked at, milliseconds.
        pub frames_ms: Option<Vec<u32>>,
        /// The description, on one line.
        pub caption: String,
    }
}

row! {
    table "clip metadata";
    /// Everything known about one clip. Written by `audsem-metadata-eval combine` and `filter`.
    pub struct ClipMetadata / ClipMetadataRef / ClipMetadataColumns / ClipMetadataBuffers {
        /// The clip's tar key.
        pub key: String,
        /// Id of the video; absent where the key names no stretch of a video.
        pub video_id: Option<String>,
        /// Start in the video, milliseconds.
        pub start_ms: Option<u32>,
        /// End in the video, milliseconds.
        pub end_ms: Option<u32>,
        /// Length in milliseconds: that of the decoded sound, else the end less the start.
        pub duration_ms: Option<u32>,
        /// The closed caption as it was.
        pub text: Option<String>,
        /// The closed caption after the rules of `audsem-filtering combine`.
        pub clean_text: Option<String>,
        /// Whether the clip is in a table of `audio`.
        pub has_audio: bool,
        /// Whether the clip is in a table of `sat`.
        pub has_sat: bool,
        /// Whether the clip is in a table of `image`.
        pub has_image: bool,
        /// Whether the clip is in a table of `video`.
        pub has_video: bool,
        /// Free description of the sound, by an audio language model.
        pub audio_caption: Option<String>,
        /// AudioSet labels by BEATs, the most probable first.
        pub beats_tags: Option<Vec<SoundTag>>,
        /// AudioSet labels by CED, the most probable first.
        pub ced_tags: Option<Vec<SoundTag>>,
        /// AudioSet labels by YAMNet, the most probable first.
        pub yamnet_tags: Option<Vec<SoundTag>>,
        /// The most probable label by AST; all there is of it in imported files.
        pub ast_label: Option<String>,
        /// Labels by AST, the most probable first.
        pub ast_tags: Option<Vec<SoundTag>>,
        /// Class list of AST's head: `AudioSet`, `ESC-50` or `other`.
        pub ast_head: Option<String>,
        /// Short caption by CoNeTTE, lower case.
        pub conette_caption: Option<String>,
        /// Captions by LP-MusicCaps, one for each window of 10 s that was asked for; absent where the rule of `--music`
        /// does not call the clip music.
        pub music_captions: Option<Vec<String>>,
        /// Share of the clip that the voice activity detector calls speech, 0 to 1.
        pub speech: Option<f32>,
        /// Labels of each second by SAT.
        pub seconds: Option<Vec<SecondTags>>,
        /// Different captions of the frames.
        pub descriptions: Option<Vec<String>>,
        /// Detected objects by label.
        pub objects: Option<Vec<ScoredLabel>>,
        /// Scenes by label.
        pub places: Option<Vec<ScoredLabel>>,
        /// ImageNet labels, the highest mean score over the frames first.
        pub image_labels: Option<Vec<ScoredLabel>>,
        /// Description of the scene by a video language model.
        pub scene: Option<String>,
        /// Cosine of the sentence vectors of the closed caption and the audio caption, with `--sentence-model`.
        pub similarity: Option<f32>,
        /// Networks that ran and gave nothing.
        pub failures: Vec<ModelFailure>,
    }
}

row! {
    table "drift scores";
    /// A clip that the reference pipeline found to lie far from its reference set. Written by
    /// `audsem-metadata-eval import-reference --kind drift`; `filter` reads it with `--exclude` or `--scores`.
    pub struct DriftScore / DriftScoreRef / DriftScoreColumns / DriftScoreBuffers {
        /// The clip's tar key.
        pub key: String,
        /// The data set that the clip was taken from.
        pub dataset: String,
        /// 1 less the mean cosine to the reference.
        pub dissimilarity: f32,
    }
}

#[cfg(test)]
mod tests {
    use audsem_core::tables::schema_markdown;
    use audsem_core::testing::assert_formats_part;

    use super::*;

    #[test]
    fn docs_formats_md_is_current() {
        let fresh = [
            schema_markdown::<AudioFeatures>(),
            schema_markdown::<SecondFeatures>(),
            schema_markdown::<ImageFeatures>(),
            schema_markdown::<VideoFeatures>(),
            schema_markdown::<ClipMetadata>(),
            schema_markdown::<DriftScore>(),
        ]
        .concat();
        assert_formats_part("tables of audsem-metadata-eval", &fresh);
    }
}
