//! Operations for training on the CPU in f32. Values come from fused kernels, gradients from backward passes that are
//! written by hand; candle's own compositions write a dozen temporary tensors for each, and keep most of them for the
//! backward pass.
//!
//! Work is split by sizes alone and summed in a fixed order, so that results do not depend on the number of threads.

mod adapted;
mod attention;
mod attention_gradients;
mod feed_forward;
mod gate;
mod norm;
mod panels;
mod scores;
mod sum;

pub(in crate::nn) use adapted::{adapted, adapted_gradients};
pub(in crate::nn) use attention::BlockAttention;
pub(in crate::nn) use feed_forward::FrozenFeedForward;
pub(in crate::nn) use gate::{gate_silu, gelu};
pub(in crate::nn) use norm::{layer_norm, rms_norm, rms_norm_gradient};
pub(crate) use scores::{TokenScore, token_scores};
pub(in crate::nn) use sum::add_to;

/// Values that a thread works on at a time; fewer are not worth waking one.
const TASK_VALUES: usize = 1 << 14;

/// Rows of `width` values that a thread works on at a time.
fn task_rows(width: usize) -> usize {
    (TASK_VALUES / width.max(1)).max(1)
}
