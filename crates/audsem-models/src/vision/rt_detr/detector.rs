//! From pictures to objects.

use audsem_core::hub::ModelDir;
use audsem_core::weights::Weights;
use audsem_media::image::{ImageError, RgbImage};
use candle_core::{DType, Device};
use serde::Deserialize;

use super::{Config, Detection, RtDetr, SIDE, is_ignorable};
use crate::error::{Error, Result};
use crate::vision::{Eye, PixelNormalisation};

/// How much smaller the smallest map of the network is than the picture.
const STRIDE: usize = 32;

/// Code of Pillow for bilinear resizing.
const BILINEAR: u32 = 2;

/// A checkpoint with the transform of its pictures, for inference.
#[derive(Debug, Clone)]
pub struct ObjectDetector {
    network: RtDetr,
    side: usize,
    eye: Eye,
}

/// A picture as the network sees it, with the size that boxes refer to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedPicture {
    /// The square that the network sees.
    pub picture: RgbImage,
    /// Width and height of the picture before.
    pub size: (usize, usize),
}

impl ObjectDetector {
    /// Opens a checkpoint of the hub: `config.json`, weights, and `preprocessor_config.json`, whose defaults hold without
    /// the file.
    ///
    /// # Errors
    /// A file cannot be read, something is asked for that is not supported, or tensors are missing, unused or of another
    /// shape.
    pub fn open(dir: &ModelDir, device: &Device, dtype: DType) -> Result<Self> {
        let config: Config = dir.json("config.json")?;
        let processor: Processor = dir.optional_json("preprocessor_config.json")?.unwrap_or_default();
        let side = processor.side()?;
        let weights = Weights::open(dir, device, dtype)?;
        let network = RtDetr::load(&weights.var_builder(), &config)?;
        weights.finish(is_ignorable)?;
        Ok(Self { network, side, eye: Eye::new(PixelNormalisation::UNIT, device, dtype) })
    }

    /// What the network sees of a picture.
    ///
    /// # Errors
    /// Never for pictures of an accepted size.
    pub fn prepare(&self, picture: &RgbImage) -> std::result::Result<PreparedPicture, ImageError> {
        let size = (picture.width(), picture.height());
        Ok(PreparedPicture { picture: RtDetr::prepare(picture, self.side)?, size })
    }

    /// Objects with scores above `threshold` in each picture, the surest first, with boxes in pixels of the picture before it was
    /// prepared. No picture depends on the others.
    ///
    /// # Errors
    /// There is no picture; memory, device.
    pub fn detect(&self, pictures: &[PreparedPicture], threshold: f32) -> Result<Vec<Vec<Detection>>> {
        let squares: Vec<RgbImage> = pictures.iter().map(|picture| picture.picture.clone()).collect();
        let sizes: Vec<(usize, usize)> = pictures.iter().map(|picture| picture.size).collect();
        let outputs = self.network.forward(&self.eye.tensor(&squares)?)?;
        self.network.detections(&outputs, threshold, &sizes)
    }
}

/// What `preprocessor_config.json` says; absent keys have the defaults of the transformers class.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
struct Processor {
    do_resize: bool,
    do_rescale: bool,
    do_normalize: bool,
    do_pad: bool,
    resample: u32,
    rescale_factor: f64,
    size: Size,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Size {
    height: usize,
    width: usize,
}

impl Default for Processor {
    fn default() -> Self {
        Self {
            do_resize: true,
            do_rescale: true,
            do_normalize: false,
            do_pad: false,
            resample: BILINEAR,
            rescale_factor: 1.0 / 255.0,
            size: Size { height: SIDE, width: SIDE },
        }
    }
}

impl Processor {
    /// The side of the square that pictures become.
    ///
    /// # Errors
    /// The first setting that is not supported.
    fn side(&self) -> Result<usize> {
        for (key, value, wanted) in [
            ("do_resize", self.do_resize, true),
            ("do_rescale", self.do_rescale, true),
            ("do_normalize", self.do_normalize, false),
            ("do_pad", self.do_pad, false),
        ] {
            if value != wanted {
                return Err(Error::unsupported(key, &value, &wanted.to_string()));
            }
        }
        if self.resample != BILINEAR {
            return Err(Error::unsupported("resample", &self.resample, "2, which is bilinear"));
        }
        if (self.rescale_factor * 255.0 - 1.0).abs() > 1e-6 {
            return Err(Error::unsupported("rescale_factor", &self.rescale_factor, "1 / 255"));
        }
        let Size { height, width } = self.size;
        if height != width || width == 0 || !width.is_multiple_of(STRIDE) {
            let given = format!("{width} × {height}");
            return Err(Error::unsupported("size", &given, &format!("a square of a multiple of {STRIDE} pixels")));
        }
        Ok(width)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_transform_of_another_kind_is_refused() {
        let side =
            |json: &str| serde_json::from_str::<Processor>(json).unwrap().side().map_err(|error| error.to_string());
        assert_eq!(side("{}"), Ok(640));
        assert_eq!(side(r#"{"size": {"height": 64, "width": 64}, "rescale_factor": 0.00392156862745098}"#), Ok(64));
        for (json, key) in [
            (r#"{"do_normalize": true}"#, "do_normalize"),
            (r#"{"do_pad": true}"#, "do_pad"),
            (r#"{"resample": 3}"#, "resample"),
            (r#"{"rescale_factor": 1.0}"#, "rescale_factor"),
            (r#"{"size": {"height": 640, "width": 480}}"#, "size"),
            (r#"{"size": {"height": 100, "width": 100}}"#, "size"),
        ] {
            let error = side(json).unwrap_err();
            assert!(error.contains(key), "{json}: {error}");
        }
    }
}
