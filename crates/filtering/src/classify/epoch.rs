//! The report of an epoch.

use serde::Serialize;

use super::metrics::{Confusion, Metrics};

/// One pass over the data.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Epoch {
    /// Its number, from 1.
    pub epoch: usize,
    /// Mean loss over the steps.
    pub train_loss: f64,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// The network on the held-out captions afterwards.
    pub heldout: Metrics,
}

/// An epoch stored as integers, because floats may change when they are written as text and read again.
pub(super) type EpochBits = [u64; 8];

impl Epoch {
    pub(super) fn to_bits(&self) -> EpochBits {
        let Confusion { true_positive, false_positive, false_negative, true_negative } = self.heldout.confusion;
        let [train_loss, learning_rate, loss] =
            [self.train_loss, self.learning_rate, self.heldout.loss].map(f64::to_bits);
        let epoch = self.epoch as u64;
        [epoch, train_loss, learning_rate, loss, true_positive, false_positive, false_negative, true_negative]
    }

    pub(super) fn from_bits(bits: &EpochBits) -> Self {
        let [epoch, train_loss, learning_rate, loss, true_positive, false_positive, false_negative, true_negative] =
            *bits;
        let confusion = Confusion { true_positive, false_positive, false_negative, true_negative };
        Self {
            epoch: usize::try_from(epoch).unwrap_or(usize::MAX),
            train_loss: f64::from_bits(train_loss),
            learning_rate: f64::from_bits(learning_rate),
            heldout: Metrics::of_counts(confusion, f64::from_bits(loss)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_comes_back_bit_for_bit() {
        let heldout = Metrics::of([(0.9, true), (0.3, true), (0.7, false), (0.1, false)]);
        let before = Epoch { epoch: 3, train_loss: 0.1 + 0.2, learning_rate: 1.0 / 3.0, heldout };
        assert_eq!(Epoch::from_bits(&before.to_bits()), before);
    }
}
