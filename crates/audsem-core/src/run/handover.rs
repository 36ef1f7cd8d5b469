//! How a step hands its results to the next one: in memory on a dry run, else through the files that its
//! shards leave in the run folder, so that a run that was interrupted continues with the same bytes.

use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::fingerprint::Fingerprint;
use super::reads::Reads;
use super::shard::{Shard, ShardError, ShardOutput};
use super::stats::Stats;
use crate::error::{Error, Result};

/// What a shard has left in the run folder.
#[derive(Debug, Clone)]
pub struct ShardOutputs {
    /// The shard's name.
    pub name: String,
    /// Its files, rejects included, sorted, with the run folder in front.
    pub files: Vec<PathBuf>,
    /// Hash over the content of all its files.
    pub fingerprint: Reads,
    /// Its counts.
    pub stats: Stats,
}

impl ShardOutputs {
    /// Files of the shard that end in `ending`.
    pub fn files_ending(&self, ending: &str) -> impl Iterator<Item = &PathBuf> {
        self.files.iter().filter(move |file| file.to_string_lossy().ends_with(ending))
    }

    /// The only file of the shard that ends in `ending`.
    ///
    /// # Errors
    /// [`Error::Input`] when the shard has none.
    pub fn file_ending(&self, ending: &str) -> Result<&PathBuf> {
        let missing = || Error::input(&PathBuf::from(format!("shard {}", self.name)), format!("no file *{ending}"));
        self.files_ending(ending).next().ok_or_else(missing)
    }
}

/// What a step hands to the next one: of each shard that is done its files, its counts and its value.
#[derive(Debug, Clone)]
pub struct StepOutputs<T = ()> {
    /// Whether every shard of the plan is done, by this process or another: none is left, none failed.
    /// A later step may only start when it is; see [`StepOutputs::whole`].
    pub complete: bool,
    /// The shards that are done, in order of the plan.
    pub outputs: Vec<ShardOutputs>,
    /// What each of them hands over, in the same order.
    pub values: Vec<T>,
    /// The sum of their counts.
    pub stats: Stats,
}

impl<T> StepOutputs<T> {
    /// The outputs if every shard is done, so that a later step may start; `None` if shards are left or failed.
    pub fn whole(self) -> Option<Self> {
        self.complete.then_some(self)
    }

    /// A hash over everything that the step has written.
    pub fn fingerprint(&self) -> Fingerprint {
        self.outputs.iter().fold(Fingerprint::new(), |all, shard| all.with(&shard.fingerprint))
    }

    /// The files of all shards that end in `ending`, in order of the plan.
    pub fn files_ending(&self, ending: &str) -> impl Iterator<Item = &PathBuf> {
        self.outputs.iter().flat_map(move |shard| shard.files_ending(ending))
    }

    /// The plan of a step that reads all these files together.
    pub fn one_shard(&self, ending: &str) -> [Shard<Vec<PathBuf>>; 1] {
        let files = self.files_ending(ending).cloned().collect();
        [Shard { name: "all".to_owned(), fingerprint: self.fingerprint().finish(), work: files }]
    }

    /// The plan of a step that has a shard for each of these files.
    pub fn shard_per_file(&self, ending: &str) -> Vec<Shard<PathBuf>> {
        let files = self
            .outputs
            .iter()
            .flat_map(|shard| shard.files_ending(ending).map(move |file| (&shard.fingerprint, file)));
        files
            .enumerate()
            .map(|(i, (fingerprint, file))| Shard {
                name: format!("{i:05}"),
                fingerprint: fingerprint.clone(),
                work: file.clone(),
            })
            .collect()
    }
}

/// How the value of a shard is stored for later processes.
pub trait Handover<T>: Sync {
    /// Writes the value into the shard's files, unless the work of the shard has written all that
    /// [`Handover::load`] needs. Returns the value as `load` reads it.
    ///
    /// # Errors
    /// [`ShardError::Fatal`] when it cannot be written.
    fn save(&self, value: T, out: &mut ShardOutput) -> Result<T, ShardError>;

    /// Reads the value of a shard from its files.
    ///
    /// # Errors
    /// [`Error::Read`] and [`Error::Input`] when the files are not what the shard had written.
    fn load(&self, shard: &ShardOutputs) -> Result<T>;
}

/// Hands over nothing but files and counts; see [`super::Run::execute`].
#[derive(Debug, Clone, Copy)]
pub(super) struct FilesOnly;

impl Handover<()> for FilesOnly {
    fn save(&self, (): (), _: &mut ShardOutput) -> Result<(), ShardError> {
        Ok(())
    }

    fn load(&self, _: &ShardOutputs) -> Result<()> {
        Ok(())
    }
}

/// Hands values over in files `PREFIX-SHARD.json`; for values that are small beside the data.
#[derive(Debug, Clone, Copy)]
pub struct JsonFile(
    /// The prefix.
    pub &'static str,
);

impl JsonFile {
    fn name(self, shard: &str) -> String {
        format!("{}-{shard}.json", self.0)
    }
}

impl<T: Serialize + DeserializeOwned> Handover<T> for JsonFile {
    fn save(&self, value: T, out: &mut ShardOutput) -> Result<T, ShardError> {
        let json = serde_json::to_vec(&value).map_err(ShardError::fatal)?;
        let name = self.name(out.name());
        out.write_file(name, &json)?;
        // The last bit of a number may be lost in its text form, so a dry run uses the text form, too.
        if out.dry_run() { serde_json::from_slice(&json).map_err(ShardError::fatal) } else { Ok(value) }
    }

    fn load(&self, shard: &ShardOutputs) -> Result<T> {
        let path = shard.file_ending(&format!("/{}", self.name(&shard.name)))?;
        let bytes = std::fs::read(path).map_err(Error::read(path))?;
        let damaged = |error| Error::input(path, format!("not what this command has written: {error}{HINT}"));
        serde_json::from_slice(&bytes).map_err(damaged)
    }
}

/// What to do about a damaged file of a step.
const HINT: &str = "\nhint: pass --fresh to make it again";

/// Hands over what is read back from the files that the shard's own work has written.
#[derive(Debug, Clone, Copy)]
pub struct ReadBack<F>(
    /// Reads the value.
    pub F,
);

impl<T, F: Fn(&ShardOutputs) -> Result<T> + Sync> Handover<T> for ReadBack<F> {
    fn save(&self, value: T, _: &mut ShardOutput) -> Result<T, ShardError> {
        Ok(value)
    }

    fn load(&self, shard: &ShardOutputs) -> Result<T> {
        (self.0)(shard)
    }
}
