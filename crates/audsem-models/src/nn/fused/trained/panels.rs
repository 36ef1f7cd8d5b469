//! The right factors of products in attention, reordered into panels.

use super::super::linear::product;
use super::super::matrix::Matrix;
use super::super::simd::{MAX_TILE_ROWS, PANEL, Simd};

/// A matrix of `depth` rows in panels of [`PANEL`] columns. What stands beyond the last column affects only sums that are
/// discarded.
#[derive(Default)]
pub(super) struct Panels {
    values: Vec<f32>,
    depth: usize,
    columns: usize,
}

impl Panels {
    fn reshape(&mut self, depth: usize, columns: usize) {
        (self.depth, self.columns) = (depth, columns);
        let wanted = columns.div_ceil(PANEL) * depth * PANEL;
        if self.values.len() < wanted {
            self.values.resize(wanted, 0.0);
        }
    }

    /// Takes `n` vectors of `depth` values as its columns.
    #[inline(always)]
    pub(super) fn fill_columns<'a>(&mut self, n: usize, depth: usize, vector: impl Fn(usize) -> &'a [f32]) {
        self.reshape(depth, n);
        for at in 0..n {
            let panel = &mut self.values[at / PANEL * depth * PANEL + at % PANEL..];
            for (i, x) in vector(at).iter().enumerate() {
                panel[i * PANEL] = *x;
            }
        }
    }

    /// Takes `n` vectors of `columns` values as its rows.
    #[inline(always)]
    pub(super) fn fill_rows<'a>(&mut self, n: usize, columns: usize, vector: impl Fn(usize) -> &'a [f32]) {
        self.reshape(n, columns);
        for at in 0..n {
            for (panel, part) in vector(at).chunks(PANEL).enumerate() {
                self.values[(panel * n + at) * PANEL..][..part.len()].copy_from_slice(part);
            }
        }
    }

    /// The product of the first `k` values of each row of `a` with the first `k` rows of this matrix, up to column
    /// `columns`: hands out (row, first column, sums).
    #[inline(always)]
    pub(super) fn multiply<S: Simd>(
        &self,
        a: &Matrix,
        k: usize,
        columns: usize,
        mut take: impl FnMut(usize, usize, &[f32]),
    ) {
        debug_assert!(k <= self.depth && columns <= self.columns, "a part of the matrix");
        let mut tile = [[0.0; PANEL]; MAX_TILE_ROWS];
        let panels = self.values.chunks_exact((self.depth * PANEL).max(1)).take(columns.div_ceil(PANEL));
        for (n, panel) in panels.enumerate() {
            let width = PANEL.min(columns - n * PANEL);
            for row in (0..a.rows()).step_by(S::TILE_ROWS) {
                let rows = S::TILE_ROWS.min(a.rows() - row);
                product::<S>(rows, k, a.rows_from(row), a.stride(), panel, &mut tile);
                for (m, sums) in tile[..rows].iter().enumerate() {
                    take(row + m, n * PANEL, &sums[..width]);
                }
            }
        }
    }
}

/// Side of the squares that are turned at a time: a cache line.
const SIDE: usize = 16;

/// Turns rows into columns.
#[inline(always)]
pub(super) fn transpose(from: &Matrix, to: &mut Matrix) {
    let (rows, columns) = (from.rows(), from.columns());
    to.reshape(columns, rows);
    let mut square = [[0f32; SIDE]; SIDE];
    for top in (0..rows).step_by(SIDE) {
        let height = SIDE.min(rows - top);
        for left in (0..columns).step_by(SIDE) {
            let width = SIDE.min(columns - left);
            for (n, line) in square[..height].iter_mut().enumerate() {
                line[..width].copy_from_slice(&from.row(top + n)[left..left + width]);
            }
            for m in 0..width {
                for (target, line) in to.row_mut(left + m)[top..top + height].iter_mut().zip(&square) {
                    *target = line[m];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::fill;
    use super::*;

    #[test]
    fn rows_become_columns() {
        for (rows, columns) in [(1, 1), (16, 16), (5, 40), (33, 17), (96, 100)] {
            let (mut from, mut to) = (Matrix::default(), Matrix::default());
            fill(&mut from, rows, columns, 3);
            transpose(&from, &mut to);
            assert_eq!((to.rows(), to.columns()), (columns, rows));
            for n in 0..rows {
                assert!((0..columns).all(|m| from.row(n)[m].to_bits() == to.row(m)[n].to_bits()), "{rows} × {columns}");
            }
        }
    }
}
