//! Why a sample or a row of a list is not a usable clip.

crate::reasons! {
    /// The record is broken.
    pub enum ClipFault {
        BadJson = "bad_json": "the JSON of the sample cannot be parsed, or its names are not strings",
        BadRow = "bad_row": "the line of the list cannot be used",
        NoKey = "no_key": "nothing names the record",
        Unreadable = "unreadable": "the file cannot be read",
        CutName = "cut_name": "the name has a dot before its extension, and a key ends at its first dot; `audsem-tarify rename` writes names without (`--unmatched encode` where they name no clip)",
        TooLarge = "too_large": "the file is larger than 256 MiB",
    }
}

crate::reasons! {
    /// A rule leaves the record out.
    pub enum ClipDrop {
        NoCaption = "no_caption": "the record has no caption: no `text` in its JSON, and no .txt beside its sound in the tar",
        NoAudio = "no_audio": "the sample has no sound",
        NoPictures = "no_pictures": "the sample has neither a video nor a picture",
        RepeatedKey = "repeated_key": "an earlier sample or row has the same key; the first one counts",
    }
}
