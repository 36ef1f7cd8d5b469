//! Weight files of torch, ONNX and CTranslate2 against what those libraries read in them.

use std::path::PathBuf;

use audsem_models::convert::{
    ConvertError, ExpectedTensors, SourceDtype, SourceFile, SourceNetwork, SourceTensor, WeightFormat,
};
use audsem_models::nn::Linear;
use candle_core::{DType, Tensor};
use serde_json::json;

use crate::golden::{Goldens, max_abs, path};

fn file(name: &str) -> PathBuf {
    path("weight_files").join(name)
}

fn open(name: &str) -> SourceFile {
    SourceFile::open(&file(name), None, None).unwrap()
}

/// The tensor with its numbers, those of 16 bits that the golden holds as integers by their bits.
fn numbers(tensor: &SourceTensor) -> Tensor {
    match tensor.dtype() {
        SourceDtype::Bf16 => {
            let bits = tensor.bytes().as_chunks::<2>().0.iter().map(|bytes| f32::from(i16::from_le_bytes(*bytes)));
            Tensor::from_iter(bits, &candle_core::Device::Cpu).unwrap().reshape(tensor.shape()).unwrap()
        }
        _ => tensor.to_tensor().unwrap(),
    }
}

/// Fails unless a file has exactly the tensors of the golden, number by number.
fn check(name: &str, source: &SourceFile) {
    let goldens = Goldens::load("weight_files.safetensors");
    let mut wanted: Vec<_> = goldens.under(&format!("{name}/"));
    wanted.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(source.tensors.keys().collect::<Vec<_>>(), wanted.iter().map(|(name, _)| name).collect::<Vec<_>>());
    for (tensor, wanted) in &wanted {
        assert_eq!(source.tensors[tensor].shape(), wanted.dims(), "{name}: {tensor}");
        let wanted = wanted.to_dtype(DType::F32).unwrap();
        assert_eq!(max_abs(&numbers(&source.tensors[tensor]), &wanted), 0.0, "{name}: {tensor}");
    }
}

#[test]
fn both_formats_of_torch_are_read_with_what_is_no_tensor() {
    for name in ["zip.pt", "legacy.pt"] {
        let source = open(name);
        assert_eq!(source.format, WeightFormat::Torch);
        check(name, &source);
        assert_eq!(source.metadata["cfg"]["encoder_layers"], 12);
        assert_eq!(
            source.metadata["cfg"],
            json!({
                "encoder_layers": 12, "dropout": 0.1, "name": "BEATs", "deep": true, "none": null, "sizes": [1, 2],
            })
        );
        assert_eq!(source.metadata["label_dict"], json!({ "0": "/m/09x0r", "1": "/m/0bt9lr" }));
        assert_eq!(source.metadata["state_dictionary"], "model");
        assert!(source.metadata["optimizer"]["left_out"].is_string());
    }
    let parallel = open("parallel.pth");
    check("parallel.pth", &parallel);
}

#[test]
fn a_key_that_holds_no_tensors_is_named_with_those_that_there_are() {
    let error = SourceFile::open(&file("zip.pt"), None, Some("cfg")).unwrap_err().to_string();
    assert!(error.contains("no tensors under `cfg`") && error.contains("label_dict"), "{error}");
}

#[test]
fn initialisers_of_onnx_get_their_names_and_orientation_back() {
    for name in ["linear.onnx", "quantized.onnx"] {
        let source = open(name);
        assert_eq!(source.format, WeightFormat::Onnx);
        check(name, &source);
    }
    let skipped = open("linear.onnx").skipped;
    assert_eq!(skipped.keys().collect::<Vec<_>>(), ["axes", "epsilon"]);
    assert_eq!(open("quantized.onnx").skipped.len(), 7);
}

