//! RT-DETR against transformers, part by part.

use audsem_core::hub::ModelDir;
use audsem_core::weights::Weights;
use audsem_models::vision::PixelNormalisation;
use audsem_models::vision::rt_detr::{BackboneConfig, Config, ObjectDetector, Outputs, RtDetr, SIDE, is_ignorable};
use candle_core::{DType, Device, Tensor};

use crate::golden::{Goldens, max_abs, path};
use crate::resnet::large;

fn tiny() -> RtDetr {
    with_queries(None)
}

fn with_queries(queries: Option<usize>) -> RtDetr {
    let dir = ModelDir::local(&path("rt_detr_tiny"));
    let config: Config = dir.json("config.json").unwrap();
    let config = Config { num_queries: queries.unwrap_or(config.num_queries), ..config };
    let weights = Weights::open(&dir, &Device::Cpu, DType::F32).unwrap();
    let network = RtDetr::load(&weights.var_builder(), &config).unwrap();
    weights.finish(is_ignorable).unwrap();
    network
}

#[test]
fn every_part_of_rt_detr_is_that_of_transformers() {
    let (goldens, network) = (Goldens::load("rt_detr_tiny.safetensors"), tiny());
    let trace = network.trace(goldens.get("x")).unwrap();
    for (n, map) in trace.stages.iter().enumerate() {
        goldens.check_relative(&format!("stage.{n}"), map, 2e-5, 1.0);
    }
    for (n, map) in trace.levels.iter().enumerate() {
        goldens.check_relative(&format!("level.{n}"), map, 2e-5, 1.0);
    }
    // A token of another rank would be another query: equal boxes say that the same ones were chosen in the same order.
    goldens.check_relative("reference", &trace.reference, 1e-4, 1.0);
    for (n, (layer, boxes)) in trace.layers.iter().zip(&trace.boxes).enumerate() {
        goldens.check(&format!("layer.{n}"), layer, 1e-4);
        goldens.check(&format!("boxes.{n}"), boxes, 1e-4);
    }
    assert_eq!((trace.stages.len(), trace.levels.len(), trace.layers.len()), (3, 3, 2));
    goldens.check("logits", &trace.outputs.logits, 1e-4);
    goldens.check("boxes", &trace.outputs.boxes, 1e-4);
}

#[test]
fn detections_are_those_of_the_processor_in_pixels_of_the_picture() {
    let (goldens, network) = (Goldens::load("rt_detr_tiny.safetensors"), tiny());
    let outputs = Outputs { logits: goldens.get("logits").clone(), boxes: goldens.get("boxes").clone() };
    let found = network.detections(&outputs, 0.3, &[(640, 360), (300, 480)]).unwrap();
    for (n, found) in found.iter().enumerate() {
        let golden = |key: &str| goldens.get(&format!("found.{n}.{key}"));
        let labels: Vec<usize> = golden("labels").to_vec1::<i64>().unwrap().iter().map(|n| *n as usize).collect();
        assert_eq!(found.iter().map(|object| object.class).collect::<Vec<_>>(), labels, "picture {n}");
        assert!(labels.len() > 2 && found.iter().all(|object| object.label == format!("LABEL_{}", object.class)));
        let scores: Vec<f32> = found.iter().map(|object| object.score).collect();
        goldens.check(&format!("found.{n}.scores"), &Tensor::new(scores, &Device::Cpu).unwrap(), 1e-5);
        let bounds = found.iter().map(|object| object.bounds);
        let bounds: Vec<f32> =
            bounds.flat_map(|bounds| [bounds.left, bounds.top, bounds.right, bounds.bottom]).collect();
        let bounds = Tensor::from_vec(bounds, (labels.len(), 4), &Device::Cpu).unwrap();
        goldens.check(&format!("found.{n}.boxes"), &bounds, 1e-3);
    }
    assert!(network.detections(&outputs, 0.3, &[(640, 360)]).is_err(), "a picture without a size");
}

