//! Checkpoints of a training: folders that appear whole or not at all, from which the same command continues exactly.
//!
//! ```text
//! out/checkpoints/step-00000100/
//!   model.safetensors, config.json, …   what the caller names: the trained tensors by their names, files beside them
//!   optimizer.safetensors               moments `m.NAME` and `v.NAME`, and the number of updates
//!   trainer_state.json                  the state of the loop: place in the data, counts, history
//! ```
//!
//! Supervised and reinforcement training share this; the state is the caller's own type.

use std::fs;
use std::path::{Path, PathBuf};

use audsem_core::error::Error as CoreError;
use audsem_core::files::write_folder_atomically;
use audsem_models::checkpoint::safetensors_bytes;
use audsem_models::train::AdamW;
use candle_core::{Device, Var};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The folder of checkpoints, below that of the run.
const FOLDER: &str = "checkpoints";
/// Begins the name of a checkpoint.
const PREFIX: &str = "step-";
/// The file with the trained tensors by their names, bit for bit.
pub const WEIGHTS: &str = "trained.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const STATE: &str = "trainer_state.json";

/// Files by name.
pub type NamedFiles = Vec<(String, Vec<u8>)>;

/// Where a training keeps its checkpoints.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    folder: PathBuf,
    /// A hash of all that decides the outcome.
    purpose: String,
    keep_last: usize,
}

/// A state as it is stored.
#[derive(Serialize, Deserialize)]
struct Stored<S> {
    purpose: String,
    step: usize,
    /// Whether it was saved because of a stop request, and is not one that an undisturbed training has.
    interim: bool,
    state: S,
}

/// What a checkpoint is made of.
#[derive(Debug)]
pub struct Checkpoint<'a, S> {
    /// Updates done.
    pub step: usize,
    /// Whether it is saved because of a stop request: the next one replaces it.
    pub interim: bool,
    /// The trained tensors.
    pub vars: &'a [(String, Var)],
    /// The optimiser.
    pub optimizer: &'a AdamW,
    /// The state of the loop. Its JSON must represent it exactly: see [`Exact`].
    pub state: &'a S,
    /// Further files, such as those of an adapter.
    pub files: NamedFiles,
}

impl Checkpoints {
    /// The checkpoints of the run in `run_folder`. `purpose` identifies everything that decides the outcome; checkpoints
    /// of another purpose are not continued. The last `keep_last` are kept, at least one, and the best.
    #[must_use]
    pub fn new(run_folder: &Path, purpose: String, keep_last: usize) -> Self {
        Self { folder: run_folder.join(FOLDER), purpose, keep_last: keep_last.max(1) }
    }

    /// The run folder that they are in.
    #[must_use]
    pub fn run_folder(&self) -> &Path {
        self.folder.parent().unwrap_or(&self.folder)
    }

    /// The folder of a step.
    #[must_use]
    pub fn path(&self, step: usize) -> PathBuf {
        self.folder.join(format!("{PREFIX}{step:08}"))
    }

    /// Saves a checkpoint, and removes those that are not kept; `best` is kept in any case.
    ///
    /// # Errors
    /// A tensor cannot be read, or the disk refuses.
    pub fn save<S: Serialize>(&self, checkpoint: Checkpoint<'_, S>, best: Option<usize>) -> Result<()> {
        let Checkpoint { step, interim, vars, optimizer, state, mut files } = checkpoint;
        let stored = Stored { purpose: self.purpose.clone(), step, interim, state };
        let mut json = serde_json::to_vec_pretty(&stored).map_err(|error| broken(&self.path(step), &error))?;
        json.push(b'\n');
        files.push((WEIGHTS.to_owned(), safetensors_bytes(vars)?));
        files.push((OPTIMIZER.to_owned(), optimizer.to_bytes()?));
        files.push((STATE.to_owned(), json));
        self.remove(step)?;
        write_folder_atomically(&self.path(step), &files)?;
        self.prune(step, best)
    }

