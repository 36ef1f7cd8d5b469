//! Opening a run folder: a new one, one to continue, or one that must be refused.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::completed::Ending;
use super::entry::Entry;
use super::execute::Step;
use super::fingerprint::{FileFingerprint, Fingerprint};
use super::folder::{LOG, STATS, pretty, remove, write_json};
use super::left::{LeftShards, Share};
use super::options::RunOptions;
use super::planned::Plans;
use super::record::KnownReason;
use super::required::RequiredStep;
use super::stats::Stats;
use super::summary::{FailedShard, Status, Summary};
use crate::error::{Error, Result};
use crate::files::{AtomicFile, sync_folder};
use crate::parallel::ordered_map;

/// A model a run uses, by the content of its weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFingerprint {
    /// Hub id or path, as the user gave it.
    pub name: String,
    /// Revision, if one was pinned.
    pub revision: Option<String>,
    /// SHA-256 of the weight files in hex, in order.
    pub sha256: Vec<String>,
}

/// The configuration of a subcommand as it is hashed and stands in `run.json`: every field decides the
/// content of the output, and everything that decides it is a field.
///
/// Paths, programs and whatever else may differ between runs of equal output are not part of it. So no
/// field is skipped when it is serialised; a `Config` with such fields has a struct of its own for the rest.
pub trait RunConfig: Serialize {
    /// Binary, `audsem-filtering`.
    const TOOL: &'static str;
    /// Subcommand, `extract`.
    const COMMAND: &'static str;
}

/// What a subcommand is about to do: its configuration, its input files and its models.
#[derive(Debug)]
pub struct RunSpec<'a, C> {
    config: &'a C,
    inputs: &'a [PathBuf],
    models: Vec<ModelFingerprint>,
}

impl<'a, C: RunConfig> RunSpec<'a, C> {
    /// A run with this configuration, without input files and models.
    pub fn new(config: &'a C) -> Self {
        Self { config, inputs: &[], models: Vec::new() }
    }

    /// The input files, fingerprinted into `run.json`.
    #[must_use]
    pub fn inputs(self, inputs: &'a [PathBuf]) -> Self {
        Self { inputs, ..self }
    }

    /// The models used.
    #[must_use]
    pub fn models(self, models: Vec<ModelFingerprint>) -> Self {
        Self { models, ..self }
    }
}

/// A field in which a run differs from the one in its folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A value of the configuration, of a model, or a hash.
    Value {
        /// Where, such as `config.min_ms`.
        field: String,
        /// The value in the folder.
        was: String,
        /// The value of this run.
        now: String,
    },
    /// Input files, in words: which are new, gone or changed.
    Inputs(String),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value { field, was, now } => write!(f, "{field}: was {was}, now {now}"),
            Self::Inputs(what) => write!(f, "inputs: {what}"),
        }
    }
}

/// A run over an output folder.
#[derive(Debug)]
pub struct Run {
    pub(super) options: RunOptions,
    /// The place in the run folder; `None` on a dry run.
    pub(super) entry: Option<Entry>,
    /// Whether this process has begun to change what an earlier one had completed.
    changing: Mutex<bool>,
    pub(super) tool: &'static str,
    pub(super) command: &'static str,
    pub(super) config_hash: String,
    /// The configuration, in which the limits of the rules stand.
    config: Value,
    /// Whether shards whose input has changed are run again; see [`Run::rerun_changed`].
    pub(super) rerun_changed: bool,
    inputs: Vec<FileFingerprint>,
    pub(super) steps: Vec<(String, Stats)>,
    pub(super) plans: Plans,
    /// Shards that are not done, over all steps that were reached.
    pub(super) left: LeftShards,
    /// What of the work was this process's.
    pub(super) share: Share,
    pub(super) failed_shards: Vec<FailedShard>,
    /// Steps that must keep something.
    required: Vec<RequiredStep>,
    pub(super) seconds: BTreeMap<String, f64>,
    started: Instant,
}

