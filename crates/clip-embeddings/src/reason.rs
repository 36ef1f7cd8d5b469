//! Why a record is left out.

audsem_core::reasons! {
    /// A vector or a record is broken.
    pub enum Fault {
        ZeroVector = "zero_vector": "all numbers of the vector are 0, so it has no direction",
        NotFinite = "not_finite": "the vector holds NaN, infinite or absent numbers, or another number of them than most, or has no key",
        Undecodable = "undecodable": "the sound cannot be decoded",
    }
}

audsem_core::reasons! {
    /// A rule leaves a record out.
    pub enum DropReason {
        NoText = "no_text": "no caption has this key" => "--text",
        NoValue = "no_value": "the row has no value in the column asked for" => "--column",
        NotFound = "not_found": "no shard that was given has a sound with this key" => "--shards",
    }
}
