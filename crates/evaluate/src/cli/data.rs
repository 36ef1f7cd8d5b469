//! Flags that say which questions of a benchmark are read.

use std::path::PathBuf;

use audsem_core::error::Error as CoreError;
use audsem_core::hub::{DataSetPart, HubSettings};
use clap::Args;

use crate::error::Error;
use crate::item::audiobench::{AudioBenchSet, Instructions, RowSelection};
use crate::item::{AnswerKind, Benchmark, BenchmarkItems, read_audiobench, read_benchmark};

/// Which data set of AudioBench, and which of its rows.
#[derive(Debug, Clone, Args)]
pub struct DataSetArgs {
    /// Data set of AudioBench, such as librispeech_test_clean
    #[arg(long, value_name = "NAME", help_heading = "Questions")]
    pub data_set: Option<String>,
    /// So many of its rows, shuffled as the published evaluation shuffles them (NumPy, seed 42)
    #[arg(long, value_name = "N", requires = "data_set", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Questions")]
    pub subset: Option<u64>,
    /// Wordings for rows without a question of their own, where they are not the built-in ones
    #[arg(long, value_name = "FILE.toml", requires = "data_set", help_heading = "Questions")]
    pub instructions: Option<PathBuf>,
    /// Refuse any other version of the questions than the one with this SHA-256, over ids, questions, options and right answers,
    /// as `questions_sha256` of run.json has it
    #[arg(long, value_name = "HEX", help_heading = "Questions")]
    pub questions_sha256: Option<String>,
}

impl DataSetArgs {
    /// Refuses another version of the questions than the one that is named.
    ///
    /// # Errors
    /// The hashes differ.
    pub fn check(&self, questions: &BenchmarkItems) -> Result<(), Error> {
        let found = &questions.content_sha256;
        match &self.questions_sha256 {
            Some(wanted) if !wanted.trim().eq_ignore_ascii_case(found) => {
                let problem = format!(
                    "these questions are another version: their SHA-256 is {found}\n\
                     hint: name the files of the version that is wanted with --data, or this hash"
                );
                Err(CoreError::Config { what: "--questions-sha256".to_owned(), problem }.into())
            }
            _ => Ok(()),
        }
    }

    /// The language that is spoken in the data set, where it is not English.
    #[must_use]
    pub fn language(&self) -> Option<String> {
        AudioBenchSet::named(self.data_set.as_deref()?)?.language.clone()
    }

    /// Whether the data set asks for what is said, in English.
    #[must_use]
    pub fn is_into_english(&self) -> bool {
        let set = self.data_set.as_deref().and_then(AudioBenchSet::named);
        set.is_some_and(|set| set.kind() == AnswerKind::Translation && set.task.ends_with("-EN"))
    }

    /// The questions of a benchmark; those of a data set of AudioBench whose files are not named come from the hub.
    ///
    /// # Errors
    /// The files cannot be read or found, or the flags do not go together.
    pub fn read(
        &self,
        benchmark: Benchmark,
        data: &[PathBuf],
        seed: u64,
        each_row: bool,
    ) -> Result<BenchmarkItems, Error> {
        let refuse = |what: &str, problem: &str| -> Error {
            CoreError::Config { what: what.to_owned(), problem: problem.to_owned() }.into()
        };
        if benchmark != Benchmark::AudioBench {
            return match (&self.data_set, data) {
                (Some(_), _) => {
                    Err(refuse("--data-set", "it names a data set of AudioBench\nhint: add --benchmark audiobench"))
                }
                (None, []) => Err(refuse("--data", "the files of the benchmark are wanted")),
                (None, data) => read_benchmark(benchmark, data),
            };
        }
        let name = self.data_set.as_deref();
        let name = name.ok_or_else(|| refuse("--data-set", "AudioBench has many data sets\nhint: name one of them"))?;
        let set = AudioBenchSet::of_flag(name)?;
        let selection = RowSelection {
            set,
            subset: self.subset.map(|n| usize::try_from(n).unwrap_or(usize::MAX)),
            instructions: Instructions::open(self.instructions.as_deref())?,
            seed,
            each_row,
        };
        let fetched = if data.is_empty() { fetch(set)? } else { Vec::new() };
        read_audiobench(if data.is_empty() { &fetched } else { data }, &selection)
    }
}

/// The tables of a data set, from the hub.
fn fetch(set: &AudioBenchSet) -> Result<Vec<PathBuf>, Error> {
    let Some(repository) = &set.repository else {
        let problem = format!("{} is not public\nhint: name its files, if you have them", set.name);
        return Err(CoreError::Config { what: "--data".to_owned(), problem }.into());
    };
    let part = DataSetPart { repository, folder: set.folder.as_deref(), split: &set.split };
    Ok(part.files(&HubSettings::from_env())?)
}
