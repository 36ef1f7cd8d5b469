//! The thinker of Qwen2.5-Omni in training against torch and PEFT (`fixtures/regen/training_omni.py`).

use std::path::Path;
use std::sync::Arc;

use audsem_core::hub::ModelDir;
use audsem_models::multimodal::HOP_SAMPLES;
use audsem_models::multimodal::audio_language::AudioCheckpoint;
use audsem_models::multimodal::trainable::{TrainableAudioModel, TrainedWeights, TrainingPlan, language_only};
use audsem_models::nn::lora::{Adapter, Modules};
use audsem_models::nn::{LoraConfig, Mode};
use audsem_models::train::{
    Accumulated, AdamW, AdamWConfig, Gradients, Sound, TargetScores, TrainableModel, TrainingSequence, audit_gradients,
};
use candle_core::{DType, Tensor};

use crate::golden::{Goldens, max_abs, path};
use crate::training::{
    check_five_steps, check_gradients, check_scores, fine_tuning, log_probs, open_folder, save_logits, worst,
};
use crate::training_policy::{check_policy, check_policy_gradients};

fn goldens() -> Goldens {
    Goldens::load("training_omni.safetensors")
}

fn stored(name: &str) -> Adapter {
    Adapter::open(&ModelDir::local(&path("training_omni").join(name))).unwrap()
}

fn open_with(plan: &TrainingPlan, adapter: Option<&Adapter>, dtype: DType) -> TrainableAudioModel {
    open_folder(&path("qwen2_5_omni_tiny"), plan, adapter, dtype).unwrap()
}

fn open_in(dtype: DType) -> TrainableAudioModel {
    let adapter = stored("adapter");
    open_with(&TrainingPlan::of_adapters(adapter.config.clone(), 7), Some(&adapter), dtype)
}

fn open() -> TrainableAudioModel {
    open_in(DType::F32)
}

/// The sequences of the golden: about less than a window of a sound, about more than two, about nothing, and about three
/// sounds, of which one is a frame longer than a window.
fn batch(goldens: &Goldens) -> Vec<TrainingSequence> {
    let samples = Goldens::load("qwen2_5_omni_tiny.safetensors").samples("samples").remove(0);
    let sound = |frames: i64| -> Sound {
        Arc::from(&samples[..samples.len().min(HOP_SAMPLES * usize::try_from(frames).unwrap())])
    };
    let sequence = |n| {
        let frames = goldens.get(&format!("frames.{n}")).to_vec1::<i64>().unwrap();
        let targets: Vec<u32> = goldens.ids(&format!("targets.{n}")).to_vec1().unwrap();
        TrainingSequence {
            tokens: goldens.ids(&format!("sequence.{n}")).to_vec1().unwrap(),
            sounds: frames.into_iter().map(sound).collect(),
            targets: targets.into_iter().map(|target| target as usize).collect(),
        }
    };
    let batch: Vec<TrainingSequence> = (0..4).map(sequence).collect();
    assert_eq!(batch.iter().map(|sequence| sequence.sounds.len()).collect::<Vec<_>>(), [1, 1, 0, 3]);
    batch
}

#[test]
fn scores_are_those_of_peft_with_the_adapter_and_without() {
    let (model, goldens) = (open(), goldens());
    let batch = batch(&goldens);
    for (adapter, prefix) in [(true, "logits."), (false, "logits.base.")] {
        check_scores(&goldens, prefix, &batch, &model.score(&batch, 1.0, adapter).unwrap());
    }
}

#[test]
fn a_policy_is_what_is_trained() {
    let goldens = goldens();
    check_policy(&goldens, &open(), &batch(&goldens));
}

#[test]
fn gradients_of_adapters_are_those_of_torch() {
    let (model, goldens) = (open(), goldens());
    let (sum, loss) = fine_tuning(&model, &batch(&goldens), Mode::Evaluate);
    // Queries and values of two layers of the tower and of two of the language model.
    assert_eq!(model.vars().len(), 16);
    check_gradients(&goldens, "grad.", &model, &sum, 1e-4);
    assert!((loss - goldens.get("sft.losses").to_vec1::<f32>().unwrap()[0]).abs() <= 1e-4);
    check_policy_gradients(&goldens, &model, &batch(&goldens));
}

