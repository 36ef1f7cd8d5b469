//! Why samples are not in a manifest.

audsem_core::reasons! {
    /// Why a sample or member of a shard is left out by a rule.
    pub enum DropReason {
        NoKey = "no_key": "the member's name has no dot, so it belongs to no sample",
        DuplicateKey = "duplicate_key": "an earlier place holds a sample of the same key",
    }
}

audsem_core::reasons! {
    /// Why a sample cannot be trained on.
    pub enum Fault {
        NoSound = "no_sound": "the sample has no sound",
        SeveralSounds = "several_sounds": "the sample has more than one sound, and which one is meant is not known",
        EmptySound = "empty_sound": "the sound has no bytes",
        NoJson = "no_json": "the sample has no JSON",
        BadJson = "bad_json": "the JSON is not UTF-8, cannot be parsed, is no object or too large",
        WrongType = "wrong_type": "question, thinking, semantic_elements or answer is not a string, or a pair no object",
        NoQuestion = "no_question": "the question is absent or empty",
        NoAnswer = "no_answer": "the answer is absent or empty: training would learn to say nothing",
        CorruptTar = "corrupt_tar": "the tar is damaged or cut here; the samples before are used",
    }
}
