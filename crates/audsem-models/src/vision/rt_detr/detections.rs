//! From logits and boxes to objects.

use candle_nn::ops::sigmoid;

use super::Outputs;
use crate::error::{Error, Result};

/// A rectangle in pixels of a picture, from its upper left corner. It can reach beyond the edges.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoundingBox {
    /// The left edge.
    pub left: f32,
    /// The upper edge.
    pub top: f32,
    /// The right edge.
    pub right: f32,
    /// The lower edge.
    pub bottom: f32,
}

/// An object in a picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Detection {
    /// Number of its class.
    pub class: usize,
    /// Name of its class.
    pub label: String,
    /// Probability that it is there.
    pub score: f32,
    /// Where it is.
    pub bounds: BoundingBox,
}

/// Of each picture the `most` surest pairs of query and class with scores above `threshold`, the surest first.
pub(super) fn detections(
    outputs: &Outputs,
    labels: &[String],
    most: usize,
    threshold: f32,
    sizes: &[(usize, usize)],
) -> Result<Vec<Vec<Detection>>> {
    let scores = sigmoid(&outputs.logits)?.to_vec3::<f32>()?;
    let boxes = outputs.boxes.to_vec3::<f32>()?;
    // No object would be above any threshold.
    if scores.iter().chain(&boxes).flatten().flatten().any(|value| !value.is_finite()) {
        return Err(candle_core::Error::Msg("scores or boxes are no finite numbers".to_owned()).into());
    }
    if scores.len() != sizes.len() {
        return Err(Error::unsupported("sizes of pictures", &sizes.len(), &scores.len().to_string()));
    }
    let pictures = scores.iter().zip(&boxes).zip(sizes);
    let found = pictures.map(|((scores, boxes), size)| {
        let sure = ranked(scores).into_iter().take(most).take_while(|(_, _, score)| *score > threshold);
        let detection = |(query, class, score): (usize, usize, f32)| Detection {
            class,
            label: labels[class].clone(),
            score,
            bounds: bounds(&boxes[query], *size),
        };
        sure.map(detection).collect()
    });
    Ok(found.collect())
}

/// Query, class and score of all pairs, the surest first, equal ones in order.
fn ranked(scores: &[Vec<f32>]) -> Vec<(usize, usize, f32)> {
    let mut ranked = Vec::new();
    for (query, scores) in scores.iter().enumerate() {
        ranked.extend(scores.iter().enumerate().map(|(class, score)| (query, class, *score)));
    }
    ranked.sort_by(|a: &(usize, usize, f32), b| b.2.total_cmp(&a.2).then((a.0, a.1).cmp(&(b.0, b.1))));
    ranked
}

/// Corners in pixels of a box given by centre and size as shares of the picture.
fn bounds(shares: &[f32], (width, height): (usize, usize)) -> BoundingBox {
    let [x, y, w, h] = [shares[0], shares[1], shares[2], shares[3]];
    let (width, height) = (width as f32, height as f32);
    BoundingBox {
        left: (x - 0.5 * w) * width,
        top: (y - 0.5 * h) * height,
        right: (x + 0.5 * w) * width,
        bottom: (y + 0.5 * h) * height,
    }
}
