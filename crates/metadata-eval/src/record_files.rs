//! Reading files of captions and questions (JSON lines).

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use audsem_core::error::Error as CoreError;
use audsem_core::input;
use audsem_core::json::read_object;
use audsem_core::run::CompletedRun;
use audsem_core::walk::Walk;
use serde_json::{Map, Value};

use crate::error::Error;

/// The files a user may name: a run folder of a writer, any other folder of JSON lines, or one such file.
pub(crate) fn files_under(path: &Path) -> Result<Vec<PathBuf>, Error> {
    if !input::is_folder(path)? {
        return Ok(vec![path.to_owned()]);
    }
    let wanted = |name: &str| name.contains(".jsonl") && !name.starts_with("rejects-") && name != "log.jsonl";
    let of_run = CompletedRun::outputs_under(path, |name| wanted(name) && name.starts_with("part-"))?;
    if let Some(files) = of_run {
        return Ok(files);
    }
    let files = Walk::flat().by_number().files(path, wanted).map_err(CoreError::from)?;
    if files.is_empty() {
        return Err(CoreError::input(path, "this folder holds no file of records (*.jsonl)").into());
    }
    Ok(files.into_iter().map(|file| path.join(file.name)).collect())
}

/// The files under each of several paths, in their order.
pub(crate) fn files_under_all(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    for path in paths {
        files.extend(files_under(path)?);
    }
    Ok(files)
}

/// Hands every line of a file that is not blank to `take`: its place, and the record or why it is none.
pub(crate) fn for_each_record(
    path: &Path,
    mut take: impl FnMut(&str, Result<Map<String, Value>, String>),
) -> Result<(), Error> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let reader = BufReader::new(input::open(path)?);
    for (i, line) in reader.split(b'\n').enumerate() {
        let line = line.map_err(CoreError::read(path))?;
        if !line.trim_ascii().is_empty() {
            let record = read_object(&line).map(|read| read.value).map_err(|error| error.to_string());
            take(&format!("{name}:{}", i + 1), record);
        }
    }
    Ok(())
}