#[test]
fn whisper_of_ctranslate2_is_that_of_transformers() {
    let source = open("model.bin");
    assert_eq!(source.format, WeightFormat::Ctranslate2);
    let converted = SourceNetwork::Whisper.convert(&source).unwrap();
    check("model.bin", &SourceFile { tensors: converted.tensors.clone(), ..source.clone() });
    let config = converted.config.unwrap();
    for (key, value) in [("d_model", 16), ("encoder_ffn_dim", 24), ("decoder_attention_heads", 2), ("vocab_size", 30)] {
        assert_eq!(config[key], value, "{key}");
    }
    for (key, value) in [("num_mel_bins", 8), ("max_source_positions", 20), ("max_target_positions", 12)] {
        assert_eq!(config[key], value, "{key}");
    }

    let mut broken = source;
    broken.tensors.remove("decoder/layer_norm/gamma");
    let extra = broken.tensors["decoder/layer_norm/beta"].clone();
    broken.tensors.insert("decoder/adapter/weight".to_owned(), extra);
    let error = SourceNetwork::Whisper.convert(&broken).unwrap_err().to_string();
    assert!(error.contains("missing (1): decoder/layer_norm/gamma"), "{error}");
    assert!(error.contains("unexpected (1): decoder/adapter/weight"), "{error}");
}

#[test]
fn a_folder_of_converted_weights_is_written_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let (source, goldens) = (open("linear.onnx"), Goldens::load("weight_files.safetensors"));
    let converted = SourceNetwork::Plain.convert(&source).unwrap();
    converted.write(&folder.path().join("net")).unwrap();
    let read = candle_core::safetensors::load(folder.path().join("net/model.safetensors"), &candle_core::Device::Cpu);
    for (name, tensor) in read.unwrap() {
        goldens.check(&format!("linear.onnx/{name}"), &tensor, 0.0);
    }
    let about: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("net/source.json")).unwrap()).unwrap();
    assert_eq!((&about["file"], &about["format"]), (&json!("linear.onnx"), &json!("onnx")));
    assert_eq!(about["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(about["beside"]["linear.onnx.data"].as_str().unwrap().len(), 64);
}

/// A pipe would give its content once, and has neither a hash nor files beside it.
#[test]
fn a_pipe_is_refused_without_waiting_for_a_writer() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("model.bin");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let error = SourceFile::open(&pipe, None, None).unwrap_err().to_string();
    assert!(error.contains("model.bin: this is a pipe or a device"), "{error}");
}

#[test]
fn tensors_of_another_network_are_listed() {
    let expected = ExpectedTensors::of(|vb| {
        Linear::load(&vb.pp("up"), 4, 8, 0.02)?;
        Linear::load(&vb.pp("down"), 8, 3, 0.02)?;
        Ok(Linear::load(&vb.pp("head"), 2, 2, 0.02)?)
    });
    let tensors = open("linear.onnx").tensors;
    let mismatch = expected.unwrap().compare(&tensors, |name| name == "half").unwrap();
    assert_eq!(mismatch.missing, ["head.bias", "head.weight"]);
    assert_eq!(mismatch.unexpected, ["conv.bias", "conv.weight"]);
    assert_eq!(mismatch.shapes.len(), 2);
    assert!(mismatch.to_string().contains("down.bias: wants [3], has [2]"), "{mismatch}");
}

#[test]
fn damaged_files_are_errors_that_name_the_file() {
    let folder = tempfile::tempdir().unwrap();
    for (name, format) in
        [("zip.pt", WeightFormat::Torch), ("legacy.pt", WeightFormat::Torch), ("model.bin", WeightFormat::Ctranslate2)]
    {
        let whole = std::fs::read(file(name)).unwrap();
        // Cut at many places; what is behind the last storage of a legacy file cannot be missed.
        for cut in (0..whole.len()).step_by(whole.len() / 40) {
            let path = folder.path().join(name);
            std::fs::write(&path, &whole[..cut]).unwrap();
            let error = SourceFile::open(&path, Some(format), None).map(drop).unwrap_err();
            let named = matches!(error, ConvertError::Format { .. } | ConvertError::Empty { .. });
            assert!(named && error.to_string().contains(name), "{error}");
        }
    }
}
