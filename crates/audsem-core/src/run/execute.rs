//! Running a step's shards: in parallel, skipping what is done, stopping cleanly on request.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Instant;

use serde_json::json;

use super::ending::Lacking;
use super::handover::{FilesOnly, Handover, ShardOutputs, StepOutputs};
use super::marker::Marker;
use super::open::{Change, Run};
use super::planned::PlannedShards;
use super::scratch;
use super::shard::{Claim, Shard, ShardContext, ShardError, ShardOutput};
use super::stats::Stats;
use super::summary::FailedShard;
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::signals::stop_requested;

/// Minimum number of records before a run is ended early because of its failure rate.
const FAIL_RATE_SAMPLE: u64 = 1000;

/// A step of a subcommand.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// Name in file names and `stats.json`; the main step is `part`.
    pub name: &'static str,
    /// What a record is, in the plural: `cues`.
    pub unit: &'static str,
    /// The unit of [`ShardOutput::work`]: `MB`.
    pub physical: &'static str,
}

/// The outcome of one shard.
enum Fate<T> {
    /// Done, with the value it hands over where that is in no file: on a dry run.
    Done(Box<Marker>, Option<T>),
    Failed(String),
    Left,
}

struct StepState<'a, W, F, H> {
    run: &'a Run,
    step: Step,
    plan: &'a [Shard<W>],
    work: F,
    via: &'a H,
    progress: Progress,
    inner_workers: usize,
    next: AtomicUsize,
    abort: AtomicBool,
    /// Sum of the shards committed so far, by earlier processes too, for the failure limit.
    so_far: Mutex<Stats>,
}

impl Run {
    /// Runs `work` on every shard of `plan` that belongs to this process and is not done yet, for a step that
    /// passes only its files and counts to the next one.
    ///
    /// Shards run on up to [`super::RunOptions::workers`] threads; with fewer shards than workers
    /// the shards may use the remaining threads themselves. After a stop request, shards in progress finish.
    /// A shard that failed is tried again by the next run.
    ///
    /// # Errors
    /// [`Error::Changed`] when a done shard had read something else (unless [`Run::rerun_changed`]),
    /// [`Error::TooManyFailures`], and what [`ShardError::Fatal`] carries. An interrupted step is not an error: see
    /// [`StepOutputs::whole`].
    pub fn execute<W: Sync>(
        &mut self,
        step: Step,
        plan: &[Shard<W>],
        work: impl Fn(&W, &mut ShardOutput) -> Result<(), ShardError> + Sync,
    ) -> Result<StepOutputs> {
        self.execute_via(&FilesOnly, step, plan, work)
    }

