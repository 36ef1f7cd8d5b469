//! The flags themselves.

use std::io::Write as _;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use clap::Args;

use super::slurm::ArrayTask;
use crate::error::{Error, Result};
use crate::progress::ProgressDisplay;
use crate::run::{RunOptions, ShardSelection};
use crate::terminal::obeys;

/// Flags of every binary, before or after the subcommand.
#[derive(Debug, Clone, Default, Args)]
pub struct GlobalArgs {
    /// Read flags from a TOML file: keys are flag names, at the top or in a table named after the command
    /// (`[classify]`), the binary (`[filtering]`) or both (`[filtering.classify]`); unknown keys are errors
    #[arg(long, global = true, value_name = "FILE.toml", help_heading = "General")]
    pub config: Option<PathBuf>,
    /// Print the summary as one JSON object on stdout
    #[arg(long, global = true, help_heading = "General")]
    pub json: bool,
    /// Tell more on stderr: what happens and every step of the summary; -vv tells all
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "General")]
    pub verbose: u8,
    /// Tell errors only
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "General")]
    pub quiet: bool,
    /// Show no progress: no bar on a terminal, and no lines elsewhere
    #[arg(long, global = true, help_heading = "General")]
    pub no_progress: bool,
    /// Seconds between two lines of progress, where stderr is no terminal or with -v [default: 30]
    #[arg(long, global = true, value_name = "SECONDS", value_parser = parse_seconds, help_heading = "General")]
    pub progress_every: Option<Duration>,
}

/// Time between two lines of progress.
const PROGRESS_EVERY: Duration = Duration::from_secs(30);

impl GlobalArgs {
    /// How progress is shown. Log lines and a bar that is drawn over itself do not go together.
    fn progress(&self) -> ProgressDisplay {
        match () {
            () if self.no_progress || self.quiet => ProgressDisplay::Hidden,
            () if self.verbose == 0 && obeys(&std::io::stderr()) => ProgressDisplay::Bar,
            () => ProgressDisplay::Lines { every: self.progress_every.unwrap_or(PROGRESS_EVERY) },
        }
    }
}

/// Flags of every subcommand that writes a run folder.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Run folder to write; running the same command again continues where it stopped
    #[arg(short, long, value_name = "DIR", help_heading = "Run")]
    pub output: PathBuf,
    /// Threads to use; never changes a byte of the output [default: all cores]
    #[arg(long, value_name = "N", help_heading = "Run")]
    pub workers: Option<usize>,
    /// Work on every N-th shard from the I-th (from 0), as one of N processes over the same folder
    /// [default: its place in the array for a task of a Slurm job array (SLURM_ARRAY_TASK_*), else 0/1]
    #[arg(long, value_name = "I/N", value_parser = parse_selection, help_heading = "Run")]
    pub shard: Option<ShardSelection>,
    /// Stop after this many records
    #[arg(long, value_name = "N", help_heading = "Run")]
    pub limit: Option<u64>,
    /// Seed of every random choice
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Run")]
    pub seed: u64,
    /// Count what would be done, without running models, reading media or writing anything
    #[arg(long, help_heading = "Run")]
    pub dry_run: bool,
    /// Delete the earlier run in the output folder and start again
    #[arg(long, help_heading = "Run")]
    pub fresh: bool,
    /// Share of failed records above which the run ends with exit code 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, value_parser = parse_share, help_heading = "Run")]
    pub max_fail_rate: f64,
    /// How to write dropped and failed records to rejects-*.jsonl: `all` writes one line for each; `listed` merges
    /// frequent ones of one video (its speech, in `extract`) into one line and writes one for each other
    #[arg(long, value_name = "WHICH", default_value = "listed", value_parser = ["listed", "all"], help_heading = "Run")]
    pub rejects: String,
}

impl RunArgs {
    /// The options these flags stand for.
    ///
    /// # Errors
    /// [`Error::Config`] when `--workers` is 0 or the Slurm variables make no sense.
    pub fn options(&self, global: &GlobalArgs) -> Result<RunOptions> {
        let workers = match self.workers {
            Some(0) => return Err(config("--workers", "expected at least 1")),
            Some(n) => n,
            None => thread::available_parallelism().map_or(1, usize::from),
        };
        Ok(RunOptions {
            output: self.output.clone(),
            workers,
            shard: self.shard.map_or_else(|| slurm_selection(global), Ok)?,
            limit: self.limit,
            seed: self.seed,
            dry_run: self.dry_run,
            fresh: self.fresh,
            max_fail_rate: self.max_fail_rate,
            progress: global.progress(),
            all_rejects: self.rejects == "all",
        })
    }
}

fn config(what: &str, problem: impl Into<String>) -> Error {
    Error::Config { what: what.to_owned(), problem: problem.into() }
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| *seconds > 0.0);
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "expected a number of seconds above 0".to_owned())
}

fn parse_share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("expected a share from 0 to 1".to_owned()),
    }
}

fn parse_selection(text: &str) -> Result<ShardSelection, String> {
    let parts = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
    match parts {
        Some((index, count)) if index < count => Ok(ShardSelection { index, count }),
        _ => Err("expected I/N with 0 <= I < N, such as 0/4".to_owned()),
    }
}

/// What a task of a Slurm job array works on, which is told; else everything.
fn slurm_selection(global: &GlobalArgs) -> Result<ShardSelection> {
    let Some(task) = ArrayTask::find(read_variable)? else { return Ok(ShardSelection::ALL) };
    if !global.quiet {
        let _ = writeln!(std::io::stderr(), "{task}");
    }
    Ok(task.selection)
}

#[allow(clippy::disallowed_methods, reason = "this is the one place that reads variables")]
fn read_variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_shard_selections() {
        assert_eq!(parse_selection("1/4"), Ok(ShardSelection { index: 1, count: 4 }));
        for bad in ["4/4", "1", "a/b", "-1/2", "0/0"] {
            assert!(parse_selection(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn selections_share_the_shards_out() {
        let mine = |index| (0..10).filter(move |shard| ShardSelection { index, count: 3 }.includes(*shard)).count();
        assert_eq!([mine(0), mine(1), mine(2)], [4, 3, 3]);
    }
}
