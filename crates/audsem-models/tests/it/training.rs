//! Audio language models in training against torch and PEFT (`fixtures/regen/training.py`).

use std::path::Path;
use std::sync::Arc;

use audsem_core::hub::ModelDir;
use audsem_models::Result;
use audsem_models::multimodal::audio_language::AudioCheckpoint;
use audsem_models::multimodal::trainable::{TrainableAudioModel, TrainedWeights, TrainingPlan, language_only};
use audsem_models::nn::lora::Adapter;
use audsem_models::nn::{LoraConfig, Mode};
use audsem_models::train::{
    Accumulated, AdamW, AdamWConfig, Gradients, PolicySnapshot, Schedule, Sound, TargetScores, TrainableModel,
    TrainingSequence, audit_gradients,
};
use candle_core::{D, DType, Device, Tensor};

use crate::golden::{Goldens, device, max_abs, path};

pub(crate) const CPU: &Device = &Device::Cpu;

/// Everything is trained, without adapters.
const OF_ALL: TrainingPlan = TrainingPlan { adapters: None, weights: TrainedWeights::All, seed: 0, kept_layers: 1 };

/// Optimiser of the golden.
const STEPS: usize = 5;

const LEARNING_RATE: f64 = 1e-2;

const MAX_NORM: f64 = 0.5;

pub(crate) fn goldens() -> Goldens {
    Goldens::load("training.safetensors")
}

fn stored(name: &str) -> Adapter {
    Adapter::open(&ModelDir::local(&path("training").join(name))).unwrap()
}

fn open_with(base: &str, plan: &TrainingPlan, adapter: Option<&Adapter>, dtype: DType) -> TrainableAudioModel {
    open_folder(&path(base), plan, adapter, dtype).unwrap()
}

pub(crate) fn open_folder(
    folder: &Path,
    plan: &TrainingPlan,
    adapter: Option<&Adapter>,
    dtype: DType,
) -> Result<TrainableAudioModel> {
    let checkpoint = AudioCheckpoint::open(folder.to_str().unwrap(), None)?;
    TrainableAudioModel::open(&checkpoint, plan, adapter, (&device(), dtype))
}

/// The checkpoint with the adapter of the golden, whose settings may be changed.
fn open_changed(change: impl Fn(&mut LoraConfig, &mut TrainingPlan)) -> TrainableAudioModel {
    let adapter = stored("adapter");
    let mut config = adapter.config.clone();
    let mut plan = TrainingPlan::of_adapters(config.clone(), 7);
    change(&mut config, &mut plan);
    plan.adapters = Some(config);
    open_with("qwen2_audio_tiny", &plan, Some(&adapter), DType::F32)
}

pub(crate) fn open() -> TrainableAudioModel {
    open_changed(|_, _| ())
}

/// The sequences of the golden.
pub(crate) fn batch(goldens: &Goldens) -> Vec<TrainingSequence> {
    let sounds = Goldens::load("qwen2_audio_tiny.safetensors");
    let sound = |n| -> Sound { Arc::from(sounds.get(&format!("samples.{n}")).to_vec1::<f32>().unwrap()) };
    let sequence = |n| {
        let number = goldens.get(&format!("sound.{n}")).to_scalar::<i64>().unwrap();
        let targets: Vec<u32> = goldens.ids(&format!("targets.{n}")).to_vec1().unwrap();
        TrainingSequence {
            tokens: goldens.ids(&format!("sequence.{n}")).to_vec1().unwrap(),
            sounds: if number < 0 { Vec::new() } else { vec![sound(number)] },
            targets: targets.into_iter().map(|target| target as usize).collect(),
        }
    };
    (0..4).map(sequence).collect()
}

