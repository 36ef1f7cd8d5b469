//! Fused layers for inference on the CPU in f32, without gradients, copies or temporary tensors; and, in `trained`, operations
//! for training with backward passes of their own.
//!
//! candle runs a layer as a dozen operations, each of which writes its result to memory. Here a
//! layer works on rows in scratch memory small enough for the caches: weights are reordered once so that the inner loop
//! reads them in order; bias, activation and residual sum are done on each tile of the product while it is in the
//! first-level cache; attention reads its heads straight from the rows of the query-key-value product. Sequences are
//! concatenated without padding, so a result depends on its own sequence alone.
//!
//! Instructions are chosen at run time (AVX-512, AVX2 with FMA, else what the compiler makes of plain loops). Results
//! agree with the layers of [`nn`](super) within 1e-5; tests assert it.

mod attention;
mod conv;
mod feed_forward;
mod images;
mod linear;
mod math;
mod matrix;
mod norm;
mod rotary;
mod rows;
mod simd;
mod tensor_attention;
mod trained;

pub use attention::{Attention, Scratch};
pub(super) use conv::Convolution;
pub use feed_forward::FeedForward;
pub use images::max_pool;
pub use linear::{Epilogue, Linear};
pub use matrix::Matrix;
pub use norm::{LayerNorm, RmsNorm};
pub use rotary::{Rotary, rotated};
pub(crate) use rows::with_values;
pub use rows::{activated, gated, softmax_rows};
pub use tensor_attention::TensorAttention;
pub(super) use trained::{
    BlockAttention, FrozenFeedForward, adapted, adapted_gradients, add_to, gate_silu, gelu, layer_norm, rms_norm,
    rms_norm_gradient,
};
pub(crate) use trained::{TokenScore, token_scores};

use candle_core::{DType, Tensor};

/// Whether the fused layers can take this tensor or stand in for layers with this weight: it lies in main memory, is f32
/// and no gradient of it is wanted.
#[must_use]
pub fn is_supported(tensor: &Tensor) -> bool {
    is_cpu_f32(tensor) && !tensor.track_op()
}

/// Whether operations for the CPU that have a backward pass can take this tensor.
pub(crate) fn is_cpu_f32(tensor: &Tensor) -> bool {
    tensor.device().is_cpu() && tensor.dtype() == DType::F32
}

#[cfg(test)]
pub(crate) mod testing {
    //! Random operands.

    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::Matrix;

    /// `n` values between -1 and 1.
    pub(crate) fn random(seed: u64, n: usize) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..n).map(|_| rng.random_range(-1.0..1.0)).collect()
    }

    /// Gives `x` a shape and random values.
    pub(crate) fn fill(x: &mut Matrix, rows: usize, columns: usize, seed: u64) {
        x.reshape(rows, columns);
        for n in 0..rows {
            x.row_mut(n).copy_from_slice(&random(seed * 1000 + n as u64, columns));
        }
    }
}
