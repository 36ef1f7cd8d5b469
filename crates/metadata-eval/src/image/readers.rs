//! The networks that read frames.

use audsem_media::batch::{ClipError, MediaFault};
use audsem_media::image::{ImageError, RgbImage};
use audsem_models::Error as NetworkError;
use audsem_models::audio::top_classes;
use audsem_models::vision::blip::PictureCaptioner;
use audsem_models::vision::mobilenet_v2::PictureClassifier;
use audsem_models::vision::places::{PlaceClassifier, answer};
use audsem_models::vision::rt_detr::{Detection, ObjectDetector, PreparedPicture};

use super::finding::{Said, different, mean_over_frames, mean_scores};
use super::frames::FrameReader;
use crate::tables::{ObjectBox, ScoredLabel};

impl FrameReader for PictureCaptioner {
    type Prepared = RgbImage;
    type Seen = String;

    fn prepare(&self, picture: &RgbImage) -> Result<RgbImage, ImageError> {
        self.prepare(picture)
    }

    fn see(&self, frames: &[RgbImage]) -> Result<Vec<String>, NetworkError> {
        self.captions(frames)
    }

    fn said(&self, frames: Vec<String>) -> Result<Said, ClipError> {
        Ok(Said::Blip(different(frames)))
    }
}

/// RT-DETR with what it is asked for.
pub(super) struct Objects {
    pub detector: ObjectDetector,
    pub threshold: f32,
}

impl FrameReader for Objects {
    type Prepared = PreparedPicture;
    type Seen = Vec<Detection>;

    fn prepare(&self, picture: &RgbImage) -> Result<PreparedPicture, ImageError> {
        self.detector.prepare(picture)
    }

    fn see(&self, frames: &[PreparedPicture]) -> Result<Vec<Vec<Detection>>, NetworkError> {
        self.detector.detect(frames, self.threshold)
    }

    fn said(&self, frames: Vec<Vec<Detection>>) -> Result<Said, ClipError> {
        let objects = mean_scores(frames.iter().flatten().map(|object| (object.label.as_str(), object.score)));
        let boxes =
            (0..).zip(frames).flat_map(|(frame, objects)| objects.into_iter().map(move |object| boxed(frame, object)));
        Ok(Said::RtDetr { objects, boxes: boxes.collect() })
    }
}

fn boxed(frame: u32, object: Detection) -> ObjectBox {
    let Detection { label, score, bounds, .. } = object;
    ObjectBox { frame, label, score, left: bounds.left, top: bounds.top, right: bounds.right, bottom: bounds.bottom }
}

/// A network of Places365 with what it is asked for.
pub(super) struct Scenes {
    pub classifier: PlaceClassifier,
    pub threshold: f32,
    pub top_k: usize,
}

impl FrameReader for Scenes {
    type Prepared = RgbImage;
    type Seen = Vec<f32>;

    fn prepare(&self, picture: &RgbImage) -> Result<RgbImage, ImageError> {
        PlaceClassifier::prepare(picture)
    }

    fn see(&self, frames: &[RgbImage]) -> Result<Vec<Vec<f32>>, NetworkError> {
        self.classifier.probabilities(frames)
    }

    fn said(&self, frames: Vec<Vec<f32>>) -> Result<Said, ClipError> {
        let mean = finite_mean(&frames)?;
        let likeliest: Vec<_> = frames.iter().map(|frame| self.classifier.likeliest(frame, 1)).collect();
        let answers = likeliest.iter().filter_map(|ranked| answer(ranked, self.threshold));
        let places = mean_scores(answers.map(|place| (place.name.as_str(), place.probability)));
        let labels = self.classifier.likeliest(&mean, self.top_k).into_iter();
        let labels = labels.map(|place| ScoredLabel { label: place.name, score: place.probability }).collect();
        Ok(Said::Places { places, labels })
    }
}

/// MobileNetV2 with what it is asked for.
pub(super) struct Labels {
    pub classifier: PictureClassifier,
    pub top_k: usize,
}

impl FrameReader for Labels {
    type Prepared = RgbImage;
    type Seen = Vec<f32>;

    fn prepare(&self, picture: &RgbImage) -> Result<RgbImage, ImageError> {
        PictureClassifier::prepare(picture)
    }

    fn see(&self, frames: &[RgbImage]) -> Result<Vec<Vec<f32>>, NetworkError> {
        self.classifier.probabilities(frames)
    }

    fn said(&self, frames: Vec<Vec<f32>>) -> Result<Said, ClipError> {
        let (mean, labels) = (finite_mean(&frames)?, self.classifier.labels());
        let top = top_classes(&mean, self.top_k).into_iter();
        Ok(Said::Mobilenet(
            top.map(|class| ScoredLabel { label: labels[class.index].clone(), score: class.probability }).collect(),
        ))
    }
}

/// The mean probability of each class, if all are numbers.
fn finite_mean(frames: &[Vec<f32>]) -> Result<Vec<f32>, ClipError> {
    let mean = mean_over_frames(frames);
    match mean.iter().position(|probability| !probability.is_finite()) {
        Some(class) => Err(ClipError::new(MediaFault::NotFinite, format!("the probability of class {class}"))),
        None => Ok(mean),
    }
}