#[test]
fn five_steps_are_those_of_torch() {
    let goldens = goldens();
    check_five_steps(&goldens, &open(), &batch(&goldens));
}

/// Adapters beside the projector and every linear layer of tower and language model.
#[test]
fn gradients_of_adapters_of_all_layers_are_those_of_torch() {
    let goldens = goldens();
    let batch = batch(&goldens);
    // What PEFT has resolved `all-linear` to also names layers of the vision tower.
    let checkpoint = AudioCheckpoint::open(path("qwen2_5_omni_tiny").to_str().unwrap(), None).unwrap();
    let adapter = checkpoint.adapter(path("training_omni/all_linear").to_str().unwrap()).unwrap();
    let model = open_with(&TrainingPlan::of_adapters(adapter.config.clone(), 7), Some(&adapter), DType::F32);
    let scores = log_probs(&model.score(&batch, 1.0, true).unwrap());
    assert!(worst(&scores, &goldens.get("linear.log_probs").to_vec1::<f32>().unwrap()) <= 1e-4);
    let (sum, _) = fine_tuning(&model, &batch, Mode::Evaluate);
    check_gradients(&goldens, "linear.grad.", &model, &sum, 1e-4);
    assert_eq!(goldens.under("linear.grad.").len(), model.vars().len());
    assert!(model.vars().iter().any(|(name, _)| name == "audio_tower.proj.lora_B.weight"));
}

#[test]
fn gradients_of_all_weights_are_those_of_torch() {
    let goldens = goldens();
    for weights in [TrainedWeights::All, TrainedWeights::Projector] {
        let plan = TrainingPlan { adapters: None, weights, seed: 0, kept_layers: 1 };
        let model = open_with(&plan, None, DType::F32);
        let (sum, _) = fine_tuning(&model, &batch(&goldens), Mode::Evaluate);
        check_gradients(&goldens, "all.", &model, &sum, 1e-4);
        let names: Vec<&str> = model.vars().iter().map(|(name, _)| name.as_str()).collect();
        match weights {
            TrainedWeights::All => assert_eq!(names.len(), goldens.under("all.").len()),
            _ => assert_eq!(names, ["audio_tower.proj.bias", "audio_tower.proj.weight"]),
        }
    }
}

/// Weights in bfloat16 under adapters in f32: two hundredths of the largest logit, as torch with the same weights is from
/// itself in f32, and the same token wherever the margin is clear.
#[test]
fn adapters_in_f32_are_trained_over_weights_in_bfloat16() {
    let goldens = goldens();
    let (model, batch) = (open_in(DType::BF16), batch(&goldens));
    assert!(model.vars().iter().all(|(_, var)| var.dtype() == DType::F32));
    let tensors = model.params().without_adapters();
    assert!(!tensors.is_empty() && tensors.values().all(|tensor| tensor.dtype() == DType::BF16));
    let scores = model.score(&batch, 1.0, true).unwrap();
    for (n, (scores, sequence)) in scores.iter().zip(&batch).enumerate() {
        let logits = goldens.get(&format!("bf16.logits.{n}")).to_vec2::<f32>().unwrap();
        for (at, (row, target)) in logits.iter().zip(&sequence.targets).enumerate() {
            let token = sequence.tokens[*target] as usize;
            let largest = row.iter().fold(0f32, |most, logit| most.max(logit.abs()));
            let allowed = 2e-2 * largest;
            let total = row.iter().map(|logit| logit.exp()).sum::<f32>().ln();
            let difference = (scores.log_probs[at] - (row[token] - total)).abs();
            assert!(difference <= allowed, "sequence {n}, target {at}: {difference} of {allowed}");
            let others = row.iter().enumerate().filter(|(other, _)| *other != token);
            let margin = row[token] - others.fold(f32::MIN, |most, (_, logit)| most.max(*logit));
            assert!(margin.abs() <= 2.0 * allowed || scores.correct[at] == (margin > 0.0), "sequence {n}, target {at}");
        }
    }
    let (sum, _) = fine_tuning(&model, &batch, Mode::Evaluate);
    for (name, var) in model.vars() {
        let got = sum.gradient(name, var).unwrap();
        assert_eq!(got.dtype(), DType::F32);
        goldens.check_relative(&format!("bf16.grad.{name}"), got, 0.1, 0.02);
    }
    audit_gradients(&sum, model.vars()).unwrap();
}

