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

use candle_core::Tensor;

use crate::error::Result;

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
