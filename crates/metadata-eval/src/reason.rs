//! Why a clip is left out.

audsem_core::reasons! {
    /// A rule leaves a clip out.
    pub enum DropReason {
        NoAudioFeatures = "no_audio_features": "the clip is in no table of `audio`" => "--require",
        NoSecondTags = "no_second_tags": "the clip is in no table of `sat`" => "--require",
        NoImageFeatures = "no_image_features": "the clip is in no table of `image`" => "--require",
        NoVideoFeatures = "no_video_features": "the clip is in no table of `video`" => "--require",
        NotInClipTable = "not_in_clip_table": "the clip table has no clip of this name and these times" => "--table",
    }
}

audsem_core::reasons! {
    /// A rule of `filter` leaves a clip out.
    pub enum FilterReason {
        Excluded = "excluded": "a list names the clip" => "--exclude",
        Dissimilar = "dissimilar": "the clip or its caption lies too far from the reference sets" => "--max-dissimilarity" ["/thresholds/max_dissimilarity"],
        NoDuration = "no_duration": "the length of the clip is not known" => "--min-duration" ["/thresholds/min_duration_s"],
        TooShort = "too_short": "the clip is not longer than the minimum" => "--min-duration" ["/thresholds/min_duration_s"],
        NoSpeechShare = "no_speech_share": "the share of speech is not known" => "--max-speech" ["/thresholds/max_speech"],
        Speech = "speech": "more of the clip is speech than the maximum" => "--max-speech" ["/thresholds/max_speech"],
        NoSimilarity = "no_similarity": "closed caption and audio caption were not compared" => "--min-similarity" ["/thresholds/min_similarity"],
        CaptionsDiffer = "captions_differ": "closed caption and audio caption are less similar than the minimum" => "--min-similarity" ["/thresholds/min_similarity"],
        Condition = "condition": "the clip does not meet a condition" => "--where" ["/conditions"],
    }
}

audsem_core::reasons! {
    /// A record of the reference cannot be read.
    pub enum ImportFault {
        BadRecord = "bad_record": "a field is missing, or the record does not have the form that the reference writes",
    }
}
