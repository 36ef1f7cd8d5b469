//! The state of a training between two updates: what is kept so that the same command continues where it stopped.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use audsem_core::error::Error as CoreError;
use audsem_core::files::write_atomically;
use audsem_core::terminal::counted;
use candle_core::{Device, Tensor, Var};
use rand_chacha::ChaCha8Rng;
use safetensors::SafeTensors;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{AdamW, EpochSummary};
use crate::checkpoint::serialize;
use crate::error::Result;

/// A temporary name: no reader takes it for a result, and `--fresh` removes it.
const NAME: &str = ".train-state.tmp";

/// Prefixes of the names of tensors.
const WEIGHT: &str = "weight";
const FIRST: &str = "first moment";
const SECOND: &str = "second moment";

/// Keys of the notes beside them.
const PURPOSE: &str = "purpose";
const STEPS: &str = "steps";
const PLACE: &str = "place";
const HISTORY: &str = "history";

/// The position of a training within its epoch. Floats are stored as their bits, because text may not represent them
/// exactly.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// Updates done in this epoch.
    pub(super) steps: usize,
    /// Sum of their losses.
    loss_sum: u64,
    /// Learning rate of the last one.
    learning_rate: u64,
    /// Position of the epoch's random generator, in words of 32 bits: the upper and the lower half.
    drawn: [u64; 2],
}

impl Place {
    /// Adds an update.
    pub(super) fn add(&mut self, loss: f64, learning_rate: f64) {
        self.steps += 1;
        self.loss_sum = (f64::from_bits(self.loss_sum) + loss).to_bits();
        self.learning_rate = learning_rate.to_bits();
    }

    /// Records the position of the random generator.
    pub(super) fn note(&mut self, rng: &ChaCha8Rng) {
        let words = rng.get_word_pos();
        self.drawn = [(words >> 64) as u64, words as u64];
    }

    /// Puts the generator of the epoch where it was, if anything was done in it.
    pub(super) fn restore(&self, rng: &mut ChaCha8Rng) {
        if self.steps > 0 {
            let [upper, lower] = self.drawn.map(u128::from);
            rng.set_word_pos((upper << 64) | lower);
        }
    }

    /// The summary at the end of the epoch.
    pub(super) fn summary(&self, epoch: usize) -> EpochSummary {
        let train_loss = f64::from_bits(self.loss_sum) / self.steps.max(1) as f64;
        EpochSummary { epoch, train_loss, learning_rate: f64::from_bits(self.learning_rate) }
    }
}

/// The file in which a training keeps weights, optimiser, place, random state and reports.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    purpose: String,
}

impl StateFile {
    /// The state file in `folder`. `purpose` identifies everything that decides the outcome; a state with another purpose is
    /// ignored.
    #[must_use]
    pub fn new(folder: &Path, purpose: String) -> Self {
        Self { path: folder.join(NAME), purpose }
    }

    /// Saves the state, replacing the one saved before.
    pub(super) fn save<R: Serialize>(
        &self,
        vars: &[(String, Var)],
        optimizer: &AdamW,
        place: &Place,
        history: &[R],
    ) -> Result<()> {
        let mut named: Vec<(String, &Tensor)> =
            vars.iter().map(|(name, var)| (format!("{WEIGHT} {name}"), var.as_tensor())).collect();
        for (name, first, second) in optimizer.moments() {
            named.extend([(format!("{FIRST} {name}"), first), (format!("{SECOND} {name}"), second)]);
        }
        let notes = HashMap::from([
            (PURPOSE.to_owned(), self.purpose.clone()),
            (STEPS.to_owned(), optimizer.steps().to_string()),
            (PLACE.to_owned(), json(place)?),
            (HISTORY.to_owned(), json(history)?),
        ]);
        Ok(write_atomically(&self.path, &serialize(&named, notes)?)?)
    }

    /// Restores weights and optimiser from the state of an earlier process, and returns its position and reports; `None` if
    /// there is no state, or it has another purpose.
    pub(super) fn load<R: DeserializeOwned>(
        &self,
        vars: &[(String, Var)],
        optimizer: &mut AdamW,
        device: &Device,
    ) -> Result<Option<(Place, Vec<R>)>> {
        let state = match fs::read(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(CoreError::read(&self.path))?,
        };
        let broken = |error: &dyn std::fmt::Display| {
            let problem = format!("an interrupted training cannot continue: {error}\nhint: start again with --fresh");
            CoreError::input(&self.path, problem)
        };
        let (_, metadata) = SafeTensors::read_metadata(&state).map_err(|error| broken(&error))?;
        let notes = metadata.metadata().clone().unwrap_or_default();
        if notes.get(PURPOSE) != Some(&self.purpose) {
            return Ok(None);
        }
        let note = |key: &str| notes.get(key).map_or("", String::as_str);
        let steps = note(STEPS).parse().map_err(|error| broken(&error))?;
        let place: Place = serde_json::from_str(note(PLACE)).map_err(|error| broken(&error))?;
        let history: Vec<R> = serde_json::from_str(note(HISTORY)).map_err(|error| broken(&error))?;
        restore(&state, steps, vars, optimizer, device).map_err(|error| broken(&error))?;
        let epochs = history.len();
        tracing::info!("continuing after epoch {epochs} and {} of the next", counted(place.steps, "updates"));
        Ok(Some((place, history)))
    }

    /// Removes the state of a training that is done from `folder`.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn remove(folder: &Path) -> Result<()> {
        let path = folder.join(NAME);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(CoreError::write(&path)(error).into()),
            _ => Ok(()),
        }
    }
}

fn json<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| candle_core::Error::wrap(error).into())
}

/// Restores weights and optimiser from the state. Everything is checked before anything is changed.
fn restore(state: &[u8], steps: usize, vars: &[(String, Var)], optimizer: &mut AdamW, device: &Device) -> Result<()> {
    let tensors = candle_core::safetensors::load_buffer(state, device)?;
    let stored = |kind: &str, name: &str| -> Result<Tensor> {
        let found = tensors.get(&format!("{kind} {name}")).cloned();
        Ok(found.ok_or_else(|| candle_core::Error::CannotFindTensor { path: format!("{kind} {name}") }.bt())?)
    };
    let weights = vars.iter().map(|(name, var)| Ok((var, stored(WEIGHT, name)?.to_dtype(var.dtype())?)));
    let weights = weights.collect::<Result<Vec<_>>>()?;
    if let Some((var, weight)) = weights.iter().find(|(var, weight)| var.shape() != weight.shape()) {
        let (wanted, has) = (var.dims(), weight.dims());
        return Err(candle_core::Error::Msg(format!("a tensor {wanted:?} is {has:?} in the state")).into());
    }
    optimizer.resume(steps, |name| Ok((stored(FIRST, name)?, stored(SECOND, name)?)))?;
    for (var, weight) in weights {
        var.set(&weight)?;
    }
    Ok(())
}
