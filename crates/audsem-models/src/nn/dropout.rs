//! Dropout whose masks are a function of seed, step and name, so that a training run can be repeated exactly.

use candle_core::{Result, Tensor, bail};
use candle_nn::VarBuilder;
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a forward pass is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The result alone: dropout is the identity.
    Infer,
    /// The result alone, of weights that change from pass to pass: dropout is the identity, and no layer keeps its weights
    /// once more in another order.
    Evaluate,
    /// Gradients: dropout is active.
    Train {
        /// Seed of the training run.
        seed: u64,
        /// Number of the forward pass within the run.
        step: u64,
    },
}

/// Sets each element to zero with probability `p` and scales the rest by `1 / (1 - p)`.
///
/// The mask depends on the seed and the step of [`Mode::Train`] and on the name of this layer, and on nothing else:
/// layers that are added, removed or run in another order do not change it.
#[derive(Debug, Clone)]
pub struct Dropout {
    p: f64,
    name: String,
}

impl Dropout {
    /// Takes the probability and a name that no other dropout layer of the network has.
    ///
    /// # Errors
    /// The probability is not in [0, 1).
    pub fn new(p: f64, name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        if !(0.0..1.0).contains(&p) {
            bail!("dropout of `{name}`: {p} is not in [0, 1)");
        }
        Ok(Self { p, name })
    }

    /// Takes its name from the place of the layer in the checkpoint.
    ///
    /// # Errors
    /// As [`Dropout::new`].
    pub fn at(vb: &VarBuilder<'_>, p: f64) -> Result<Self> {
        Self::new(p, vb.prefix())
    }

    /// The probability with which an element is dropped.
    #[must_use]
    pub fn p(&self) -> f64 {
        self.p
    }

    /// (…) to (…); the identity in [`Mode::Infer`] and for a probability of 0.
    ///
    /// # Errors
    /// Memory or device.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let Mode::Train { seed, step } = mode else {
            return Ok(x.clone());
        };
        if self.p == 0.0 {
            return Ok(x.clone());
        }
        let mask = self.mask(seed, step, x.elem_count());
        x.mul(&Tensor::from_vec(mask, x.shape(), x.device())?.to_dtype(x.dtype())?)
    }

    /// Factors of `n` elements: 0, or `1 / (1 - p)`.
    fn mask(&self, seed: u64, step: u64, n: usize) -> Vec<f32> {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&fnv1a(&self.name).to_le_bytes());
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(step);
        let keep = (1.0 / (1.0 - self.p)) as f32;
        // An element is dropped where 64 random bits are below p · 2⁶⁴; the low half is drawn only if it decides.
        let threshold = (self.p * 2f64.powi(64)) as u64;
        let (high, low) = ((threshold >> 32) as u32, threshold as u32);
        let mut factor = || {
            let bits = rng.next_u32();
            let dropped = if bits == high { rng.next_u32() < low } else { bits < high };
            if dropped { 0.0 } else { keep }
        };
        (0..n).map(|_| factor()).collect()
    }
}

/// FNV-1a, 64 bits: spreads names over seeds.
pub(super) fn fnv1a(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |h, byte| (h ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use candle_core::{DType, Device};

    fn values(dropout: &Dropout, mode: Mode, n: usize) -> Vec<f32> {
        dropout.forward(&Tensor::ones(n, DType::F32, &Device::Cpu).unwrap(), mode).unwrap().to_vec1().unwrap()
    }

    #[test]
    fn the_mask_depends_on_seed_step_and_name_alone() {
        let layer = |name: &str| Dropout::new(0.25, name).unwrap();
        let train = |seed, step| Mode::Train { seed, step };
        let mask = values(&layer("a"), train(1, 5), 1000);
        let other = layer("b");
        values(&other, train(1, 5), 77);
        assert_eq!(mask, values(&layer("a"), train(1, 5), 1000), "another layer ran in between");
        assert_eq!(mask[..300], values(&layer("a"), train(1, 5), 300), "a shorter input has the start of the mask");
        for (changed, mode) in [(layer("a"), train(1, 6)), (layer("a"), train(2, 5)), (layer("b"), train(1, 5))] {
            assert_ne!(mask, values(&changed, mode, 1000), "{changed:?} {mode:?}");
        }
        assert_eq!(values(&layer("a"), Mode::Infer, 50), [1.0; 50]);
    }

    #[test]
    fn the_share_is_p_and_the_rest_is_scaled() {
        for p in [0.05, 0.1, 0.5, 0.9] {
            let n = 400_000;
            let mask = values(&Dropout::new(p, "x").unwrap(), Mode::Train { seed: 3, step: 0 }, n);
            let dropped = mask.iter().filter(|value| **value == 0.0).count() as f64;
            // Five standard deviations.
            let tolerance = 5.0 * (p * (1.0 - p) * n as f64).sqrt();
            assert!((dropped - p * n as f64).abs() < tolerance, "{p}: {dropped} of {n}");
            let keep = (1.0 / (1.0 - p)) as f32;
            assert!(mask.iter().all(|value| *value == 0.0 || *value == keep), "{p}");
        }
        let all = values(&Dropout::new(0.0, "x").unwrap(), Mode::Train { seed: 3, step: 0 }, 50);
        assert_eq!(all, [1.0; 50]);
    }

    #[test]
    fn a_probability_that_is_none_is_refused() {
        for p in [-0.1, 1.0, 1.5, f64::NAN] {
            assert!(Dropout::new(p, "x").unwrap_err().to_string().contains('x'), "{p}");
        }
    }
}