#[test]
fn a_packed_batch_is_its_sequences_one_by_one() {
    let (model, goldens) = (open(), goldens());
    let batch = batch(&goldens);
    let n: usize = batch.iter().map(|sequence| sequence.targets.len()).sum();
    let together = log_probs(&model.score(&batch, 1.0, true).unwrap());
    let alone = batch.iter().flat_map(|one| log_probs(&model.score(std::slice::from_ref(one), 1.0, true).unwrap()));
    assert!(worst(&together, &alone.collect::<Vec<_>>()) < 1e-5);
    let mut derivatives =
        |scores: &[TargetScores]| Ok(scores.iter().map(|own| vec![-1.0 / n as f32; own.log_probs.len()]).collect());
    let mut sums = Accumulated::default();
    for one in &batch {
        model.backward(std::slice::from_ref(one), 1.0, Mode::Evaluate, &mut derivatives, &mut sums).unwrap();
    }
    let (packed, _) = fine_tuning(&model, &batch, Mode::Evaluate);
    for (name, var) in model.vars() {
        assert!(max_abs(packed.gradient(name, var).unwrap(), sums.gradient(name, var).unwrap()) < 1e-6, "{name}");
    }
    // Neither another order nor other neighbours change anything.
    let turned: Vec<TrainingSequence> = batch.iter().rev().cloned().collect();
    let turned = model.score(&turned, 1.0, true).unwrap();
    let back: Vec<TargetScores> = turned.into_iter().rev().collect();
    assert!(worst(&together, &log_probs(&back)) < 1e-5);
}

/// Each sound of a sequence counts, and which stands where.
#[test]
fn another_sound_changes_loss_and_gradients() {
    let (model, goldens) = (open(), goldens());
    let several = batch(&goldens).remove(3);
    let score = |one: &TrainingSequence| log_probs(&model.score(std::slice::from_ref(one), 1.0, true).unwrap());
    let before = score(&several);
    for at in 0..several.sounds.len() {
        let mut other = several.clone();
        other.sounds[at] = several.sounds[at].iter().map(|x| 0.2 * x).rev().collect();
        assert!(worst(&before, &score(&other)) > 1e-3, "sound {at}");
        let run = |one: &TrainingSequence| fine_tuning(&model, std::slice::from_ref(one), Mode::Evaluate);
        let ((a, loss), (b, other_loss)) = (run(&several), run(&other));
        assert!((loss - other_loss).abs() > 1e-4);
        for (name, var) in model.vars() {
            assert!(max_abs(a.gradient(name, var).unwrap(), b.gradient(name, var).unwrap()) > 0.0, "{name}");
        }
    }
    let mut turned = several.clone();
    turned.sounds.reverse();
    let error = model.score(&[turned], 1.0, true);
    assert!(error.is_ok(), "as many vectors in all");
    assert!(worst(&before, &log_probs(&error.unwrap())) > 1e-3);
}

#[test]
fn a_batch_without_sounds_leaves_the_tower_as_it_is() {
    let (model, goldens) = (open(), goldens());
    let (sum, _) = fine_tuning(&model, &batch(&goldens)[2..3], Mode::Evaluate);
    for (name, var) in model.vars() {
        let grad = sum.gradient(name, var).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        assert_eq!(grad == 0.0, name.starts_with("audio_tower"), "{name}");
    }
}

