//! Networks for pictures.

pub mod blip;
pub mod imagenet;
pub mod mobilenet_v2;
pub mod pixels;
pub mod places;
pub mod resnet;
pub mod rt_detr;
pub mod siglip;

pub use pixels::PixelNormalisation;

use audsem_media::image::RgbImage;
use candle_core::{DType, Device, Tensor};

use crate::error::Result;

/// How a checkpoint sees pictures: in which values, where, and as which type of numbers.
#[derive(Debug, Clone)]
pub(crate) struct Eye {
    normalisation: PixelNormalisation,
    device: Device,
    dtype: DType,
}

impl Eye {
    pub(crate) fn new(normalisation: PixelNormalisation, device: &Device, dtype: DType) -> Self {
        Self { normalisation, device: device.clone(), dtype }
    }

    /// Prepared pictures of one size as a tensor (B, 3, H, W).
    ///
    /// # Errors
    /// As [`PixelNormalisation::tensor`].
    pub(crate) fn tensor(&self, pictures: &[RgbImage]) -> Result<Tensor> {
        Ok(self.normalisation.tensor(pictures, &self.device)?.to_dtype(self.dtype)?)
    }
}

/// Runs a network on a batch (B, …) and joins the results along the first dimension. On a CPU each picture goes through
/// alone: a matrix product chooses the order of its sums by its shape, so a picture among others would differ from the
/// same picture alone in the last bits, and large pictures gain nothing from company.
pub(crate) fn by_picture(x: &Tensor, forward: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let batch = x.dim(0)?;
    if batch <= 1 || !x.device().is_cpu() {
        return forward(x);
    }
    let each = (0..batch).map(|row| forward(&x.narrow(0, row, 1)?));
    Ok(Tensor::cat(&each.collect::<Result<Vec<_>>>()?, 0)?)
}
