//! The data sets of AudioBench, and how a right answer and a question are made of a row.

use std::sync::OnceLock;

use audsem_core::error::Error as CoreError;
use serde::Deserialize;

use crate::error::Error;
use crate::item::AnswerKind;
use crate::score::Normaliser;

/// The table that ships with the program.
const TABLE: &str = include_str!("data_sets.toml");

/// A data set of AudioBench.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct AudioBenchSet {
    /// Name, as scores are told by.
    pub name: String,
    /// Other names.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Repository on the Hugging Face hub; none for data that is not public.
    pub repository: Option<String>,
    /// Folder of the repository, where it holds several data sets.
    pub folder: Option<String>,
    /// Split of the rows.
    pub split: String,
    /// Number of rows, as published scores have it.
    pub rows: Option<usize>,
    /// Number of rows or a divisor of it, as published scores tell it.
    pub about_rows: Option<usize>,
    /// Task type, as published records have it.
    pub task: String,
    /// `own` for the row's own instruction, `options` for that with options, else a pool of wordings.
    pub question: String,
    /// Rubric by which a judge rates answers.
    pub rubric: Option<String>,
    /// How words of transcripts are compared.
    pub normaliser: Option<Normaliser>,
    /// Language that is spoken, by Whisper's code, where it is not English.
    pub language: Option<String>,
    /// A text before every right answer that is no part of it.
    pub lead_in: Option<String>,
    /// Whether rows about one sound are one question with several right answers.
    #[serde(default)]
    pub group_by_sound: bool,
}

impl AudioBenchSet {
    /// All data sets, in the order of the table.
    #[must_use]
    pub fn all() -> &'static [Self] {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            data_set: Vec<AudioBenchSet>,
        }
        static ALL: OnceLock<Vec<AudioBenchSet>> = OnceLock::new();
        ALL.get_or_init(|| {
            let table: Table = toml::from_str(TABLE).expect("the built-in table is valid, as every test shows");
            table.data_set
        })
    }

    /// The data set of a name or an alias.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        Self::all().iter().find(|set| set.name == name || set.aliases.iter().any(|alias| alias == name))
    }

    /// The data set that a flag names.
    ///
    /// # Errors
    /// There is none of this name; the nearest names are told.
    pub fn of_flag(name: &str) -> Result<&'static Self, Error> {
        Self::named(name).ok_or_else(|| {
            let common = |set: &&Self| name.bytes().zip(set.name.bytes()).take_while(|(a, b)| a == b).count();
            let mut near: Vec<&Self> = Self::all().iter().collect();
            near.sort_by_key(|set| std::cmp::Reverse(common(set)));
            let near: Vec<&str> = near.iter().take(5).map(|set| set.name.as_str()).collect();
            let problem = format!(
                "AudioBench has no data set `{name}`\nhint: it has {}, among them {}",
                Self::all().len(),
                near.join(", ")
            );
            CoreError::Config { what: "--data-set".to_owned(), problem }.into()
        })
    }

    /// The kind of answer that is asked for, where the rows have no options.
    #[must_use]
    pub fn kind(&self) -> AnswerKind {
        match self.task.as_str() {
            "ASR" | "ASR-ZH" => AnswerKind::Transcript,
            "AC" => AnswerKind::Caption,
            task if task.starts_with("ST-") => AnswerKind::Translation,
            _ => AnswerKind::Open,
        }
    }

    /// Whether a number of rows is another one than published scores have.
    #[must_use]
    pub fn is_of_another_size(&self, rows: usize) -> bool {
        self.rows.is_some_and(|published| published != rows)
            || self.about_rows.is_some_and(|divisor| rows == 0 || !rows.is_multiple_of(divisor))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::Instructions;
    use super::*;

    #[test]
    fn the_table_has_every_data_set_once() {
        let all = AudioBenchSet::all();
        assert_eq!(all.len(), 74, "73 and nlb_asr_test");
        let mut names: Vec<&String> = all.iter().flat_map(|set| [&set.name].into_iter().chain(&set.aliases)).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 75, "with mu_chomusic_test");
        let count = |keep: fn(&AudioBenchSet) -> bool| all.iter().filter(|set| keep(set)).count();
        assert_eq!(count(|set| set.repository.is_none()), 15, "14 private ones and nlb_asr_test");
        assert_eq!(count(|set| set.kind() == AnswerKind::Transcript), 33);
        assert_eq!(count(|set| set.kind() == AnswerKind::Translation), 6);
        assert_eq!(count(|set| set.kind() == AnswerKind::Caption), 2);
        assert_eq!(count(|set| set.question == "options"), 4);
        for set in all {
            let is_scored = set.normaliser.is_some() || set.rubric.is_some() || set.kind() == AnswerKind::Translation;
            assert!(is_scored, "{}", set.name);
            assert_eq!(set.normaliser.is_some(), set.kind() == AnswerKind::Transcript, "{}", set.name);
            let is_known = ["own", "options"].contains(&set.question.as_str())
                || Instructions::built_in().n_wordings(&set.question).is_some();
            assert!(is_known, "{}: {}", set.name, set.question);
        }
    }

    #[test]
    fn names_are_found_and_mistakes_told() {
        assert_eq!(AudioBenchSet::of_flag("mu_chomusic_test").unwrap().name, "muchomusic_test");
        let problem = AudioBenchSet::of_flag("librispeech_test").unwrap_err().to_string();
        assert!(problem.contains("librispeech_test_clean") && problem.contains("74"), "{problem}");
        let clean = AudioBenchSet::named("librispeech_test_clean").unwrap();
        assert!(!clean.is_of_another_size(2617) && clean.is_of_another_size(2620));
        let captions = AudioBenchSet::named("audiocaps_test").unwrap();
        assert!(captions.group_by_sound && !captions.is_of_another_size(4400) && captions.is_of_another_size(4401));
    }
}