#[test]
fn a_picture_alone_has_the_objects_it_has_among_others() {
    let (goldens, network) = (Goldens::load("rt_detr_tiny.safetensors"), tiny());
    let together = network.forward(goldens.get("x")).unwrap();
    for row in 0..2 {
        let alone = network.forward(&goldens.get("x").narrow(0, row, 1).unwrap()).unwrap();
        assert_eq!(max_abs(&alone.logits, &together.logits.narrow(0, row, 1).unwrap()), 0.0, "row {row}");
        assert_eq!(max_abs(&alone.boxes, &together.boxes.narrow(0, row, 1).unwrap()), 0.0, "row {row}");
    }
}

#[test]
fn a_picture_is_prepared_as_by_the_processor() {
    let x = PixelNormalisation::UNIT.tensor(&[RtDetr::prepare(&large(), SIDE).unwrap()], &Device::Cpu).unwrap();
    let values: Vec<f32> = x.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().step_by(971).collect();
    let n = values.len();
    Goldens::load("rt_detr_tiny.safetensors").check(
        "prepared",
        &Tensor::from_vec(values, n, &Device::Cpu).unwrap(),
        1e-6,
    );
}

#[test]
fn a_checkpoint_finds_what_transformers_finds_from_picture_to_boxes() {
    let (goldens, dir) = (Goldens::load("rt_detr_tiny.safetensors"), ModelDir::local(&path("rt_detr_tiny")));
    let detector = ObjectDetector::open(&dir, &Device::Cpu, DType::F32).unwrap();
    let small = large().resized(30, 50, audsem_media::image::ResizeFilter::Bilinear).unwrap();
    let pictures = [large(), small].map(|picture| detector.prepare(&picture).unwrap());
    let found = detector.detect(&pictures, 0.3).unwrap();
    let labels: Vec<i64> = found[0].iter().map(|object| object.class as i64).collect();
    assert_eq!(labels, goldens.get("whole.labels").to_vec1::<i64>().unwrap());
    let scores: Vec<f32> = found[0].iter().map(|object| object.score).collect();
    goldens.check("whole.scores", &Tensor::new(scores, &Device::Cpu).unwrap(), 1e-4);
    let bounds = found[0].iter().map(|object| object.bounds);
    let bounds: Vec<f32> = bounds.flat_map(|bounds| [bounds.left, bounds.top, bounds.right, bounds.bottom]).collect();
    // In pixels of 640 × 360.
    goldens.check("whole.boxes", &Tensor::from_vec(bounds, (labels.len(), 4), &Device::Cpu).unwrap(), 0.05);
    assert_eq!(detector.detect(&pictures[..1], 0.3).unwrap()[0], found[0]);
    assert!(detector.detect(&[], 0.3).is_err());
}

#[test]
fn what_has_no_meaning_or_is_not_square_is_refused() {
    let network = tiny();
    assert!(network.forward(&Tensor::zeros((1, 3, 96, 64), DType::F32, &Device::Cpu).unwrap()).is_err());
    // 144, 36 and 9 tokens.
    let x = Tensor::zeros((1, 3, 96, 96), DType::F32, &Device::Cpu).unwrap();
    with_queries(Some(189)).forward(&x).unwrap();
    let error = with_queries(Some(190)).forward(&x).unwrap_err().to_string();
    assert!(error.contains("num_queries") && error.contains("at most 189"), "{error}");
    let backbone = BackboneConfig::default();
    for config in [
        Config { model_type: "detr".to_owned(), ..Config::default() },
        Config { normalize_before: true, ..Config::default() },
        Config { num_feature_levels: 4, ..Config::default() },
        Config { decoder_attention_heads: 7, ..Config::default() },
        Config { encode_proj_layers: vec![3], ..Config::default() },
        Config { id2label: [(1, "dog".to_owned())].into(), ..Config::default() },
        Config { backbone_config: BackboneConfig { depths: vec![3, 4, 6], ..backbone.clone() }, ..Config::default() },
        Config {
            backbone_config: BackboneConfig { layer_type: "basic".to_owned(), ..backbone.clone() },
            ..Config::default()
        },
    ] {
        assert!(config.validate().is_err(), "{config:?}");
    }
    Config::default().validate().unwrap();
}
