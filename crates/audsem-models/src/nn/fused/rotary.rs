//! Rotary positions of rows.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::matrix::Matrix;
use super::rows::contiguous;
use super::simd::{Kernel, Simd, dispatch};
use super::tensor_attention::{HeadRows, side_by_side};

/// Rotary positions from a table, for inference on the CPU in f32.
#[derive(Debug, Clone)]
pub struct Rotary {
    /// For each position: W/2 cosines, then W/2 sines.
    table: Vec<f32>,
    half: usize,
}

impl Rotary {
    /// Tabulates the positions below `positions`.
    #[must_use]
    pub fn new(rotary: &crate::nn::Rotary, positions: usize) -> Self {
        let frequencies = rotary.frequencies();
        let mut table = Vec::with_capacity(2 * positions * frequencies.len());
        for position in 0..positions {
            table.extend(frequencies.iter().map(|frequency| (position as f32 * frequency).cos()));
            table.extend(frequencies.iter().map(|frequency| (position as f32 * frequency).sin()));
        }
        Self { table, half: frequencies.len() }
    }

    /// Turns the first `heads` heads of every row of `x` in place: queries and keys, if the keys follow the queries.
    ///
    /// # Panics
    /// There is not one position per row, a row has fewer heads, or a position is beyond the table.
    pub fn forward_inplace(&self, x: &mut Matrix, heads: usize, positions: &[u32]) {
        assert_eq!(x.rows(), positions.len(), "one position per row");
        assert!(2 * self.half * heads <= x.columns(), "a row has these heads");
        dispatch(Turn { rotary: self, x, heads, positions });
    }
}

struct Turn<'a> {
    rotary: &'a Rotary,
    x: &'a mut Matrix,
    heads: usize,
    positions: &'a [u32],
}

impl Kernel for Turn<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let half = self.rotary.half;
        for (n, &position) in self.positions.iter().enumerate() {
            let (cos, sin) = self.rotary.table[position as usize * 2 * half..][..2 * half].split_at(half);
            for head in self.x.row_mut(n).chunks_exact_mut(2 * half).take(self.heads) {
                let (a, b) = head.split_at_mut(half);
                for (((a, b), cos), sin) in a.iter_mut().zip(b).zip(cos).zip(sin) {
                    (*a, *b) = (S::fma(*a, *cos, -(*b * *sin)), S::fma(*b, *cos, *a * *sin));
                }
            }
        }
    }
}

/// Turns heads (B, H, T, W) by the cosines and sines (B or 1, 1, T, W/2) of their positions, on the CPU in f32.
/// Differentiable with regard to the heads.
///
/// # Errors
/// Shapes that do not fit, another type or device, memory.
pub fn rotated(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Tensor> {
    let ((b, _, t, width), (rows, one, positions, half)) = (x.dims4()?, cos.dims4()?);
    if 2 * half != width || positions != t || one != 1 || (rows != 1 && rows != b) || sin.dims() != cos.dims() {
        bail!("rotary positions {:?} of heads {:?}", cos.dims(), x.dims());
    }
    side_by_side(x)?.apply_op3(&cos.contiguous()?, &sin.contiguous()?, Rotated { rows })
}

/// Gradients of three arguments.
type OfThree = (Option<Tensor>, Option<Tensor>, Option<Tensor>);

struct Rotated {
    /// Rows of the batch with positions of their own.
    rows: usize,
}

impl CustomOp3 for Rotated {
    fn name(&self) -> &'static str {
        "fused-rotary"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        cos: &CpuStorage,
        cos_layout: &Layout,
        sin: &CpuStorage,
        sin_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (b, heads, t, width) = x_layout.shape().dims4()?;
        let (x, cos, sin) = (HeadRows::new(x, x_layout)?, contiguous(cos, cos_layout)?, contiguous(sin, sin_layout)?);
        let mut out = vec![0.0; b * heads * t * width];
        let work = |(n, out): (usize, &mut [f32])| {
            let at = n / heads % self.rows * t * width / 2..(n / heads % self.rows + 1) * t * width / 2;
            dispatch(TurnHead { x, place: [n / heads, n % heads], cos: &cos[at.clone()], sin: &sin[at], out });
        };
        if t == 1 {
            out.chunks_exact_mut(width).enumerate().for_each(work);
        } else {
            out.par_chunks_exact_mut((t * width).max(1)).enumerate().for_each(work);
        }
        Ok((CpuStorage::F32(out), x_layout.shape().clone()))
    }

    /// A rotation is undone by that of the other direction.
    fn bwd(&self, _: &Tensor, cos: &Tensor, sin: &Tensor, _: &Tensor, grad: &Tensor) -> Result<OfThree> {
        Ok((Some(rotated(grad, cos, &sin.neg()?)?), None, None))
    }
}

struct TurnHead<'a> {
    x: HeadRows<'a>,
    place: [usize; 2],
    cos: &'a [f32],
    sin: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for TurnHead<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let width = self.x.width();
        let angles = self.cos.chunks_exact(width / 2).zip(self.sin.chunks_exact(width / 2));
        for ((at, out), (cos, sin)) in self.out.chunks_exact_mut(width).enumerate().zip(angles) {
            let (a, b) = self.x.row([self.place[0], self.place[1], at]).split_at(width / 2);
            let (out_a, out_b) = out.split_at_mut(width / 2);
            let pairs = a.iter().zip(b).zip(cos.iter().zip(sin));
            for ((out_a, out_b), ((a, b), (cos, sin))) in out_a.iter_mut().zip(out_b).zip(pairs) {
                (*out_a, *out_b) = (S::fma(*a, *cos, -(*b * *sin)), S::fma(*b, *cos, *a * *sin));
            }
        }
    }
}
