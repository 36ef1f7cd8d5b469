//! Pictures as tensors.

use audsem_media::image::RgbImage;
use candle_core::{Device, Result, Tensor, bail};

/// What is subtracted from each channel of a picture with values from 0 to 1, and what the rest is divided by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PixelNormalisation {
    /// Means of red, green and blue.
    pub mean: [f32; 3],
    /// Standard deviations of red, green and blue.
    pub std: [f32; 3],
}

impl PixelNormalisation {
    /// Values from 0 to 1, as RT-DETR reads them.
    pub const UNIT: Self = Self { mean: [0.0; 3], std: [1.0; 3] };
    /// Values from -1 to 1, as SigLIP reads them.
    pub const SIGNED: Self = Self { mean: [0.5; 3], std: [0.5; 3] };
    /// Statistics of ImageNet, of the networks of torchvision.
    pub const IMAGENET: Self = Self { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
    /// Statistics of CLIP's pictures, of BLIP.
    pub const CLIP: Self =
        Self { mean: [0.481_454_66, 0.457_827_5, 0.408_210_73], std: [0.268_629_54, 0.261_302_6, 0.275_777_1] };

    /// Pictures of one size as a tensor (B, 3, H, W) in f32.
    ///
    /// # Errors
    /// There is no picture, or they differ in size; memory or device.
    pub fn tensor(&self, pictures: &[RgbImage], device: &Device) -> Result<Tensor> {
        let Some(first) = pictures.first() else { bail!("a batch without a picture") };
        let (width, height) = (first.width(), first.height());
        if let Some(other) = pictures.iter().find(|other| (other.width(), other.height()) != (width, height)) {
            bail!("pictures of {width} × {height} and {} × {} in one batch", other.width(), other.height());
        }
        // There are only 256 values, so the formula is evaluated for each of them once.
        let value = |channel: usize, n: usize| (n as f32 / 255.0 - self.mean[channel]) / self.std[channel];
        let tables: [[f32; 256]; 3] = std::array::from_fn(|channel| std::array::from_fn(|n| value(channel, n)));
        let mut values = Vec::with_capacity(pictures.len() * 3 * width * height);
        for picture in pictures {
            for (channel, table) in tables.iter().enumerate() {
                values.extend(picture.values().chunks_exact(3).map(|pixel| table[usize::from(pixel[channel])]));
            }
        }
        Tensor::from_vec(values, (pictures.len(), 3, height, width), device)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn channels_come_apart_and_every_picture_has_one_size() {
        let picture = RgbImage::new(2, 1, vec![0, 51, 102, 153, 204, 255]).unwrap();
        let x = PixelNormalisation::UNIT.tensor(&[picture.clone(), picture.clone()], &Device::Cpu).unwrap();
        assert_eq!(x.dims(), [2, 3, 1, 2]);
        assert_eq!(x.get(1).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap(), [0.0, 0.6, 0.2, 0.8, 0.4, 1.0]);
        let x = PixelNormalisation::SIGNED.tensor(std::slice::from_ref(&picture), &Device::Cpu).unwrap();
        assert_eq!(x.flatten_all().unwrap().to_vec1::<f32>().unwrap()[5], 1.0);
        let other = RgbImage::new(1, 1, vec![0; 3]).unwrap();
        assert!(PixelNormalisation::UNIT.tensor(&[picture, other], &Device::Cpu).is_err());
        assert!(PixelNormalisation::UNIT.tensor(&[], &Device::Cpu).is_err());
    }
}
