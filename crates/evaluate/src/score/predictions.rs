//! The predictions of a run folder, and what its record says of how they were made.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use audsem_core::error::Error as CoreError;
use audsem_core::input;
use audsem_core::json;
use audsem_core::run::CompletedRun;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::several;
use crate::error::Error;
use crate::prediction::Prediction;

/// What the record of a run folder says of how its files were made. Paths are left out: a copy of the same run is the same.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The binary.
    pub tool: String,
    /// Its version.
    pub version: String,
    /// The subcommand.
    pub command: String,
    /// Hash of the configuration.
    pub config_hash: String,
    /// The configuration.
    pub config: Map<String, Value>,
    /// Models by the content of their weights: name and SHA-256.
    pub models: Vec<(String, String)>,
    /// SHA-256 of the input files.
    pub inputs: Vec<String>,
}

impl RunRecord {
    /// Reads `run.json` of a run folder.
    ///
    /// # Errors
    /// The file cannot be read, or is no record of a run.
    pub fn of(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("run.json");
        let bytes = input::read_whole(&path)?;
        let record = json::read_object(&bytes).map_err(|error| CoreError::input(&path, error.to_string()))?.value;
        let text = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let list = |name: &str| record.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
        let sha256 = |file: &Value| match &file["sha256"] {
            Value::String(one) => one.clone(),
            Value::Array(all) => all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
            _ => String::new(),
        };
        let name = |model: &Value| model["name"].as_str().unwrap_or_default().to_owned();
        Ok(Self {
            tool: text("tool"),
            version: text("version"),
            command: text("command"),
            config_hash: text("config_hash"),
            config: record.get("config").and_then(Value::as_object).cloned().unwrap_or_default(),
            models: list("models").iter().map(|model| (name(model), sha256(model))).collect(),
            inputs: list("inputs").iter().map(sha256).collect(),
        })
    }

    /// Whether the prompts asked for an answer inside tags, by the configuration; no where it does not say so.
    #[must_use]
    pub fn asks_for_tags(&self) -> bool {
        self.config.get("asks_for_tags").and_then(Value::as_bool).unwrap_or(false)
    }

    /// Words of reasoning that the prompts asked for, by the configuration.
    #[must_use]
    pub fn target_words(&self) -> Option<u32> {
        self.config.get("target_words").and_then(Value::as_u64).and_then(|words| u32::try_from(words).ok())
    }
}

/// The predictions of one run, or of several that asked different questions in the same way.
#[derive(Debug, Clone)]
pub struct PredictionRun {
    /// The files of each run, in their order.
    pub runs: Vec<Vec<PathBuf>>,
    /// How they were made.
    pub record: RunRecord,
}

impl PredictionRun {
    /// Opens run folders of `predict` or `import`.
    ///
    /// # Errors
    /// There is no such folder, its run has not ended, or it has no predictions; two runs asked in different ways, or asked the
    /// same question.
    pub fn open(folders: &[PathBuf]) -> Result<Self, Error> {
        let runs = folders.iter().map(|folder| Self::of(folder)).collect::<Result<Vec<_>, _>>()?;
        several::check(folders, &runs)?;
        let (files, records): (Vec<_>, Vec<_>) = runs.into_iter().map(|run| (run.runs, run.record)).unzip();
        Ok(Self { runs: files.concat(), record: several::joined(records) })
    }

    /// The files of all runs.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.runs.iter().flatten()
    }

    fn of(folder: &Path) -> Result<Self, Error> {
        let is_part = |name: &str| name.starts_with("part-") && name.ends_with(".jsonl");
        let files = match input::is_folder(folder)? {
            true => CompletedRun::outputs_under(folder, is_part)?,
            false => None,
        };
        let files = files.ok_or_else(|| no_run_of(folder, "`predict` or `import`"))?;
        Ok(Self { runs: vec![files], record: RunRecord::of(folder)? })
    }
}

/// Why a folder is none of the runs that are wanted.
pub(crate) fn no_run_of(folder: &Path, wanted: &str) -> Error {
    let of_other = RunRecord::of(folder).ok().filter(|record| !record.command.is_empty());
    let problem = match of_other {
        Some(record) if !wanted.contains(&format!("`{}`", record.command)) => {
            format!("this is no run folder of {wanted}, but one of `{}`", record.command)
        }
        Some(record) => format!("this run of `{}` has written no answers", record.command),
        None if !folder.try_exists().unwrap_or(true) => {
            format!("there is no such folder\nhint: name the output folder of {wanted}")
        }
        None => format!("this is no run folder of {wanted}\nhint: name the folder that these have written (--output)"),
    };
    CoreError::input(folder, problem).into()
}

/// Hands every prediction of a file to `take`, with its place; a line that is none with what is wrong.
///
/// # Errors
/// The file cannot be read.
pub fn for_each_prediction(
    path: &Path,
    mut take: impl FnMut(&str, Result<Prediction, String>) -> Result<(), Error>,
) -> Result<(), Error> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let reader = BufReader::new(input::open(path)?);
    for (i, line) in reader.split(b'\n').enumerate() {
        let line = line.map_err(CoreError::read(path))?;
        if !line.trim_ascii().is_empty() {
            take(&format!("{name}:{}", i + 1), serde_json::from_slice(&line).map_err(|error| error.to_string()))?;
        }
    }
    Ok(())
}
