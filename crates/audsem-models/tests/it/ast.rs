//! AST against transformers.

use audsem_core::hub::ModelDir;
use audsem_core::testing::sounds::wave;
use audsem_core::weights::Weights;
use audsem_media::audio::Spectrogram;
use audsem_models::audio::ast::{Ast, AstClassifier, AstHead, Config};
use candle_core::{DType, Device, Tensor};

use crate::golden::{Goldens, path};

fn open() -> AstClassifier {
    AstClassifier::open(&ModelDir::local(&path("ast_tiny")), &Device::Cpu, DType::F32).unwrap()
}

fn sounds(classifier: &AstClassifier) -> Vec<Spectrogram> {
    [20_000, 9_000, 450].map(|n| classifier.features(&wave(n)).unwrap()).into()
}

#[test]
fn every_layer_is_that_of_transformers() {
    let (dir, goldens) = (ModelDir::local(&path("ast_tiny")), Goldens::load("ast_tiny.safetensors"));
    let config: Config = dir.json("config.json").unwrap();
    let weights = Weights::open(&dir, &Device::Cpu, DType::F32).unwrap();
    let network = Ast::load(&weights.var_builder(), &config).unwrap();
    weights.finish(|_| false).unwrap();
    let features = goldens.get("features");
    for (layer, state) in network.hidden_states(features).unwrap().iter().enumerate() {
        goldens.check(&format!("hidden.{layer}"), state, 1e-5);
    }
    goldens.check("logits", &network.forward(features).unwrap(), 1e-5);
    let short = features.narrow(1, 0, 80).unwrap();
    assert!(network.forward(&short).unwrap_err().to_string().contains("80 frames"));
}

#[test]
fn sounds_become_the_probabilities_of_transformers() {
    let goldens = Goldens::load("ast_tiny.safetensors");
    let classifier = open();
    assert_eq!((classifier.head(), classifier.config().labels()[6]), (AstHead::Other, "class 6"));
    let sounds = sounds(&classifier);
    for (row, sound) in sounds.iter().enumerate() {
        let features = Tensor::new(sound.values.as_slice(), &Device::Cpu).unwrap();
        let wanted = goldens.get("features").get(row).unwrap().flatten_all().unwrap();
        assert!(crate::golden::max_abs(&features, &wanted) < 1e-5, "row {row}");
    }
    let sounds: Vec<&Spectrogram> = sounds.iter().collect();
    let probabilities = classifier.probabilities(&sounds).unwrap();
    goldens.check("softmax", &Tensor::new(probabilities, &Device::Cpu).unwrap(), 1e-5);
    assert!(classifier.features(&[0.1; 399]).is_err(), "shorter than a frame");
}

#[test]
fn several_classes_apply_where_the_checkpoint_says_so() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["model.safetensors", "preprocessor_config.json"] {
        std::fs::copy(path("ast_tiny").join(name), folder.path().join(name)).unwrap();
    }
    let json = std::fs::read_to_string(path("ast_tiny/config.json")).unwrap();
    let json = json.replacen('{', r#"{"problem_type": "multi_label_classification","#, 1);
    std::fs::write(folder.path().join("config.json"), json).unwrap();
    let classifier = AstClassifier::open(&ModelDir::local(folder.path()), &Device::Cpu, DType::F32).unwrap();
    let sounds = sounds(&classifier);
    let probabilities = classifier.probabilities(&sounds.iter().collect::<Vec<_>>()).unwrap();
    Goldens::load("ast_tiny.safetensors").check("sigmoid", &Tensor::new(probabilities, &Device::Cpu).unwrap(), 1e-5);
}

#[test]
fn features_of_another_length_than_the_networks_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["model.safetensors", "config.json"] {
        std::fs::copy(path("ast_tiny").join(name), folder.path().join(name)).unwrap();
    }
    // Without a file of its own, a checkpoint has features of 1024 frames.
    let error = AstClassifier::open(&ModelDir::local(folder.path()), &Device::Cpu, DType::F32).unwrap_err().to_string();
    assert!(error.contains("1024 frames") && error.contains("90 frames"), "{error}");
}
