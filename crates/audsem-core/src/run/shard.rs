//! The unit of work, commit and resume.
//!
//! The marker of a shard is created, under its temporary name and locked, before the work on the shard begins, and
//! renamed after its outputs. Until then it keeps other processes from working on the shard, and if this one is killed
//! between two outputs, it names what was left.

use std::fmt::Display;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::entry::Entry;
use super::fresh::remove_output;
use super::marker::{Found, Marker, OutputRecord};
use super::reads::Reads;
use super::rejects::RejectBatch;
use super::stats::{Stats, add};
use crate::error::{Error, Result};
use crate::files::{AtomicFile, StagedFile, sync_folder, temporary_of};
use crate::progress::{Counters, InputMeter, ShardCounters};

/// One piece of a step's plan.
#[derive(Debug, Clone)]
pub struct Shard<W> {
    /// Name that is unique within the step and sorts in order, usually `00042`.
    pub name: String,
    /// Everything the shard reads; see [`super::Fingerprint`].
    pub fingerprint: Reads,
    /// What to do.
    pub work: W,
}

/// Why a shard could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum ShardError {
    /// Its input is bad: this shard fails, the run continues and ends with exit code 1.
    #[error("{0}")]
    Input(String),
    /// A stop was requested while the shard waited for an external service or program; the next run tries it again.
    #[error("stopped on request")]
    Stopped,
    /// Nothing can be written, or the program has an error: the run ends.
    #[error(transparent)]
    Fatal(#[from] Error),
}

impl ShardError {
    /// A bad input, from any error.
    pub fn input(error: impl Display) -> Self {
        Self::Input(error.to_string())
    }

    /// The end of the run, from any error: what failed would fail for every other record as well.
    pub fn fatal(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Fatal(Error::Stage(error.into()))
    }

    /// Converts an error of this crate: a failure to read fails the shard, any other error ends the run.
    pub fn from_core(error: Error) -> Self {
        match error {
            Error::Read { .. } | Error::Input { .. } => Self::input(error),
            other => Self::Fatal(other),
        }
    }
}

/// An output file of a shard: to be filled, then handed to [`ShardOutput::close`].
#[derive(Debug)]
pub struct OutputFile {
    path: PathBuf,
    /// `None` on a dry run.
    file: Option<AtomicFile>,
}

impl OutputFile {
    /// The final path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Write for OutputFile {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match &mut self.file {
            Some(file) => file.write(buf),
            None => Ok(buf.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }
}

/// Where a shard's results go: its files, its rejects and its counts ([`ShardOutput::file`]). Nothing is
/// visible until the shard is committed, and then all of it is.
#[derive(Debug)]
pub struct ShardOutput {
    pub(super) folder: PathBuf,
    pub(super) step: &'static str,
    pub(super) shard: String,
    pub(super) dry_run: bool,
    pub(super) all_rejects: bool,
    inner_workers: usize,
    pub(super) counters: Arc<ShardCounters>,
    pub(super) stats: Stats,
    staged: Vec<StagedFile>,
    pub(super) rejects: Option<OutputFile>,
    /// What this thread files; `None` before the first record.
    pub(super) own: Option<RejectBatch>,
    /// The first failure to write a reject, reported at commit so that filing stays simple.
    pub(super) reject_error: Option<Error>,
    /// Records that the input is known to hold; see [`ShardOutput::announce`].
    pub(super) announced: Option<u64>,
}

/// What a step gives each of its shards.
#[derive(Debug, Clone)]
pub(super) struct ShardContext {
    pub(super) folder: PathBuf,
    pub(super) step: &'static str,
    pub(super) dry_run: bool,
    pub(super) all_rejects: bool,
    pub(super) inner_workers: usize,
    pub(super) counters: Arc<Counters>,
}

impl ShardOutput {
    pub(super) fn new(context: ShardContext, shard: &str) -> Self {
        let ShardContext { folder, step, dry_run, all_rejects, inner_workers, counters } = context;
        Self {
            folder,
            step,
            shard: shard.to_owned(),
            dry_run,
            all_rejects,
            inner_workers,
            counters: counters.begin(shard),
            stats: Stats::default(),
            staged: Vec::new(),
            rejects: None,
            own: None,
            reject_error: None,
            announced: None,
        }
    }

    /// Starts an output file; `name` is relative to the run folder and may name a subfolder.
    ///
    /// # Errors
    /// [`Error::Write`] when it cannot be made.
    pub fn create(&self, name: impl AsRef<Path>) -> Result<OutputFile> {
        let path = self.folder.join(name);
        let file = if self.dry_run { None } else { Some(AtomicFile::create(&path)?) };
        Ok(OutputFile { path, file })
    }

    /// Finishes an output file: it is flushed to disk now and appears when the shard is committed.
    ///
    /// # Errors
    /// [`Error::Write`] when the disk is full.
    pub fn close(&mut self, file: OutputFile) -> Result<()> {
        if let Some(file) = file.file {
            let staged = file.stage()?;
            self.stats.bytes += staged.written().bytes;
            self.staged.push(staged);
        }
        Ok(())
    }

