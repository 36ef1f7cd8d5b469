//! From `main` to the exit code: 0 done, 1 done but over the failure limit or a check failed, 2 could not run, 3 stopped
//! on request before the end.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use super::args::GlobalArgs;
use super::config::{ConfigError, matches_from};
use super::whole::{self, CommandExamples, Without};
use crate::error::Error;
use crate::run::Summary;
use crate::signals::{EXIT_STOPPED, stop_requested};
use crate::terminal::plain;
use crate::{log, signals};

/// What a subcommand returns to [`main`].
#[derive(Debug)]
pub enum CommandOutput {
    /// A run's summary: a table on stderr, or JSON on stdout with `--json`.
    Run(Box<Summary>),
    /// Text for stdout (already JSON where `--json` asked for it).
    Text(String),
}

impl From<Summary> for CommandOutput {
    fn from(summary: Summary) -> Self {
        Self::Run(Box::new(summary))
    }
}

/// A command line that carries the flags of every binary.
pub trait HasGlobal {
    /// The flags that every binary has.
    fn global(&self) -> &GlobalArgs;

    /// Examples of each command, for its help.
    fn examples() -> &'static [CommandExamples];

    /// Flags of [`super::RunArgs`] that mean nothing for a command.
    fn without() -> &'static [Without];
}

/// What is asked for on the command line.
enum Asked<C> {
    Command(C),
    /// One of the commands that all binaries have, and what it prints.
    Own(crate::error::Result<String>),
}

/// Parses the command line, starts logging and signal handling, runs `dispatch`, prints its result and gives the exit
/// code. A closed pipe on stdout is a normal end. `commit` is what the binary was built from:
/// `option_env!("AUDSEM_COMMIT")`, so that a new commit builds no more anew than the `main` of a binary.
pub fn main<C, E>(commit: Option<&str>, dispatch: impl FnOnce(C) -> Result<CommandOutput, E>) -> ExitCode
where
    C: CommandFactory + FromArgMatches + HasGlobal,
    E: Into<Box<dyn StdError + Send + Sync>>,
{
    let cli = match ask::<C>(commit) {
        Ok(Asked::Command(cli)) => cli,
        Ok(Asked::Own(Ok(text))) => return print(&CommandOutput::Text(text), &GlobalArgs::default()),
        Ok(Asked::Own(Err(error))) => return complain(&error),
        Err(ConfigError::Clap(error)) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
        Err(error) => return complain(&error),
    };
    let global = cli.global().clone();
    log::init(global.verbose, global.quiet);
    if let Err(error) = signals::install(!global.quiet) {
        tracing::warn!("cannot handle SIGINT and SIGTERM, so a stop request will end the process at once: {error}");
    }
    let ended = dispatch(cli);
    if stop_requested() {
        signals::tell_of_stop();
    }
    match ended {
        Ok(finish) => print(&finish, &global),
        Err(error) => {
            let code = complain(&*error.into());
            // What a stop request brought down is no failure: the same command continues.
            if stop_requested() { ExitCode::from(EXIT_STOPPED) } else { code }
        }
    }
}

fn ask<C: CommandFactory + FromArgMatches + HasGlobal>(commit: Option<&str>) -> Result<Asked<C>, ConfigError> {
    let command = whole::command::<C>(commit);
    let matches = matches_from(command.clone(), std::env::args_os())?;
    whole::refuse_what_means_nothing::<C>(&matches, &command)?;
    match whole::run(&matches, command) {
        Some(text) => Ok(Asked::Own(text)),
        None => Ok(Asked::Command(C::from_arg_matches(&matches)?)),
    }
}

/// A text with a line break at its end, where it says anything.
fn ended(text: &str) -> String {
    let missing = !text.is_empty() && !text.ends_with('\n');
    if missing { format!("{text}\n") } else { text.to_owned() }
}

fn print(finish: &CommandOutput, global: &GlobalArgs) -> ExitCode {
    let (text, code) = match finish {
        CommandOutput::Text(text) => (ended(text), 0),
        CommandOutput::Run(summary) => {
            let _ = match (global.quiet, summary.exit_code()) {
                (false, _) => write!(io::stderr(), "{}", plain(&told(summary, global.verbose))),
                (true, 0) => Ok(()),
                // With --quiet errors are still printed: failed shards were logged, this is their total.
                (true, _) => write!(io::stderr(), "{}", plain(&errors(summary))),
            };
            let json = || serde_json::to_string_pretty(summary).expect("a summary is plain data") + "\n";
            (if global.json { json() } else { String::new() }, summary.exit_code())
        }
    };
    // Data are exact for another program; on a terminal they must not control it.
    let text = if io::stdout().is_terminal() { plain(&text) } else { Cow::Borrowed(&*text) };
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            complain(&Error::Write { path: "standard output".into(), source: error })
        }
        _ => ExitCode::from(code),
    }
}

/// The summary for people; all of its steps for those who want to know more.
fn told(summary: &Summary, verbose: u8) -> String {
    if verbose > 0 { format!("{summary:#}") } else { summary.to_string() }
}

/// Why a run ends with an exit code above 0.
fn errors(summary: &Summary) -> String {
    let place = format!("{} {}: {}", summary.tool, summary.command, summary.output.display());
    let kind = if summary.exit_code() == EXIT_STOPPED { "" } else { "error: " };
    summary.verdict().iter().map(|line| format!("{kind}{place}: {line}\n")).collect()
}

/// Prints an error with those of its causes that the message does not mention.
fn complain(error: &(dyn StdError + 'static)) -> ExitCode {
    let mut text = error.to_string();
    let mut code = 2;
    let mut cause = Some(error);
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.contains(&message) {
            text = format!("{text}\n  because: {message}");
        }
        if matches!(error.downcast_ref(), Some(Error::TooManyFailures { .. })) {
            code = 1;
        }
        cause = error.source();
    }
    let _ = writeln!(io::stderr(), "error: {}", plain(&text));
    ExitCode::from(code)
}
