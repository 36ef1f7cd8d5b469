//! RT-DETR: objects in pictures, with their boxes (Zhao et al., 2023).
//!
//! A convolutional backbone gives three maps; a hybrid encoder mixes them; the tokens that look most like objects become
//! queries, whose boxes a decoder refines layer by layer with deformable attention. Names and numbers are those of
//! `RTDetrForObjectDetection` of transformers (`fixtures/regen/rt_detr.py`), with the tensor names of published checkpoints. For
//! inference: batch normalisation is folded into the convolutions when weights are loaded.

mod attention;
mod backbone;
mod config;
mod conv;
mod decoder;
mod deformable;
mod detections;
mod detector;
mod encoder;
mod heads;
mod queries;

pub use config::{BackboneConfig, Config};
pub use detections::{BoundingBox, Detection};
pub use detector::{ObjectDetector, PreparedPicture};

use audsem_media::image::{ImageError, ResizeFilter, RgbImage};
use candle_core::{DType, Tensor};
use candle_nn::VarBuilder;

use super::by_picture;
use crate::error::Result;
use backbone::Backbone;
use conv::ConvNorm;
use decoder::{Decoder, DecoderInput};
use encoder::HybridEncoder;
use queries::QuerySelection;

/// Side of the picture that the network sees, by default.
pub const SIDE: usize = 640;

/// Whether a tensor of published checkpoints is not used: counters of training steps, what training alone reads, and
/// second names of the heads.
#[must_use]
pub fn is_ignorable(name: &str) -> bool {
    name.ends_with("num_batches_tracked")
        || name == "model.denoising_class_embed.weight"
        || name.starts_with("class_embed.")
        || name.starts_with("bbox_embed.")
        || name.starts_with("model.decoder.class_embed.")
        || name.starts_with("model.decoder.bbox_embed.")
}

/// What the network gives for a batch.
#[derive(Debug, Clone)]
pub struct Outputs {
    /// Logits of the classes of each query (B, Q, C), in f32.
    pub logits: Tensor,
    /// Boxes (B, Q, 4) in f32: centre, width and height as shares of the picture.
    pub boxes: Tensor,
}

/// Results between the parts of the network.
#[derive(Debug, Clone)]
pub struct Trace {
    /// Maps of the backbone (B, C, H, W), the largest first.
    pub stages: Vec<Tensor>,
    /// Maps of the hybrid encoder (B, D, H, W), the largest first.
    pub levels: Vec<Tensor>,
    /// Boxes of the queries before the decoder (B, Q, 4), before the sigmoid.
    pub reference: Tensor,
    /// States of the queries behind each decoder layer (B, Q, D).
    pub layers: Vec<Tensor>,
    /// Boxes behind each decoder layer (B, Q, 4).
    pub boxes: Vec<Tensor>,
    /// Logits and boxes.
    pub outputs: Outputs,
}

/// The network with the names of its classes.
#[derive(Debug, Clone)]
pub struct RtDetr {
    backbone: Backbone,
    input_proj: Vec<ConvNorm>,
    encoder: HybridEncoder,
    decoder_proj: Vec<ConvNorm>,
    selection: QuerySelection,
    decoder: Decoder,
    labels: Vec<String>,
    num_queries: usize,
}

impl RtDetr {
    /// Loads `model` and the heads below it.
    ///
    /// # Errors
    /// The configuration asks for something unsupported, a tensor is missing or of another shape, or a variance is
    /// negative.
    pub fn load(vb: &VarBuilder<'_>, config: &Config) -> Result<Self> {
        config.validate()?;
        let model = vb.pp("model");
        let project = |name: &str, inputs: &[usize], outputs: usize| -> candle_core::Result<Vec<ConvNorm>> {
            let vb = model.pp(name);
            let each = inputs.iter().enumerate();
            each.map(|(n, inputs)| ConvNorm::load_at(&vb.pp(n), ["0", "1"], *inputs, outputs)).collect()
        };
        let channels = &config.backbone_config.hidden_sizes[1..];
        Ok(Self {
            backbone: Backbone::load(&model.pp("backbone.model"), &config.backbone_config)?,
            input_proj: project("encoder_input_proj", channels, config.encoder_hidden_dim)?,
            encoder: HybridEncoder::load(&model.pp("encoder"), config)?,
            decoder_proj: project("decoder_input_proj", &config.decoder_in_channels, config.d_model)?,
            selection: QuerySelection::load(&model, config)?,
            decoder: Decoder::load(vb, config)?,
            labels: config.labels()?,
            num_queries: config.num_queries,
        })
    }

