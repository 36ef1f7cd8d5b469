//! Opening a run folder: a new one, one to go on with, or one that must not be touched.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::fingerprint::{FileFingerprint, Fingerprint};
use super::options::RunOptions;
use super::stats::Stats;
use super::summary::{FailedShard, Status, Summary};
use crate::error::{Error, Result};
use crate::files::{create_folder, is_temporary, write_atomically};
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

/// What a subcommand is about to do.
#[derive(Debug)]
pub struct RunSpec<'a, C> {
    /// Binary, `audsem-filtering`.
    pub tool: &'static str,
    /// Subcommand, `extract`.
    pub command: &'static str,
    /// Everything that decides the content of the output, and nothing else.
    pub config: &'a C,
    /// Input files, fingerprinted into `run.json`.
    pub inputs: &'a [PathBuf],
    /// Models used.
    pub models: Vec<ModelFingerprint>,
}

/// A field in which a run differs from the one in its folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where, `config.min_ms` or `inputs[0].sha256`.
    pub field: String,
    /// The value in the folder.
    pub was: String,
    /// The value of this run.
    pub now: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: was {}, now {}", self.field, self.was, self.now)
    }
}

/// A run over an output folder.
#[derive(Debug)]
pub struct Run {
    pub(super) options: RunOptions,
    pub(super) tool: &'static str,
    pub(super) command: &'static str,
    pub(super) config_hash: String,
    inputs: Vec<FileFingerprint>,
    pub(super) steps: Vec<(String, Stats)>,
    pub(super) shards_left: usize,
    pub(super) failed_shards: Vec<FailedShard>,
    pub(super) seconds: BTreeMap<String, f64>,
    started: Instant,
}

impl Run {
    /// Opens the output folder for this run: new, or with an earlier run of the same configuration.
    ///
    /// # Errors
    /// [`Error::Changed`] when the folder holds a run that differs (naming each field),
    /// [`Error::NotARunFolder`] when it holds other files, [`Error::Write`] or [`Error::Read`].
    pub fn open<C: Serialize>(options: &RunOptions, spec: RunSpec<'_, C>) -> Result<Self> {
        let effective = json!({ "config": spec.config, "limit": options.limit, "seed": options.seed });
        let config_hash = Fingerprint::new().with(spec.command).with(effective.to_string()).finish();
        let inputs = fingerprints(spec.inputs, options.workers)?;
        let record = json!({
            "tool": spec.tool,
            "command": spec.command,
            "version": env!("CARGO_PKG_VERSION"),
            "config_hash": config_hash,
            "config": spec.config,
            "limit": options.limit,
            "seed": options.seed,
            "inputs": inputs,
            "models": spec.models,
        });
        if !options.dry_run {
            prepare(options, &record)?;
        }
        let run = Self {
            options: options.clone(),
            tool: spec.tool,
            command: spec.command,
            config_hash,
            inputs,
            steps: Vec::new(),
            shards_left: 0,
            failed_shards: Vec::new(),
            seconds: BTreeMap::new(),
            started: Instant::now(),
        };
        run.log("start", json!({ "workers": options.workers }))?;
        Ok(run)
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
        if self.options.dry_run {
            return Ok(());
        }
        let unix_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |now| now.as_secs_f64());
        let line = json!({ "unix_s": unix_s, "event": event, "detail": detail });
        let path = self.folder().join("log.jsonl");
        // One write call for each line, so that processes sharing a folder do not mix them.
        let append =
            || fs::File::options().append(true).create(true).open(&path)?.write_all(format!("{line}\n").as_bytes());
        append().map_err(Error::write(&path))
    }

    /// Writes `stats.json` and `timing.json` and says what the run came to.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn finish(self) -> Result<Summary> {
        let mut total = Stats::default();
        self.steps.iter().for_each(|(_, stats)| total.merge(stats));
        let too_many = total.n_failed() as f64 > self.options.max_fail_rate * total.read as f64;
        let status = match () {
            () if self.shards_left > 0 && !too_many && self.failed_shards.is_empty() => Status::ShardsLeft,
            () if too_many || !self.failed_shards.is_empty() => Status::OverFailLimit,
            () => Status::Done,
        };
        if !self.options.dry_run {
            let steps: serde_json::Map<_, _> =
                self.steps.iter().map(|(step, stats)| (step.clone(), json!(stats))).collect();
            let stats = json!({ "complete": self.shards_left == 0, "steps": steps });
            write_json(&self.folder().join("stats.json"), &stats)?;
            let seconds = self.started.elapsed().as_secs_f64();
            write_json(&self.folder().join("timing.json"), &json!({ "seconds": seconds, "steps": self.seconds }))?;
            self.log("finish", json!({ "status": status, "shards_left": self.shards_left, "seconds": seconds }))?;
        }
        Ok(Summary {
            tool: self.tool.to_owned(),
            command: self.command.to_owned(),
            output: self.options.output,
            status,
            dry_run: self.options.dry_run,
            shards_left: self.shards_left,
            steps: self.steps,
            failed_shards: self.failed_shards,
            results: serde_json::Map::new(),
        })
    }
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

