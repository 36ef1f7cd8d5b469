//! Flags of `import`.

use std::path::PathBuf;

use audsem_core::cli::RunArgs;
use clap::Args;

use super::DataSetArgs;
use crate::error::Error;
use crate::import::Config;
use crate::item::Benchmark;

/// Flags of `import`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Answers are joined with their questions by id, never by their order alone; a question without one counts as `absent`. They stand
in `model_output`, `model_prediction`, `prediction` or `answer_prediction`, as the scorers of MMAU and MMAR and the published
scripts have them, in the samples of lmms-eval, or in the reviews of evalscope. Predictions of AudioBench have no ids: they are
joined in their order where each of them has the right answer of its row, and refused where one has not.")]
pub struct ImportArgs {
    /// Form of the questions
    #[arg(long, value_enum, value_name = "NAME")]
    pub benchmark: Benchmark,
    /// Files of questions, as published
    #[arg(long, value_name = "PATH", required_unless_present = "data_set", num_args = 1..)]
    pub data: Vec<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub data_set: DataSetArgs,
    /// Files of answers: a JSON list, or one object on each line
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub answers: Vec<PathBuf>,
    /// Field that holds the answer [default: the one that is there of those that scorers read]
    #[arg(long, value_name = "NAME")]
    pub field: Option<String>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub run: RunArgs,
}

impl ImportArgs {
    /// What the flags ask for.
    ///
    /// # Errors
    /// The questions cannot be read.
    pub fn config(&self, seed: u64) -> Result<Config, Error> {
        let questions = self.data_set.read(self.benchmark, &self.data, seed, true)?;
        self.data_set.check(&questions)?;
        questions.notes.iter().for_each(|note| tracing::warn!("{note}"));
        Ok(Config { questions, answers: self.answers.clone(), field: self.field.clone() })
    }
}
