//! Pictures: decoding of PNG, JPEG and the pictures of videos, resizing as Pillow does it, and the choice of frames.
//!
//! Networks for pictures were trained and are run on what Pillow resizes, and their outputs change with its rounding. So
//! [`RgbImage::resized`] repeats its fixed-point arithmetic bit for bit (`fixtures/regen/image.py`).
//!
//! ```
//! use audsem_media::image::{ResizeFilter, RgbImage};
//!
//! let picture = RgbImage::new(4, 2, (0..24).map(|n| n * 10).collect())?;
//! let small = picture.resized(2, 1, ResizeFilter::Bilinear)?;
//! assert_eq!((small.width(), small.height(), small.values().len()), (2, 1, 6));
//! # Ok::<(), audsem_media::image::ImageError>(())
//! ```

mod choice;
mod decode;
mod error;
mod frames;
mod ppm;
mod resize;

pub use choice::{CAPTION_FRAMES, FrameFacts, caption_frames, frames_per_second, uniform_frames, visible_frames};
pub use decode::decode_picture;
pub use error::ImageError;
pub use frames::{ChosenFrames, VideoFrame, decode_frames};
pub use resize::ResizeFilter;

/// The most pixels that a picture may have: those of a square of 16,384. A small file can claim any size.
pub(crate) const MAX_PIXELS: u64 = 1 << 28;

/// A picture of red, green and blue with 8 bits each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RgbImage {
    width: usize,
    height: usize,
    values: Vec<u8>,
}

impl RgbImage {
    /// Takes rows from top to bottom, pixels from left to right, three values each: (height × width × 3).
    ///
    /// # Errors
    /// [`ImageError::Size`] for no pixels or too many; [`ImageError::Malformed`] for another number of values.
    pub fn new(width: usize, height: usize, values: Vec<u8>) -> Result<RgbImage, ImageError> {
        let wanted = checked_len(width as u64, height as u64)?;
        if values.len() != wanted {
            let what = format!("{} values for {width} × {height} pixels of 3", values.len());
            return Err(ImageError::Malformed { what });
        }
        Ok(RgbImage { width, height, values })
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Values of all pixels: (height × width × 3).
    pub fn values(&self) -> &[u8] {
        &self.values
    }

    /// The mean over all values, from 0 to 255: what tells black pictures.
    pub fn mean(&self) -> f64 {
        let sum: u64 = self.values.iter().map(|value| u64::from(*value)).sum();
        sum as f64 / self.values.len() as f64
    }

    /// The middle of the picture, `width` × `height` pixels; an odd rest is rounded to the nearest even offset, as
    /// torchvision's `CenterCrop` does.
    ///
    /// # Errors
    /// [`ImageError::Size`] if it is empty or larger than the picture.
    pub fn centre_crop(&self, width: usize, height: usize) -> Result<RgbImage, ImageError> {
        if width == 0 || height == 0 || width > self.width || height > self.height {
            return Err(ImageError::Size { width: width as u64, height: height as u64 });
        }
        let offset = |whole: usize, part: usize| ((whole - part) as f64 / 2.0).round_ties_even() as usize;
        let (left, top) = (offset(self.width, width), offset(self.height, height));
        let rows = self.values.chunks_exact(self.width * 3).skip(top).take(height);
        let values = rows.flat_map(|row| &row[left * 3..(left + width) * 3]).copied().collect();
        RgbImage::new(width, height, values)
    }

    /// The size of the picture when its shorter side becomes `side` and its longer one keeps the proportion, rounded
    /// down, as torchvision's `Resize(side)` computes it.
    pub fn size_with_shorter_side(&self, side: usize) -> (usize, usize) {
        let longer = |long: usize, short: usize| (side as f64 * long as f64 / short as f64) as usize;
        match self.width <= self.height {
            true => (side, longer(self.height, self.width)),
            false => (longer(self.width, self.height), side),
        }
    }
}

/// Number of values of a picture.
///
/// # Errors
/// [`ImageError::Size`] for no pixels or too many.
pub(crate) fn checked_len(width: u64, height: u64) -> Result<usize, ImageError> {
    match width.checked_mul(height) {
        Some(pixels @ 1..=MAX_PIXELS) => Ok(pixels as usize * 3),
        _ => Err(ImageError::Size { width, height }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn sizes_are_checked_before_there_is_memory_for_them() {
        for (width, height) in [(0, 5), (5, 0), (1 << 20, 1 << 20), (u64::MAX, 2)] {
            assert!(matches!(checked_len(width, height), Err(ImageError::Size { .. })), "{width} × {height}");
        }
        assert!(RgbImage::new(2, 2, vec![0; 11]).is_err());
    }

    #[test]
    fn the_middle_is_that_of_torchvision() {
        // Offsets of CenterCrop: int(round((7 - 2) / 2)) = 2 and int(round((4 - 3) / 2)) = 0.
        let image = RgbImage::new(7, 4, (0..84).collect()).unwrap();
        let middle = image.centre_crop(2, 3).unwrap();
        assert_eq!(middle.values()[..6], [6, 7, 8, 9, 10, 11]);
        assert_eq!(middle.values()[6..12], [27, 28, 29, 30, 31, 32]);
        assert!(image.centre_crop(8, 3).is_err() && image.centre_crop(0, 3).is_err());
        assert_eq!(image.size_with_shorter_side(10), (17, 10));
    }
}
