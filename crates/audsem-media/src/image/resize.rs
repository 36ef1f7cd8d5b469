//! Resizing as Pillow does it, bit for bit.
//!
//! Each output value is a weighted mean of the input values below the filter, which is widened when the picture shrinks, so
//! that all input counts. Columns are done first, then rows, and between both passes values are rounded to 8 bits. Weights
//! are integers in units of 2⁻²² (Pillow's `Resample.c`).

use std::ops::Range;

use super::{ImageError, RgbImage, checked_len};

/// Bits behind the point of a weight: 32, less 8 of a value and 2 against overflow.
const PRECISION_BITS: u32 = 32 - 8 - 2;

/// How pixels are weighted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResizeFilter {
    /// A triangle of one pixel to each side.
    Bilinear,
    /// Keys' cubic of two pixels to each side, with a = −0.5.
    Bicubic,
}

impl ResizeFilter {
    /// Pixels to each side that have a weight.
    fn support(self) -> f64 {
        match self {
            ResizeFilter::Bilinear => 1.0,
            ResizeFilter::Bicubic => 2.0,
        }
    }

    fn weight(self, distance: f64) -> f64 {
        const A: f64 = -0.5;
        let x = distance.abs();
        match self {
            ResizeFilter::Bilinear if x < 1.0 => 1.0 - x,
            ResizeFilter::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            ResizeFilter::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            _ => 0.0,
        }
    }
}

/// The input places of one output place, with their weights.
struct Taps {
    places: Range<usize>,
    weights: Vec<i32>,
}

impl Taps {
    /// Taps of every output place of a line.
    fn of_line(from: usize, to: usize, filter: ResizeFilter) -> Vec<Taps> {
        let scale = from as f64 / to as f64;
        let widening = scale.max(1.0);
        let support = filter.support() * widening;
        let taps = |place: usize| {
            let centre = (place as f64 + 0.5) * scale;
            // Casts cut towards 0 and negative numbers to 0, as the original does.
            let first = (centre - support + 0.5) as usize;
            let end = ((centre + support + 0.5) as usize).min(from);
            let distance = |n: usize| (n as f64 - centre + 0.5) * (1.0 / widening);
            let weights: Vec<f64> = (first..end).map(|n| filter.weight(distance(n))).collect();
            let sum: f64 = weights.iter().sum();
            let fixed = |weight: &f64| {
                let weight = if sum == 0.0 { *weight } else { weight / sum } * f64::from(1 << PRECISION_BITS);
                (weight + 0.5f64.copysign(weight)) as i32
            };
            Taps { places: first..end, weights: weights.iter().map(fixed).collect() }
        };
        (0..to).map(taps).collect()
    }
}

/// The rounded weight sum, limited to 8 bits.
fn rounded(sum: i32) -> u8 {
    ((sum + (1 << (PRECISION_BITS - 1))) >> PRECISION_BITS).clamp(0, 255) as u8
}

impl RgbImage {
    /// Resizes to `width` × `height` pixels, whatever the proportions; gives the bytes that Pillow's `Image.resize` gives.
    ///
    /// # Errors
    /// [`ImageError::Size`] for no pixels or too many, also of the picture between both passes.
    pub fn resized(&self, width: usize, height: usize, filter: ResizeFilter) -> Result<RgbImage, ImageError> {
        checked_len(width as u64, height as u64)?;
        checked_len(width as u64, self.height as u64)?;
        let wide = if width == self.width { self.clone() } else { self.with_width(width, filter) };
        Ok(if height == self.height { wide } else { wide.with_height(height, filter) })
    }

    fn with_width(&self, width: usize, filter: ResizeFilter) -> RgbImage {
        let taps = Taps::of_line(self.width, width, filter);
        let mut values = Vec::with_capacity(width * self.height * 3);
        for row in self.values.chunks_exact(self.width * 3) {
            for Taps { places, weights } in &taps {
                let mut sums = [0i32; 3];
                for (pixel, weight) in row[places.start * 3..places.end * 3].chunks_exact(3).zip(weights) {
                    sums.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += i32::from(*value) * weight);
                }
                values.extend(sums.map(rounded));
            }
        }
        RgbImage { width, height: self.height, values }
    }

    fn with_height(&self, height: usize, filter: ResizeFilter) -> RgbImage {
        let line = self.width * 3;
        let mut values = Vec::with_capacity(line * height);
        let mut sums = vec![0i32; line];
        for Taps { places, weights } in Taps::of_line(self.height, height, filter) {
            sums.fill(0);
            for (row, weight) in self.values[places.start * line..places.end * line].chunks_exact(line).zip(weights) {
                sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += i32::from(*value) * weight);
            }
            values.extend(sums.iter().copied().map(rounded));
        }
        RgbImage { width: self.width, height, values }
    }
}
