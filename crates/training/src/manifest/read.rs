//! Manifests as training commands read them.

use std::path::Path;

use audsem_core::error::Error as CoreError;
use audsem_core::run::CompletedRun;
use audsem_core::tables::{parts, read_parquet};

use super::ManifestSummary;
use crate::error::Result;
use crate::tables::ManifestRow;

/// The examples of some shards, in the order of the shards.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// One row for each example.
    pub rows: Vec<ManifestRow>,
    /// Counts, and the digest of all examples.
    pub summary: ManifestSummary,
}

impl Manifest {
    /// Reads the folder that `index` has written.
    ///
    /// # Errors
    /// The folder is none of a finished `index`, or has lost a file.
    pub fn open(folder: &Path) -> Result<Self> {
        if CompletedRun::open(folder)?.is_none() {
            let problem = "this folder was not written by `audsem-training index`";
            return Err(CoreError::input(folder, problem).into());
        }
        let summary = ManifestSummary::read(&folder.join("manifest.json"))?;
        let mut rows = Vec::new();
        for part in parts(folder, "part")? {
            rows.extend(read_parquet::<ManifestRow>(&part)?);
        }
        Ok(Self { rows, summary })
    }
}
