//! `reference.json`: a reference reduced to its mean direction.

use std::path::{Path, PathBuf};

use audsem_core::error::Error as CoreError;
use audsem_core::input::{is_file, is_folder};
use audsem_core::run::{Fingerprint, Run, Shard, Step};
use serde::{Deserialize, Serialize};

use super::sum::FileSums;
use crate::error::Error;
use crate::mean_embedding::exact;

/// Name of the file in the folder of a reference.
pub const REFERENCE: &str = "reference.json";

/// One set of a reference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedSet {
    /// Its name.
    pub name: String,
    /// Usable vectors in it.
    pub count: u64,
}

/// The mean direction of a reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedReference {
    /// Usable vectors.
    pub count: u64,
    /// Numbers in each.
    pub dim: usize,
    /// The model that made them, where the tables say so.
    pub model: Option<String>,
    /// Batch size of the weighting; absent where the mean is exact.
    pub batch: Option<u64>,
    /// Where they come from.
    pub sets: Vec<SavedSet>,
    /// The mean of the unit vectors.
    #[serde(deserialize_with = "exact")]
    pub mean: Vec<f64>,
}

impl SavedReference {
    /// Reads the file, or the one in a folder.
    ///
    /// # Errors
    /// It cannot be read or is not a saved reference.
    pub fn open(path: &Path) -> Result<(PathBuf, Self), Error> {
        let file = if is_folder(path)? { path.join(REFERENCE) } else { path.to_owned() };
        let bytes = std::fs::read(&file).map_err(CoreError::read(&file))?;
        let unusable = |problem: String| Error::SavedReference { path: file.clone(), problem };
        let saved: Self = serde_json::from_slice(&bytes)
            .map_err(|error| unusable(format!("{error}\nhint: `reference build` writes such files")))?;
        let finite = saved.mean.iter().all(|value| value.is_finite());
        if saved.count == 0 || saved.mean.len() != saved.dim || !finite {
            return Err(unusable("it has no mean of finite numbers".to_owned()));
        }
        Ok((file, saved))
    }

    /// Whether a path names a saved reference rather than tables.
    ///
    /// # Errors
    /// The path cannot be looked at.
    pub fn is_at(path: &Path) -> Result<bool, Error> {
        let is_named_so = || path.extension().is_some_and(|end| end == "json");
        Ok(if is_folder(path)? { is_file(&path.join(REFERENCE))? } else { is_named_so() })
    }

    /// Length of the mean: 1 where all vectors are equal, near 0 where they point everywhere.
    pub fn norm(&self) -> f64 {
        self.mean.iter().map(|value| value * value).sum::<f64>().sqrt()
    }

    /// One reference of several: every vector counts the same.
    ///
    /// # Errors
    /// One of several has batch weighting, which does not add up.
    pub fn together(all: Vec<(PathBuf, Self)>) -> Result<Self, Error> {
        let mut all = all.into_iter();
        let Some((_, mut total)) = all.next() else {
            return Err(Error::EmptyReference { n_files: 0, n_rows: 0 });
        };
        total.mean.iter_mut().for_each(|value| *value *= total.count as f64);
        let first_batch = total.batch;
        for (path, other) in all {
            if first_batch.is_some() || other.batch.is_some() {
                let problem = "it was built with --compat-batch, and such references cannot be added up\n\
                               hint: build one reference of all sets";
                return Err(Error::SavedReference { path, problem: problem.to_owned() });
            }
            total.count += other.count;
            total.sets.extend(other.sets);
            total.model = total.model.or(other.model);
            for (total, value) in total.mean.iter_mut().zip(&other.mean) {
                *total += value * other.count as f64;
            }
        }
        total.mean.iter_mut().for_each(|value| *value /= total.count as f64);
        Ok(total)
    }
}

/// Writes `reference.json` in a step of its own.
pub(crate) fn write(run: &mut Run, saved: &SavedReference, sums: &[FileSums]) -> Result<(), Error> {
    let mut fingerprint = sums.iter().fold(Fingerprint::new(), |all, file| all.with(&file.fingerprint));
    for value in &saved.mean {
        fingerprint = fingerprint.with(value.to_le_bytes());
    }
    let fingerprint = fingerprint.finish();
    let mut json = serde_json::to_vec_pretty(saved).expect("a reference is plain data");
    json.push(b'\n');
    let plan = [Shard { name: "all".to_owned(), fingerprint, work: json }];
    let step = Step { name: "mean", unit: "references", physical: "" };
    run.execute(step, &plan, |json: &Vec<u8>, out| {
        out.file_kept(1);
        Ok(out.write_file(REFERENCE, json)?)
    })?;
    Ok(())
}