impl Run {
    /// Opens the output folder for this run: new, or with an earlier run of the same configuration.
    ///
    /// # Errors
    /// [`Error::Changed`] when the folder holds a run that differs (naming each field),
    /// [`Error::NotARunFolder`] when it holds other files, [`Error::InUse`] when another process uses a folder that
    /// `--fresh` would clear, [`Error::Stopped`], [`Error::Write`] or [`Error::Read`].
    pub fn open<C: RunConfig>(options: &RunOptions, spec: RunSpec<'_, C>) -> Result<Self> {
        let effective = json!({ "config": spec.config, "limit": options.limit, "seed": options.seed });
        let config_hash = Fingerprint::new().with(C::COMMAND).with(effective.to_string()).hash();
        let inputs = fingerprints(spec.inputs, options.workers)?;
        let mut record = json!({
            "tool": C::TOOL,
            "command": C::COMMAND,
            "version": env!("CARGO_PKG_VERSION"),
            "config_hash": config_hash,
            "config": spec.config,
            "limit": options.limit,
            "seed": options.seed,
            "inputs": inputs,
            "models": spec.models,
        });
        let run = Self {
            options: options.clone(),
            entry: if options.dry_run { None } else { Some(Entry::new(options, &record)?) },
            changing: Mutex::new(false),
            tool: C::TOOL,
            command: C::COMMAND,
            config_hash,
            config: record["config"].take(),
            rerun_changed: false,
            inputs,
            steps: Vec::new(),
            plans: Plans::new(),
            left: LeftShards::default(),
            share: Share::of(options.shard),
            failed_shards: Vec::new(),
            required: Vec::new(),
            seconds: BTreeMap::new(),
            started: Instant::now(),
        };
        run.log("start", json!({ "workers": options.workers }))?;
        Ok(run)
    }

