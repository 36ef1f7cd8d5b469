//! What can be wrong with a tar of samples.

audsem_core::reasons! {
    /// A problem that `check` reports.
    pub enum Fault {
        Truncated = "truncated": "the tar ends early",
        TooLarge = "too_large": "the sound is larger than 256 MiB, which is not read",
        EmptyTar = "empty_tar": "the tar holds no sample",
        DamagedTar = "damaged_tar": "the tar is damaged and cannot be read any further",
        NoEndMarker = "no_end_marker": "the tar lacks its end marker: it may be cut between two members",
        TrailingData = "trailing_data": "the tar has data after its end marker, where readers stop; two tars may have been concatenated",
        NoKey = "no_key": "the member's name has no dot, so it belongs to no sample",
        RepeatedSuffix = "repeated_suffix": "two members of a sample have the same suffix",
        DuplicateKey = "duplicate_key": "an earlier sample of this tar has the same key",
        CutName = "cut_name": "the name has a dot before its extension, which cuts the key; `audsem-tarify rename` writes names without (`--unmatched encode` where they name no clip)",
        NoMedia = "no_media": "the sample has no sound or video",
        SeveralMedia = "several_media": "the sample has more than one sound or video",
        EmptyMedia = "empty_media": "the sound or video has no bytes",
        NoJson = "no_json": "the sample has no JSON",
        BadJson = "bad_json": "the JSON is not an object",
        MissingField = "missing_field": "a field of the JSON that the readers need is absent or empty",
        WrongType = "wrong_type": "a field of the JSON does not have the type that the task requires",
        NoChoices = "no_choices": "a multiple-choice question has fewer than two choices",
        AnswerNotAmongChoices = "answer_not_among_choices": "the answer is not one of the question's choices, or could be several",
        Undecodable = "undecodable": "the sound or the pictures cannot be decoded to their end",
        WrongSize = "wrong_size": "sizes.json states a different number of samples for this tar",
        NotInSizes = "not_in_sizes": "sizes.json does not name this tar, but its readers will open it",
        MissingTar = "missing_tar": "sizes.json names a tar that is not there",
        BadSizes = "bad_sizes": "sizes.json cannot be read",
    }
}
