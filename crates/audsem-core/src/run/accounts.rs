//! The accounts of a shard: each record is counted by the call that files its outcome.
//!
//! A record cannot be counted as read without filing its outcome, so in every shard
//! `read = kept + dropped + failed`. One record is filed with [`ShardOutput::file`]. For speed, many
//! records with the same outcome are filed at once: [`ShardOutput::file_kept`] for
//! records that need no line, [`ShardOutput::file_many`] for a line that stands for many records, and
//! [`ShardOutput::file_batch`] for what a thread inside the shard has filed in a [`RejectBatch`].

use std::fmt::Display;
use std::io::Write;

use super::outcome::{LeftOut, Outcome};
use super::rejects::{Line, RejectBatch};
use super::shard::{OutputFile, ShardOutput};
use super::stats::add;
use crate::error::{Error, Result};
use crate::reason::Reason;

impl ShardOutput {
    /// Files one record: counts it as read and as kept, dropped or failed, and writes a line to the
    /// rejects file if it is left out. Returns what is kept.
    pub fn file<T, D: Display>(&mut self, key: impl Display, outcome: Outcome<T, D>) -> Option<T> {
        match outcome {
            Ok(kept) => {
                self.file_kept(1);
                Some(kept)
            }
            Err(left_out) => {
                self.file_left_out(key, left_out);
                None
            }
        }
    }

    /// Files `n` records that are kept.
    pub fn file_kept(&mut self, n: u64) {
        self.count_read(n);
        self.stats.kept += n;
        self.counters.add_kept(n);
    }

    /// Files one record that is left out.
    pub fn file_left_out<D: Display>(&mut self, key: impl Display, left_out: LeftOut<D>) {
        self.file_many(key, left_out, 1);
    }

    /// Files `n` records that share a key and a reason, in one line: for what is so common that a line
    /// for each would be larger than the input (the speech of a video, say).
    pub fn file_many<D: Display>(&mut self, key: impl Display, left_out: LeftOut<D>, n: u64) {
        self.count_read(n);
        let counts = if left_out.is_failure() { &mut self.stats.failed } else { &mut self.stats.dropped };
        add(counts, left_out.reason(), n);
        let (outcome, reason) = (left_out.outcome(), left_out.reason());
        self.reject(Line { outcome, reason, records: n, key: &key, detail: left_out.detail() });
    }

    /// Files what a thread inside this shard has filed in a batch, and empties the batch. Take batches
    /// in the order of their records.
    ///
    /// # Errors
    /// [`Error::Write`] when the rejects file cannot be written.
    pub fn file_batch(&mut self, batch: &mut RejectBatch) -> Result<()> {
        self.file_kept(batch.kept());
        for (counts, filed) in [(&mut self.stats.dropped, batch.dropped()), (&mut self.stats.failed, batch.failed())] {
            for (reason, n) in filed {
                self.stats.read += n;
                self.counters.add_read(*n);
                add(counts, reason, *n);
            }
        }
        if !batch.lines().is_empty() {
            let file = self.rejects_file()?;
            file.write_all(batch.lines()).map_err(Error::write(file.path()))?;
        }
        batch.clear();
        Ok(())
    }

    /// An empty batch, for a thread inside this shard.
    pub fn reject_batch(&self) -> RejectBatch {
        RejectBatch::new(self.step, !self.dry_run)
    }

    /// Announces that the input holds `n` further records, where that is known without counting what is filed
    /// (the rows of a table). The shard cannot be committed unless as many are filed as were announced.
    pub fn announce(&mut self, n: u64) {
        *self.announced.get_or_insert(0) += n;
    }

    /// Whether the user wants a line for each record that [`ShardOutput::file_many`] would file with others.
    pub fn files_all_rejects(&self) -> bool {
        self.all_rejects
    }

    /// Refuses a shard that has forgotten or repeated a record.
    pub(super) fn check_accounts(&self) -> Result<()> {
        let (read, accounted) = (self.announced.unwrap_or(self.stats.read), self.stats.accounted());
        if read == accounted {
            return Ok(());
        }
        Err(Error::Unaccounted { step: self.step.to_owned(), shard: self.shard.clone(), read, accounted })
    }

    fn count_read(&mut self, n: u64) {
        self.stats.read += n;
        self.counters.add_read(n);
    }

    fn reject(&mut self, line: Line<'_>) {
        if self.dry_run || self.reject_error.is_some() {
            return;
        }
        if let Err(error) = self.try_reject(line) {
            self.reject_error = Some(error);
        }
    }

    fn try_reject(&mut self, line: Line<'_>) -> Result<()> {
        let mut writer = std::mem::take(&mut self.reject_writer);
        let step = self.step;
        let written = writer.write(self.rejects_file()?, step, line);
        self.reject_writer = writer;
        written
    }

    fn rejects_file(&mut self) -> Result<&mut OutputFile> {
        if self.rejects.is_none() {
            self.rejects = Some(self.create(rejects_name(self.step, &self.shard))?);
        }
        Ok(self.rejects.as_mut().expect("made in the line above"))
    }
}

/// Until every step files outcomes.
impl ShardOutput {
    /// Counts records that came in.
    pub fn read(&mut self, n: u64) {
        self.stats.read += n;
        self.counters.add_read(n);
    }

    /// Counts records that went out.
    pub fn keep(&mut self, n: u64) {
        self.stats.kept += n;
        self.counters.add_kept(n);
    }

    /// Counts a record left out by a rule and writes it to the rejects file.
    pub fn drop(&mut self, key: impl Display, reason: impl Reason, detail: impl Display) {
        self.drop_many(key, reason, 1, detail);
    }

    /// Counts `records` records that share a key, in one line: for what is so common that a
    /// line for each would be larger than the input (the speech of a video, say).
    pub fn drop_many(&mut self, key: impl Display, reason: impl Reason, records: u64, detail: impl Display) {
        add(&mut self.stats.dropped, reason.name(), records);
        self.reject(Line { outcome: "dropped", reason: reason.name(), records, key: &key, detail: &detail });
    }

    /// Counts a broken record and writes it to the rejects file.
    pub fn fail(&mut self, key: impl Display, fault: impl Reason, detail: impl Display) {
        add(&mut self.stats.failed, fault.name(), 1);
        self.reject(Line { outcome: "failed", reason: fault.name(), records: 1, key: &key, detail: &detail });
    }
}

/// The rejects file of the main step has no step in its name.
fn rejects_name(step: &str, shard: &str) -> String {
    match step {
        "part" => format!("rejects-{shard}.jsonl"),
        step => format!("rejects-{step}-{shard}.jsonl"),
    }
}
