//! The row types of scores.

use audsem_core::row;

row! {
    /// A property by which scores are told apart.
    pub struct ScoreGroup / ScoreGroupRef / ScoreGroupColumns / ScoreGroupBuffers {
        /// The property, such as `task`.
        pub name: String,
        /// Its value, such as `music`.
        pub value: String,
    }
}

row! {
    table "item scores";
    /// What one answer is worth under every convention: one row for each prediction. Written by `audsem-evaluate score`. A
    /// score is absent where its convention does not apply, as to a question whose answer is withheld.
    pub struct ItemScore / ItemScoreRef / ItemScoreColumns / ItemScoreBuffers {
        /// The data set.
        pub benchmark: String,
        /// The question within its data set.
        pub id: String,
        /// Its place in the data set, from 0.
        pub index: u64,
        /// The kind of answer that is asked for: `choice`, `transcript`, `translation`, `caption`, `open`, or `instruction`.
        pub kind: String,
        /// What scores are told by.
        pub groups: Vec<ScoreGroup>,
        /// The sounds, as the data set names them.
        pub sounds: Vec<String>,
        /// The question, without its options.
        pub question: String,
        /// The options as published.
        pub choices: Vec<String>,
        /// The options in the order in which they were shown.
        pub shown_choices: Vec<String>,
        /// The right answers; none where they are withheld.
        pub references: Vec<String>,
        /// What the model heard: `sound`, `silence` or `nothing`.
        pub heard: String,
        /// Number of the order of the options; 0 is the published one.
        pub permutation: u32,
        /// What became of the question: `answered`, `cut-off`, `no-sound`, `too-long`, `refused` or `absent`.
        pub status: String,
        /// What went wrong, in words.
        pub problem: Option<String>,
        /// All that the model wrote.
        pub output: Option<String>,
        /// Its reasoning, where the output has one inside tags.
        pub thinking: Option<String>,
        /// Number of words of the reasoning.
        pub thinking_words: u32,
        /// The semantic elements, where the output has them inside tags.
        pub semantic_elements: Option<String>,
        /// Whether the output is exactly a reasoning and an answer, with or without semantic elements, each inside tags.
        pub well_formed: bool,
        /// The answer that is scored.
        pub answer: Option<String>,
        /// Where it was found: `tag`, `unclosed`, `whole` (no tags were asked for), or `none`.
        pub answer_source: String,
        /// Official rule of MMAU and MMAR: the words of the right option, and none of the other options alone.
        pub official: Option<f64>,
        /// The option that the answer means, with or without its letter, is the right one.
        pub parsed: Option<f64>,
        /// The option that the answer means; absent where it means none.
        pub chosen: Option<String>,
        /// Convention of lmms-eval: the letter named last; without one the expected value of a random letter.
        pub lmms_eval: Option<f64>,
        /// Convention of evalscope: the letter named last, without one A; a right answer that is no option counts as A.
        pub evalscope: Option<f64>,
        /// Letter rule of MMSU and AIR-Bench: the first character, else the last but one; without a letter wrong.
        pub letter: Option<f64>,
        /// Whether that rule finds no letter, and the published scorer would skip the question.
        pub letter_skipped: bool,
        /// Whether the instruction is followed by the rule of MMAU-Pro as published.
        pub instruction: Option<f64>,
        /// Whether it is followed by what it asks for, where the published rule is at odds with that.
        pub instruction_as_asked: Option<f64>,
        /// Why no rule can be applied to an instruction.
        pub instruction_problem: Option<String>,
        /// The answer as word errors are counted in it.
        pub normalised_answer: Option<String>,
        /// The right answer as word errors are counted in it.
        pub normalised_reference: Option<String>,
        /// Substituted, deleted and inserted words.
        pub word_errors: Option<u64>,
        /// Words of the right answer.
        pub reference_words: Option<u64>,
        /// Substituted, deleted and inserted characters, blanks apart.
        pub character_errors: Option<u64>,
        /// Characters of the right answer, blanks apart.
        pub reference_characters: Option<u64>,
        /// METEOR against the nearest of the right answers, 0 to 1; without WordNet by exact words and stems alone.
        pub meteor: Option<f64>,
        /// Mean of METEOR against each of several right answers alone, as if each were a row of its own.
        pub meteor_single: Option<f64>,
        /// ROUGE-L against all right answers, 0 to 1.
        pub rouge_l: Option<f64>,
        /// CIDEr-D among all captions of the data set.
        pub cider_d: Option<f64>,
        /// SPICE, imported.
        pub spice: Option<f64>,
        /// Mean cosine with the right answers, as vectors of sentences.
        pub sentence_similarity: Option<f64>,
        /// Whether the language of a caption has a fault (1), by the detector of FENSE.
        pub fluency_error: Option<f64>,
        /// Rating by a judge, in the scale of its rubric.
        pub rating: Option<f64>,
        /// What became of the judgement: `rated`, `no-rating` (the judge gave none), `no-answer` (nothing to judge), or `wrong`
        /// (the rubric grades right answers alone).
        pub judgement: Option<String>,
        /// Score by the rule of its kind, 0 to 1, for MMAU-Pro: `official`, `instruction`, or the rating as a share of the highest.
        pub overall: Option<f64>,
        /// Length of the sounds, milliseconds.
        pub sound_ms: u64,
        /// What of them was given to the model, milliseconds.
        pub given_ms: u64,
        /// Tokens that the model's own processor makes of what was given.
        pub expected_tokens: Option<u64>,
        /// Tokens of the question that whoever ran the model counted.
        pub prompt_tokens: Option<u64>,
        /// Tokens of the same question without its sounds.
        pub text_tokens: Option<u64>,
        /// Tokens of the answer.
        pub output_tokens: Option<u64>,
        /// Whether the model got the sounds, by their tokens: `ok`, `padded`, `truncated`, `deaf`, `unknown`, or `silent`
        /// where none were given.
        pub token_audit: String,
    }
}

#[cfg(test)]
mod tests {
    use audsem_core::tables::schema_markdown;
    use audsem_core::testing::assert_formats_part;

    use super::*;

    #[test]
    fn docs_formats_md_is_current() {
        let fresh = [schema_markdown::<ItemScore>(), schema_markdown::<crate::export::MmauProAnswer>()].concat();
        assert_formats_part("tables of audsem-evaluate", &fresh);
    }
}