    /// Restores weights and optimiser from the last checkpoint of this purpose, and returns its state; none if there is
    /// none. One that is damaged is told, and the one before it taken.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn restore<S: DeserializeOwned>(
        &self,
        vars: &[(String, Var)],
        optimizer: &mut AdamW,
        device: &Device,
    ) -> Result<Option<S>> {
        for step in self.steps()?.into_iter().rev() {
            let path = self.path(step);
            match self.read(&path, vars, optimizer, device) {
                Ok(Some(state)) => {
                    tracing::info!("continuing from {}", path.display());
                    return Ok(Some(state));
                }
                Ok(None) => {}
                Err(error) => tracing::warn!("checkpoint {} is damaged and not used: {error}", path.display()),
            }
        }
        Ok(None)
    }

    fn read<S: DeserializeOwned>(
        &self,
        path: &Path,
        vars: &[(String, Var)],
        optimizer: &mut AdamW,
        device: &Device,
    ) -> Result<Option<S>> {
        let file = |name: &str| fs::read(path.join(name)).map_err(CoreError::read(&path.join(name)));
        let stored: Stored<S> = serde_json::from_slice(&file(STATE)?).map_err(|error| broken(path, &error))?;
        if stored.purpose != self.purpose {
            return Ok(None);
        }
        optimizer.restore(vars, &file(OPTIMIZER)?, &file(WEIGHTS)?, device)?;
        Ok(Some(stored.state))
    }

    /// The trained tensors of a step, as a safetensors file.
    ///
    /// # Errors
    /// There is none.
    pub fn weights(&self, step: usize) -> Result<Vec<u8>> {
        let path = self.path(step).join(WEIGHTS);
        Ok(fs::read(&path).map_err(CoreError::read(&path))?)
    }

    /// Removes all checkpoints, as before a training that begins anew.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn clear(&self) -> Result<()> {
        self.steps()?.into_iter().try_for_each(|step| self.remove(step))
    }

    /// Steps with a checkpoint, ascending.
    fn steps(&self) -> Result<Vec<usize>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(CoreError::read(&self.folder))?,
        };
        let mut steps = Vec::new();
        for entry in entries {
            let name = entry.map_err(CoreError::read(&self.folder))?.file_name();
            steps.extend(name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse::<usize>().ok()));
        }
        steps.sort_unstable();
        Ok(steps)
    }

    /// Removes what the process before has left of old checkpoints, where it ended between its last save and their removal.
    /// Where a later one than that of `step` is there, which could not be read, all stay: it may be readable next time.
    ///
    /// # Errors
    /// The folder cannot be read, or the disk refuses.
    pub fn tidy(&self, step: usize, best: Option<usize>) -> Result<()> {
        if self.steps()?.last() == Some(&step) { self.prune(step, best) } else { Ok(()) }
    }

    /// Removes the checkpoints that are not kept beside that of the step `last`, and `best`.
    fn prune(&self, last: usize, best: Option<usize>) -> Result<()> {
        let earlier: Vec<usize> = self.steps()?.into_iter().filter(|step| *step != last).collect();
        let (mut interim, mut regular) = (Vec::new(), Vec::new());
        for step in earlier {
            if self.is_interim(step)? { interim.push(step) } else { regular.push(step) }
        }
        let excess = (regular.len() + 1).saturating_sub(self.keep_last);
        let old = regular.into_iter().take(excess).filter(|step| Some(*step) != best);
        interim.into_iter().chain(old).try_for_each(|step| self.remove(step))
    }

    fn is_interim(&self, step: usize) -> Result<bool> {
        #[derive(Deserialize)]
        struct Kind {
            interim: bool,
        }
        let path = self.path(step).join(STATE);
        // What has no state, or a broken one, is of no use either. What a failing disk hides may be the best.
        Ok(match fs::read(&path) {
            Ok(state) => serde_json::from_slice::<Kind>(&state).ok().is_none_or(|kind| kind.interim),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
            Err(error) => return Err(CoreError::read(&path)(error).into()),
        })
    }

    /// Removes a checkpoint; its state first, so that what a kill leaves of it is not continued.
    fn remove(&self, step: usize) -> Result<()> {
        let path = self.path(step);
        let gone = |removed: std::io::Result<()>| match removed {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(CoreError::write(&path)(error)),
            _ => Ok(()),
        };
        gone(fs::remove_file(path.join(STATE)))?;
        Ok(gone(fs::remove_dir_all(&path))?)
    }
}

fn broken(path: &Path, error: &serde_json::Error) -> Error {
    CoreError::input(path, format!("the state of a training cannot be written or read: {error}")).into()
}

/// A number that is stored as its bits, because the decimal form of a float may lose its last one.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Exact(
    /// The number.
    pub f64,
);

impl Serialize for Exact {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.to_bits().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(f64::from_bits(u64::deserialize(deserializer)?)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]
    use audsem_models::train::AdamWConfig;
    use candle_core::Tensor;

    use super::*;