    /// This shard's name, `00042`.
    pub fn name(&self) -> &str {
        &self.shard
    }

    /// Threads this shard may use inside.
    pub fn inner_workers(&self) -> usize {
        self.inner_workers
    }

    /// Whether nothing may be written and no models or media may be used.
    pub fn dry_run(&self) -> bool {
        self.dry_run
    }

    /// Writes a small file at once.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn write_file(&mut self, name: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
        let mut file = self.create(name)?;
        file.write_all(bytes).map_err(Error::write(file.path()))?;
        self.close(file)
    }

    /// Adds to a further counter of the step.
    pub fn count(&mut self, name: &str, n: u64) {
        add(&mut self.stats.counts, name, n);
    }

    /// Reports physical work done (MB, seconds of audio, tokens) to the progress line.
    pub fn work(&self, amount: f64) {
        self.counters.add_physical(amount);
    }

    /// Tells the progress line how many records this shard will read, where that is known before they are filed.
    pub fn expect(&self, n: u64) {
        self.counters.expect(n);
    }

    /// A meter that tells the progress line how far the reading of a file has come, of which this shard reads `bytes`; for
    /// shards whose records are not known before.
    pub fn meter(&self, bytes: u64) -> InputMeter {
        self.counters.meter(bytes)
    }

    /// Reports records that are through, but are filed later, to the progress line.
    pub fn through(&self, n: u64) {
        self.counters.add_through(n);
    }

    /// Says what a stop request does to this shard, where it does not wait for the end of the shard.
    pub fn on_stop(&self, words: &'static str) {
        self.counters.set_on_stop(words);
    }

    /// Shows a short text as the progress until the next one.
    pub fn note(&self, text: String) {
        self.counters.set_note(text);
    }

    /// Checks the accounts and publishes everything: files, rejects, then the marker. What the shard left when it had
    /// read something else goes before that, so that the marker is the last step. On a dry run there is no claim.
    pub(super) fn commit(mut self, reads: (&str, &str), entry: Option<&Entry>, claim: Option<Claim>) -> Result<Marker> {
        if let Some(error) = self.reject_error.take() {
            return Err(error);
        }
        if let Some(rejects) = self.rejects.take() {
            let bytes = self.stats.bytes;
            self.close(rejects)?;
            self.stats.bytes = bytes;
        }
        self.check_accounts()?;
        self.staged.sort_by(|a, b| a.path().cmp(b.path()));
        let marker = Marker {
            config_hash: reads.0.to_owned(),
            input_fingerprint: reads.1.to_owned(),
            outputs: self.staged.iter().map(|file| self.record(file)).collect(),
            stats: self.stats.clone(),
        };
        if let (Some(entry), Some(claim)) = (entry, claim) {
            entry.check()?;
            claim.publish(&marker, &self.folder, &mut self.staged)?;
        }
        Ok(marker)
    }

    fn record(&self, file: &StagedFile) -> OutputRecord {
        let path = file.path().strip_prefix(&self.folder).expect("made by joining the folder").to_owned();
        let written = file.written();
        OutputRecord { path, bytes: written.bytes, sha256: written.sha256.clone(), discarded: false }
    }
}

/// The right to work on a shard: its marker under the temporary name, locked.
#[derive(Debug)]
pub(super) struct Claim {
    marker: AtomicFile,
    /// What earlier processes have left of the shard, or may have left, with another input.
    earlier: Vec<PathBuf>,
}

impl Claim {
    /// Claims a shard; `None` when another process works on it.
    pub(super) fn take(path: &Path) -> Result<Option<Self>> {
        let mut earlier = Vec::new();
        for place in [path, &temporary_of(path)] {
            // An incomplete marker names nothing: its outputs were not renamed yet.
            if let Ok(Found::Marker(marker)) = Marker::find(place) {
                earlier.extend(marker.outputs.into_iter().map(|output| output.path));
            }
        }
        Ok(AtomicFile::claim(path)?.map(|marker| Self { marker, earlier }))
    }

    /// Publishes the outputs, then the marker. The marker is on disk before the first of them has its name.
    fn publish(mut self, marker: &Marker, folder: &Path, outputs: &mut [StagedFile]) -> Result<()> {
        let path = self.marker.path().to_owned();
        self.marker.write_all(&marker.to_bytes()).map_err(Error::write(&path))?;
        let mut staged = self.marker.stage()?;
        outputs.iter_mut().try_for_each(StagedFile::publish)?;
        let mut folders: Vec<_> = outputs.iter().filter_map(|file| file.path().parent()).collect();
        folders.dedup();
        folders.into_iter().try_for_each(sync_folder)?;
        for stale in self.earlier.iter().filter(|old| marker.outputs.iter().all(|new| new.path != **old)) {
            remove_output(folder, stale)?;
        }
        outputs.iter().try_for_each(StagedFile::check_in_place)?;
        staged.publish()
    }
}
