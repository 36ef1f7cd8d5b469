//! Large intermediate files that no one needs once the run is complete.
//!
//! The marker of their shard keeps their hash and records that they were removed, so the shard stays done
//! and everything built on it stays valid. The marker is written before the file is removed: a kill
//! in between leaves an extra file, which the next run removes.

use std::path::PathBuf;

use super::folder::remove;
use super::fresh::remove_output;
use super::marker::Marker;
use super::open::Run;
use crate::error::Result;

impl Run {
    /// Removes the files of `step` whose names end in `ending`. Call it when every step that reads them is done.
    ///
    /// # Errors
    /// [`Error::Read`](crate::error::Error::Read) and [`Error::Write`](crate::error::Error::Write).
    pub fn discard(&self, step: &str, ending: &str) -> Result<()> {
        if self.options.dry_run {
            return Ok(());
        }
        for (path, mut marker) in self.markers(step)? {
            let mut files = Vec::new();
            let mut noted = true;
            for output in marker.outputs.iter_mut().filter(|output| output.path.to_string_lossy().ends_with(ending)) {
                noted &= std::mem::replace(&mut output.discarded, true);
                files.push(output.path.clone());
            }
            if !noted {
                marker.write(&path)?;
            }
            for file in files {
                remove_output(self.folder(), &file)?;
            }
        }
        Ok(())
    }

    /// Undoes [`Run::discard`]: shards of `step` that have lost files by it are run again.
    ///
    /// # Errors
    /// [`Error::Read`](crate::error::Error::Read) and [`Error::Write`](crate::error::Error::Write).
    pub fn recall(&self, step: &str) -> Result<()> {
        if self.options.dry_run {
            return Ok(());
        }
        for (path, marker) in self.markers(step)? {
            if marker.outputs.iter().any(|output| output.discarded) {
                self.begin_to_change()?;
                remove(&path)?;
            }
        }
        Ok(())
    }

    /// Whether every shard of `step` that was ever done still has its files.
    ///
    /// # Errors
    /// [`Error::Read`](crate::error::Error::Read).
    pub fn is_intact(&self, step: &str) -> Result<bool> {
        Ok(self.markers(step)?.iter().all(|(_, marker)| marker.outputs_present(self.folder())))
    }

    /// The markers of a step with their paths, sorted.
    fn markers(&self, step: &str) -> Result<Vec<(PathBuf, Marker)>> {
        let mut markers = Vec::new();
        for name in Marker::names_in(self.folder())? {
            let path = self.folder().join(&name);
            if Marker::shard(step, &name).is_some()
                && let Some(marker) = Marker::read(&path)?
            {
                markers.push((path, marker));
            }
        }
        Ok(markers)
    }
}
