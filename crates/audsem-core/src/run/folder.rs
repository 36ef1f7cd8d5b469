//! Preparing a run folder before its first shard, and refusing folders that do not belong to the run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::entry::LOCK;
use super::fresh::remove_earlier_run;
use super::marker::read_record;
use super::open::Change;
use super::spread;
use crate::error::{Error, Result};
use crate::files::{is_temporary, write_atomically};

/// The record of configuration and inputs.
pub(super) const RUN: &str = "run.json";

/// Input files that a message names.
const SHOWN_INPUTS: usize = 5;

/// The record of counts.
pub(super) const STATS: &str = "stats.json";

/// The events of a run with their times.
pub(super) const LOG: &str = "log.jsonl";

/// Files by which a run keeps its records, besides the markers; none of them is data.
pub(super) const RECORDS: [&str; 4] = [RUN, STATS, "timing.json", LOG];

pub(super) fn write_json(path: &Path, value: &Value) -> Result<()> {
    write_atomically(path, &pretty(value))
}

/// A record as it is written.
pub(super) fn pretty(value: &Value) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).expect("a JSON value is JSON");
    text.push(b'\n');
    text
}

/// What a process may do to the run that it finds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rights {
    /// Remove it, for `--fresh`.
    pub(super) fresh: bool,
    /// Replace it if it has committed nothing: for example, if it was refused during planning.
    pub(super) replace: bool,
}

/// Prepares the folder: removes an earlier run with `--fresh`, compares `run.json` and writes it.
pub(super) fn prepare(folder: &Path, record: &Value, rights: Rights) -> Result<()> {
    let path = folder.join(RUN);
    if rights.fresh && remove_earlier_run(folder)? {
        return write_json(&path, record);
    }
    let Some(earlier) = earlier_run(folder)? else {
        refuse_foreign_files(folder)?;
        return write_json(&path, record);
    };
    let changes = changed_fields(&earlier, record);
    if changes.is_empty() {
        return Ok(());
    }
    if rights.replace && holds_records_alone(folder)? {
        for stale in [STATS, "timing.json"] {
            remove(&folder.join(stale))?;
        }
        return write_json(&path, record);
    }
    Err(refusal(folder, &earlier, record, changes))
}

/// Why a folder with an earlier run is not taken. What another command was told says nothing about this one.
pub(super) fn refusal(folder: &Path, earlier: &Value, record: &Value, changes: Vec<Change>) -> Error {
    let path = folder.to_owned();
    let command = |run: &Value| match (run["tool"].as_str(), run["command"].as_str()) {
        (Some(tool), Some(command)) => format!("`{tool} {command}`"),
        _ => "another program".to_owned(),
    };
    let (was, now) = (command(earlier), command(record));
    if was == now { Error::Changed { path, changes } } else { Error::OtherCommand { path, was, now } }
}

/// The `run.json` of the folder; `None` without one.
pub(super) fn earlier_run(folder: &Path) -> Result<Option<Value>> {
    let Some(bytes) = read_record(&folder.join(RUN))? else { return Ok(None) };
    let damaged =
        |error| Error::NotARunFolder { path: folder.to_owned(), problem: format!("its run.json is not JSON: {error}") };
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}

/// Whether the folder has a `run.json` that was written by a run.
pub(super) fn is_run_record(folder: &Path) -> Result<bool> {
    let Some(run) = earlier_run(folder)? else { return Ok(false) };
    if ["tool", "command", "config_hash"].iter().all(|field| run.get(field).is_some_and(Value::is_string)) {
        return Ok(true);
    }
    let problem = "its run.json is not one that a run writes".to_owned();
    Err(Error::NotARunFolder { path: folder.to_owned(), problem })
}

/// The fields in which a run differs from an earlier one. The hash of the configuration adds nothing to its fields, and
/// a path is not content.
pub(super) fn changed_fields(earlier: &Value, record: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    compare(earlier, record, "", &mut changes);
    changes.retain(|change| match change {
        Change::Value { field, .. } => {
            !matches!(field.as_str(), "config_hash" | "version") && !field.ends_with(".path")
        }
        Change::Inputs(_) => true,
    });
    let is_of_inputs = |change: &Change| matches!(change, Change::Value { field, .. } if field == "inputs" || field.starts_with("inputs["));
    if changes.iter().any(is_of_inputs) {
        changes.retain(|change| !is_of_inputs(change));
        changes.push(Change::Inputs(changed_inputs(&earlier["inputs"], &record["inputs"])));
    }
    changes
}

