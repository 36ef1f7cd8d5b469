//! Preparing a run folder before its first shard, and refusing folders that do not belong to the run.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::marker::Marker;
use super::open::Change;
use super::options::RunOptions;
use crate::error::{Error, Result};
use crate::files::{create_folder, is_temporary, write_atomically};

/// Files by which a run keeps its records, besides the markers; none of them is data.
const RECORDS: [&str; 4] = ["run.json", "stats.json", "timing.json", "log.jsonl"];

pub(super) fn write_json(path: &Path, value: &Value) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(value).expect("a JSON value is JSON");
    text.push(b'\n');
    write_atomically(path, &text)
}

/// Prepares the folder: removes an earlier run with `--fresh`, compares `run.json` and writes it. A different
/// run that has committed nothing (it was refused during planning, say) is replaced.
pub(super) fn prepare(options: &RunOptions, record: &Value) -> Result<()> {
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
            // The hash of the configuration adds nothing to its fields, and a path is not content.
            let real = |change: &Change| {
                !matches!(change.field.as_str(), "config_hash" | "version") && !change.field.ends_with(".path")
            };
            if !changes.iter().any(real) {
                return Ok(());
            }
            if holds_records_alone(folder)? {
                for stale in ["stats.json", "timing.json"] {
                    remove(&folder.join(stale))?;
                }
                return write_json(&path, record);
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

/// Cache of the answers of a language model server. Answers are expensive, so the cache survives `--fresh`;
/// each is stored under a hash of everything that decides it, so none is ever stale.
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

/// Whether a run has left nothing but its records: no marker, no data, and no temporary file that
/// another process may still be writing.
fn holds_records_alone(folder: &Path) -> Result<bool> {
    for entry in fs::read_dir(folder).map_err(Error::read(folder))? {
        let name = entry.map_err(Error::read(folder))?.file_name();
        if !name.to_str().is_some_and(|name| RECORDS.contains(&name) || name == REPLAY) {
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

/// Removes what an earlier run has written, as listed in its markers, and nothing else.
fn remove_earlier_run(folder: &Path) -> Result<()> {
    if !folder.join("run.json").exists() {
        return refuse_foreign_files(folder);
    }
    let mut own = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::read(folder))? {
        let path = entry.map_err(Error::read(folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(".done.json") {
            if let Some(marker) = Marker::read(&path)? {
                own.extend(marker.outputs.into_iter().map(|output| folder.join(output.path)));
            }
            own.push(path);
        } else if RECORDS.contains(&&*name) || is_temporary(&name) {
            own.push(path);
        }
    }
    // `run.json` goes last: as long as it exists, an interrupted removal can be resumed.
    own.sort_by_key(|path| path.ends_with("run.json"));
    for path in own {
        remove(&path)?;
        // Subfolders that are now empty belonged to the run, too; others stay.
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
