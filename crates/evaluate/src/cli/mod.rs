//! The command line: clap types only, one file for each part.

mod data;
mod examples;
mod import;
mod predict;
mod report;
mod score;

pub use data::DataSetArgs;
pub use import::ImportArgs;
pub use predict::{DecodingPreset, ExpectedFamily, PredictArgs, SpeechTask};
pub use report::ReportArgs;
pub use score::{CompatFlag, ExportArgs, ExtractionArgs, JudgeArgs, ScoreArgs, TokensFlag};

use audsem_core::cli::{CommandExamples, CommandOutput, GlobalArgs, HasGlobal, RunArgs, Without};
use audsem_core::error::Error as CoreError;
use audsem_core::run::RunOptions;
use audsem_models::nn::limit_threads;
use clap::{Parser, Subcommand};

use crate::error::Error;

/// Ask models the questions of benchmarks, score the answers under every convention, and report them.
#[derive(Debug, Parser)]
#[command(name = "audsem-evaluate", version, max_term_width = 100)]
pub struct Cli {
    /// Flags of every binary.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands, in the order an evaluation uses them.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Ask a model the questions of a benchmark, behind a server or in this process
    Predict(Box<PredictArgs>),
    /// Take answers that another program made, joined with their questions by id
    Import(ImportArgs),
    /// Have a language model rate answers by a rubric
    Judge(Box<JudgeArgs>),
    /// Score answers under every convention, with intervals
    Score(ScoreArgs),
    /// Write answers and scores in the files that other scorers read
    Export(ExportArgs),
    /// Report scores on a page, beside what they must not stand without
    Report(ReportArgs),
}

impl Command {
    /// Runs the subcommand.
    ///
    /// # Errors
    /// Any error that prevents the run.
    pub fn run(&self, global: &GlobalArgs) -> Result<CommandOutput, Error> {
        let summary = match self {
            Self::Predict(args) => args.run(&options(&args.run, global)?),
            Self::Import(args) => {
                let options = whole(&args.run, global)?;
                crate::import::run(&args.config(options.seed)?, &options)
            }
            Self::Judge(args) => args.run(&whole(&args.run, global)?),
            Self::Score(args) => crate::score::run(&args.config(), &whole(&args.run, global)?),
            Self::Export(args) => crate::export::run(&args.config(), &whole(&args.run, global)?),
            Self::Report(args) => crate::report::run(&args.config(), &whole(&args.run, global)?),
        };
        Ok(summary?.into())
    }
}

/// Why `--limit` means nothing where an answer is about all there is.
const WHOLE: &str = "this command works on whole runs\nhint: use --limit in `predict`";

/// The options of a command, whose networks and matrix products keep to its `--workers` too.
fn options(run: &RunArgs, global: &GlobalArgs) -> Result<RunOptions, Error> {
    let options = run.options(global)?;
    limit_threads(options.workers);
    Ok(options)
}

/// The options of a command that reads whole runs: a part of the answers has another score, so `--limit` is refused rather
/// than skipped.
fn whole(run: &RunArgs, global: &GlobalArgs) -> Result<RunOptions, Error> {
    let options = options(run, global)?;
    if options.limit.is_some() {
        return Err(CoreError::Config { what: "--limit".to_owned(), problem: WHOLE.to_owned() }.into());
    }
    Ok(options)
}

impl HasGlobal for Cli {
    fn global(&self) -> &GlobalArgs {
        &self.global
    }

    fn examples() -> &'static [CommandExamples] {
        examples::EXAMPLES
    }

    fn without() -> &'static [Without] {
        examples::WITHOUT
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_help_has_what_people_need() {
        let faults: Vec<String> = audsem_core::cli::faults::<super::Cli>();
        assert!(faults.is_empty(), "{faults:#?}");
    }
}