    /// Runs a step whose shards each hand a value to the next step: in memory on a dry run, else as `via` reads
    /// it from the run folder, whichever process has written it.
    ///
    /// # Errors
    /// As [`Run::execute`], and those of [`Handover::load`].
    pub fn execute_via<W: Sync, T: Send, H: Handover<T>>(
        &mut self,
        via: &H,
        step: Step,
        plan: &[Shard<W>],
        work: impl Fn(&W, &mut ShardOutput) -> Result<T, ShardError> + Sync,
    ) -> Result<StepOutputs<T>> {
        let started = Instant::now();
        let (done_before, to_do) = self.check_done(step, plan)?;
        if !self.options.dry_run {
            let number = |name: &str| plan.iter().position(|shard| *shard.name == *name);
            let is_ours = |name: &str| number(name).is_none_or(|number| self.options.shard.includes(number));
            scratch::remove_stale(self.folder(), step.name, is_ours)?;
        }
        let threads = self.options.workers.min(plan.len()).max(1);
        let title =
            if step.name == "part" { self.command.to_owned() } else { format!("{} ({})", self.command, step.name) };
        let progress = Progress::new(title, step.unit, step.physical, to_do, self.options.progress);
        let mut state = StepState {
            run: self,
            step,
            plan,
            work,
            via,
            progress,
            inner_workers: self.options.workers.div_ceil(threads).max(1),
            next: AtomicUsize::new(0),
            abort: AtomicBool::new(false),
            so_far: Mutex::new(done_before),
        };
        let mut fates: Vec<(usize, Fate<T>)> = thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| state.work_off())).collect();
            workers
                .into_iter()
                .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect::<Result<Vec<_>>>()
        })?
        .into_iter()
        .flatten()
        .collect();
        state.progress.finish();
        fates.sort_by_key(|(index, _)| *index);
        state.look_again(&mut fates)?;
        self.seconds.insert(step.name.to_owned(), started.elapsed().as_secs_f64());
        self.report(step, plan, fates, via)
    }

    /// Checks that every done shard has read what the plan says, and returns the summed stats of the done shards and the
    /// number of those that are left for this process.
    fn check_done<W>(&self, step: Step, plan: &[Shard<W>]) -> Result<(Stats, u64)> {
        let mut done = Stats::default();
        let mut to_do = (0..plan.len()).filter(|number| self.options.shard.includes(*number)).count() as u64;
        if self.options.dry_run {
            return Ok((done, to_do));
        }
        let mut changes = Vec::new();
        for (number, shard) in plan.iter().enumerate() {
            let Some(marker) = Marker::read(&Marker::path(self.folder(), step.name, &shard.name))? else {
                continue;
            };
            if marker.is_of(&self.config_hash, &shard.fingerprint) && marker.outputs_present(self.folder()) {
                done.merge(&marker.stats);
                to_do -= u64::from(self.options.shard.includes(number));
            }
            let name = |what| format!("{what} of shard {}-{}", step.name, shard.name);
            for (field, was, now, refused) in [
                (name("input"), &*marker.input_fingerprint, &*shard.fingerprint, !self.rerun_changed),
                (name("configuration"), &*marker.config_hash, &*self.config_hash, true),
            ] {
                if refused && was != now {
                    changes.push(Change::Value { field, was: was.to_owned(), now: now.to_owned() });
                }
            }
        }
        if changes.is_empty() {
            return Ok((done, to_do));
        }
        changes.truncate(5);
        Err(Error::Changed { path: self.folder().to_owned(), changes })
    }

    /// Counts the stale shards of a step: they are done, but no longer in `plan`, because the list of a growing
    /// run does not name their subject any more. Their files stay and are not counted.
    ///
    /// # Errors
    /// [`Error::Read`] when the folder cannot be listed.
    pub fn count_stale<W>(&self, step: Step, plan: &[Shard<W>]) -> Result<usize> {
        if self.options.dry_run {
            return Ok(0);
        }
        let listed: HashSet<&str> = plan.iter().map(|shard| &*shard.name).collect();
        let shards = Marker::names_in(self.folder())?;
        let mut shards = shards.iter().filter_map(|name| Marker::shard(step.name, name));
        Ok(shards.by_ref().filter(|shard| !listed.contains(&**shard)).count())
    }

    fn report<W, T, H: Handover<T>>(
        &mut self,
        step: Step,
        plan: &[Shard<W>],
        fates: Vec<(usize, Fate<T>)>,
        via: &H,
    ) -> Result<StepOutputs<T>> {
        let mut report =
            StepOutputs { complete: true, outputs: Vec::new(), values: Vec::new(), stats: Stats::default() };
        let mut own_left = 0;
        for (index, fate) in fates {
            let name = plan[index].name.clone();
            match fate {
                Fate::Done(marker, value) => {
                    self.check_there(&marker)?;
                    report.stats.merge(&marker.stats);
                    let shard = shard_outputs(self, name, *marker);
                    report.values.push(value.map_or_else(|| via.load(&shard), Ok)?);
                    report.outputs.push(shard);
                }
                Fate::Left => {
                    self.left.add(step, index, &plan[index]);
                    own_left += usize::from(self.options.shard.includes(index));
                    report.complete = false;
                }
                Fate::Failed(error) => {
                    report.complete = false;
                    self.failed_shards.push(FailedShard { step: step.name.to_owned(), shard: name, error });
                }
            }
        }
        let own = (0..plan.len()).filter(|index| self.options.shard.includes(*index)).count();
        self.share.add(own, own_left, plan.len());
        self.steps.push((step.name.to_owned(), report.stats.clone()));
        self.plans.insert(step.name.to_owned(), PlannedShards::of(plan));
        Ok(report)
    }

    /// Makes sure that what the shards of a step have written is still there when the last of them is done.
    fn check_there(&self, marker: &Marker) -> Result<()> {
        if self.options.dry_run {
            return Ok(());
        }
        let lacks: Vec<String> = marker.lacks(self.folder()).collect();
        match lacks.is_empty() {
            true => Ok(()),
            false => Err(Lacking { folder: self.folder().to_owned(), lacks, more: false }.into()),
        }
    }
}

fn shard_outputs(run: &Run, name: String, marker: Marker) -> ShardOutputs {
    let mut fingerprint = super::Fingerprint::new();
    for output in &marker.outputs {
        fingerprint = fingerprint.with(output.path.to_string_lossy().as_bytes()).with(&output.sha256);
    }
    ShardOutputs {
        name,
        files: marker.outputs.iter().map(|output| run.folder().join(&output.path)).collect(),
        fingerprint: fingerprint.finish(),
        stats: marker.stats,
    }
}

