//! What one network says about the frames of one clip.

use crate::tables::{ImageFeatures, ObjectBox, ScoredLabel};

/// The result of one image network.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Finding {
    /// Times of the frames; nothing for a picture.
    pub frames_ms: Option<Vec<u32>>,
    /// What it says about them.
    pub said: Said,
}

/// What fills the network's own columns.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Said {
    /// Different captions by BLIP.
    Blip(Vec<String>),
    /// Objects by RT-DETR.
    RtDetr { objects: Vec<ScoredLabel>, boxes: Vec<ObjectBox> },
    /// Scenes by a network of Places365: those that frames show, and the most probable ones over all frames.
    Places { places: Vec<ScoredLabel>, labels: Vec<ScoredLabel> },
    /// ImageNet labels by MobileNetV2.
    Mobilenet(Vec<ScoredLabel>),
}

impl Finding {
    /// Fills the network's columns.
    pub(super) fn add_to(self, row: &mut ImageFeatures) {
        row.frames_ms = self.frames_ms;
        match self.said {
            Said::Blip(descriptions) => row.descriptions = Some(descriptions),
            Said::RtDetr { objects, boxes } => {
                row.objects = Some(objects);
                row.boxes = Some(boxes);
            }
            Said::Places { places, labels } => {
                row.places = Some(places);
                row.place_labels = Some(labels);
            }
            Said::Mobilenet(labels) => row.image_labels = Some(labels),
        }
    }
}

/// The mean score of each label, in order of first appearance.
pub(super) fn mean_scores<'a>(scores: impl IntoIterator<Item = (&'a str, f32)>) -> Vec<ScoredLabel> {
    let mut sums: Vec<(&str, f64, u32)> = Vec::new();
    for (label, score) in scores {
        match sums.iter_mut().find(|(known, ..)| *known == label) {
            Some((_, sum, n)) => (*sum, *n) = (*sum + f64::from(score), *n + 1),
            None => sums.push((label, f64::from(score), 1)),
        }
    }
    let mean =
        |(label, sum, n): (&str, f64, u32)| ScoredLabel { label: label.to_owned(), score: (sum / f64::from(n)) as f32 };
    sums.into_iter().map(mean).collect()
}

/// The mean of each class over all frames.
pub(super) fn mean_over_frames(frames: &[Vec<f32>]) -> Vec<f32> {
    let n_classes = frames.first().map_or(0, Vec::len);
    let mean = |class: usize| frames.iter().map(|frame| f64::from(frame[class])).sum::<f64>() / frames.len() as f64;
    (0..n_classes).map(|class| mean(class) as f32).collect()
}

/// Every text once, without empty ones, in order of first appearance.
pub(super) fn different(texts: Vec<String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for text in texts {
        if !text.is_empty() && !kept.contains(&text) {
            kept.push(text);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_means_over_all_detections_in_order_of_first_appearance() {
        let scores = [("dog", 0.9), ("car", 0.4), ("dog", 0.5), ("cat", 0.75), ("car", 0.5)];
        let label = |label: &str, score| ScoredLabel { label: label.to_owned(), score };
        assert_eq!(mean_scores(scores), [label("dog", 0.7), label("car", 0.45), label("cat", 0.75)]);
        assert_eq!(mean_scores([]), []);
    }

    #[test]
    fn classes_are_averaged_over_frames_and_captions_kept_once() {
        assert_eq!(mean_over_frames(&[vec![0.25, 0.75], vec![0.75, 0.25], vec![0.5, 0.5]]), [0.5, 0.5]);
        let texts = ["a dog", "", "a cat", "a dog"].map(str::to_owned).to_vec();
        assert_eq!(different(texts), ["a dog", "a cat"]);
    }
}
