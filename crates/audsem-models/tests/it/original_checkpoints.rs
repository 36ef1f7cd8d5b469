//! Files in the layouts in which authors publish weights become folders that the networks open.

use std::path::PathBuf;

use audsem_core::hub::ModelDir;
use audsem_core::weights::Weights;
use audsem_models::audio::beats::BeatsClassifier;
use audsem_models::audio::conette::{CaptionSettings, ConetteCaptioner};
use audsem_models::audio::lp_musiccaps::{Config, LpMusicCaps};
use audsem_models::audio::sat::SatTagger;
use audsem_models::convert::{ConvertError, SourceFile, SourceNetwork};
use audsem_models::vision::places::PlaceClassifier;
use candle_core::{DType, Device};

use crate::golden::path;
use crate::resnet::large;

const CPU: &Device = &Device::Cpu;

fn file(name: &str) -> PathBuf {
    path("original_checkpoints").join(name)
}

/// Converts a file and the same in the old format of torch, whose tensors are the same.
fn converted(network: SourceNetwork, names: [&str; 2]) -> (tempfile::TempDir, ModelDir) {
    let folder = tempfile::tempdir().unwrap();
    let [zip, legacy] = names.map(|name| {
        let converted = network.convert(&SourceFile::open(&file(name), None, None).unwrap());
        converted.unwrap_or_else(|error| panic!("{name}: {error}"))
    });
    assert_eq!(zip.safetensors().unwrap(), legacy.safetensors().unwrap());
    assert_eq!(zip.config, legacy.config);
    zip.write(folder.path()).unwrap();
    let dir = ModelDir::local(folder.path());
    (folder, dir)
}

/// The message about a file from which a tensor was taken and to which one was added.
fn refusal(network: SourceNetwork, name: &str, taken: &str) -> String {
    let mut source = SourceFile::open(&file(name), None, None).unwrap();
    let tensor = source.tensors.remove(taken).unwrap();
    source.tensors.insert("adapter.weight".to_owned(), tensor);
    let error = network.convert(&source).unwrap_err();
    assert!(matches!(error, ConvertError::Mismatch { .. }), "{error}");
    error.to_string()
}

#[test]
fn beats_brings_its_configuration_and_its_classes() {
    let (_folder, dir) = converted(SourceNetwork::Beats, ["beats.pt", "beats_legacy.pt"]);
    let beats = BeatsClassifier::open(&dir, CPU, DType::F32).unwrap();
    let config = beats.config();
    assert_eq!((config.encoder_layers, config.deep_norm, config.max_distance), (1, true, 800));
    assert_eq!((beats.audioset_id(10), beats.audioset_id(11)), (Some("/m/10"), None));
    let features = beats.features(&[0.1; 8000]).unwrap();
    assert_eq!(beats.probabilities(&[&features]).unwrap()[0].len(), 11);
    let error = refusal(SourceNetwork::Beats, "beats.pt", "predictor.bias");
    assert!(
        error.contains("missing (1): predictor.bias") && error.contains("unexpected (1): adapter.weight"),
        "{error}"
    );
    // A state dictionary alone tells neither sizes nor classes.
    let plain = SourceFile::open(&file("sat.pt"), None, None).unwrap();
    assert!(SourceNetwork::Beats.convert(&plain).unwrap_err().to_string().contains("no configuration `cfg`"));
}

#[test]
fn sizes_of_sat_follow_from_its_tensors() {
    let (_folder, dir) = converted(SourceNetwork::Sat, ["sat.pt", "sat_legacy.pt"]);
    let sat = SatTagger::open(&dir, CPU, DType::F32).unwrap();
    let config = sat.config();
    assert_eq!((config.depth, config.embed_dim, config.outputdim, config.mlp_ratio), (1, 32, 11, 4));
    assert_eq!((config.target_length, config.step_seconds(), config.n_mels), (96, 1, 64));
    let error = refusal(SourceNetwork::Sat, "sat.pt", "freq_pos_embed");
    assert!(error.contains("missing (1): freq_pos_embed"), "{error}");
}

#[test]
fn lp_musiccaps_of_several_devices_is_that_of_one() {
    let (_folder, dir) = converted(SourceNetwork::LpMusicCaps, ["lp_musiccaps.pth", "lp_musiccaps_legacy.pth"]);
    let config: Config = dir.json("config.json").unwrap();
    assert_eq!((config.bart.vocab_size, config.bart.decoder_layers, config.bart.max_position_embeddings), (60, 1, 64));
    assert_eq!((config.model.num_of_conv, config.model.n_mels, config.model.audio_dim), (6, 128, 32));
    let weights = Weights::open(&dir, CPU, DType::F32).unwrap();
    LpMusicCaps::load(&weights.var_builder(), &config).unwrap();
    let error = refusal(SourceNetwork::LpMusicCaps, "lp_musiccaps.pth", "audio_encoder.positional_embedding");
    assert!(error.contains("missing (1): audio_encoder.positional_embedding"), "{error}");
}

#[test]
fn words_of_conette_come_from_its_pickle_or_its_configuration() {
    let names = ["conette/pytorch_model.bin", "conette_legacy/pytorch_model.bin"];
    let (_folder, dir) = converted(SourceNetwork::Conette, names);
    let captioner = ConetteCaptioner::open(&dir, CPU, DType::F32).unwrap();
    let config = captioner.config();
    assert_eq!((config.encoder_dims, config.encoder_depths), ([8, 12, 16, 24], [1, 1, 2, 1]));
    assert_eq!(config.tokenizer_state.tokenizer.itos[&10], "dog");
    let features = captioner.features(&[0.1; 16_000]).unwrap();
    captioner.captions(&[&features], &CaptionSettings::of(config)).unwrap();
    let error = refusal(SourceNetwork::Conette, names[0], "model.projection.2.bias");
    assert!(error.contains("missing (1): model.projection.2.bias"), "{error}");

    let mut source = SourceFile::open(&file(names[0]), None, None).unwrap();
    source.tensors.remove("_extra_state_");
    assert!(SourceNetwork::Conette.convert(&source).unwrap_err().to_string().contains("no words"));
}

/// The authors' file is in the old format and of a network that ran on several devices.
#[test]
fn places_is_the_network_that_torchvision_runs() {
    let source = SourceFile::open(&file("places.pth.tar"), None, None).unwrap();
    let folder = tempfile::tempdir().unwrap();
    SourceNetwork::Places.convert(&source).unwrap().write(folder.path()).unwrap();
    let names: String = (0..7).map(|n| format!("place_{n}\n")).collect();
    let pictures = [PlaceClassifier::prepare(&large()).unwrap()];
    let [converted, golden] = [folder.path(), &path("resnet_tiny")].map(|folder| {
        let classifier = PlaceClassifier::open(&ModelDir::local(folder), &names, CPU, DType::F32).unwrap();
        classifier.probabilities(&pictures).unwrap()
    });
    assert_eq!(converted, golden);
    let taken = "layer2.0.downsample.0.weight";
    let error = refusal(SourceNetwork::Places, "places.pth.tar", taken);
    assert!(error.contains(&format!("missing (1): {taken}")) && error.contains("unexpected (1): adapter"), "{error}");
}

#[test]
fn an_empty_file_is_called_empty() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("weights.pt");
    std::fs::write(&empty, "").unwrap();
    let error = SourceFile::open(&empty, None, None).unwrap_err().to_string();
    assert!(error.contains("weights.pt: the file is empty") && !error.contains("Onnx"), "{error}");
}
