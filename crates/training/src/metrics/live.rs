//! The numbers of a training that is running, for people who watch it.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use audsem_core::error::Error as CoreError;
use audsem_core::files::{create_folder, write_atomically};

use super::tensorboard::{EVENTS_FILE, event_file, scalar_records};
use super::{History, MetricRecord};
use crate::error::Result;

/// Name of the folder, below that of the run.
const FOLDER: &str = "live";
const METRICS: &str = "metrics.jsonl";

/// The folder of what a training that is running shows, below that of its run.
pub fn live_folder(run_folder: &Path) -> PathBuf {
    run_folder.join(FOLDER)
}

/// `live/metrics.jsonl` and an event file for TensorBoard, to which each record is appended. The folder is removed when
/// the training is over: the run folder then has both files for good.
#[derive(Debug)]
pub struct LiveMetrics {
    folder: PathBuf,
}

impl LiveMetrics {
    /// Begins with what there is so far.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn start(run_folder: &Path, history: &History) -> Result<Self> {
        let folder = live_folder(run_folder);
        create_folder(&folder)?;
        write_atomically(&folder.join(METRICS), &history.jsonl())?;
        write_atomically(&folder.join(EVENTS_FILE), &event_file(history))?;
        Ok(Self { folder })
    }

    /// Appends a record.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn append(&self, record: &MetricRecord) -> Result<()> {
        self.write(METRICS, record.json_line().as_bytes())?;
        self.write(EVENTS_FILE, &scalar_records(record))
    }

    /// Removes the folder below that of a run, if it is there.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn remove(run_folder: &Path) -> Result<()> {
        let folder = live_folder(run_folder);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(CoreError::write(&folder)(error).into()),
            _ => Ok(()),
        }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.folder.join(name);
        let append = || File::options().append(true).open(&path)?.write_all(bytes);
        Ok(append().map_err(CoreError::write(&path))?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn appended_records_make_the_files_of_the_whole_history() {
        let folder = tempfile::tempdir().unwrap();
        let records = [1, 2, 3].map(|step| MetricRecord::new(step).with("loss", 1.0 / step as f64));
        let mut history = History { records: records[..1].to_vec() };
        let live = LiveMetrics::start(folder.path(), &history).unwrap();
        for record in &records[1..] {
            live.append(record).unwrap();
            history.push(record.clone());
        }
        let read = |name: &str| fs::read(folder.path().join(FOLDER).join(name)).unwrap();
        assert_eq!(read(METRICS), history.jsonl());
        assert_eq!(read(EVENTS_FILE), event_file(&history));
        LiveMetrics::remove(folder.path()).unwrap();
        LiveMetrics::remove(folder.path()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
