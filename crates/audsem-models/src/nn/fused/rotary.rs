//! Rotary positions of rows.

use super::matrix::Matrix;
use super::simd::{Kernel, Simd, dispatch};

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
