//! Why a record, a pair or a clip is not in the training shards.

audsem_core::reasons! {
    /// A rule left it out.
    pub enum DropReason {
        DuplicateRecord = "duplicate_record": "another record has the same clip (and question, in tables of questions); see --duplicates",
        Excluded = "excluded": "a list of --exclude names the clip" => "--exclude",
        OutsideScores = "outside_scores": "its score lies outside --min or --max; the detail says by how much" => "--min and --max",
        NoScore = "no_score": "no table of --scores has a number for the clip in a column that --min or --max is about" => "--scores",
        NoPairs = "no_pairs": "the record holds no question-answer pair",
        MissingField = "missing_field": "a field that the task needs is absent or null",
        CaptionLong = "caption_long": "the caption has more words than --max-words" => "--max-words" ["/text/max_words"],
        CaptionShort = "caption_short": "the caption has fewer characters than --min-chars" => "--min-chars" ["/text/min_chars"],
        QuestionShort = "question_short": "the question has fewer characters than --min-chars" => "--min-chars" ["/text/min_chars"],
        ThinkingShort = "thinking_short": "the thinking has fewer characters than --min-chars" => "--min-chars" ["/text/min_chars"],
        SemanticShort = "semantic_elements_short": "the semantic elements have fewer characters than --min-chars" => "--min-chars" ["/text/min_chars"],
        AnswerShort = "answer_short": "the answer has fewer characters than --min-answer-chars" => "--min-answer-chars" ["/text/min_answer_chars"],
        OmitPhrase = "omit_phrase": "a used field mentions the data from which the text was generated (--omit-phrase)" => "--omit-phrase",
        NoChoices = "no_choices": "a multiple-choice question has fewer than two choices",
        AnswerNotAmongChoices = "answer_not_among_choices": "the answer is not one of the question's choices, or could be several",
        NoRecord = "no_record": "no usable record refers to this clip" => "--records",
        Silent = "silent": "no sample of the clip reaches --min-peak" => "--min-peak" ["/audio/min_peak"],
        AudioShort = "audio_short": "the clip is shorter than --min-duration" => "--min-duration" ["/audio/min_s"],
        AudioLong = "audio_long": "the clip is longer than --max-duration" => "--max-duration" ["/audio/max_s"],
        DuplicateClip = "duplicate_clip": "an earlier source tar, or an earlier place in this one, holds the same clip",
        NoClip = "no_clip": "no source tar holds a usable clip for this record" => "--input",
    }
}

audsem_core::reasons! {
    /// Why a sample is broken.
    pub enum Fault {
        BadJson = "bad_json": "the text is not a JSON object",
        BadRow = "bad_row": "the line of a CSV file is not UTF-8 or has another number of fields than its header, or a row of a clip table has no times",
        DamagedRows = "damaged_rows": "a part of a Parquet file is damaged; the detail names its rows",
        BrokenOff = "broken_off": "a compressed file is cut or damaged: what stands behind that place is lost, however much it was",
        LineTooLong = "line_too_long": "a line of a record file has no end within 16 MiB",
        NoName = "no_name": "nothing names the clip: no file_name, original_filename or key",
        BadName = "bad_name": "the name is not a clip key",
        WrongType = "wrong_type": "a field has another JSON type than the task needs",
        TooLarge = "too_large": "the audio or video is larger than 256 MiB",
        CutName = "cut_name": "the name of the sound or video has a dot before its extension, which cuts the key; `audsem-tarify rename` writes names without (`--unmatched encode` where they name no clip)",
        NoAudio = "no_audio": "the sample of the source tar has no audio or video member, or the video no sound track",
        NoJson = "no_json": "the sample of the source tar has no JSON member",
        Undecodable = "undecodable": "the audio cannot be decoded",
        NotFinite = "not_finite": "the audio holds NaN or infinite samples",
    }
}
