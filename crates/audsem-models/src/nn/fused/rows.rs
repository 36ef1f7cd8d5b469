//! What is done to each row of a tensor.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Storage, Tensor, bail};
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

/// Rows of gates and values side by side (…, 2·D) to the products of activated gates and values (…, D), for inference on
/// the CPU in f32.
///
/// # Errors
/// The last dimension is odd; another type or device, memory.
pub fn gated(x: &Tensor, activation: Activation) -> Result<Tensor> {
    x.contiguous()?.apply_op1_no_bwd(&Gate(activation))
}

struct Gate(Activation);

impl CustomOp1 for Gate {
    fn name(&self) -> &'static str {
        "fused-gate"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (values, mut shape) = (contiguous(storage, layout)?, layout.dims().to_vec());
        let Some(last) = shape.last_mut().filter(|last| last.is_multiple_of(2) && **last > 0) else {
            bail!("gates and values side by side, not {shape:?}");
        };
        *last /= 2;
        let width = *last;
        let mut out = vec![0.0; values.len() / 2];
        let work = |(out, values): (&mut [f32], &[f32])| dispatch(Gated { activation: self.0, out, values, width });
        let per_task = TASK_VALUES.next_multiple_of(width);
        if out.len() <= per_task {
            work((&mut out, values));
        } else {
            out.par_chunks_mut(per_task).zip(values.par_chunks(2 * per_task)).for_each(work);
        }
        Ok((CpuStorage::F32(out), Shape::from(shape)))
    }
}

struct Gated<'a> {
    activation: Activation,
    out: &'a mut [f32],
    values: &'a [f32],
    width: usize,
}

impl Kernel for Gated<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let rows = self.out.chunks_exact_mut(self.width).zip(self.values.chunks_exact(2 * self.width));
        for (out, row) in rows {
            let (gates, values) = row.split_at(self.width);
            out.copy_from_slice(gates);
            activate::<S>(self.activation, out);
            out.iter_mut().zip(values).for_each(|(out, value)| *out *= value);
        }
    }
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

/// Gives the values of a tensor without gaps to `read`.
pub(crate) fn with_values<T>(x: &Tensor, read: impl FnOnce(&[f32]) -> T) -> Result<T> {
    let x = x.contiguous()?;
    match (&*x.storage_and_layout().0, x.layout()) {
        (Storage::Cpu(storage), layout) => Ok(read(contiguous(storage, layout)?)),
        _ => bail!("a fused layer reads main memory"),
    }
}

/// The values of a tensor that has no gaps.
pub(super) fn contiguous<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice()?[start..end]),
        None => bail!("a fused layer reads values that lie side by side"),
    }
}
