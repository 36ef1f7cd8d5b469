//! Two maps with an activation between, for inference on the CPU in f32: what lies between them is never written to memory.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::linear::{Epilogue, GROUP_ROWS, Linear, group_rows};
use super::matrix::Matrix;
use super::rows::contiguous;
use crate::nn::Activation;

/// `residual + down(act(up(x)))` for many rows.
#[derive(Debug)]
pub struct FeedForward<'a> {
    /// The map to the wide rows.
    pub up: &'a Linear,
    /// What is done to the wide rows.
    pub activation: Activation,
    /// The map back.
    pub down: &'a Linear,
}

impl FeedForward<'_> {
    /// Rows (…, I) and what is added to the result (…, O) to that sum.
    ///
    /// # Errors
    /// Shapes that do not fit, another type or device, memory.
    pub fn forward(&self, x: &Tensor, residual: &Tensor) -> Result<Tensor> {
        let rows = x.elem_count() / self.up.inputs().max(1);
        let fits = x.dims().last() == Some(&self.up.inputs()) && self.down.inputs() == self.up.outputs();
        if !fits || residual.elem_count() != rows * self.down.outputs() {
            bail!("a feed-forward part of {:?} added to {:?}", x.dims(), residual.dims());
        }
        x.contiguous()?.apply_op2_no_bwd(&residual.contiguous()?, self)
    }
}

impl CustomOp2 for FeedForward<'_> {
    fn name(&self) -> &'static str {
        "fused-feed-forward"
    }

    fn cpu_fwd(&self, x: &CpuStorage, x_l: &Layout, sum: &CpuStorage, sum_l: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, sum) = (contiguous(x, x_l)?, contiguous(sum, sum_l)?);
        let (inputs, outputs) = (self.up.inputs(), self.down.outputs());
        let rows = x.len() / inputs;
        if rows <= GROUP_ROWS {
            let wide = self.up.map_few(x, rows, Epilogue::Activate(self.activation), None);
            let out = self.down.map_few(&wide, rows, Epilogue::Add, Some(sum));
            return Ok((CpuStorage::F32(out), sum_l.shape().clone()));
        }
        let (mut out, per_group) = (sum.to_vec(), group_rows(rows));
        let groups = out.par_chunks_mut(per_group * outputs).zip(x.par_chunks(per_group * inputs));
        groups.for_each_init(<(Matrix, Matrix)>::default, |(rows, wide), (out, x)| {
            rows.fill(x, inputs);
            wide.reshape(rows.rows(), self.up.outputs());
            self.up.forward(rows, wide, Epilogue::Activate(self.activation));
            self.down.forward_rows(wide, out, Epilogue::Add);
        });
        Ok((CpuStorage::F32(out), sum_l.shape().clone()))
    }
}
