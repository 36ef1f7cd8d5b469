//! Figures of the rounds of one command.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::time::Instant;

use super::draw::{Draw, Round};
use super::round::Came;
use super::setting;

/// Rounds of one kind.
#[derive(Debug, Default)]
struct Tally {
    all: u64,
    /// Whose fault or kill came before the end of the run.
    struck: u64,
}

/// Figures of the rounds of one command.
#[derive(Debug)]
pub(super) struct Figures {
    name: String,
    seed: u64,
    begun: Instant,
    faults: Tally,
    kills: Tally,
    in_the_middle: u64,
    /// Rounds by exit code of the disturbed run; signals are `None`.
    codes: BTreeMap<Option<i32>, u64>,
    /// What should not be so.
    pub(super) wrong: Vec<String>,
}

impl Figures {
    pub(super) fn new(name: &str, seed: u64) -> Self {
        Self {
            name: name.to_owned(),
            seed,
            begun: Instant::now(),
            faults: Tally::default(),
            kills: Tally::default(),
            in_the_middle: 0,
            codes: BTreeMap::new(),
            wrong: Vec::new(),
        }
    }

    /// How many faults and kills came before the end of a run.
    pub(super) fn struck(&self) -> u64 {
        self.faults.struck + self.kills.struck
    }

    pub(super) fn add(&mut self, draw: &Draw, came: Came) {
        let rounds = match draw.round {
            Round::Fault(_) => &mut self.faults,
            Round::Kill(_) => &mut self.kills,
        };
        rounds.all += 1;
        rounds.struck += u64::from(came.struck);
        self.in_the_middle += u64::from(came.in_the_middle);
        *self.codes.entry(came.code).or_default() += 1;
        if !came.wrong.is_empty() {
            let again = format!("AUDSEM_CHAOS_SEED={} AUDSEM_CHAOS_ROUND={}", self.seed, draw.round);
            self.wrong.push(format!("{draw} ({again}):\n  {}", came.wrong.join("\n  ")));
        }
    }

    /// Adds a line to the table that is asked for, if any: name, faults, how many struck, kills, how many struck, how many
    /// runs were stopped in the middle, exit codes 0, 1 and 2, signals, wrong rounds, seconds.
    pub(super) fn publish(&self) {
        let Some(path) = setting("AUDSEM_CHAOS_TABLE") else { return };
        let code = |code: Option<i32>| self.codes.get(&code).copied().unwrap_or(0);
        let counts = [
            self.faults.all,
            self.faults.struck,
            self.kills.all,
            self.kills.struck,
            self.in_the_middle,
            code(Some(0)),
            code(Some(1)),
            code(Some(2)),
            code(None),
            self.wrong.len() as u64,
        ];
        let counts = counts.map(|count| count.to_string()).join("\t");
        let line = format!("{}\t{counts}\t{:.1}\n", self.name, self.begun.elapsed().as_secs_f64());
        let written =
            File::options().append(true).create(true).open(&path).and_then(|mut file| file.write_all(line.as_bytes()));
        written.unwrap_or_else(|error| panic!("{path}: {error}"));
    }
}
