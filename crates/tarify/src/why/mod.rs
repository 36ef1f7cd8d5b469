//! `why`: what became of a clip or a video in the run folders of a pipeline.
//!
//! Each folder is read in the order of the pipeline: its tables, tars and media for what it kept, its rejects for what it left out,
//! with the value that decided, the limit of the run and the flag that sets it. Folders whose run has not ended are read as
//! far as they are.

mod nearest;
mod order;
mod report;
mod search;
mod wanted;

use std::path::PathBuf;

use audsem_core::error::Error as CoreError;
use audsem_core::run::RunFolder;

pub use report::{Report, Way};
pub use search::{Finding, LeftOutRecord};
pub use wanted::Wanted;

use crate::error::Error;
use nearest::Nearest;
use search::Search;

/// What is asked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The key as anybody writes it; see [`Wanted`].
    pub key: String,
    /// Run folders, or folders above them.
    pub folders: Vec<PathBuf>,
}

/// Follows a key through run folders.
///
/// # Errors
/// There is no run folder, one cannot be read, or the key is found in none of them.
pub fn run(config: &Config) -> Result<Report, Error> {
    let mut records: Vec<RunFolder> = Vec::new();
    for folder in &config.folders {
        let found = RunFolder::find(folder)?;
        if found.is_empty() {
            let problem = "there is no run folder at this path, nor below it\nhint: name folders that commands have written with --output";
            return Err(CoreError::input(folder, problem).into());
        }
        for record in found {
            if records.iter().all(|known| known.folder != record.folder) {
                records.push(record);
            }
        }
    }
    order::sort(&mut records);
    let wanted = Wanted::parse(&config.key);
    let mut search = Search { wanted: &wanted, nearest: Nearest::new(&wanted), texts: Vec::new() };
    let mut ways = Vec::new();
    for record in records {
        let findings = search.folder(&record)?;
        ways.push(Way { record, findings });
    }
    let report = Report::new(&config.key, wanted.clone(), ways);
    if report.is_empty() {
        return Err(Error::KeyNotFound {
            key: config.key.clone(),
            n_folders: report.n_folders(),
            meant: search.nearest.names(),
        });
    }
    Ok(report)
}