    /// What the network sees of a picture: a square of `side` pixels, whatever the proportions, as values from 0 to 1
    /// ([`PixelNormalisation::UNIT`](super::PixelNormalisation::UNIT)).
    ///
    /// # Errors
    /// Never for pictures of an accepted size.
    pub fn prepare(picture: &RgbImage, side: usize) -> std::result::Result<RgbImage, ImageError> {
        picture.resized(side, side, ResizeFilter::Bilinear)
    }

    /// Logits and boxes of square pictures (B, 3, S, S). No picture depends on the others.
    ///
    /// # Errors
    /// Pictures that are not square or too small for as many queries; memory, device.
    pub fn forward(&self, x: &Tensor) -> Result<Outputs> {
        let joined = by_picture(x, |x| {
            let Outputs { logits, boxes } = self.trace(x)?.outputs;
            Ok(Tensor::cat(&[boxes, logits], 2)?)
        })?;
        let classes = joined.dim(2)? - 4;
        Ok(Outputs { boxes: joined.narrow(2, 0, 4)?, logits: joined.narrow(2, 4, classes)? })
    }

    /// As [`RtDetr::forward`], with what lies between the parts.
    ///
    /// # Errors
    /// As [`RtDetr::forward`].
    pub fn trace(&self, x: &Tensor) -> Result<Trace> {
        let stages = self.backbone.forward(x)?;
        let projected = stages.iter().zip(&self.input_proj).map(|(x, proj)| proj.forward(x));
        let levels = self.encoder.forward(projected.collect::<candle_core::Result<_>>()?)?;
        let maps = levels.iter().zip(&self.decoder_proj).map(|(x, proj)| proj.forward(x));
        let maps: Vec<Tensor> = maps.collect::<candle_core::Result<_>>()?;
        let sizes = maps.iter().map(|map| Ok([map.dim(2)?, map.dim(3)?])).collect::<candle_core::Result<Vec<_>>>()?;
        let tokens = maps.iter().map(|map| map.flatten_from(2)?.transpose(1, 2));
        let memory = Tensor::cat(&tokens.collect::<candle_core::Result<Vec<_>>>()?, 1)?; // (B, N, D)
        let queries = self.selection.select(&memory, &sizes)?;
        let input = DecoderInput { memory: &memory, sizes: &sizes };
        let refined = self.decoder.forward(queries.states, &queries.reference, &input)?;
        let logits = refined.logits.to_dtype(DType::F32)?;
        let boxes = refined.boxes[refined.boxes.len() - 1].to_dtype(DType::F32)?;
        Ok(Trace {
            stages,
            levels,
            reference: queries.reference,
            layers: refined.layers,
            boxes: refined.boxes,
            outputs: Outputs { logits, boxes },
        })
    }

    /// Detections with scores above `threshold` in each picture, the surest first, in pixels of pictures of these sizes
    /// (width, height).
    ///
    /// # Errors
    /// Another number of sizes than of pictures; the tensors cannot be read.
    pub fn detections(
        &self,
        outputs: &Outputs,
        threshold: f32,
        sizes: &[(usize, usize)],
    ) -> Result<Vec<Vec<Detection>>> {
        detections::detections(outputs, &self.labels, self.num_queries, threshold, sizes)
    }
}
