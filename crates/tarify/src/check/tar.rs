//! Checks of one tar.

use std::collections::HashSet;

use audsem_core::blame::Blame;
use audsem_core::clips::MAX_JSON_BYTES;
use audsem_core::reason::Reason as _;
use audsem_core::run::{LeftOut, ShardError, ShardOutput};
use audsem_core::suffix::is_media;
use audsem_core::tar::{Member, MemberReader, TarError, is_metadata, split_key};
use audsem_core::terminal::counted;
use serde::Serialize;

use super::sample::{Gathered, Verifier, check_json};
use super::{Config, Fault, MediaCheck};
use crate::sizes::SAMPLES;
use crate::tars::TarWork;

/// Counts of one tar.
#[derive(Debug, Default, Serialize)]
struct Report {
    tar: String,
    samples: u64,
    members: u64,
    media: u64,
    json: u64,
    ignored_members: u64,
    payload_bytes: u64,
    problems: u64,
}

struct Checker<'a> {
    config: &'a Config,
    verifier: &'a Verifier,
    out: &'a mut ShardOutput,
    keys: HashSet<String>,
    current: Option<Gathered>,
    report: Report,
    buffer: Vec<u8>,
}

pub(super) fn check(
    config: &Config,
    verifier: &Verifier,
    work: &TarWork,
    out: &mut ShardOutput,
) -> Result<(), ShardError> {
    let name = work.tar.name.clone();
    let opened = match config.verify {
        MediaCheck::Decode => MemberReader::open(&work.tar.path),
        MediaCheck::Headers => MemberReader::scan(&work.tar.path),
    };
    let opened = opened.map(|members| members.metered(work.meter(out)));
    let mut checker = Checker {
        config,
        verifier,
        out,
        keys: HashSet::new(),
        current: None,
        report: Report { tar: name.clone(), ..Report::default() },
        buffer: Vec::new(),
    };
    let result = opened.map_err(Stop::Tar).and_then(|mut members| checker.walk(&mut members, work.budget));
    checker.finish_sample();
    let result = match result {
        Err(Stop::Shard(error)) => return Err(error),
        // A failing disk says nothing about the tar.
        Err(Stop::Tar(error)) if error.blame() == Blame::Surroundings => return Err(ShardError::input(error)),
        Err(Stop::Tar(error)) => Err(error),
        Ok(()) => Ok(()),
    };
    match result {
        Ok(()) if checker.report.samples == 0 && checker.report.problems == 0 && work.budget > 0 => {
            let members = counted(checker.report.members, "members");
            checker.problem(&name, Fault::EmptyTar, members);
        }
        Ok(()) => {}
        Err(error @ TarError::NoEndMarker { .. }) => checker.problem(&name, Fault::NoEndMarker, error),
        Err(error @ TarError::TrailingData { .. }) => checker.problem(&name, Fault::TrailingData, error),
        Err(error @ TarError::Truncated { .. }) => checker.problem(&name, Fault::Truncated, error),
        Err(error) => checker.problem(&name, Fault::DamagedTar, error),
    }
    checker.write_report()
}

/// The reason why a tar is not checked to its end.
enum Stop {
    Tar(TarError),
    Shard(ShardError),
}

impl From<TarError> for Stop {
    fn from(error: TarError) -> Self {
        Self::Tar(error)
    }
}

impl From<ShardError> for Stop {
    fn from(error: ShardError) -> Self {
        Self::Shard(error)
    }
}

impl Checker<'_> {
    /// Goes through the members of up to `budget` samples.
    fn walk(&mut self, members: &mut MemberReader, budget: u64) -> Result<(), Stop> {
        while let Some(member) = members.next_member()? {
            self.report.members += 1;
            if !member.is_file || is_metadata(&member.name) {
                self.report.ignored_members += 1;
                continue;
            }
            let Some((key, suffix)) = split_key(&member.name) else {
                self.problem(&member.name, Fault::NoKey, "");
                continue;
            };
            if self.current.as_ref().is_none_or(|current| current.key != key) {
                self.finish_sample();
                if self.report.samples >= budget {
                    return Ok(());
                }
                self.start_sample(key);
            }
            self.member(members, &member, suffix)?;
        }
        Ok(())
    }

    fn start_sample(&mut self, key: &str) {
        let mut sample = Gathered::new(key.to_owned());
        if !self.keys.insert(key.to_owned()) {
            sample.problem(Fault::DuplicateKey, key);
        }
        self.current = Some(sample);
    }

    fn member(&mut self, members: &mut MemberReader, member: &Member, suffix: String) -> Result<(), Stop> {
        self.report.payload_bytes += member.size;
        self.out.work(member.size as f64 / 1e6);
        let found = self.content(members, member, &suffix)?;
        let sample = self.current.as_mut().expect("a sample was started for this member");
        if let Err((fault, detail)) = found {
            sample.problem(fault, detail);
        }
        sample.add(suffix, member.size);
        Ok(())
    }

    /// Checks the content of a member, if that was requested.
    fn content(
        &mut self,
        members: &mut MemberReader,
        member: &Member,
        suffix: &str,
    ) -> Result<Result<(), super::sample::Problem>, Stop> {
        if suffix == "json" {
            if member.size > MAX_JSON_BYTES {
                return Ok(Err((Fault::BadJson, format!("{} bytes", member.size))));
            }
            members.read_payload(&mut self.buffer)?;
            return Ok(check_json(&self.buffer, self.config));
        }
        let decodes = self.config.verify == MediaCheck::Decode && member.size > 0 && !self.out.dry_run();
        if decodes && is_media(suffix) {
            match members.read_payload(&mut self.buffer) {
                Err(error @ TarError::TooLarge { .. }) => return Ok(Err((Fault::TooLarge, error.to_string()))),
                read => read?,
            }
            return Ok(self.verifier.check(&member.name, &self.buffer, suffix)?);
        }
        Ok(Ok(()))
    }

    fn finish_sample(&mut self) {
        let Some(sample) = self.current.take() else { return };
        self.report.samples += 1;
        self.report.media += sample.media() as u64;
        self.report.json += u64::from(sample.has_json());
        let key = sample.key.clone();
        let problems = sample.finish();
        match problems.split_first() {
            None => self.out.file_kept(1),
            Some(((fault, detail), [])) => self.problem(&key, *fault, detail),
            Some(((fault, detail), more)) => {
                let more: Vec<String> =
                    more.iter().map(|(fault, detail)| format!("{} {detail}", fault.name())).collect();
                self.problem(&key, *fault, format_args!("{detail}; also {}", more.join("; ")));
            }
        }
    }

    fn problem(&mut self, key: &str, fault: Fault, detail: impl std::fmt::Display) {
        self.report.problems += 1;
        self.out.file_left_out(key, LeftOut::fail(fault, detail));
    }

    fn write_report(self) -> Result<(), ShardError> {
        self.out.count(SAMPLES, self.report.samples);
        self.out.count("payload_bytes", self.report.payload_bytes);
        let text = serde_json::to_string_pretty(&self.report).expect("counts are JSON") + "\n";
        let name = format!("report-{}.json", self.out.name());
        Ok(self.out.write_file(name, text.as_bytes())?)
    }
}
