//! Why a sample or a row of a list is not a usable clip.

crate::reasons! {
    /// The record is broken.
    pub enum ClipFault {
        BadJson = "bad_json": "the JSON of the sample cannot be parsed, or its names are not strings",
        BadRow = "bad_row": "the line of the list cannot be used",
        NoKey = "no_key": "nothing names the record",
        Unreadable = "unreadable": "the file cannot be read",
        TooLarge = "too_large": "the file is larger than 256 MiB",
    }
}

crate::reasons! {
    /// A rule leaves the record out.
    pub enum ClipDrop {
        NoCaption = "no_caption": "the record has no caption",
        NoAudio = "no_audio": "the sample has no sound",
        NoPictures = "no_pictures": "the sample has neither a video nor a picture",
        RepeatedKey = "repeated_key": "an earlier sample or row has the same key; the first one counts",
    }
}
