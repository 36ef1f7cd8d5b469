//! Why a cue is left out.

audsem_core::reasons! {
    /// Why a readable cue is dropped.
    pub enum DropReason {
        NotBracketed = "not_bracketed": "the text does not begin with an opening and end with a closing bracket",
        TooLong = "too_long": "the cue is longer than the maximum duration" => "--max-duration" ["/duration/max_s"],
        TooShort = "too_short": "the cue is shorter than the minimum duration" => "--min-duration" ["/duration/min_s"],
        NoWordCharacter = "no_word_character": "the text has no letter, number or underscore",
        TripleQuote = "triple_quote": "the text has three double quotes in a row",
        MissingField = "missing_field": "the cue lacks its text, its start or its duration",
        TwinTrack = "twin_track": "another track of the video has the same caption at the same time; that one is kept",
        RollingRepeat = "rolling_repeat": "the cue only repeats what the cue before it already shows",
    }
}

audsem_core::reasons! {
    /// Why a cue, or a stretch of a file that may hold cues, cannot be read.
    pub enum Fault {
        BadField = "bad_field": "a field of the cue has an unexpected type",
        BadTime = "bad_time": "the start or the duration is not a time that can be stored",
        CorruptObject = "corrupt_object": "a stretch of the dump is not a JSON object",
        ObjectTooLarge = "object_too_large": "an object of the dump is larger than the limit" => "--max-object-mb",
        BrokenInput = "broken_input": "a file cannot be read to its end; what came before counts",
        NoVideoId = "no_video_id": "the object has no video id, or the name of the file gives none",
        MalformedCue = "malformed_cue": "a cue of a subtitle file cannot be read",
        UnreadFormat = "unread_format": "a subtitle file of a format that is not read; ffmpeg converts it to WebVTT (`ffmpeg -i FILE FILE.vtt`)",
        MalformedFile = "malformed_file": "a subtitle file cannot be read, or not to its end",
    }
}
