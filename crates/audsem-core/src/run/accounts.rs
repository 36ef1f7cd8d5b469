//! The accounts of a shard: each record is counted by the call that files its outcome.
//!
//! A record cannot be counted as read without filing its outcome, so in every shard
//! `read = kept + dropped + failed`. One record is filed with [`ShardOutput::file`]. For speed, many
//! records with the same outcome are filed at once: [`ShardOutput::file_kept`] for
//! records that need no line, [`ShardOutput::file_many`] for a line that stands for many records, and
//! [`ShardOutput::file_batch`] for what a thread inside the shard has filed in a [`RejectBatch`], where all that
//! is filed is counted and written.

use std::fmt::Display;
use std::io::Write;

use super::outcome::{LeftOut, Outcome};
use super::rejects::RejectBatch;
use super::shard::{OutputFile, ShardOutput};
use super::spread;
use super::stats::add;
use crate::error::{Error, Result};

impl ShardOutput {
    /// Files one record: counts it as read and as kept, dropped or failed, and writes a line to the
    /// rejects file if it is left out. Returns what is kept.
    pub fn file<T, D: Display>(&mut self, key: impl Display, outcome: Outcome<T, D>) -> Option<T> {
        self.file_by(|own| own.file(key, outcome))
    }

    /// Files `n` records that are kept.
    pub fn file_kept(&mut self, n: u64) {
        self.file_by(|own| own.file_kept(n));
    }

    /// Files one record that is left out.
    pub fn file_left_out<D: Display>(&mut self, key: impl Display, left_out: LeftOut<D>) {
        self.file_by(|own| own.file_left_out(key, left_out));
    }

    /// Files `n` records that share a key and a reason, in one line: for what is so common that a line
    /// for each would be larger than the input (the speech of a video, say).
    pub fn file_many<D: Display>(&mut self, key: impl Display, left_out: LeftOut<D>, n: u64) {
        self.file_by(|own| own.file_many(key, left_out, n));
    }

    /// Files in the shard's own batch and takes that in. A failure to write is reported at commit.
    fn file_by<T>(&mut self, file: impl FnOnce(&mut RejectBatch) -> T) -> T {
        let mut own = self.own.take().unwrap_or_else(|| self.reject_batch());
        let filed = file(&mut own);
        if let Err(error) = self.file_batch(&mut own) {
            own.clear();
            self.reject_error.get_or_insert(error);
        }
        self.own = Some(own);
        filed
    }

    /// Files what a thread inside this shard has filed in a batch, and empties the batch. Take batches
    /// in the order of their records.
    ///
    /// # Errors
    /// [`Error::Write`] when the rejects file cannot be written.
    pub fn file_batch(&mut self, batch: &mut RejectBatch) -> Result<()> {
        self.stats.kept += batch.kept();
        self.counters.add_kept(batch.kept());
        let mut read = batch.kept();
        for (counts, filed) in [(&mut self.stats.dropped, batch.dropped()), (&mut self.stats.failed, batch.failed())] {
            for (reason, n) in filed {
                read += n;
                add(counts, reason, *n);
            }
        }
        self.stats.read += read;
        self.counters.add_read(read);
        if !batch.lines().is_empty() && self.reject_error.is_none() {
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

    fn rejects_file(&mut self) -> Result<&mut OutputFile> {
        if self.rejects.is_none() {
            self.rejects = Some(self.create(rejects_name(self.step, &self.shard))?);
        }
        Ok(self.rejects.as_mut().expect("made in the line above"))
    }
}

/// The rejects file of the main step has no step in its name.
fn rejects_name(step: &str, shard: &str) -> String {
    match step {
        "part" => spread::file_name("rejects-", shard, ".jsonl"),
        step => spread::file_name(&format!("rejects-{step}-"), shard, ".jsonl"),
    }
}