/// Gradients of the mean loss of all targets, and the loss.
pub(crate) fn fine_tuning(model: &TrainableAudioModel, batch: &[TrainingSequence], mode: Mode) -> (Accumulated, f32) {
    let (mut sum, mut loss) = (Accumulated::default(), 0.0);
    let n: usize = batch.iter().map(|sequence| sequence.targets.len()).sum();
    let mut derivatives = |scores: &[TargetScores]| {
        loss = -scores.iter().flat_map(|scores| &scores.log_probs).sum::<f32>() / n as f32;
        Ok(scores.iter().map(|scores| vec![-1.0 / n as f32; scores.log_probs.len()]).collect())
    };
    model.backward(batch, 1.0, mode, &mut derivatives, &mut sum).unwrap();
    (sum, loss)
}

/// Fails unless exactly the tensors of the golden below `prefix` that are trained have a gradient, within `tolerance`.
pub(crate) fn check_gradients(
    goldens: &Goldens,
    prefix: &str,
    model: &TrainableAudioModel,
    sum: &Accumulated,
    tolerance: f32,
) {
    assert!(!model.vars().is_empty());
    for (name, var) in model.vars() {
        let got = sum.gradient(name, var).unwrap_or_else(|| panic!("{name} has no gradient"));
        goldens.check(&format!("{prefix}{name}"), got, tolerance);
    }
    audit_gradients(sum, model.vars()).unwrap();
}

pub(crate) fn log_probs(scores: &[TargetScores]) -> Vec<f32> {
    scores.iter().flat_map(|scores| scores.log_probs.clone()).collect()
}

