//! LLaVA-Video: a description of a video from eight of its frames (Zhang et al., 2024).
//!
//! A [`SiglipTower`] reads each frame, a projector maps its tokens to the width of the language model, and pooling leaves
//! a quarter of them; where rows or frames end, a trained vector stands. These vectors take the place of one token of the
//! prompt. Numbers agree with transformers' SigLIP and LLaVA-OneVision (`fixtures/regen/llava_video.py`); tensor names
//! are those of the published checkpoint.

mod config;
mod describer;
mod network;
mod pool;
mod prompt;

pub use config::{Config, NewlinePosition, PoolMode};
pub use describer::{AskedVideo, VideoDescriber, VideoDescription};
pub use network::{LlavaVideo, PromptedVideo};
pub use prompt::{caption_text, video_prompt};

use audsem_media::image::{ImageError, ResizeFilter, RgbImage};
use candle_core::Tensor;
use candle_nn::{Init, VarBuilder};

use crate::error::Result;
use crate::nn::{Activation, Linear};
use crate::vision::siglip::{self, SiglipTower};

/// Frames of a video that the network sees.
pub const FRAMES: usize = 8;

/// Where checkpoints have the vision tower.
const TOWER: &str = "model.vision_tower.vision_tower.vision_model";

/// The vision part: from frames to vectors among those of a prompt.
#[derive(Debug, Clone)]
pub struct LlavaVideoVision {
    tower: SiglipTower,
    projector: [Linear; 2],
    newline: Tensor, // (D)
    config: Config,
    side: usize,
    grid: usize,
}

impl LlavaVideoVision {
    /// Loads `model.vision_tower`, `model.mm_projector` and `model.image_newline`.
    ///
    /// # Errors
    /// A configuration asks for something unsupported, or a tensor is missing or of another shape.
    pub fn load(vb: &VarBuilder<'_>, config: &Config, tower: &siglip::Config) -> Result<Self> {
        config.validate()?;
        let model = vb.pp("model");
        let (inputs, dim) = (tower.hidden_size, config.hidden_size);
        let projector = model.pp("mm_projector");
        Ok(Self {
            tower: SiglipTower::load(&vb.pp(TOWER), tower)?,
            projector: [
                Linear::load(&projector.pp("0"), inputs, dim, 0.02)?,
                Linear::load(&projector.pp("2"), dim, dim, 0.02)?,
            ],
            newline: model.get_with_hints(dim, "image_newline", Init::Randn { mean: 0.0, stdev: 0.02 })?,
            config: config.clone(),
            side: tower.image_size,
            grid: tower.grid(),
        })
    }

    /// What the network sees of a frame: a square, whatever the proportions, in the values of
    /// [`PixelNormalisation::SIGNED`](crate::vision::PixelNormalisation::SIGNED).
    ///
    /// # Errors
    /// Never for pictures of an accepted size.
    pub fn prepare(&self, frame: &RgbImage) -> std::result::Result<RgbImage, ImageError> {
        frame.resized(self.side, self.side, ResizeFilter::Bicubic)
    }

    /// Vectors (N, D) of one video, for its frames (F, 3, S, S) in the order of their times.
    ///
    /// # Errors
    /// Frames of another size, memory, device.
    pub fn forward(&self, frames: &Tensor) -> Result<Tensor> {
        let tokens = self.project(&self.tower.forward(frames)?)?; // (F, G², D)
        self.arrange(&tokens)
    }

    /// Tokens of the tower (F, G², E) in the width of the language model (F, G², D).
    ///
    /// # Errors
    /// Another width, memory, device.
    pub fn project(&self, tokens: &Tensor) -> Result<Tensor> {
        let [up, down] = &self.projector;
        Ok(down.forward(&Activation::Gelu.forward(&up.forward(tokens)?)?)?)
    }

    /// Pools projected tokens (F, G², D), puts in the ends of rows or frames, and joins the frames: (N, D).
    ///
    /// # Errors
    /// Another number of tokens than the grid has, memory, device.
    pub fn arrange(&self, tokens: &Tensor) -> Result<Tensor> {
        let (frames, n, dim) = tokens.dims3()?;
        if n != self.grid * self.grid {
            return Err(candle_core::Error::Msg(format!("{n} tokens for a grid of {}", self.grid)).into());
        }
        let pooled = pool::pool(tokens, self.config.mm_spatial_pool_mode, self.config.mm_spatial_pool_stride)?;
        let side = pooled.dim(1)?; // (F, P, P, D)
        let ends = |shape: &[usize]| self.newline.to_dtype(tokens.dtype())?.broadcast_as(shape);
        let joined = match self.config.mm_newline_position {
            NewlinePosition::Grid => Tensor::cat(&[&pooled, &ends(&[frames, side, 1, dim])?], 2)?
                .reshape((frames * side * (side + 1), dim))?,
            NewlinePosition::Frame => {
                let flat = pooled.reshape((frames, side * side, dim))?;
                Tensor::cat(&[&flat, &ends(&[frames, 1, dim])?], 1)?.reshape((frames * (side * side + 1), dim))?
            }
            NewlinePosition::OneToken => {
                Tensor::cat(&[&pooled.reshape((frames * side * side, dim))?, &ends(&[1, dim])?], 0)?
            }
            NewlinePosition::NoToken => pooled.reshape((frames * side * side, dim))?,
        };
        Ok(joined)
    }
}