/// A sound with more than one window: what is computed twice drops what it dropped the first time.
#[test]
fn gradients_with_dropout_do_not_depend_on_what_is_computed_twice() {
    let goldens = goldens();
    let batch = batch(&goldens);
    let adapter = stored("adapter");
    let run = |kept_layers| {
        let config = LoraConfig { lora_dropout: 0.4, ..adapter.config.clone() };
        let plan = TrainingPlan { kept_layers, ..TrainingPlan::of_adapters(config, 7) };
        let model = open_with(&plan, Some(&adapter), DType::F32);
        let (sum, loss) = fine_tuning(&model, &batch, Mode::Train { seed: 3, step: 5 });
        let values = |grad: &Tensor| grad.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        (sum.iter().map(|(name, grad)| (name.to_owned(), values(grad))).collect::<Vec<_>>(), loss)
    };
    let wanted = run(0);
    assert!(run(1) == wanted && run(99) == wanted);
    let (_, without) = fine_tuning(&open(), &batch, Mode::Train { seed: 3, step: 5 });
    assert!((without - wanted.1).abs() > 1e-4, "dropout does something");
}

/// Our folder, read by us; `fixtures/regen/training_omni.py --check` opens it with PEFT when
/// `AUDSEM_TRAINED_OMNI_ADAPTER` says where to leave it.
#[test]
fn a_trained_adapter_is_saved_as_peft_saves_it() {
    let goldens = goldens();
    let batch = batch(&goldens);
    // By the network's own names, so that the settings have to be translated.
    let pattern = r"(model|audio_tower)\.layers\..*(q_proj|v_proj)".to_owned();
    let config = LoraConfig { r: 4, target_modules: Modules::Pattern(pattern), ..LoraConfig::default() };
    let model = open_with(&TrainingPlan::of_adapters(config, 7), None, DType::F32);
    let mut optimizer = AdamW::new(model.vars().to_vec(), AdamWConfig::default()).unwrap();
    for _ in 0..2 {
        let (sum, _) = fine_tuning(&model, &batch, Mode::Evaluate);
        optimizer.step(&sum, 0.2).unwrap();
    }
    let kept = std::env::var("AUDSEM_TRAINED_OMNI_ADAPTER").ok();
    let temporary = tempfile::tempdir().unwrap();
    let folder = kept.as_deref().map_or(temporary.path(), Path::new);
    std::fs::create_dir_all(folder).unwrap();
    for (name, bytes) in model.adapter(Some("base")).unwrap().files().unwrap() {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
    let adapter = Adapter::open(&ModelDir::local(folder)).unwrap();
    assert_eq!(adapter.layers().len(), 8);
    let scores = log_probs(&model.score(&batch, 1.0, true).unwrap());
    let plain = log_probs(&model.score(&batch, 1.0, false).unwrap());
    assert!(worst(&scores, &plain) > 1e-2, "two steps change something");
    if kept.is_some() {
        save_logits(&model, &batch, &folder.join("logits.safetensors"));
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let (model, goldens) = (open(), goldens());
    let mut one = batch(&goldens).remove(0);
    let refused = |one: TrainingSequence| model.score(&[one], 1.0, true).unwrap_err().to_string();
    let several = TrainingSequence { sounds: [&one.sounds[..], &one.sounds].concat(), ..one.clone() };
    assert!(refused(several).contains("audio tokens for sounds"));
    let short: Sound = Arc::from(vec![0.0f32; 320]);
    assert!(refused(TrainingSequence { sounds: vec![short], ..one.clone() }).contains("at least 321"));
    one.tokens.push(38);
    assert!(refused(one).contains("reads no pictures"));
    let config = language_only(LoraConfig { target_modules: (&["qkv"][..]).into(), ..LoraConfig::default() });
    let error = open_folder(&path("qwen2_5_omni_tiny"), &TrainingPlan::of_adapters(config, 1), None, DType::F32);
    assert!(error.unwrap_err().to_string().contains("a layer `qkv` to adapt"));
}