    fn begin() -> (Vec<(String, Var)>, AdamW) {
        let var = Var::from_tensor(&Tensor::new(&[1f32, 2.0], &Device::Cpu).unwrap()).unwrap();
        let vars = vec![("x".to_owned(), var)];
        let optimizer = AdamW::new(vars.clone(), AdamWConfig::default()).unwrap();
        (vars, optimizer)
    }

    fn save(checkpoints: &Checkpoints, step: usize, interim: bool, best: Option<usize>) {
        let (vars, optimizer) = begin();
        let files = vec![("note.txt".to_owned(), b"hello".to_vec())];
        let state = Exact(step as f64 + 0.1);
        let checkpoint = Checkpoint { step, interim, vars: &vars, optimizer: &optimizer, state: &state, files };
        checkpoints.save(checkpoint, best).unwrap();
    }

    fn restored(checkpoints: &Checkpoints) -> Option<f64> {
        let (vars, mut optimizer) = begin();
        checkpoints.restore::<Exact>(&vars, &mut optimizer, &Device::Cpu).unwrap().map(|state| state.0)
    }

    #[test]
    fn the_last_ones_and_the_best_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(folder.path(), "a".to_owned(), 2);
        assert_eq!(restored(&checkpoints), None);
        for (step, interim, best, expected) in [
            (5, false, None, vec![5]),
            (10, false, Some(5), vec![5, 10]),
            (15, false, Some(5), vec![5, 10, 15]),
            (17, true, Some(5), vec![5, 15, 17]),
            (20, false, Some(20), vec![15, 20]),
        ] {
            save(&checkpoints, step, interim, best);
            assert_eq!(checkpoints.steps().unwrap(), expected);
            assert_eq!(restored(&checkpoints), Some(step as f64 + 0.1));
        }
        let other = Checkpoints::new(folder.path(), "b".to_owned(), 2);
        assert_eq!(restored(&other), None, "another training");
        checkpoints.clear().unwrap();
        assert_eq!(restored(&checkpoints), None);
    }

    #[test]
    fn a_restored_optimiser_takes_the_same_steps() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(folder.path(), "a".to_owned(), 1);
        let update = |vars: &[(String, Var)], optimizer: &mut AdamW| {
            let grads = vars[0].1.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            optimizer.step(&grads, 0.05).unwrap();
        };
        let (vars, mut optimizer) = begin();
        (0..3).for_each(|_| update(&vars, &mut optimizer));
        let state = Exact(0.0);
        let files = Vec::new();
        let checkpoint =
            Checkpoint { step: 3, interim: false, vars: &vars, optimizer: &optimizer, state: &state, files };
        checkpoints.save(checkpoint, None).unwrap();
        (0..3).for_each(|_| update(&vars, &mut optimizer));
        let (other_vars, mut other) = begin();
        checkpoints.restore::<Exact>(&other_vars, &mut other, &Device::Cpu).unwrap().unwrap();
        (0..3).for_each(|_| update(&other_vars, &mut other));
        assert_eq!(safetensors_bytes(&vars).unwrap(), safetensors_bytes(&other_vars).unwrap());
        assert_eq!(optimizer.to_bytes().unwrap(), other.to_bytes().unwrap());
    }

    #[test]
    fn a_kill_during_a_save_leaves_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(folder.path(), "a".to_owned(), 2);
        save(&checkpoints, 5, false, None);
        // What a killed save leaves: a folder under its temporary name.
        let temporary = folder.path().join(FOLDER).join(".step-00000010.tmp");
        fs::create_dir(&temporary).unwrap();
        fs::copy(checkpoints.path(5).join(STATE), temporary.join(STATE)).unwrap();
        assert_eq!(restored(&checkpoints), Some(5.1));
        save(&checkpoints, 10, false, None);
        assert!(!temporary.exists());
        // A state that a failing disk hides is that of a good checkpoint for all that is known.
        let (state, kept) = (checkpoints.path(5).join(STATE), folder.path().join("kept"));
        fs::rename(&state, &kept).unwrap();
        std::os::unix::fs::symlink(STATE, &state).unwrap();
        assert!(checkpoints.prune(10, None).is_err() && checkpoints.path(5).is_dir());
        fs::remove_file(&state).unwrap();
        fs::rename(&kept, &state).unwrap();
        // A file that the disk has lost.
        fs::remove_file(checkpoints.path(10).join(OPTIMIZER)).unwrap();
        assert_eq!(restored(&checkpoints), Some(5.1));
        Checkpoints::new(folder.path(), "a".to_owned(), 1).tidy(5, None).unwrap();
        assert_eq!(checkpoints.steps().unwrap(), [5, 10], "the one that cannot be read stays");
    }
}
