//! Word errors of transcripts, by the rules of their data sets.

use audsem_metrics::edits::{EditCounts, align};
use audsem_metrics::normalise::{Compat, TextProfile, normalise, words};

/// What stands for an empty text in the published evaluation, so that two of them have a word in common.
const REFERENCE_EMPTY: &str = "empty";

/// Two texts as they are compared, and their differences.
#[derive(Debug, Clone, PartialEq)]
pub struct ComparedTexts {
    /// The right text.
    pub reference: String,
    /// The text of the model.
    pub prediction: String,
    /// Differences of their words.
    pub words: EditCounts,
    /// Differences of their characters, blanks apart.
    pub characters: EditCounts,
}

/// The rules of a data set of AudioBench; English for all others. Thai has to come with blanks between its words.
#[must_use]
pub fn profile_of(benchmark: &str) -> TextProfile {
    match benchmark {
        "aishell_asr_zh_test" | "seame_dev_man" | "seame_dev_sge" => TextProfile::Chinese,
        "imda_part4_30s_asr_test" => TextProfile::ImdaPart4,
        "gigaspeech2_viet" => TextProfile::Vietnamese,
        "gigaspeech2_thai" => TextProfile::Verbatim,
        _ => TextProfile::English,
    }
}

/// Compares a transcript with the right one.
#[must_use]
pub fn compare_words(reference: &str, prediction: &str, profile: TextProfile, compat: Compat) -> ComparedTexts {
    let [reference, prediction] = [reference, prediction].map(|text| {
        let text = normalise(text, profile, compat);
        let is_replaced = compat == Compat::Reference && words(&text).next().is_none();
        if is_replaced { REFERENCE_EMPTY.to_owned() } else { text }
    });
    let all_words = |text: &str| words(text).map(str::to_owned).collect::<Vec<String>>();
    let characters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<Vec<char>>();
    ComparedTexts {
        words: align(&all_words(&reference), &all_words(&prediction)),
        characters: align(&characters(&reference), &characters(&prediction)),
        reference,
        prediction,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_text_has_no_words_but_in_the_reference() {
        let counts = |reference: &str, prediction: &str, compat| {
            let words = compare_words(reference, prediction, TextProfile::English, compat).words;
            (words.errors(), words.reference())
        };
        for (reference, prediction, fixed, published) in [
            ("", "", (0, 0), (0, 1)),
            ("", "hello there", (2, 0), (2, 1)),
            ("hello there", "", (2, 2), (2, 2)),
            ("It's", "it is", (0, 2), (0, 2)),
        ] {
            assert_eq!(counts(reference, prediction, Compat::Fixed), fixed, "{reference}|{prediction}");
            assert_eq!(counts(reference, prediction, Compat::Reference), published, "{reference}|{prediction}");
        }
    }

    #[test]
    fn characters_of_chinese_are_words() {
        let compared = compare_words("我们走", "我们", profile_of("aishell_asr_zh_test"), Compat::Fixed);
        assert_eq!((compared.words.errors(), compared.words.reference()), (1, 3));
        assert_eq!((compared.characters.errors(), compared.characters.reference()), (1, 3));
    }
}
