//! `check`: are the tars complete, and do they hold what their readers expect?
//!
//! Every sound and video is decoded to its end, unless [`MediaCheck::Headers`] is chosen (`--verify none`). Every problem is one line of `rejects-*.jsonl`; any problem makes the exit code 1, unless
//! `--max-fail-rate` allows some.
//!
//! ```text
//! out/report-00000.json   counts of one tar
//! out/rejects-00000.jsonl its problems
//! ```

mod reason;
mod sample;
mod sizes;
mod tar;

pub use reason::Fault;

use std::path::PathBuf;

use audsem_core::records::Task;
use audsem_core::run::{Run, RunConfig, RunOptions, RunSpec, Stats, Status, Step, StepOutputs, Summary};
use audsem_core::terminal::counted;
use serde::Serialize;

use sample::Verifier;

use crate::error::Error;
use crate::tars::{TarInput, Unit, list_tars, plan};

/// Tars named in the summary; the rest is in the reports.
const TARS_NAMED: usize = 20;

/// How thoroughly sounds and videos are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum MediaCheck {
    /// Decode every sound and every video to its end, and read the JSON
    #[value(name = "full")]
    Decode,
    /// Check names, sizes and JSON only
    #[value(name = "none")]
    Headers,
}

/// What is checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Tars, or folders of them.
    pub inputs: Vec<PathBuf>,
    /// The task whose training shards these are: the JSON must be of its format, whatever `--pairs` was.
    pub task: Option<Task>,
    /// Whether the training shards were built with `--semantic`.
    pub semantic: bool,
    /// Further JSON fields that must be present and not empty.
    pub fields: Vec<String>,
    /// How thoroughly sounds and videos are checked.
    pub verify: MediaCheck,
    /// Where ffmpeg is, if not in `PATH`; it decodes pictures, and sound that the built-in decoders cannot read.
    pub ffmpeg: Option<PathBuf>,
}

/// What decides the content of the output. The content of the tars is fingerprinted shard by shard, so
/// that a tar that was repaired does not undo the others.
#[derive(Serialize)]
struct HashedConfig<'a> {
    task: Option<&'a Task>,
    semantic: bool,
    fields: &'a [String],
    verify: MediaCheck,
    tars: Vec<&'a str>,
}

impl RunConfig for HashedConfig<'_> {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "check";
}

impl<'a> HashedConfig<'a> {
    fn of(config: &'a Config, tars: &'a [TarInput]) -> Self {
        let Config { inputs: _, task, semantic, fields, verify, ffmpeg: _ } = config;
        let tars = tars.iter().map(|tar| tar.name.as_str()).collect();
        Self { task: task.as_ref(), semantic: *semantic, fields, verify: *verify, tars }
    }
}

/// Checks the tars and writes reports into the output folder. The summary's status is the result:
/// whether more than [`RunOptions::max_fail_rate`] of what was checked has problems.
///
/// # Errors
/// There is no tar, and what [`Run::open`] and [`Run::execute`] give.
pub fn run(config: &Config, options: &RunOptions) -> Result<Summary, Error> {
    let tars = list_tars(&config.inputs)?;
    // A check that stops at the first thousand problems would hide the others.
    let tolerated = options.max_fail_rate;
    let options = RunOptions { max_fail_rate: 1.0, ..options.clone() };
    let hashed = HashedConfig::of(config, &tars);
    let spec = RunSpec::new(&hashed);
    let mut run = Run::open(&options, spec)?;
    let step = Step { name: "part", unit: "samples", physical: "MB" };
    run.must_keep(step).explain(Fault::ALL);
    let shards = plan(tars.clone(), Unit::Samples, options.limit);
    let verifier = Verifier::new(config.ffmpeg.as_deref());
    let checked = run.execute(step, &shards, |work, out| tar::check(config, &verifier, work, out))?;
    if checked.complete && options.limit.is_none() {
        sizes::step(&mut run, config, &tars, &checked)?;
    }
    Ok(describe(run.finish()?, &tars, &checked, tolerated))
}

/// What a check says that passed.
fn verdict(n_bad: u64, tolerated: f64) -> String {
    match n_bad {
        0 => "passed".to_owned(),
        n => format!("passed: {}, no more than --max-fail-rate {tolerated} allows", counted(n, "problems")),
    }
}

/// Too many problems in a step, or a tar that could not be opened, is a check that did not pass.
fn describe(mut summary: Summary, tars: &[TarInput], checked: &StepOutputs, tolerated: f64) -> Summary {
    // Also where nothing is as it should be, the share that is tolerated decides.
    if summary.status == Status::Empty {
        (summary.status, summary.empty) = (Status::Done, None);
    }
    let bad = |stats: &Stats| stats.n_failed() > 0;
    let too_bad = |stats: &Stats| stats.n_failed() as f64 > tolerated * stats.read as f64;
    if summary.steps.iter().any(|(_, stats)| too_bad(stats)) || !summary.failed_shards.is_empty() {
        summary.status = Status::CheckFailed;
    }
    let name = |shard: &str| shard.parse::<usize>().ok().and_then(|index| tars.get(index)).map(|tar| tar.name.clone());
    let mut problems = serde_json::Map::new();
    for shard in checked.outputs.iter().filter(|shard| bad(&shard.stats)).take(TARS_NAMED) {
        if let Some(name) = name(&shard.name) {
            problems.insert(name, shard.stats.n_failed().into());
        }
    }
    if checked.stats.read == 0 {
        summary = summary.as_empty("nothing was checked: the tars hold no samples");
    }
    if summary.status == Status::Done && !summary.dry_run {
        let n_bad = summary.steps.iter().map(|(_, stats)| stats.n_failed()).sum::<u64>();
        summary = summary.with_result("check", verdict(n_bad, tolerated));
    }
    if problems.is_empty() { summary } else { summary.with_result("tars_with_problems", problems) }
}
