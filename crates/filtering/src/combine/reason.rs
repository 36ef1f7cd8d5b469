//! Why a cue is left out by `combine`.

audsem_core::reasons! {
    /// Why a cue is dropped.
    pub enum DropReason {
        NotASound = "not_a_sound" : "the labels say that the caption names no sound" => "--policy" ["/policy"],
        NoLabel = "no_label" : "the caption has no label that the policy needs" => "--policy" ["/policy"],
        UnknownLabel = "unknown_label" : "the language model answered neither yes nor no" => "--policy" ["/policy"],
        InnerBrackets = "inner_brackets" : "brackets remain inside the caption" => "--groups",
        TooShort = "too_short" : "the caption has fewer characters than the minimum" => "--min-chars" ["/settings/min_chars"],
        TooLong = "too_long" : "the caption has more characters than the maximum" => "--max-chars" ["/settings/max_chars"],
        Charset = "charset" : "the caption has a character other than ASCII letters and digits, space and punctuation",
        Pronoun = "pronoun" : "the caption has a pronoun, as speech has" => "--pronouns" ["/settings/pronouns"],
        Punctuation = "punctuation" : "the caption has punctuation other than quotes and commas",
        Persons = "persons" : "the caption names more persons than the maximum" => "--max-persons" ["/settings/max_persons"],
        TooFewWords = "too_few_words" : "the caption has fewer words than the minimum" => "--min-words" ["/settings/min_words"],
        NotInDictionary = "not_in_dictionary" : "the caption has a word that the dictionary lacks" => "--dictionary",
    }
}

audsem_core::reasons! {
    /// What makes a row unusable.
    pub enum RowFault {
        BadLine = "bad_line" : "the row of the table, or the line of the CSV file, is not a cue",
        EndBeyondRange = "end_beyond_range" : "the cue ends beyond 49 days",
    }
}