pub(crate) fn worst(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Fails unless scores are those of the golden's logits below `prefix`.
pub(crate) fn check_scores(goldens: &Goldens, prefix: &str, batch: &[TrainingSequence], scores: &[TargetScores]) {
    assert_eq!(scores.len(), batch.len());
    for (n, (scores, sequence)) in scores.iter().zip(batch).enumerate() {
        let logits = goldens.get(&format!("{prefix}{n}"));
        let wanted = candle_nn::ops::log_softmax(logits, D::Minus1).unwrap().to_vec2::<f32>().unwrap();
        let top = logits.argmax(D::Minus1).unwrap().to_vec1::<u32>().unwrap();
        for (at, target) in sequence.targets.iter().enumerate() {
            let token = sequence.tokens[*target];
            assert!((scores.log_probs[at] - wanted[at][token as usize]).abs() <= 1e-4, "{prefix}{n} {at}");
            assert_eq!(scores.correct[at], top[at] == token, "{prefix}{n} {at}");
        }
    }
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
fn gradients_of_adapters_are_those_of_torch() {
    let (model, goldens) = (open(), goldens());
    let (sum, loss) = fine_tuning(&model, &batch(&goldens), Mode::Evaluate);
    // Queries and values of two layers of the tower and of two of the language model.
    assert_eq!(model.vars().len(), 16);
    check_gradients(&goldens, "grad.", &model, &sum, 1e-4);
    let wanted = goldens.get("sft.losses").to_vec1::<f32>().unwrap();
    assert!((loss - wanted[0]).abs() <= 1e-4);
}

pub(crate) fn check_five_steps(goldens: &Goldens, model: &TrainableAudioModel, batch: &[TrainingSequence]) {
    let config = AdamWConfig { max_grad_norm: Some(MAX_NORM), ..AdamWConfig::default() };
    let mut optimizer = AdamW::new(model.vars().to_vec(), config).unwrap();
    let mut losses = Vec::new();
    for step in 0..STEPS {
        let (sum, loss) = fine_tuning(model, batch, Mode::Train { seed: 1, step: step as u64 });
        optimizer.step(&sum, LEARNING_RATE * Schedule::Linear.factor(step, 0, STEPS)).unwrap();
        losses.push(loss);
        if [1, STEPS].contains(&(step + 1)) {
            for (name, var) in model.vars() {
                goldens.check(&format!("sft.{}.{name}", step + 1), var, 1e-4);
            }
        }
    }
    let wanted = goldens.get("sft.losses").to_vec1::<f32>().unwrap();
    assert!(worst(&losses, &wanted) <= 1e-4, "{losses:?} {wanted:?}");
    assert!(losses[4] < losses[0]);
}

#[test]
fn five_steps_are_those_of_torch() {
    let goldens = goldens();
    check_five_steps(&goldens, &open(), &batch(&goldens));
}

#[test]
fn gradients_of_all_weights_are_those_of_torch() {
    let goldens = goldens();
    for (weights, expected) in [(TrainedWeights::All, 20), (TrainedWeights::Projector, 2)] {
        let plan = TrainingPlan { weights, ..OF_ALL };
        let model = open_with("qwen2_audio_tiny", &plan, None, DType::F32);
        let (sum, _) = fine_tuning(&model, &batch(&goldens), Mode::Evaluate);
        assert!(
            model.vars().len() >= expected && model.vars().iter().all(|(name, _)| !name.contains("embed_positions"))
        );
        check_gradients(&goldens, "all.", &model, &sum, 1e-4);
    }
    assert!(goldens.under("all.").len() > 60);
}

/// A text model of Llama's kind; adapters beside every linear layer, scaled by the root of their rank. The configuration
/// says that the head is the token table, but the checkpoint has a head of its own, which transformers takes.
#[test]
fn a_llama_with_a_head_of_its_own_is_trained_as_in_torch() {
    let goldens = goldens();
    let batch = batch(&goldens);
    let adapter = stored("llama_adapter");
    let plan = TrainingPlan::of_adapters(adapter.config.clone(), 7);
    let model = open_with("training/llama", &plan, Some(&adapter), DType::F32);
    let scores = model.score(&batch, 1.0, true).unwrap();
    let wanted = goldens.get("llama.log_probs").to_vec1::<f32>().unwrap();
    assert!(worst(&log_probs(&scores), &wanted) <= 1e-4);
    let (sum, _) = fine_tuning(&model, &batch, Mode::Evaluate);
    check_gradients(&goldens, "llama.grad.", &model, &sum, 1e-4);
    assert_eq!(goldens.under("llama.grad.").len(), model.vars().len());

    let model = open_with("training/llama", &OF_ALL, None, DType::F32);
    check_one(&goldens, &model, "language_model.lm_head.weight", "llama.head");
    check_one(&goldens, &model, "language_model.model.embed_tokens.weight", "llama.table");
}

/// The same checkpoint without the head that it has.
#[test]
fn a_llama_whose_head_is_the_token_table_is_trained_as_in_torch() {
    let goldens = goldens();
    let folder = tempfile::tempdir().unwrap();
    let stored = path("training/llama");
    std::fs::copy(stored.join("config.json"), folder.path().join("config.json")).unwrap();
    let mut tensors = candle_core::safetensors::load(stored.join("model.safetensors"), CPU).unwrap();
    tensors.remove("language_model.lm_head.weight").unwrap();
    candle_core::safetensors::save(&tensors, folder.path().join("model.safetensors")).unwrap();
    let model = open_folder(folder.path(), &OF_ALL, None, DType::F32).unwrap();
    let scores = log_probs(&model.score(&batch(&goldens), 1.0, true).unwrap());
    assert!(worst(&scores, &goldens.get("tied.log_probs").to_vec1::<f32>().unwrap()) <= 1e-4);
    assert!(model.vars().iter().all(|(name, _)| !name.contains("lm_head")));
    check_one(&goldens, &model, "language_model.model.embed_tokens.weight", "tied.table");
}

/// Fails unless the gradient of one tensor is that of the golden.
fn check_one(goldens: &Goldens, model: &TrainableAudioModel, name: &str, golden: &str) {
    let (sum, _) = fine_tuning(model, &batch(goldens), Mode::Evaluate);
    audit_gradients(&sum, model.vars()).unwrap();
    let (name, var) = model.vars().iter().find(|(var, _)| var == name).unwrap();
    goldens.check(golden, sum.gradient(name, var).unwrap(), 1e-4);
}

/// bfloat16 has eight bits: torch and we round at other places.
#[test]
fn adapters_in_f32_are_trained_over_weights_in_bfloat16() {
    let goldens = goldens();
    let adapter = stored("adapter");
    let plan = TrainingPlan::of_adapters(adapter.config.clone(), 7);
    let model = open_with("qwen2_audio_tiny", &plan, Some(&adapter), DType::BF16);
    assert!(model.vars().iter().all(|(_, var)| var.dtype() == DType::F32));
    let scores = model.score(&batch(&goldens), 1.0, true).unwrap();
    let wanted = goldens.get("bf16.log_probs").to_vec1::<f32>().unwrap();
    assert!(worst(&log_probs(&scores), &wanted) < 0.1);
    let (sum, _) = fine_tuning(&model, &batch(&goldens), Mode::Evaluate);
    for (name, var) in model.vars() {
        let got = sum.gradient(name, var).unwrap();
        assert_eq!(got.dtype(), DType::F32);
        goldens.check_relative(&format!("bf16.grad.{name}"), got, 0.1, 0.02);
    }
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
    // Another sequence beside it changes nothing, whatever stands in it.
    let other = TrainingSequence { tokens: vec![30; 50], targets: vec![7], ..TrainingSequence::default() };
    let beside = model.score(&[other, batch[0].clone()], 1.0, true).unwrap();
    assert!(worst(&beside[1].log_probs, &together[..4]) < 1e-5);
}

/// A layer that is computed twice drops what it dropped the first time.
#[test]
fn gradients_with_dropout_do_not_depend_on_what_is_computed_twice() {
    let goldens = goldens();
    let batch = batch(&goldens);
    let run = |kept, step| {
        let model = open_changed(|config, plan| {
            config.lora_dropout = 0.4;
            plan.kept_layers = kept;
        });
        let (sum, loss) = fine_tuning(&model, &batch, Mode::Train { seed: 3, step });
        let grads: Vec<(String, Vec<f32>)> =
            sum.iter().map(|(name, grad)| (name.to_owned(), grad.flatten_all().unwrap().to_vec1().unwrap())).collect();
        (grads, loss)
    };
    let wanted = run(0, 5);
    assert!(run(1, 5) == wanted && run(99, 5) == wanted);
    assert!(run(1, 6) != wanted, "another step drops something else");
    let (_, without) = fine_tuning(&open(), &batch, Mode::Train { seed: 3, step: 5 });
    assert!((without - wanted.1).abs() > 1e-4, "dropout does something");
}

#[test]
fn another_sound_changes_loss_and_gradients() {
    let (model, goldens) = (open(), goldens());
    let one = batch(&goldens).remove(0);
    let quieter: Sound = one.sounds[0].iter().map(|x| 0.2 * x).rev().collect();
    let other = TrainingSequence { sounds: vec![quieter], ..one.clone() };
    let score = |one: &TrainingSequence| log_probs(&model.score(std::slice::from_ref(one), 1.0, true).unwrap());
    assert!(worst(&score(&one), &score(&other)) > 1e-3);
    let run = |one: TrainingSequence| fine_tuning(&model, &[one], Mode::Evaluate);
    let ((a, loss), (b, other_loss)) = (run(one), run(other));
    assert!((loss - other_loss).abs() > 1e-3);
    for (name, var) in model.vars() {
        assert!(max_abs(a.gradient(name, var).unwrap(), b.gradient(name, var).unwrap()) > 0.0, "{name}");
    }
}

/// Where weights are trained themselves: what was taken before a step stays, and what is asked afterwards is new.
#[test]
fn a_snapshot_does_not_change_and_scores_do() {
    let goldens = goldens();
    let batch = batch(&goldens);
    let adapters = Some(LoraConfig { target_modules: (&["q_proj"][..]).into(), ..LoraConfig::default() });
    let model = open_with("qwen2_audio_tiny", &TrainingPlan { adapters, ..OF_ALL }, None, DType::F32);
    let logits = |policy: &dyn PolicySnapshot| {
        let prompt = &batch[0].tokens[..batch[0].targets[0]];
        policy.decoder(&[batch[0].sounds.clone()]).unwrap().prefill(&[prompt]).unwrap().remove(0)
    };
    let score = |adapter| log_probs(&model.score(&batch, 1.0, adapter).unwrap());
    let policies = [true, false].map(|adapter| model.policy(adapter).unwrap());
    let before = [logits(&*policies[0]), logits(&*policies[1])];
    assert!(worst(&score(true), &score(false)) < 1e-6, "a new adapter changes nothing at first");
    let mut optimizer = AdamW::new(model.vars().to_vec(), AdamWConfig::default()).unwrap();
    let (sum, _) = fine_tuning(&model, &batch, Mode::Evaluate);
    optimizer.step(&sum, 0.01).unwrap();
    for (at, adapter) in [(0, true), (1, false)] {
        assert_eq!(logits(&*policies[at]), before[at], "the snapshot {adapter}");
        let now = logits(&*model.policy(adapter).unwrap());
        assert!(worst(&now, &before[at]) > 1e-3);
        let log_softmax = candle_nn::ops::log_softmax(&Tensor::new(now, CPU).unwrap(), 0).unwrap();
        let token = batch[0].tokens[batch[0].targets[0]] as usize;
        assert!((log_softmax.to_vec1::<f32>().unwrap()[token] - score(adapter)[0]).abs() < 1e-5, "{adapter}");
    }
}

#[test]
fn a_batch_without_sounds_leaves_the_tower_as_it_is() {
    let (model, goldens) = (open(), goldens());
    let (sum, _) = fine_tuning(&model, &batch(&goldens)[2..3], Mode::Evaluate);
    for (name, var) in model.vars() {
        let grad = sum.gradient(name, var).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        assert_eq!(grad == 0.0, name.starts_with("audio_tower"), "{name}");
    }
    let names = audit_gradients(&sum, model.vars()).unwrap_err().to_string();
    assert!(
        names.contains("gradient is zero") && names.contains("audio_tower") && !names.contains("language"),
        "{names}"
    );
}

#[test]
fn the_tower_can_be_left_out_of_what_is_adapted() {
    let config =
        language_only(LoraConfig { target_modules: (&["q_proj", "v_proj"][..]).into(), ..LoraConfig::default() });
    let plan = TrainingPlan::of_adapters(config, 7);
    let model = open_with("qwen2_audio_tiny", &plan, None, DType::F32);
    assert_eq!(model.vars().len(), 8);
    assert!(model.vars().iter().all(|(name, _)| name.starts_with("language_model.")));
    // A new adapter changes nothing at first.
    let batch = batch(&goldens());
    let [with, without] = [true, false].map(|adapter| log_probs(&model.score(&batch, 1.0, adapter).unwrap()));
    assert!(worst(&with, &without) < 1e-6);
    let (sum, _) = fine_tuning(&model, &batch, Mode::Evaluate);
    audit_gradients(&sum, model.vars()).unwrap();
}

/// Our folder, read by us; `fixtures/regen/training.py --check` opens it with PEFT when `AUDSEM_TRAINED_ADAPTER` says
/// where to leave it.
#[test]
fn a_trained_adapter_is_saved_as_peft_saves_it() {
    let (model, goldens) = (open(), goldens());
    let batch = batch(&goldens);
    let mut optimizer = AdamW::new(model.vars().to_vec(), AdamWConfig::default()).unwrap();
    let (sum, _) = fine_tuning(&model, &batch, Mode::Evaluate);
    optimizer.step(&sum, 0.05).unwrap();
    let kept = std::env::var("AUDSEM_TRAINED_ADAPTER").ok();
    let temporary = tempfile::tempdir().unwrap();
    let folder = kept.as_deref().map_or(temporary.path(), Path::new);
    std::fs::create_dir_all(folder).unwrap();
    for (name, bytes) in model.adapter(Some("base")).unwrap().files().unwrap() {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
    let adapter = Adapter::open(&ModelDir::local(folder)).unwrap();
    let plan = TrainingPlan::of_adapters(adapter.config.clone(), 9);
    let again = open_with("qwen2_audio_tiny", &plan, Some(&adapter), DType::F32);
    let scores = |model: &TrainableAudioModel| log_probs(&model.score(&batch, 1.0, true).unwrap());
    assert_eq!(scores(&model), scores(&again));
    assert!(worst(&scores(&model), &scores(&open())) > 1e-3, "a step changes something");
    if kept.is_some() {
        save_logits(&model, &batch, &folder.join("logits.safetensors"));
    }
}

/// Logits before each target, by the merged network, token by token.
pub(crate) fn save_logits(model: &TrainableAudioModel, batch: &[TrainingSequence], path: &Path) {
    let policy = model.policy(true).unwrap();
    let of_sequence = |(n, one): (usize, &TrainingSequence)| {
        let mut decoder = policy.decoder(std::slice::from_ref(&one.sounds)).unwrap();
        let mut logits = decoder.prefill(&[&one.tokens[..one.targets[0]]]).unwrap();
        let rest = &one.tokens[one.targets[0]..one.tokens.len() - 1];
        logits.extend(rest.iter().map(|token| decoder.step(&[*token]).unwrap().remove(0)));
        (format!("logits.{n}"), Tensor::new(logits, CPU).unwrap())
    };
    candle_core::safetensors::save(&batch.iter().enumerate().map(of_sequence).collect(), path).unwrap();
}

#[test]
fn what_does_not_fit_is_refused() {
    let (model, goldens) = (open(), goldens());
    let one = batch(&goldens).remove(1);
    let refused = |one: TrainingSequence, temperature| model.score(&[one], temperature, true).unwrap_err().to_string();
    let few = TrainingSequence { tokens: one.tokens[4..].to_vec(), targets: vec![1], ..one.clone() };
    assert!(refused(few, 1.0).contains("audio tokens for sounds"));
    assert!(refused(TrainingSequence { sounds: Vec::new(), ..one.clone() }, 1.0).contains("audio tokens for sounds"));
    assert!(refused(TrainingSequence { targets: vec![0], ..one.clone() }, 1.0).contains("token 0"));
    let long = TrainingSequence { tokens: vec![1; 257], ..TrainingSequence::default() };
    assert!(refused(long, 1.0).contains("1 to 256"));
    let unknown = TrainingSequence { tokens: vec![1, 40], ..TrainingSequence::default() };
    assert!(refused(unknown, 1.0).contains("vocabulary"));
    let short: Sound = Arc::from(vec![0.0f32; 320]);
    assert!(refused(TrainingSequence { sounds: vec![short], ..one.clone() }, 1.0).contains("at least 321"));
    for temperature in [0.0, -1.0, f64::NAN] {
        assert!(refused(one.clone(), temperature).contains("temperature"));
    }
    let mut sum = Accumulated::default();
    let mut wrong = |_: &[TargetScores]| -> Result<Vec<Vec<f32>>> { Ok(vec![vec![0.0]]) };
    let error = model.backward(&[one], 1.0, Mode::Evaluate, &mut wrong, &mut sum).unwrap_err().to_string();
    assert!(error.contains("derivatives of [1]"), "{error}");
    let plan =
        TrainingPlan::of_adapters(LoraConfig { target_modules: (&["lm_head"][..]).into(), ..LoraConfig::default() }, 1);
    let refused = |base| open_folder(&path(base), &plan, None, DType::F32).unwrap_err().to_string();
    assert!(refused("qwen2_audio_tiny").contains("lm_head"));
    let error = refused("qwen2_tiny");
    assert!(error.contains("model_type"), "{error}");
}
