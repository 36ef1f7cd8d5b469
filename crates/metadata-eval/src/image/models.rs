//! The image networks that `--models` names.

use audsem_media::batch::ClipFrames;
use audsem_models::vision::blip::PictureCaptioner;
use audsem_models::vision::mobilenet_v2::PictureClassifier;
use audsem_models::vision::places::PlaceClassifier;
use audsem_models::vision::rt_detr::ObjectDetector;
use serde::Serialize;

use super::finding::Finding;
use super::frames::EachFrame;
use super::readers::{Labels, Objects, Scenes};
use crate::checkpoint::{NamedNetwork, NetworkSettings, OpenedCheckpoint};
use crate::error::Error;
use crate::networks::LoadedNetwork;

/// An image network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ImageModel {
    /// BLIP: a caption of each frame
    Blip,
    /// MobileNetV2: labels of ImageNet
    Mobilenet,
    /// ResNet-50 of Places365: the kind of place
    Places,
    /// RT-DETR: objects and their boxes
    RtDetr,
}

/// What networks are asked for.
pub(super) struct Wanted<'a> {
    pub top_k: usize,
    pub object_threshold: f32,
    pub place_threshold: f32,
    /// Names of the classes of places, as a list.
    pub place_names: &'a str,
}

impl NamedNetwork for ImageModel {
    fn name(self) -> &'static str {
        match self {
            Self::Blip => "blip",
            Self::Mobilenet => "mobilenet",
            Self::Places => "places",
            Self::RtDetr => "rt-detr",
        }
    }

    fn default_checkpoint(self) -> Option<&'static str> {
        match self {
            Self::Blip => Some("Salesforce/blip-image-captioning-large"),
            Self::RtDetr => Some("PekingU/rtdetr_r50vd"),
            Self::Mobilenet | Self::Places => None,
        }
    }
}

impl ImageModel {
    /// Loads the network.
    pub(super) fn load(
        self,
        settings: &NetworkSettings,
        checkpoint: &OpenedCheckpoint,
        wanted: &Wanted<'_>,
    ) -> Result<LoadedNetwork<'static, Finding, ClipFrames>, Error> {
        let (dir, device, dtype) = (&checkpoint.dir, &checkpoint.device, settings.precision.dtype());
        Ok(match self {
            Self::Blip => Box::new(EachFrame(PictureCaptioner::open(dir, device, dtype)?)),
            Self::Mobilenet => {
                let classifier = PictureClassifier::open(dir, device, dtype)?;
                Box::new(EachFrame(Labels { classifier, top_k: wanted.top_k }))
            }
            Self::Places => {
                let classifier = PlaceClassifier::open(dir, wanted.place_names, device, dtype)?;
                Box::new(EachFrame(Scenes { classifier, threshold: wanted.place_threshold, top_k: wanted.top_k }))
            }
            Self::RtDetr => {
                let detector = ObjectDetector::open(dir, device, dtype)?;
                Box::new(EachFrame(Objects { detector, threshold: wanted.object_threshold }))
            }
        })
    }
}
