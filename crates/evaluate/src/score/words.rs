//! Word errors of transcripts, by the rules of their data sets.

use audsem_metrics::edits::{EditCounts, align};
use audsem_metrics::normalise::{Compat, TextProfile, ThaiWords, normalise, words};
use serde::{Deserialize, Serialize};

use crate::item::audiobench::AudioBenchSet;

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

/// How texts are brought into one form before their words are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Normaliser {
    /// English
    English,
    /// Chinese, also mixed with English: each Chinese character is a word
    Chinese,
    /// English with words of other languages, whose accents stay
    ImdaPart4,
    /// Vietnamese, and other languages with blanks between words
    Vietnamese,
    /// Thai, cut into the words of --thai-words
    Thai,
    /// As it is, but for white space
    Verbatim,
}

impl Normaliser {
    /// The rules of a data set of AudioBench; English for all others.
    #[must_use]
    pub fn of(benchmark: &str) -> Self {
        AudioBenchSet::named(benchmark).and_then(|set| set.normaliser).unwrap_or(Self::English)
    }

    /// A text in that form. Thai without its words stays as it is.
    fn apply(self, text: &str, thai: Option<&ThaiWords>, compat: Compat) -> String {
        let profile = match (self, thai) {
            (Self::Thai, Some(thai)) => return thai.normalise(text, compat),
            (Self::Thai | Self::Verbatim, _) => TextProfile::Verbatim,
            (Self::English, _) => TextProfile::English,
            (Self::Chinese, _) => TextProfile::Chinese,
            (Self::ImdaPart4, _) => TextProfile::ImdaPart4,
            (Self::Vietnamese, _) => TextProfile::Vietnamese,
        };
        normalise(text, profile, compat)
    }
}

/// Compares a transcript with the right one.
#[must_use]
pub fn compare_words(
    reference: &str,
    prediction: &str,
    normaliser: Normaliser,
    thai: Option<&ThaiWords>,
    compat: Compat,
) -> ComparedTexts {
    let [reference, prediction] = [reference, prediction].map(|text| {
        let text = normaliser.apply(text, thai, compat);
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
            let words = compare_words(reference, prediction, Normaliser::English, None, compat).words;
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
        let compared = compare_words("我们走", "我们", Normaliser::of("aishell_asr_zh_test"), None, Compat::Fixed);
        assert_eq!((compared.words.errors(), compared.words.reference()), (1, 3));
        assert_eq!((compared.characters.errors(), compared.characters.reference()), (1, 3));
    }

    #[test]
    fn thai_is_cut_into_words_where_they_are_known() {
        let words = ThaiWords::new(["ฉัน", "กิน", "ข้าว"].map(str::to_owned).into());
        let errors = |thai: Option<&ThaiWords>| {
            let compared = compare_words("ฉันกินข้าว", "ฉันข้าว!", Normaliser::of("gigaspeech2_thai"), thai, Compat::Fixed);
            (compared.words.errors(), compared.words.reference(), compared.prediction)
        };
        assert_eq!(errors(Some(&words)), (1, 3, "ฉัน ข้าว".to_owned()));
        assert_eq!(errors(None), (1, 1, "ฉันข้าว!".to_owned()));
    }
}
