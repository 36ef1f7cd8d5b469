//! Why a record is left out.

audsem_core::reasons! {
    /// A vector or a record is broken.
    pub enum Fault {
        ZeroVector = "zero_vector": "all numbers of the vector are 0, so it has no direction",
        NotFinite = "not_finite": "the vector holds NaN, infinite or absent numbers",
        Empty = "empty": "the sound has no samples",
        Unreadable = "unreadable": "the file cannot be read",
        NoKey = "no_key": "nothing names the record",
        BadJson = "bad_json": "the JSON of the sample cannot be parsed, or its names are no strings",
        BadRow = "bad_row": "the line of the list cannot be used",
        Undecodable = "undecodable": "the sound cannot be decoded",
    }
}

audsem_core::reasons! {
    /// A rule leaves a record out.
    pub enum DropReason {
        NoCaption = "no_caption": "the record has no caption",
        NoText = "no_text": "no caption has this key" => "--text",
        NoAudio = "no_audio": "the sample has no sound",
        RepeatedKey = "repeated_key": "an earlier sample or row of the same set has the same key",
        NoValue = "no_value": "the row has no value in the column asked for" => "--column",
        NotFound = "not_found": "no shard that was given has a sound with this key" => "--shards",
    }
}
