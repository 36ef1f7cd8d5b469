//! `contribution`.

use std::path::PathBuf;

use audsem_core::cli::RunArgs;
use audsem_core::run::{RunOptions, Summary};
use audsem_models::language::LanguageModelArgs;
use clap::Args;

use crate::contribution::{Config, run};
use crate::error::Error;

/// Flags of `contribution`.
#[derive(Debug, Clone, Args)]
pub struct ContributionArgs {
    /// Run folders of `mcqa`, or files and folders of such records (JSON lines)
    #[arg(short, long, value_name = "PATH", required = true, num_args = 1..)]
    pub records: Vec<PathBuf>,
    /// Attach a silent recording of so many seconds, for models that expect one
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u16).range(1..=600))]
    pub silence: Option<u16>,
    /// How often a try is made whose answer names no option
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_attempts: u32,
    /// Who answers.
    #[command(flatten)]
    pub language_model: LanguageModelArgs,
    /// The run.
    #[command(flatten)]
    pub run: RunArgs,
}

impl ContributionArgs {
    /// Runs the subcommand.
    ///
    /// # Errors
    /// Any error that prevents the run.
    pub fn run(&self, options: &RunOptions) -> Result<Summary, Error> {
        if self.silence.is_some() && !self.language_model.may_hear() {
            return Err(Error::NoHearing { flag: "--silence" });
        }
        let model = self.language_model.open(&options.output, options.dry_run)?;
        let config = Config {
            records: self.records.clone(),
            silence_s: self.silence,
            max_attempts: self.max_attempts,
            unanswered: self.language_model.unanswered(),
        };
        run(&config, &model, options)
    }
}
