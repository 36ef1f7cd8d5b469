//! Commands under faults and kills, drawn from a seed: does a re-run always end in the same bytes?
//!
//! A command runs once undisturbed, with a library before the C library that notes each call about a file. Then, in each
//! round, one of these calls fails, is cut short or kills its process, or the process is killed at some moment; the same
//! command runs again without the fault, and its folder is compared with the undisturbed one. A round has one worker, two,
//! or two processes with `--shard 0/2` and `--shard 1/2`.
//!
//! Settings of the tests, which `scripts/chaos` sets: `AUDSEM_CHAOS_SEED`, `AUDSEM_CHAOS_FAULTS` and
//! `AUDSEM_CHAOS_KILLS` (rounds for each command), `AUDSEM_CHAOS_ROUND` (`fault-3`: this round alone), and `AUDSEM_CHAOS_TABLE` (a
//! file to which a line of figures is added).

mod commands;
mod draw;
mod judge;
mod round;
mod shim;
mod table;

use std::io;
use std::path::Path;
use std::process::Command;

pub use commands::assert_subcommands_are_tested;

use table::Figures;

use draw::{Draw, Round};
use round::Undisturbed;
use shim::Shim;

/// Rounds with a fault for each command, where nothing else is set.
const FAULTS: u64 = 10;

/// Rounds with a kill for each command, where nothing else is set.
const KILLS: u64 = 2;

/// A setting of the tests themselves.
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn number(name: &str) -> Option<u64> {
    setting(name).map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value}")))
}

/// The kind of a command, by its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A run folder, whose shards several processes can share.
    Runs,
    /// Files without a record of a run; two processes at once write the same ones.
    Writes,
    /// What is printed.
    Prints,
}

/// Runs a command that writes a run folder through the rounds of this seed.
///
/// `program` gives the command for an output folder and a number of workers. Everything that it reads and writes lies
/// under `folder`, temporary files included; what lies elsewhere never fails.
///
/// # Panics
/// When a round ends wrongly, after all rounds, with how to run each such round again.
pub fn survive(name: &str, folder: &Path, program: impl Fn(&Path, usize) -> Command) {
    survive_all(name, folder, Kind::Runs, &program);
}

/// Runs a command that writes files without a run folder through the rounds of this seed, as [`survive`] does; `program`
/// gives it for the folder that the files lie in.
///
/// # Panics
/// When a round ends wrongly.
pub fn survive_writing(name: &str, folder: &Path, program: impl Fn(&Path) -> Command) {
    survive_all(name, folder, Kind::Writes, &|output, _| program(output));
}

/// Runs a command whose result is what it prints through the rounds of this seed, as [`survive`] does; `program` gives
/// it for a number of workers.
///
/// # Panics
/// When a round ends wrongly.
pub fn survive_printing(name: &str, folder: &Path, program: impl Fn(usize) -> Command) {
    survive_all(name, folder, Kind::Prints, &|_, workers| program(workers));
}

fn survive_all(name: &str, folder: &Path, kind: Kind, program: &dyn Fn(&Path, usize) -> Command) {
    let folder = folder.canonicalize().unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let figures = Rounds { name, folder: &folder, kind, program }.run();
    let figures = figures.unwrap_or_else(|error| panic!("{name}: {error}"));
    figures.publish();
    let wrong = &figures.wrong;
    assert!(wrong.is_empty(), "{name}: {} rounds ended wrongly\n{}", wrong.len(), wrong.join("\n"));
    assert!(figures.struck() > 0 || setting("AUDSEM_CHAOS_ROUND").is_some(), "{name}: no fault struck");
}

/// The rounds of one command.
struct Rounds<'a> {
    name: &'a str,
    folder: &'a Path,
    kind: Kind,
    program: &'a dyn Fn(&Path, usize) -> Command,
}

impl Rounds<'_> {
    fn run(&self) -> io::Result<Figures> {
        let seed = number("AUDSEM_CHAOS_SEED").unwrap_or(1);
        let faults = number("AUDSEM_CHAOS_FAULTS").unwrap_or(FAULTS);
        let kills = number("AUDSEM_CHAOS_KILLS").unwrap_or(KILLS);
        let only = setting("AUDSEM_CHAOS_ROUND");
        let rounds = (0..faults).map(Round::Fault).chain((0..kills).map(Round::Kill));
        let shim = Shim::build(self.folder)?;
        let undisturbed = Undisturbed::run(self, &shim)?;
        let mut figures = Figures::new(self.name, seed);
        for round in rounds.filter(|round| only.as_ref().is_none_or(|only| *only == round.to_string())) {
            let draw = Draw::new(self.name, seed, round, &undisturbed.calls);
            let came = round::play(self, &shim, &undisturbed, &draw)?;
            figures.add(&draw, came);
        }
        Ok(figures)
    }
}