    /// Takes the input for a list that may grow or change between calls of the same command: a shard
    /// that had read something else is run again and replaces its earlier outputs, instead of being refused.
    ///
    /// Such a run names no [`RunSpec::inputs`], and its shards after what they are about, so that a
    /// shard keeps its name when others come before it.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn rerun_changed(mut self) -> Result<Self> {
        self.rerun_changed = true;
        if !self.options.dry_run {
            // It describes the list as it was; if this process is killed, it must not be mistaken for that of the new list.
            self.begin_to_change()?;
        }
        Ok(self)
    }

    /// Takes down what says that the folder is complete, before anything in it changes.
    pub(super) fn begin_to_change(&self) -> Result<()> {
        let mut changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if !*changing {
            remove(&self.folder().join(STATS))?;
            sync_folder(self.folder())?;
            *changing = true;
        }
        Ok(())
    }

    /// The options of this run.
    pub fn options(&self) -> &RunOptions {
        &self.options
    }

    /// The input files of [`RunSpec::inputs`], in that order: what shards make their fingerprints of.
    pub fn inputs(&self) -> &[FileFingerprint] {
        &self.inputs
    }

    /// The run folder.
    pub fn folder(&self) -> &Path {
        &self.options.output
    }

    /// Appends a line to `log.jsonl`.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn log(&self, event: &str, detail: Value) -> Result<()> {
        if self.options.dry_run { Ok(()) } else { log_event(self.folder(), event, detail) }
    }

    /// Writes `stats.json` and `timing.json` and returns the summary of the run.
    ///
    /// # Errors
    /// [`Error::Write`], [`Error::Read`]; [`Error::Stopped`] when a stop is requested while another process writes them.
    pub fn finish(mut self) -> Result<Summary> {
        if !self.options.dry_run {
            self.entry.iter().try_for_each(Entry::check)?;
            self.write_stats()?;
        }
        let mut summary = Summary {
            tool: self.tool.to_owned(),
            command: self.command.to_owned(),
            output: self.options.output.clone(),
            status: Status::Done,
            empty: None,
            dry_run: self.options.dry_run,
            max_fail_rate: self.options.max_fail_rate,
            shards_left: self.left.len(),
            share: self.share,
            steps: self.steps.clone(),
            failed_shards: self.failed_shards.clone(),
            results: serde_json::Map::new(),
            next: None,
            words: self.required.iter().map(RequiredStep::words).collect(),
        };
        summary.judge(&self.required);
        if !self.options.dry_run {
            self.write_timing(&summary)?;
        }
        Ok(summary)
    }

    /// Writes `stats.json`, unless a process that has ended in the meantime has found that all is done: what this one has
    /// counted before that must not replace it.
    fn write_stats(&mut self) -> Result<()> {
        let path = self.folder().join(STATS);
        // Who writes it holds a lock on it, so the process that writes last has looked last.
        let mut file = AtomicFile::wait(&path)?;
        if let Some(steps) = self.completed_by_another()? {
            self.steps = steps;
            self.left = LeftShards::default();
            return Ok(());
        }
        let steps: serde_json::Map<_, _> =
            self.steps.iter().map(|(step, stats)| (step.clone(), json!(stats))).collect();
        let stats = json!({
            "complete": self.left.is_empty() && self.failed_shards.is_empty(),
            "failed_shards": self.failed_shards,
            "reasons": self.reasons_of_counts(),
            "shards": self.plans,
            "steps": steps,
        });
        file.write_all(&pretty(&stats)).map_err(Error::write(&path))?;
        file.commit().map(drop)
    }

    /// The counts of a run that another process has found complete since this one looked: with the same shards, of which
    /// those that this one had left are done.
    fn completed_by_another(&self) -> Result<Option<Vec<(String, Stats)>>> {
        if self.left.is_empty() || !self.failed_shards.is_empty() {
            return Ok(None);
        }
        let ending = Ending::of(self.folder())?;
        let has = |(step, plan)| ending.shards.as_ref().and_then(|plans| plans.get(step)) == Some(plan);
        let is_so = ending.complete
            && self.plans.iter().all(has)
            && self.left.are_done(self.folder(), &self.plans, &self.config_hash)?;
        Ok(is_so.then_some(ending.steps))
    }

    /// What the reasons for which records were left out mean, and which flags and limits decided, by step and name.
    fn reasons_of_counts(&self) -> BTreeMap<&str, BTreeMap<&str, KnownReason>> {
        let of_step = |(step, stats): &'_ (String, Stats)| {
            let known = self.required.iter().filter(|required| required.step.name == *step);
            let reasons: BTreeMap<&str, KnownReason> =
                known.flat_map(|known| known.reasons_in(stats, &self.config)).collect();
            (!reasons.is_empty()).then_some(reasons)
        };
        self.steps.iter().filter_map(|step| Some((&*step.0, of_step(step)?))).collect()
    }

    /// Writes `timing.json`.
    fn write_timing(&self, summary: &Summary) -> Result<()> {
        let seconds = self.started.elapsed().as_secs_f64();
        write_json(&self.folder().join("timing.json"), &json!({ "seconds": seconds, "steps": self.seconds }))?;
        let detail = json!({ "status": summary.status, "shards_left": summary.shards_left, "seconds": seconds });
        self.log("finish", detail)
    }

    /// Requires `step` to keep at least one record; otherwise the run ends with exit code 1 and says why.
    ///
    /// Name the reasons for which the step drops records, so that the message can explain the most frequent one.
    pub fn must_keep(&mut self, step: Step) -> &mut RequiredStep {
        self.required.push(RequiredStep::new(step));
        self.required.last_mut().expect("pushed in the line above")
    }
}

/// Appends a line to the `log.jsonl` of a run folder: an event with its time. For what a shard has to tell while it is
/// worked on, such as its speed.
///
/// # Errors
/// [`Error::Write`].
pub fn log_event(run_folder: &Path, event: &str, detail: Value) -> Result<()> {
    let unix_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |now| now.as_secs_f64());
    let line = json!({ "unix_s": unix_s, "event": event, "detail": detail });
    let path = run_folder.join(LOG);
    // One write call for each line, so that processes sharing a folder do not mix them.
    let append =
        || fs::File::options().append(true).create(true).open(&path)?.write_all(format!("{line}\n").as_bytes());
    append().map_err(Error::write(&path))
}

/// Fingerprints of files, in their order.
fn fingerprints(paths: &[PathBuf], threads: usize) -> Result<Vec<FileFingerprint>> {
    let mut done = Vec::with_capacity(paths.len());
    ordered_map(
        paths,
        threads.min(paths.len()),
        2 * threads,
        |path| FileFingerprint::of(path),
        |fingerprint| {
            done.push(fingerprint?);
            Ok::<_, Error>(())
        },
    )?;
    Ok(done)
}
