//! From pictures to captions.

use audsem_core::hub::ModelDir;
use audsem_core::weights::Weights;
use audsem_media::image::{ImageError, RgbImage};
use candle_core::{DType, Device};

use super::{Blip, Config, is_ignorable};
use crate::error::Result;
use crate::tokenizer::Tokenizer;
use crate::vision::{Eye, PixelNormalisation};

/// A checkpoint with the transform of its pictures and its tokenizer, for inference.
#[derive(Debug)]
pub struct PictureCaptioner {
    network: Blip,
    tokenizer: Tokenizer,
    eye: Eye,
}

impl PictureCaptioner {
    /// Opens a checkpoint of the hub: `config.json`, weights, and the tokenizer.
    ///
    /// # Errors
    /// A file cannot be read, the configuration is unsupported, or tensors are missing, unused or of another shape.
    pub fn open(dir: &ModelDir, device: &Device, dtype: DType) -> Result<Self> {
        let config: Config = dir.json("config.json")?;
        let weights = Weights::open(dir, device, dtype)?;
        let network = Blip::load(&weights.var_builder(), &config)?;
        weights.finish(is_ignorable)?;
        let tokenizer = Tokenizer::load(dir, config.text_config.max_position_embeddings, None)?;
        Ok(Self { network, tokenizer, eye: Eye::new(PixelNormalisation::CLIP, device, dtype) })
    }

    /// As [`Blip::prepare`].
    ///
    /// # Errors
    /// As there.
    pub fn prepare(&self, picture: &RgbImage) -> std::result::Result<RgbImage, ImageError> {
        self.network.prepare(picture)
    }

    /// A caption of each prepared picture by [`Blip::generation_config`]; empty where the network says nothing. No picture depends
    /// on the others.
    ///
    /// # Errors
    /// There is no picture; memory, device.
    pub fn captions(&self, pictures: &[RgbImage]) -> Result<Vec<String>> {
        let config = self.network.generation_config();
        let captions = self.network.captions(&self.eye.tensor(pictures)?, &config)?;
        captions.iter().map(|caption| Ok(self.tokenizer.decode(&caption.tokens)?.trim().to_owned())).collect()
    }
}