impl<W, T, F, H> StepState<'_, W, F, H>
where
    W: Sync,
    F: Fn(&W, &mut ShardOutput) -> Result<T, ShardError> + Sync,
    H: Handover<T>,
{
    /// One thread's loop: takes the next shard until none is left.
    fn work_off(&self) -> Result<Vec<(usize, Fate<T>)>> {
        let mut fates = Vec::new();
        loop {
            let index = self.next.fetch_add(1, Relaxed);
            let Some(shard) = self.plan.get(index) else {
                return Ok(fates);
            };
            let fate = self.one(index, shard).inspect_err(|_| self.abort.store(true, Relaxed))?;
            fates.push((index, fate));
        }
    }

    /// Looks once more at the shards that were left: of processes that work on one folder, the one that ends last must
    /// see that all is done. Where one is left indeed, the step is incomplete whatever the others are.
    fn look_again(&self, fates: &mut [(usize, Fate<T>)]) -> Result<()> {
        for (index, fate) in fates.iter_mut().filter(|(_, fate)| matches!(fate, Fate::Left)) {
            let Some(done) = self.done(&self.plan[*index])? else { return Ok(()) };
            *fate = Fate::Done(Box::new(done), None);
        }
        Ok(())
    }

    fn one(&self, index: usize, shard: &Shard<W>) -> Result<Fate<T>> {
        let options = &self.run.options;
        if let Some(done) = self.done(shard)? {
            return Ok(Fate::Done(Box::new(done), None));
        }
        if !options.shard.includes(index) || stop_requested() || self.abort.load(Relaxed) {
            return Ok(Fate::Left);
        }
        let claim = match &self.run.entry {
            None => None,
            Some(entry) => {
                entry.check()?;
                let Some(claim) = Claim::take(&self.marker_of(shard))? else {
                    tracing::info!(
                        "shard {}-{} is left to another process, which works on it",
                        self.step.name,
                        shard.name
                    );
                    return Ok(Fate::Left);
                };
                // That process may have ended in the meantime.
                if let Some(done) = self.done(shard)? {
                    return Ok(Fate::Done(Box::new(done), None));
                }
                self.run.begin_to_change()?;
                Some(claim)
            }
        };
        let fate = self.work_on(shard, claim)?;
        if !matches!(fate, Fate::Left) {
            self.progress.shard_done();
        }
        Ok(fate)
    }

    /// The marker of a shard that is done, with all its files.
    fn done(&self, shard: &Shard<W>) -> Result<Option<Marker>> {
        if self.run.options.dry_run {
            return Ok(None);
        }
        let marker = Marker::read(&self.marker_of(shard))?;
        Ok(marker.filter(|marker| {
            marker.is_of(&self.run.config_hash, &shard.fingerprint) && marker.outputs_present(self.run.folder())
        }))
    }

    fn marker_of(&self, shard: &Shard<W>) -> PathBuf {
        Marker::path(self.run.folder(), self.step.name, &shard.name)
    }

    fn work_on(&self, shard: &Shard<W>, claim: Option<Claim>) -> Result<Fate<T>> {
        let options = &self.run.options;
        let started = Instant::now();
        let mut output = ShardOutput::new(self.context(), &shard.name);
        let worked = (self.work)(&shard.work, &mut output);
        // Outputs of an input that has changed would not be those of its fingerprint.
        let unchanged = |value| shard.fingerprint.change().map_or(Ok(value), |change| Err(ShardError::Input(change)));
        match worked.and_then(unchanged).and_then(|value| self.via.save(value, &mut output)) {
            Ok(value) => {
                let reads = (&*self.run.config_hash, &*shard.fingerprint);
                let marker = output.commit(reads, self.run.entry.as_ref(), claim)?;
                let detail =
                    json!({ "shard": shard.name, "step": self.step.name, "seconds": started.elapsed().as_secs_f64() });
                self.run.log("shard", detail)?;
                self.check_fail_rate(&marker.stats)?;
                Ok(Fate::Done(Box::new(marker), options.dry_run.then_some(value)))
            }
            Err(ShardError::Input(error)) => {
                tracing::error!("shard {}-{} failed: {error}", self.step.name, shard.name);
                self.run.log("shard_failed", json!({ "shard": shard.name, "step": self.step.name, "error": error }))?;
                Ok(Fate::Failed(error))
            }
            Err(ShardError::Stopped) => Ok(Fate::Left),
            Err(ShardError::Fatal(error)) => Err(error),
        }
    }

    fn context(&self) -> ShardContext {
        let options = &self.run.options;
        ShardContext {
            folder: options.output.clone(),
            step: self.step.name,
            dry_run: options.dry_run,
            all_rejects: options.all_rejects,
            inner_workers: self.inner_workers,
            counters: self.progress.counters().clone(),
        }
    }

    /// Ends a run whose failure rate is over the limit before all of its shards are processed.
    fn check_fail_rate(&self, stats: &Stats) -> Result<()> {
        let mut so_far = self.so_far.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        so_far.merge(stats);
        let (failed, read, max_fail_rate) = (so_far.n_failed(), so_far.read, self.run.options.max_fail_rate);
        if read >= FAIL_RATE_SAMPLE && so_far.is_over(max_fail_rate) {
            return Err(Error::TooManyFailures { step: self.step.name.to_owned(), failed, read, max_fail_rate });
        }
        Ok(())
    }
}
