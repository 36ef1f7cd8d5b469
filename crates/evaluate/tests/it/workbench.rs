//! A temporary folder in which the commands are called, in this process.

use audsem_core::cli::GlobalArgs;
use audsem_core::run::{RunOptions, Summary};
use audsem_core::tables::{Row, read_parquet};
use audsem_core::testing::Called;
use audsem_evaluate::cli::{ExportArgs, JudgeArgs, ReportArgs, ScoreArgs};
use audsem_evaluate::error::Error;
use audsem_evaluate::{export, report, score};
use clap::Parser;

/// The commands that these tests call.
#[derive(Parser)]
enum Tested {
    Judge(Box<JudgeArgs>),
    Score(ScoreArgs),
    Export(ExportArgs),
    Report(ReportArgs),
}

impl Tested {
    fn run(&self) -> Result<Summary, Error> {
        let options = |run: &audsem_core::cli::RunArgs| -> Result<RunOptions, Error> {
            Ok(run.options(&GlobalArgs { no_progress: true, ..GlobalArgs::default() })?)
        };
        match self {
            Self::Judge(args) => args.run(&options(&args.run)?),
            Self::Score(args) => score::run(&args.config(), &options(&args.run)?),
            Self::Export(args) => export::run(&args.config(), &options(&args.run)?),
            Self::Report(args) => report::run(&args.config(), &options(&args.run)?),
        }
    }
}

/// A temporary folder in which the commands are called.
pub(crate) struct Bench(audsem_core::testing::Bench);

impl std::ops::Deref for Bench {
    type Target = audsem_core::testing::Bench;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self(audsem_core::testing::Bench::new("no binary: commands run in this process"))
    }

    /// Calls a command with paths below the folder; `nextest` gives every test a process and with it a folder of its own.
    #[track_caller]
    pub(crate) fn call(&self, arguments: &str) -> Called {
        std::env::set_current_dir(self.path("")).unwrap();
        let arguments = ["test"].into_iter().chain(arguments.split_whitespace());
        match Tested::try_parse_from(arguments).unwrap_or_else(|error| panic!("{error}")).run() {
            Ok(summary) => Called {
                code: i32::from(summary.exit_code()),
                stdout: serde_json::to_string(&summary).unwrap(),
                stderr: summary.to_string(),
            },
            Err(error) => Called { code: 2, stdout: String::new(), stderr: error.to_string() },
        }
    }

    pub(crate) fn rows<R: Row>(&self, name: &str) -> Vec<R> {
        read_parquet(&self.path(name)).unwrap()
    }
}
