//! Windows: which tokens they hold, and what attention adds to their scores.

use candle_core::{Device, Tensor};

use crate::error::Result;

/// Score of masked pairs: tokens that the roll moved into one window from different ends of the grid.
const MASKED: f32 = -100.0;

/// A square grid cut into windows, rolled by `shift` first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Windows {
    /// Side of the grid R.
    pub side: usize,
    /// Side of a window w, a divisor of R.
    pub window: usize,
    /// Places the grid is rolled up and left.
    pub shift: usize,
}

impl Windows {
    /// Tokens of a window.
    pub(super) fn tokens(&self) -> usize {
        self.window * self.window
    }

    /// Windows of the grid.
    pub(super) fn count(&self) -> usize {
        (self.side / self.window).pow(2)
    }

    /// For each token, window by window: its number in the grid, row by row.
    pub(super) fn order(&self) -> Vec<u32> {
        let per_side = self.side / self.window;
        let grid = |at: usize| (at + self.shift) % self.side;
        let mut order = Vec::with_capacity(self.side * self.side);
        for n in 0..self.count() {
            let (top, left) = (n / per_side * self.window, n % per_side * self.window);
            for row in top..top + self.window {
                order.extend((left..left + self.window).map(|column| (grid(row) * self.side + grid(column)) as u32));
            }
        }
        order
    }

    /// What is added to the scores (windows, w·w, w·w), or nothing if no roll mixes ends.
    pub(super) fn mask(&self) -> Option<Vec<f32>> {
        if self.shift == 0 {
            return None;
        }
        let per_side = self.side / self.window;
        let region = |at: usize| match at {
            at if at < self.side - self.window => 0,
            at if at < self.side - self.shift => 1,
            _ => 2,
        };
        let mut mask = Vec::with_capacity(self.count() * self.tokens() * self.tokens());
        for n in 0..self.count() {
            let (top, left) = (n / per_side * self.window, n % per_side * self.window);
            let regions: Vec<usize> = (0..self.tokens())
                .map(|token| 3 * region(top + token / self.window) + region(left + token % self.window))
                .collect();
            for a in &regions {
                mask.extend(regions.iter().map(|b| if a == b { 0.0 } else { MASKED }));
            }
        }
        Some(mask)
    }

    /// Row of the table of relative positions for each pair of tokens of a window (w·w·w·w).
    pub(super) fn relative_positions(&self) -> Vec<u32> {
        let (w, span) = (self.window, 2 * self.window - 1);
        let mut rows = Vec::with_capacity(self.tokens() * self.tokens());
        for i in 0..self.tokens() {
            let row = |j: usize| (i / w + w - 1 - j / w) * span + (i % w + w - 1 - j % w);
            rows.extend((0..self.tokens()).map(|j| row(j) as u32));
        }
        rows
    }

    /// [`Windows::mask`] as a tensor (windows, 1, w·w, w·w).
    pub(super) fn mask_tensor(&self, device: &Device) -> Result<Option<Tensor>> {
        let shape = (self.count(), 1, self.tokens(), self.tokens());
        Ok(self.mask().map(|mask| Tensor::from_vec(mask, shape, device)).transpose()?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn masks_are_those_of_transformers() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/goldens/clap_parts.safetensors");
        let goldens = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
        for side in [16, 24] {
            let windows = Windows { side, window: 8, shift: 4 };
            let wanted = goldens[&format!("mask.{side}")].flatten_all().unwrap().to_vec1::<u8>().unwrap();
            let got: Vec<u8> = windows.mask().unwrap().into_iter().map(|value| u8::from(value == MASKED)).collect();
            assert!(got == wanted, "a grid of {side}");
        }
    }

    #[test]
    fn every_token_lies_in_one_window() {
        for (side, window, shift) in [(8, 8, 0), (16, 8, 4), (24, 8, 4), (12, 4, 2)] {
            let mut order = Windows { side, window, shift }.order();
            order.sort_unstable();
            assert!(order.into_iter().eq(0..(side * side) as u32));
        }
    }

    #[test]
    fn relative_positions_are_rows_of_the_table() {
        let rows = Windows { side: 8, window: 8, shift: 0 }.relative_positions();
        // Token 0 is at the upper left, token 63 at the lower right.
        assert_eq!((rows[0], rows[63], rows[63 * 64]), (7 * 15 + 7, 0, 14 * 15 + 14));
    }
}