fn write_json(path: &Path, value: &Value) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(value).expect("a JSON value is JSON");
    text.push(b'\n');
    write_atomically(path, &text)
}

/// Makes the folder ready: removes an earlier run with `--fresh`, compares `run.json`, writes it.
fn prepare(options: &RunOptions, record: &Value) -> Result<()> {
    let folder = &options.output;
    create_folder(folder)?;
    if options.fresh {
        remove_earlier_run(folder)?;
    }
    let path = folder.join("run.json");
    match fs::read(&path) {
        Ok(bytes) => {
            let earlier: Value = serde_json::from_slice(&bytes).map_err(|error| Error::NotARunFolder {
                path: folder.clone(),
                problem: format!("its run.json is not JSON: {error}"),
            })?;
            let mut changes = Vec::new();
            compare(&earlier, record, "", &mut changes);
            // The configuration's hash says no more than its fields, and a path is not content.
            let real = |change: &Change| {
                !matches!(change.field.as_str(), "config_hash" | "version") && !change.field.ends_with(".path")
            };
            if !changes.iter().any(real) {
                return Ok(());
            }
            changes.retain(real);
            Err(Error::Changed { path: folder.clone(), changes })
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            refuse_foreign_files(folder)?;
            write_json(&path, record)
        }
        Err(error) => Err(Error::read(&path)(error)),
    }
}

/// Where a run remembers the answers of a language model server. It outlives `--fresh`: an answer is
/// filed under all that decides it, so it is never a wrong one, and it was dear.
const REPLAY: &str = "replay";

fn refuse_foreign_files(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(Error::read(folder))? {
        let name = entry.map_err(Error::read(folder))?.file_name();
        let name = name.to_string_lossy();
        if !is_temporary(&name) && name != REPLAY {
            return Err(Error::NotARunFolder {
                path: folder.to_owned(),
                problem: format!("it has no run.json but {name}"),
            });
        }
    }
    Ok(())
}

/// Removes what an earlier run has written, as its own records name it, and nothing else.
fn remove_earlier_run(folder: &Path) -> Result<()> {
    if !folder.join("run.json").exists() {
        return refuse_foreign_files(folder);
    }
    let mut own = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::read(folder))? {
        let path = entry.map_err(Error::read(folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(".done.json") {
            if let Some(marker) = super::marker::Marker::read(&path)? {
                own.extend(marker.outputs.into_iter().map(|output| folder.join(output.path)));
            }
            own.push(path);
        } else if matches!(name.as_str(), "run.json" | "stats.json" | "timing.json" | "log.jsonl")
            || is_temporary(&name)
        {
            own.push(path);
        }
    }
    // `run.json` goes last: as long as it stands, an interrupted removal can be taken up again.
    own.sort_by_key(|path| path.ends_with("run.json"));
    for path in own {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::write(&path)(error));
            }
            _ => {}
        }
        // Subfolders that are now empty were ours, too; one that is not stays.
        path.ancestors().skip(1).take_while(|parent| *parent != folder).for_each(|parent| drop(fs::remove_dir(parent)));
    }
    Ok(())
}

/// Lists the leaves in which two JSON values differ.
fn compare(was: &Value, now: &Value, field: &str, changes: &mut Vec<Change>) {
    let inside = |name: &str| {
        if field.is_empty() { name.to_owned() } else { format!("{field}.{name}") }
    };
    match (was, now) {
        (Value::Object(a), Value::Object(b)) => {
            let names: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
            for name in names {
                compare(
                    a.get(name).unwrap_or(&Value::Null),
                    b.get(name).unwrap_or(&Value::Null),
                    &inside(name),
                    changes,
                );
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (was, now)) in a.iter().zip(b).enumerate() {
                compare(was, now, &format!("{field}[{index}]"), changes);
            }
        }
        (was, now) if was != now => {
            changes.push(Change { field: field.to_owned(), was: brief(was), now: brief(now) });
        }
        _ => {}
    }
}

fn brief(value: &Value) -> String {
    const LONG: usize = 60;
    let text = match value {
        Value::Array(items) if items.len() > 1 => format!("{} entries", items.len()),
        value => value.to_string(),
    };
    match text.char_indices().nth(LONG) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}
