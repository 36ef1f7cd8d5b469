//! BLIP captioning: a sentence for a picture (Li et al., 2022).
//!
//! A vision transformer reads the picture; a text decoder with cross-attention to its tokens writes the caption. Names and
//! numbers are those of `BlipForConditionalGeneration` of transformers (`fixtures/regen/blip.py`).

mod captioner;
mod config;
mod text;
mod tower;

pub use captioner::PictureCaptioner;
pub use config::{Config, TextConfig, VisionConfig};
pub use text::CaptionDecoder;

use audsem_media::image::{ImageError, ResizeFilter, RgbImage};
use candle_core::Tensor;
use candle_nn::VarBuilder;

use super::by_picture;
use crate::error::Result;
use crate::generate::{Generated, GenerationConfig, GenerationRequest, generate};
use text::TextDecoder;
use tower::VisionTower;

/// Beams of a caption.
const BEAMS: usize = 4;

/// Most tokens of a caption, with the one that it starts with.
const MAX_TOKENS: usize = 20;

/// Whether a tensor of published checkpoints is not used: stored positions, and second names of the output layer, which
/// is the table of tokens where it has no weight of its own.
#[must_use]
pub fn is_ignorable(name: &str) -> bool {
    name.ends_with("position_ids")
        || name == "text_decoder.cls.predictions.decoder.bias"
        || name == "text_decoder.cls.predictions.bias"
        || name == "text_decoder.cls.predictions.decoder.weight"
}

/// The network.
#[derive(Debug, Clone)]
pub struct Blip {
    tower: VisionTower,
    decoder: TextDecoder,
    config: Config,
}

impl Blip {
    /// Loads `vision_model` and `text_decoder`.
    ///
    /// # Errors
    /// The configuration asks for something unsupported, or a tensor is missing or of another shape.
    pub fn load(vb: &VarBuilder<'_>, config: &Config) -> Result<Self> {
        config.validate()?;
        let width = config.vision_config.hidden_size;
        Ok(Self {
            tower: VisionTower::load(&vb.pp("vision_model"), &config.vision_config)?,
            decoder: TextDecoder::load(&vb.pp("text_decoder"), &config.text_config, width)?,
            config: config.clone(),
        })
    }

    /// What the network sees of a picture: a square, whatever the proportions, in the values of
    /// [`PixelNormalisation::CLIP`](super::PixelNormalisation::CLIP).
    ///
    /// # Errors
    /// Never for pictures of an accepted size.
    pub fn prepare(&self, picture: &RgbImage) -> std::result::Result<RgbImage, ImageError> {
        let side = self.config.vision_config.image_size;
        picture.resized(side, side, ResizeFilter::Bicubic)
    }

    /// States of the vision tower for pictures (B, 3, S, S): the embeddings, what each layer gives, and the normalised
    /// states that the decoder reads, each (B, 1 + N, E).
    ///
    /// # Errors
    /// Pictures of another size, memory, device.
    pub fn vision_states(&self, x: &Tensor) -> Result<Vec<Tensor>> {
        self.tower.states(x)
    }

    /// The states that the decoder reads (B, 1 + N, E) for pictures (B, 3, S, S).
    ///
    /// # Errors
    /// As [`Blip::vision_states`].
    pub fn see(&self, x: &Tensor) -> Result<Tensor> {
        by_picture(x, |x| self.tower.forward(x))
    }

    /// A decoder that continues captions of pictures with these states (B, 1 + N, E).
    ///
    /// # Errors
    /// The tensor has another number of dimensions.
    pub fn decoder(&self, states: Tensor) -> Result<CaptionDecoder<'_>> {
        CaptionDecoder::new(&self.decoder, states)
    }

    /// States of the decoder for captions (B, T) of pictures with these states: the embeddings and what each layer gives,
    /// each (B, T, D); and the logits (B, T, V).
    ///
    /// # Errors
    /// Ids outside the vocabulary, captions longer than there are positions, memory, device.
    pub fn text_states(&self, ids: &[&[u32]], states: &Tensor) -> Result<(Vec<Tensor>, Tensor)> {
        let mut decoder = self.decoder(states.clone())?;
        decoder.read_all(ids)
    }

    /// How captions are written: four beams, at most twenty tokens, an end where the separator is the likeliest.
    #[must_use]
    pub fn generation_config(&self) -> GenerationConfig {
        GenerationConfig {
            num_beams: BEAMS,
            max_length: MAX_TOKENS,
            eos_token_id: vec![self.config.text_config.sep_token_id],
            ..GenerationConfig::default()
        }
    }

    /// The best caption of each picture (B, 3, S, S), as tokens behind the one that captions start with, the end included.
    /// Pictures go through one by one on a CPU, so that none depends on the others.
    ///
    /// # Errors
    /// Pictures of another size, memory, device.
    pub fn captions(&self, x: &Tensor, config: &GenerationConfig) -> Result<Vec<Generated>> {
        let together = if x.device().is_cpu() { 1 } else { x.dim(0)? };
        let mut captions = Vec::with_capacity(x.dim(0)?);
        let mut row = 0;
        while row < x.dim(0)? {
            let n = together.min(x.dim(0)? - row);
            let start = GenerationRequest { prompt: vec![self.config.text_config.bos_token_id], seed: 0 };
            let mut decoder = self.decoder(self.see(&x.narrow(0, row, n)?)?)?;
            let found = generate(&mut decoder, &vec![start; n], config)?;
            captions.extend(found.into_iter().filter_map(|best| best.into_iter().next()));
            row += n;
        }
        Ok(captions)
    }
}
