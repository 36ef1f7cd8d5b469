//! The examples of one training: folders with weights.

use std::path::PathBuf;
use std::str::FromStr;

use audsem_core::input::is_file;
use audsem_core::run::{CompletedRun, RunOptions, ShardSelection};
use audsem_core::tar::tars_under;

use crate::error::{Error, Result};
use crate::manifest::{self, Manifest};
use crate::tables::ManifestRow;

/// A value of `--data`: a folder of shards or of their manifest, and how often its examples come up.
#[derive(Debug, Clone, PartialEq)]
pub struct DataSource {
    /// The folder.
    pub path: PathBuf,
    /// How many times an epoch goes through its examples.
    pub weight: f64,
}

impl FromStr for DataSource {
    type Err = String;

    /// Reads `DIR` or `DIR=WEIGHT`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (path, weight) = match text.rsplit_once('=') {
            Some((path, weight)) if weight.parse::<f64>().is_ok() => (path, weight.parse().unwrap_or(1.0)),
            _ => (text, 1.0),
        };
        match () {
            () if path.is_empty() => Err("expected DIR or DIR=WEIGHT".to_owned()),
            () if !(weight > 0.0 && weight <= MAX_WEIGHT) => Err(format!(
                "a weight is a number above 0 and up to {MAX_WEIGHT}: how often an epoch uses each example"
            )),
            () => Ok(Self { path: path.into(), weight }),
        }
    }
}

/// Largest weight: more is a typing error rather than a mixture.
const MAX_WEIGHT: f64 = 1000.0;

/// The examples of several folders, concatenated.
#[derive(Debug, Clone, Default)]
pub struct DataSet {
    /// All examples.
    pub rows: Vec<ManifestRow>,
    /// Number of examples and weight of each folder.
    pub parts: Vec<(usize, f64)>,
    /// Digest of each folder's manifest.
    pub digests: Vec<String>,
}

impl DataSet {
    /// Opens folders. One of shards is indexed first, into a folder `NAME-N` below the output of the training.
    ///
    /// # Errors
    /// A folder is neither of shards nor of a manifest, holds nothing to train on, or cannot be indexed.
    pub fn open(sources: &[DataSource], name: &str, options: &RunOptions) -> Result<Self> {
        let mut set = Self::default();
        for (number, source) in sources.iter().enumerate() {
            let manifest = open_one(source, &format!("{name}-{number}"), options)?;
            if manifest.rows.is_empty() {
                return Err(Error::NoExamples { path: source.path.clone() });
            }
            set.parts.push((manifest.rows.len(), source.weight));
            set.digests.push(manifest.summary.digest);
            set.rows.extend(manifest.rows);
        }
        Ok(set)
    }

    /// Keeps the first `n` examples.
    pub fn truncate(&mut self, n: usize) {
        self.rows.truncate(n);
        let mut left = n;
        for (rows, _) in &mut self.parts {
            *rows = (*rows).min(left);
            left -= *rows;
        }
    }
}

fn open_one(source: &DataSource, name: &str, options: &RunOptions) -> Result<Manifest> {
    let is_manifest = CompletedRun::open(&source.path)?.is_some() && is_file(&source.path.join("manifest.json"))?;
    if is_manifest {
        return Manifest::open(&source.path);
    }
    tars_under(&source.path)?;
    let output = options.output.join(name);
    let own = RunOptions {
        output: output.clone(),
        limit: None,
        shard: ShardSelection::ALL,
        dry_run: false,
        ..options.clone()
    };
    let summary = manifest::run(&manifest::Config { inputs: vec![source.path.clone()] }, &own)?;
    for line in summary.verdict() {
        tracing::warn!("{}: {line}", source.path.display());
    }
    Manifest::open(&output)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_folder_may_have_a_weight() {
        let check = |text: &str, path: &str, weight: f64| {
            assert_eq!(text.parse(), Ok(DataSource { path: path.into(), weight }), "{text}");
        };
        check("a/b", "a/b", 1.0);
        check("a/b=0.5", "a/b", 0.5);
        check("run=3/b", "run=3/b", 1.0);
        check("run=x=2", "run=x", 2.0);
        for bad in ["", "=2", "a=0", "a=-1", "a=inf", "a=NaN", "a=1e9"] {
            assert!(bad.parse::<DataSource>().is_err(), "{bad}");
        }
    }
}
