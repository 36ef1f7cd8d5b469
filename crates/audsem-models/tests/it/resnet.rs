//! ResNet and the transform of Places365 against torchvision.

use audsem_core::hub::ModelDir;
use audsem_core::weights::Weights;
use audsem_media::image::RgbImage;
use audsem_models::vision::PixelNormalisation;
use audsem_models::vision::places::{NAMES, PlaceClassifier};
use audsem_models::vision::resnet::{Config, ResNet};
use candle_core::{DType, Device, Tensor};

use crate::golden::{Goldens, max_abs, path};

fn tiny() -> (ResNet, Config) {
    let dir = ModelDir::local(&path("resnet_tiny"));
    let config: Config = dir.json("config.json").unwrap();
    let weights = Weights::open(&dir, &Device::Cpu, DType::F32).unwrap();
    let network = ResNet::load(&weights.var_builder(), &config).unwrap();
    weights.finish(|name| name.ends_with("num_batches_tracked")).unwrap();
    (network, config)
}

/// The picture `large` of `fixtures/regen/image.py`.
pub(crate) fn large() -> RgbImage {
    let value = |n: u64| ((n * n * 7 + n * 31) / 64 % 256) as u8;
    RgbImage::new(640, 360, (0..360 * 640 * 3).map(value).collect()).unwrap()
}

#[test]
fn every_stage_of_resnet_is_that_of_torchvision() {
    let (goldens, (network, _)) = (Goldens::load("resnet_tiny.safetensors"), tiny());
    let states = network.features(goldens.get("x")).unwrap();
    assert_eq!(states.len(), 4);
    for (stage, state) in states.iter().enumerate() {
        goldens.check_relative(&format!("stage.{stage}"), state, 1e-5, 1.0);
    }
    goldens.check_relative("logits", &network.forward(goldens.get("x")).unwrap(), 1e-5, 1.0);
}

#[test]
fn a_picture_alone_has_the_logits_it_has_among_others() {
    let (goldens, (network, _)) = (Goldens::load("resnet_tiny.safetensors"), tiny());
    let together = network.forward(goldens.get("x")).unwrap();
    for row in 0..3 {
        let alone = network.forward(&goldens.get("x").narrow(0, row, 1).unwrap()).unwrap();
        assert_eq!(max_abs(&alone, &together.narrow(0, row, 1).unwrap()), 0.0, "row {row}");
    }
}

#[test]
fn a_picture_is_prepared_as_by_torchvision() {
    let prepared = PlaceClassifier::prepare(&large()).unwrap();
    let x = PixelNormalisation::IMAGENET.tensor(&[prepared], &Device::Cpu).unwrap();
    let values: Vec<f32> = x.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().step_by(97).collect();
    let n = values.len();
    Goldens::load("resnet_tiny.safetensors").check(
        "prepared",
        &Tensor::from_vec(values, n, &Device::Cpu).unwrap(),
        1e-6,
    );
}

#[test]
fn places_are_ranked_by_probability_and_need_a_name_each() {
    let open =
        |names: &str| PlaceClassifier::open(&ModelDir::local(&path("resnet_tiny")), names, &Device::Cpu, DType::F32);
    let names: String = (0..tiny().1.num_classes).map(|n| format!("place_{n}\n")).collect();
    let classifier = open(&names).unwrap();
    let pictures = [PlaceClassifier::prepare(&large()).unwrap()];
    let guesses = classifier.classify(&pictures, 7).unwrap();
    let sum: f32 = guesses[0].iter().map(|guess| guess.probability).sum();
    assert!((sum - 1.0).abs() < 1e-5 && guesses[0].is_sorted_by(|a, b| a.probability >= b.probability));
    assert!(guesses[0].iter().all(|guess| guess.name == format!("place_{}", guess.class)));
    assert_eq!(classifier.classify(&pictures, 2).unwrap()[0], guesses[0][..2]);
    let error = open(NAMES).unwrap_err();
    assert!(error.to_string().contains("365 names"), "{error}");
}

#[test]
fn a_shape_without_meaning_is_refused() {
    for config in [
        Config { depths: vec![], ..Config::default() },
        Config { depths: vec![1, 0], ..Config::default() },
        Config { width: 0, ..Config::default() },
        Config { num_classes: 0, ..Config::default() },
    ] {
        assert!(config.validate().is_err(), "{config:?}");
    }
    Config::default().validate().unwrap();
}
