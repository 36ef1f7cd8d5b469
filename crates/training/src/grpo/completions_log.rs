//! `completions.jsonl`: every completion with its rewards, as `audsem-training rewards` reads it.
//!
//! While the training runs, lines are appended to a file in the folder of live metrics. Its length is part of a checkpoint, so
//! that a training that continues cuts off what it writes again.

use std::fs::{File, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use audsem_core::error::Error as CoreError;
use audsem_core::files::create_folder;
use serde_json::{Map, Value, json};

use super::experience::{ScoredCompletion, ScoredGroup};
use crate::error::Result;
use crate::metrics::live_folder;

/// The name of the file, here and in the run folder.
pub(super) const COMPLETIONS: &str = "completions.jsonl";

/// The file in which completions are collected.
#[derive(Debug)]
pub(super) struct CompletionLog {
    path: PathBuf,
    file: File,
}

impl CompletionLog {
    /// Continues the file of a run behind its first `bytes`.
    ///
    /// # Errors
    /// The disk refuses, or what earlier steps have written is not there.
    pub(super) fn open(run_folder: &Path, bytes: u64) -> Result<Self> {
        let folder = live_folder(run_folder);
        create_folder(&folder)?;
        let path = folder.join(COMPLETIONS);
        let open = || -> std::io::Result<(File, u64)> {
            let file = OpenOptions::new().create(true).read(true).write(true).truncate(false).open(&path)?;
            let there = file.metadata()?.len();
            Ok((file, there))
        };
        let (mut file, there) = open().map_err(CoreError::write(&path))?;
        if there < bytes {
            let problem = format!(
                "{there} of the {bytes} bytes of completions that earlier steps have written are left\n\
                 hint: begin again with --fresh"
            );
            return Err(CoreError::input(&path, problem).into());
        }
        file.set_len(bytes).and_then(|()| file.seek(SeekFrom::End(0))).map_err(CoreError::write(&path))?;
        Ok(Self { path, file })
    }

    /// Adds the completions of a step; returns the length of the file.
    pub(super) fn add(&mut self, step: usize, groups: &[ScoredGroup], names: &[String]) -> Result<u64> {
        let lines: String = groups
            .iter()
            .flat_map(|group| group.completions.iter().enumerate().map(move |(n, one)| (group, n, one)))
            .map(|(group, number, one)| line(step, group, number, one, names))
            .collect();
        let write = |file: &mut File| file.write_all(lines.as_bytes()).and_then(|()| file.stream_position());
        Ok(write(&mut self.file).map_err(CoreError::write(&self.path))?)
    }

    /// Waits until everything is on disk.
    pub(super) fn flush(&self) -> Result<()> {
        Ok(self.file.sync_data().map_err(CoreError::write(&self.path))?)
    }

    /// Copies everything to a file.
    pub(super) fn copy_to(&mut self, target: &mut impl std::io::Write) -> std::io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        std::io::copy(&mut self.file, target).map(|_| ())
    }
}

fn line(step: usize, group: &ScoredGroup, number: usize, one: &ScoredCompletion, names: &[String]) -> String {
    let text = &group.example.text;
    let rewards: Map<String, Value> =
        names.iter().cloned().zip(one.reward.values.iter().map(|value| json!(value))).collect();
    let mut line = json!({
        "step": step, "key": group.example.key, "number": number, "question": text.question,
        "choices": text.choices.as_ref().map(|choices| choices.to_value()), "answer": text.answer,
        "completion": one.text, "finish": one.rollout.finish, "tokens": one.rollout.tokens.len(),
        "reward": one.reward.total, "rewards": rewards, "advantage": one.advantage,
    });
    if !one.reward.faults.is_empty() {
        line["faults"] = one.reward.faults.iter().map(|(n, why)| (names[*n].clone(), json!(why))).collect();
    }
    format!("{line}\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_written_again_is_cut_off_and_what_is_lost_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("live/completions.jsonl");
        CompletionLog::open(folder.path(), 0).unwrap().file.write_all(b"one\ntwo\nthree").unwrap();
        let mut log = CompletionLog::open(folder.path(), 8).unwrap();
        assert_eq!(log.add(2, &[], &[]).unwrap(), 8);
        log.file.write_all(b"2\n").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"one\ntwo\n2\n");
        let mut copy = Vec::new();
        log.copy_to(&mut copy).unwrap();
        assert_eq!(copy, b"one\ntwo\n2\n");
        let error = CompletionLog::open(folder.path(), 11).unwrap_err().to_string();
        assert!(error.contains("10 of the 11 bytes") && error.contains("--fresh"), "{error}");
    }
}
