//! The tiny Qwen2-Audio of the goldens, for tests. Its token 37 stands for a vector of a sound, and 39 ends a turn.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use audsem_core::hub::ModelDir;
use audsem_models::multimodal::audio_language::AudioCheckpoint;
use audsem_models::multimodal::trainable::{TrainableAudioModel, TrainingPlan};
use audsem_models::nn::lora::Adapter;
use candle_core::{DType, Device};

/// The folder of goldens.
pub(super) fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/goldens")
}

/// The model with the adapter of the goldens in training.
pub(super) fn model() -> TrainableAudioModel {
    let adapter = Adapter::open(&ModelDir::local(&goldens().join("training/adapter"))).unwrap();
    let plan = TrainingPlan::of_adapters(adapter.config.clone(), 3);
    let checkpoint = AudioCheckpoint::open(goldens().join("qwen2_audio_tiny").to_str().unwrap(), None).unwrap();
    TrainableAudioModel::open(&checkpoint, &plan, Some(&adapter), (&Device::Cpu, DType::F32)).unwrap()
}
