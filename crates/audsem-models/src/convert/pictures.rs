//! Files of networks that see.

use serde_json::json;

use super::network::{Rewritten, dim, object};
use super::taggers::count;
use super::{ExpectedTensors, SourceFile};
use crate::vision::{mobilenet_v2, resnet};

/// A file of torchvision. The number of classes is that of the classifier.
pub(super) fn mobilenet_v2(file: &SourceFile) -> Rewritten {
    let (tensors, default) = (file.tensors.clone(), mobilenet_v2::Config::default());
    let classes = dim(&tensors, "classifier.1.weight", 0);
    let config = mobilenet_v2::Config { num_classes: classes.unwrap_or(default.num_classes), ..default };
    let expected = ExpectedTensors::of(|vb| mobilenet_v2::MobileNetV2::load(vb, &config));
    Rewritten { tensors, config: object(json!(config), "mobilenet_v2"), expected, ignorable: |_| false }
}

/// The authors' checkpoint, a training state in the old format of torch: torchvision's names of a ResNet with bottlenecks.
/// Sizes are those of the tensors.
pub(super) fn places(file: &SourceFile) -> Rewritten {
    let (tensors, default) = (file.tensors.clone(), resnet::Config::default());
    let blocks = |stage: usize| count(&tensors, |block| format!("layer{stage}.{block}.conv1.weight"));
    let depths: Vec<usize> = (1..).map(blocks).take_while(|depth| *depth > 0).collect();
    let config = resnet::Config {
        depths: if depths.is_empty() { default.depths } else { depths },
        width: dim(&tensors, "conv1.weight", 0).unwrap_or(default.width),
        num_classes: dim(&tensors, "fc.weight", 0).unwrap_or(default.num_classes),
    };
    let expected = ExpectedTensors::of(|vb| resnet::ResNet::load(vb, &config));
    Rewritten { tensors, config: object(json!(config), "resnet"), expected, ignorable: |_| false }
}
