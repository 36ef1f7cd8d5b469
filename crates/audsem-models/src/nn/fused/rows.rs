//! What is done to each row of a tensor.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::math::{activate, softmax};
use super::simd::{Kernel, Simd, dispatch};
use crate::nn::Activation;

/// Values that a thread works on at a time; fewer are not worth waking one.
const TASK_VALUES: usize = 1 << 14;

/// Work on one row, in place.
pub(super) trait RowOp: Sync {
    /// Must be `#[inline(always)]`, as [`Kernel::run`].
    fn apply<S: Simd>(&self, row: &mut [f32]);
}

/// An activation.
struct Activate(Activation);

impl RowOp for Activate {
    #[inline(always)]
    fn apply<S: Simd>(&self, row: &mut [f32]) {
        activate::<S>(self.0, row);
    }
}

/// Softmax.
struct Softmax;

impl RowOp for Softmax {
    #[inline(always)]
    fn apply<S: Simd>(&self, row: &mut [f32]) {
        softmax::<S>(row);
    }
}

/// Applies an activation to every value, for inference on the CPU in f32.
///
/// # Errors
/// Another type or device, memory.
pub fn activated(x: &Tensor, activation: Activation) -> Result<Tensor> {
    map_rows(x, 1, Activate(activation))
}

/// Softmax over the last dimension, for inference on the CPU in f32.
///
/// # Errors
/// Another type or device, memory.
pub fn softmax_rows(x: &Tensor) -> Result<Tensor> {
    map_rows(x, x.dims().last().copied().unwrap_or(1), Softmax)
}

/// Applies `op` to every row of `width` values, on all threads.
pub(super) fn map_rows(x: &Tensor, width: usize, op: impl RowOp) -> Result<Tensor> {
    x.contiguous()?.apply_op1_no_bwd(&Mapped { width: width.max(1), op })
}

struct Mapped<R> {
    width: usize,
    op: R,
}

impl<R: RowOp> CustomOp1 for Mapped<R> {
    fn name(&self) -> &'static str {
        "fused-rows"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let values = contiguous(storage, layout)?;
        let mut out = vec![0.0; values.len()];
        let work = |(out, values): (&mut [f32], &[f32])| {
            out.copy_from_slice(values);
            // Values that do not depend on each other are one row.
            let width = if self.width == 1 { out.len().max(1) } else { self.width };
            dispatch(Rows { op: &self.op, rows: out, width });
        };
        let per_task = TASK_VALUES.next_multiple_of(self.width);
        if values.len() <= per_task {
            work((&mut out, values));
        } else {
            out.par_chunks_mut(per_task).zip(values.par_chunks(per_task)).for_each(work);
        }
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }
}

struct Rows<'a, R> {
    op: &'a R,
    rows: &'a mut [f32],
    width: usize,
}

impl<R: RowOp> Kernel for Rows<'_, R> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        for row in self.rows.chunks_exact_mut(self.width) {
            self.op.apply::<S>(row);
        }
    }
}

/// The values of a tensor that has no gaps.
pub(super) fn contiguous<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice()?[start..end]),
        None => bail!("a fused layer reads values that lie side by side"),
    }
}