/// Which input files are new, gone or changed, by name; files of one content in another order are that.
fn changed_inputs(earlier: &Value, record: &Value) -> String {
    let files = |inputs: &Value| -> BTreeMap<String, Vec<String>> {
        let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for file in inputs.as_array().into_iter().flatten() {
            let name = file["path"].as_str().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
            files.entry(name.to_owned()).or_default().push(format!("{} {}", file["bytes"], file["sha256"]));
        }
        files
    };
    let (was, now) = (files(earlier), files(record));
    let only = |a: &BTreeMap<String, Vec<String>>, b: &BTreeMap<String, Vec<String>>| -> Vec<String> {
        a.keys().filter(|name| !b.contains_key(*name)).cloned().collect()
    };
    let changed = now.iter().filter(|(name, files)| was.get(*name).is_some_and(|was| was != *files));
    let changed: Vec<String> = changed.map(|(name, _)| name.clone()).collect();
    let told = |what: &str, names: Vec<String>| {
        let shown = names.iter().take(SHOWN_INPUTS).cloned().collect::<Vec<_>>().join(", ");
        let more = names.len().saturating_sub(SHOWN_INPUTS);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        (!names.is_empty()).then(|| format!("{what} {shown}{more}"))
    };
    let all = [told("new:", only(&now, &was)), told("gone:", only(&was, &now)), told("changed:", changed)];
    match all.into_iter().flatten().collect::<Vec<_>>() {
        none if none.is_empty() => "the same files in another order".to_owned(),
        some => some.join("; "),
    }
}

/// Cache of the answers of a language model server. Answers are expensive, so the cache survives `--fresh`;
/// each is stored under a hash of everything that decides it, so none is ever stale.
const REPLAY: &str = "replay";

/// Refuses a folder without a run in which something lies.
pub(super) fn refuse_foreign_files(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(Error::read(folder))? {
        let name = entry.map_err(Error::read(folder))?.file_name();
        let name = name.to_string_lossy();
        if !is_temporary(&name) && name != REPLAY && name != LOCK {
            return Err(Error::NotARunFolder {
                path: folder.to_owned(),
                problem: format!("it has no run.json but {name}"),
            });
        }
    }
    Ok(())
}

/// Whether a run has left nothing but its records: no marker, no data, and no temporary file that
/// another process may still be writing.
fn holds_records_alone(folder: &Path) -> Result<bool> {
    for entry in fs::read_dir(folder).map_err(Error::read(folder))? {
        let name = entry.map_err(Error::read(folder))?.file_name();
        let is_record = |name: &str| RECORDS.contains(&name) || [REPLAY, LOCK].contains(&name);
        if !name.to_str().is_some_and(|name| is_record(name) || spread::is_empty_place(folder, name)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Removes a file if it exists.
pub(super) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::write(path)(error)),
        _ => Ok(()),
    }
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
            changes.push(Change::Value { field: field.to_owned(), was: brief(was), now: brief(now) });
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run_of(command: &str, min: u64, inputs: &[(&str, &str)]) -> Value {
        let file = |(path, sha256): &(&str, &str)| json!({ "path": path, "bytes": 1, "sha256": sha256 });
        let inputs: Vec<Value> = inputs.iter().map(file).collect();
        json!({ "tool": "audsem-x", "command": command, "config_hash": "h", "config": { "min": min }, "inputs": inputs })
    }

    fn told(earlier: &Value, record: &Value) -> String {
        let changes = changed_fields(earlier, record);
        refusal(Path::new("out"), earlier, record, changes).to_string()
    }

    #[test]
    fn what_differs_is_told_by_name() {
        let first = run_of("make", 1, &[("in/a.tar", "1"), ("in/b.tar", "2")]);
        assert!(changed_fields(&first, &run_of("make", 1, &[("else/a.tar", "1"), ("else/b.tar", "2")])).is_empty());
        let other = told(&first, &run_of("make", 2, &[("in/a.tar", "9"), ("in/c.tar", "2"), ("in/d.tar", "2")]));
        assert!(other.contains("config.min: was 1, now 2"), "{other}");
        assert!(other.contains("inputs: new: c.tar, d.tar; gone: b.tar; changed: a.tar"), "{other}");
        let turned = told(&first, &run_of("make", 1, &[("in/b.tar", "2"), ("in/a.tar", "1")]));
        assert!(turned.contains("inputs: the same files in another order"), "{turned}");
        let many: Vec<String> = (0..9).map(|n| format!("in/{n}.tar")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|path| (path.as_str(), "1")).collect();
        let grown = told(&run_of("make", 1, &[]), &run_of("make", 1, &many));
        assert!(grown.contains("new: 0.tar, 1.tar, 2.tar, 3.tar, 4.tar and 4 more"), "{grown}");
    }

    #[test]
    fn a_run_of_another_command_is_called_that() {
        let other = told(&run_of("extract", 1, &[]), &run_of("combine", 7, &[("a", "1")]));
        assert!(other.contains("holds a run of `audsem-x extract`, and this is `audsem-x combine`: out"), "{other}");
        assert!(!other.contains("config"), "{other}");
    }
}
