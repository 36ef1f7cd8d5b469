//! A training between two epochs: what the run folder keeps so that the same command goes on where it stopped.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use audsem_core::error::Error as CoreError;
use audsem_core::files::write_atomically;
use audsem_models::checkpoint::{resume_training, training_notes, training_state};
use audsem_models::nn::Params;
use audsem_models::optim::AdamW;
use candle_core::Device;

use super::metrics::{Confusion, Metrics};
use super::trainer::Epoch;
use crate::error::Result;

/// A temporary name: no reader takes it for a result, and `--fresh` removes it.
const NAME: &str = ".train-state.tmp";

/// Keys of the notes in the file.
const PURPOSE: &str = "purpose";
const HISTORY: &str = "history";

/// An epoch as whole numbers, since numbers with a point need not come back from text as they were.
type EpochBits = [u64; 8];

/// Where a training keeps its state after each epoch.
#[derive(Debug)]
pub(super) struct StateFile {
    path: PathBuf,
    /// Everything that decides the outcome: a state of anything else is passed over.
    purpose: String,
}

impl StateFile {
    pub(super) fn new(run_folder: &Path, purpose: String) -> Self {
        Self { path: run_folder.join(NAME), purpose }
    }

    /// Keeps what there is after the epochs of `history`.
    ///
    /// # Errors
    /// The disk is full.
    pub(super) fn save(&self, params: &Params, optimizer: &AdamW, history: &[Epoch]) -> Result<()> {
        let history: Vec<EpochBits> = history.iter().map(bits).collect();
        let history = serde_json::to_string(&history).expect("whole numbers are plain data");
        let notes = HashMap::from([(PURPOSE.to_owned(), self.purpose.clone()), (HISTORY.to_owned(), history)]);
        let state = training_state(&params.vars(), optimizer, notes)?;
        Ok(write_atomically(&self.path, &state)?)
    }

    /// Puts weights and optimiser where an earlier process left them and gives its epochs: none, where there was
    /// no such process or it trained for something else.
    ///
    /// # Errors
    /// The file cannot be read, or is no state of this network.
    pub(super) fn load(&self, params: &Params, optimizer: &mut AdamW, device: &Device) -> Result<Vec<Epoch>> {
        let state = match fs::read(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            read => read.map_err(CoreError::read(&self.path))?,
        };
        let broken = |error: audsem_models::Error| {
            let problem = format!("an interrupted training cannot go on: {error}\nhint: start anew with --fresh");
            CoreError::input(&self.path, problem)
        };
        let notes = training_notes(&state).map_err(broken)?;
        let history = notes.get(HISTORY).and_then(|text| serde_json::from_str::<Vec<EpochBits>>(text).ok());
        match (notes.get(PURPOSE), history) {
            (Some(purpose), Some(history)) if *purpose == self.purpose => {
                resume_training(&state, &params.vars(), optimizer, device).map_err(broken)?;
                Ok(history.iter().map(epoch).collect())
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Removes the file; the training is done.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn remove(run_folder: &Path) -> Result<()> {
        let path = run_folder.join(NAME);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(CoreError::write(&path)(error).into()),
            _ => Ok(()),
        }
    }
}

fn bits(epoch: &Epoch) -> EpochBits {
    let Confusion { true_positive, false_positive, false_negative, true_negative } = epoch.heldout.confusion;
    let [train_loss, learning_rate, loss] =
        [epoch.train_loss, epoch.learning_rate, epoch.heldout.loss].map(f64::to_bits);
    [epoch.epoch as u64, train_loss, learning_rate, loss, true_positive, false_positive, false_negative, true_negative]
}

fn epoch(bits: &EpochBits) -> Epoch {
    let [epoch, train_loss, learning_rate, loss, true_positive, false_positive, false_negative, true_negative] = *bits;
    let confusion = Confusion { true_positive, false_positive, false_negative, true_negative };
    Epoch {
        epoch: usize::try_from(epoch).unwrap_or(usize::MAX),
        train_loss: f64::from_bits(train_loss),
        learning_rate: f64::from_bits(learning_rate),
        heldout: Metrics::of_counts(confusion, f64::from_bits(loss)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_comes_back_bit_for_bit() {
        let heldout = Metrics::of([(0.9, true), (0.3, true), (0.7, false), (0.1, false)]);
        let before = Epoch { epoch: 3, train_loss: 0.1 + 0.2, learning_rate: 1.0 / 3.0, heldout };
        assert_eq!(epoch(&bits(&before)), before);
    }
}
