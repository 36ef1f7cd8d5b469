//! Dropout from a seeded stream, so that a training run can be repeated exactly.

use std::cell::RefCell;

use candle_core::{DType, Result, Tensor};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// How a forward pass is meant: for its result, or for training.
#[derive(Debug)]
pub struct Pass {
    rng: Option<RefCell<ChaCha8Rng>>,
}

impl Pass {
    /// No dropout.
    #[must_use]
    pub fn infer() -> Self {
        Self { rng: None }
    }

    /// Dropout masks from the stream number `step` of `seed`: the same two numbers give the same masks.
    #[must_use]
    pub fn train(seed: u64, step: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(step);
        Self { rng: Some(RefCell::new(rng)) }
    }
}

/// Sets a share `p` of the elements to zero and scales the rest by `1 / (1 - p)`; the identity outside training.
///
/// # Errors
/// Memory or device.
pub fn dropout(x: &Tensor, p: f64, pass: &Pass) -> Result<Tensor> {
    let Some(rng) = pass.rng.as_ref().filter(|_| p > 0.0) else {
        return Ok(x.clone());
    };
    let keep = (1.0 / (1.0 - p)) as f32;
    let threshold = (p * f64::from(1u32 << 16)) as u32;
    let n = x.elem_count();
    let mut rng = rng.borrow_mut();
    let mut mask = Vec::with_capacity(n + 3);
    while mask.len() < n {
        let mut bits = rng.next_u64();
        for _ in 0..4 {
            mask.push(if (bits & 0xffff) as u32 >= threshold { keep } else { 0.0 });
            bits >>= 16;
        }
    }
    mask.truncate(n);
    let mask = Tensor::from_vec(mask, x.shape(), x.device())?.to_dtype(DType::F32)?;
    x.mul(&mask.to_dtype(x.dtype())?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use candle_core::Device;

    #[test]
    fn keeps_the_mean_and_repeats_for_a_seed() {
        let x = Tensor::ones((100, 101), DType::F32, &Device::Cpu).unwrap();
        let run = |seed, step| dropout(&x, 0.1, &Pass::train(seed, step)).unwrap();
        let mean = run(1, 0).mean_all().unwrap().to_scalar::<f32>().unwrap();
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
        let values = |t: Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values(run(1, 5)), values(run(1, 5)));
        assert_ne!(values(run(1, 5)), values(run(1, 6)));
        assert_eq!(values(dropout(&x, 0.1, &Pass::infer()).unwrap()), values(x));
    }
}
