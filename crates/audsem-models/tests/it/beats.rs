//! BEATs against its original (`fixtures/original_networks`).

use audsem_core::hub::ModelDir;
use audsem_media::audio::{FrontEndError, Spectrogram};
use audsem_models::audio::beats::{Beats, BeatsClassifier, Config};
use candle_core::{DType, Device, Tensor};

use crate::golden::{Goldens, max_abs, original};

fn goldens() -> Goldens {
    Goldens::load("../original_networks/beats.safetensors")
}

fn config() -> Config {
    serde_json::from_str(&original("beats", "config")).unwrap()
}

fn sounds(goldens: &Goldens) -> [Vec<f32>; 2] {
    let rows = goldens.samples("inputs.waveform_i16");
    [rows[0].clone(), rows[1][..27_333].to_vec()]
}

/// The checkpoint in the form that it is converted to.
fn folder(goldens: &Goldens, config: &Config) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    goldens.save_weights(&folder.path().join("model.safetensors"));
    std::fs::write(folder.path().join("config.json"), serde_json::to_vec(config).unwrap()).unwrap();
    folder
}

fn open(config: &Config) -> audsem_models::Result<BeatsClassifier> {
    BeatsClassifier::open(&ModelDir::local(folder(&goldens(), config).path()), &Device::Cpu, DType::F32)
}

#[test]
fn every_layer_is_that_of_the_original() {
    let goldens = goldens();
    let network = Beats::load(&goldens.builder(), &config()).unwrap();
    let features = goldens.get("long.fbank");
    let states = network.hidden_states(features).unwrap();
    goldens.check("long.encoder_layer_norm", &states[0], 2e-5);
    for (layer, state) in states[1..].iter().enumerate() {
        goldens.check(&format!("long.layer{layer}"), state, 5e-5);
    }
    goldens.check("long.pooled_logits", &network.forward(features).unwrap(), 5e-5);
    let error = network.forward(&features.narrow(1, 0, 15).unwrap()).unwrap_err().to_string();
    assert!(error.contains("15 frames"), "{error}");
}

#[test]
fn sounds_become_the_probabilities_of_the_original() {
    let (goldens, classifier) = (goldens(), open(&config()).unwrap());
    let sounds = sounds(&goldens).map(|samples| classifier.features(&samples).unwrap());
    let frames = Tensor::new(sounds[0].values.as_slice(), &Device::Cpu).unwrap();
    assert!(max_abs(&frames, &goldens.get("long.fbank").flatten_all().unwrap()) < 1.5e-4, "its own rounding is 7e-5");
    let probabilities = classifier.probabilities(&[&sounds[0], &sounds[1]]).unwrap();
    for (name, probabilities) in ["long.probs", "short.probs"].into_iter().zip(probabilities) {
        goldens.check(name, &Tensor::new(vec![probabilities], &Device::Cpu).unwrap(), 1e-5);
    }
}

#[test]
fn a_clip_needs_one_row_of_patches() {
    let classifier = open(&config()).unwrap();
    let error = classifier.features(&[0.1; 2_799]).unwrap_err();
    assert!(matches!(error, FrontEndError::TooShort { samples: 2_799, needed: 2_800 }), "{error}");
    let shortest: Spectrogram = classifier.features(&[0.1; 2_800]).unwrap();
    assert_eq!(classifier.probabilities(&[&shortest]).unwrap()[0].len(), 11);
    assert!(matches!(classifier.features(&[]), Err(FrontEndError::Empty)));
}

#[test]
fn classes_have_the_ids_of_the_checkpoint() {
    let ids = (0..11).map(|index| (index, format!("/m/{}", 10 - index))).collect();
    let classifier = open(&Config { label_dict: ids, ..config() }).unwrap();
    assert_eq!((classifier.audioset_id(0), classifier.audioset_id(11)), (Some("/m/10"), None));
    let error = open(&Config { encoder_layers: 2, ..config() }).unwrap_err().to_string();
    assert!(error.contains("unused") && error.contains("encoder.layers.2.fc1"), "{error}");
}
