#![allow(clippy::unwrap_used)]
use std::path::Path;

use candle_core::Var;

use super::*;
use crate::checkpoint::safetensors_bytes;
use crate::multimodal::trainable::{TrainableAudioModel, TrainedWeights, TrainingPlan};
use crate::nn::LoraConfig;
use crate::nn::lora::Modules;
use crate::train::TrainableModel as _;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/goldens").join(name)
}

fn checkpoint(path: &Path) -> AudioCheckpoint {
    AudioCheckpoint::open(path.to_str().unwrap(), None).unwrap()
}

/// Writes the trained tensors of a model, and its adapter, into a folder.
fn save(model: &TrainableAudioModel, folder: &Path) -> TrainedFiles {
    let write = |name: &str, bytes: &[u8]| {
        audsem_core::files::write_atomically(&folder.join(name), bytes).unwrap();
        folder.join(name)
    };
    let weights = write("trained.safetensors", &safetensors_bytes(model.vars()).unwrap());
    let adapter = model.adapter(None).map(|adapter| {
        adapter.files().unwrap().iter().for_each(|(name, bytes)| drop(write(name, bytes)));
        folder.to_owned()
    });
    TrainedFiles { adapter, weights: Some(weights) }
}

/// Moves every trained tensor a little.
fn train(vars: &[(String, Var)]) {
    for (n, (_, var)) in vars.iter().enumerate() {
        let count = var.elem_count() as f32;
        let noise = Tensor::arange(0f32, count, &Device::Cpu).unwrap().affine(0.7, n as f64).unwrap().sin().unwrap();
        let noise = (noise.reshape(var.dims()).unwrap() * 0.05).unwrap();
        var.set(&(var.as_tensor() + noise).unwrap()).unwrap();
    }
}

/// The tensors that an export has, by the network's names.
fn exported(
    export: &ModelExport<'_>,
    family: crate::multimodal::audio_language::AudioFamily,
) -> HashMap<String, Tensor> {
    let mut all = HashMap::new();
    let n = export
        .write::<crate::Error>(|name, bytes| {
            if name.ends_with(".safetensors") {
                all.extend(candle_core::safetensors::load_buffer(bytes, &Device::Cpu)?);
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(n, all.len());
    all.into_iter().map(|(name, tensor)| (family.tensor_name(&name), tensor)).collect()
}

#[test]
fn what_is_exported_is_the_model_in_training_with_its_adapter_merged() {
    let base = golden("qwen2_audio_tiny");
    let lora = LoraConfig { r: 2, target_modules: Modules::Pattern("all-linear".to_owned()), ..LoraConfig::default() };
    for (adapters, weights) in [
        (Some(lora.clone()), TrainedWeights::None),
        (Some(lora), TrainedWeights::Projector),
        (None, TrainedWeights::All),
    ] {
        let plan = TrainingPlan { adapters, weights, seed: 1, kept_layers: 1 };
        let checkpoint = checkpoint(&base);
        let model = TrainableAudioModel::open(&checkpoint, &plan, None, (&Device::Cpu, DType::F32)).unwrap();
        train(model.vars());
        let folder = tempfile::tempdir().unwrap();
        let files = save(&model, folder.path());
        let export = ModelExport::open(&checkpoint, &files, TensorLayout::Base, None).unwrap();
        assert_eq!(export.dtype(), DType::F32);
        let (got, wanted) = (exported(&export, checkpoint.family()), model.params().merged().unwrap());
        assert_eq!(got.len(), wanted.len());
        for (name, tensor) in &wanted {
            let worst = (&got[name] - tensor).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
            assert!(worst < 1e-6, "{name}: {worst:e}");
        }
    }
}

/// A checkpoint with a head of its own, whose configuration says that the head is the token table.
#[test]
fn a_configuration_says_of_the_head_what_the_weights_say() {
    let checkpoint = checkpoint(&golden("training/llama"));
    assert_eq!(checkpoint.json()["text_config"]["tie_word_embeddings"], true);
    let export = ModelExport::open(&checkpoint, &TrainedFiles::default(), TensorLayout::Base, None).unwrap();
    assert!(exported(&export, checkpoint.family()).contains_key("language_model.lm_head.weight"));
    let json = export.config();
    assert_eq!(
        (&json["tie_word_embeddings"], &json["text_config"]["tie_word_embeddings"]),
        (&json!(false), &json!(false))
    );
}

#[test]
fn what_has_no_place_in_the_base_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trained.safetensors");
    let tensors = HashMap::from([("gone.weight".to_owned(), Tensor::zeros(2, DType::F32, &Device::Cpu).unwrap())]);
    candle_core::safetensors::save(&tensors, &path).unwrap();
    let checkpoint = checkpoint(&golden("qwen2_audio_tiny"));
    let files = TrainedFiles { adapter: None, weights: Some(path) };
    let export = ModelExport::open(&checkpoint, &files, TensorLayout::Base, None).unwrap();
    let error = export.write::<crate::Error>(|_, _| Ok(())).unwrap_err().to_string();
    assert!(error.contains("unused (1): gone.weight"), "{error}");
    let error = ModelExport::open(&checkpoint, &files, TensorLayout::Thinker, None).unwrap_err().to_string();
    assert!(error.contains("--layout"), "{error}");
}

#[test]
fn large_models_have_several_files_and_any_type_of_numbers() {
    let checkpoint = checkpoint(&golden("qwen2_audio_tiny"));
    let open = |dtype| ModelExport::open(&checkpoint, &TrainedFiles::default(), TensorLayout::Base, dtype).unwrap();
    let export = open(Some(DType::BF16));
    let files = export.files(20_000);
    let all: usize = files.iter().map(Vec::len).sum();
    assert!(files.len() > 2 && all == export.files(MOST_BYTES)[0].len());
    let tensors = exported(&export, checkpoint.family());
    assert!(tensors.values().all(|tensor| tensor.dtype() == DType::BF16));
    assert_eq!(
        (export.config()["dtype"].as_str(), open(None).config()["dtype"].as_str()),
        (Some("bfloat16"), Some("float32"))
    );
}
