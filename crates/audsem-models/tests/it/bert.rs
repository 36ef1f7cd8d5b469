//! BERT against transformers: every intermediate tensor, gradients, and the optimizer.

use audsem_core::hub::ModelDir;
use audsem_core::weights::Weights;
use audsem_models::bert::{BertClassifier, Config};
use audsem_models::nn::{Mode, Params};
use audsem_models::train::{AdamW, AdamWConfig, Schedule};
use candle_core::{DType, Device, Tensor};

use crate::golden::{Goldens, max_abs, path};

const CASES: [&str; 5] = ["single", "equal", "ragged", "longest", "segments"];

fn tiny() -> (BertClassifier, Config) {
    let dir = ModelDir::local(&path("bert_tiny"));
    let config: Config = dir.json("config.json").unwrap();
    let weights = Weights::open(&dir, &Device::Cpu, DType::F32).unwrap();
    let model = BertClassifier::load(weights.var_builder(), &config).unwrap();
    weights.finish(|_| false).unwrap();
    (model, config)
}

/// The same network with every tensor trainable, which takes the composed instead of the fused operations.
fn tiny_trainable() -> (BertClassifier, Params) {
    let dir = ModelDir::local(&path("bert_tiny"));
    let config: Config = dir.json("config.json").unwrap();
    let params = Params::from_weights(0, &Weights::open(&dir, &Device::Cpu, DType::F32).unwrap());
    let model = BertClassifier::load(params.var_builder(DType::F32, &Device::Cpu), &config).unwrap();
    assert!(params.newly_initialized().is_empty(), "{:?}", params.newly_initialized());
    (model, params)
}

#[test]
fn config_reads_what_transformers_writes_and_defaults_the_rest() {
    let (_, config) = tiny();
    assert_eq!((config.vocab_size, config.num_hidden_layers, config.num_labels()), (97, 3, 3));
    let bare: Config = serde_json::from_str(r#"{"model_type": "bert", "hidden_size": 384}"#).unwrap();
    assert_eq!(bare, Config { hidden_size: 384, ..Config::default() });
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    for (json, part) in [
        (r#"{"model_type": "roberta"}"#, "model_type"),
        (r#"{"hidden_act": "snake"}"#, "hidden_act"),
        (r#"{"position_embedding_type": "relative_key"}"#, "position_embedding_type"),
        (r#"{"num_attention_heads": 7}"#, "num_attention_heads"),
    ] {
        let config: Config = serde_json::from_str(json).unwrap();
        let error = config.validate().unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn every_hidden_state_pooled_vector_and_logit_is_that_of_transformers() {
    let goldens = Goldens::load("bert.safetensors");
    for model in [tiny().0, tiny_trainable().0] {
        for case in CASES {
            let mask = goldens.ids(&format!("{case}.mask"));
            let (ids, segments) = (goldens.ids(&format!("{case}.ids")), goldens.ids(&format!("{case}.segments")));
            let states = model.encoder().hidden_states(&ids, Some(&mask), Some(&segments)).unwrap();
            assert_eq!(states.len(), 4);
            for (layer, state) in states.iter().enumerate() {
                goldens.check(&format!("{case}.hidden.{layer}"), state, 1e-5);
            }
            goldens.check(&format!("{case}.pooled"), &model.pool(&states[3]).unwrap(), 1e-5);
            if case != "segments" {
                let logits = model.forward(&ids, Some(&mask), Mode::Infer).unwrap();
                goldens.check(&format!("{case}.logits"), &logits, 1e-5);
            }
        }
    }
}

#[test]
fn a_row_does_not_depend_on_its_batch_or_its_padding() {
    let (model, goldens) = (tiny().0, Goldens::load("bert.safetensors"));
    let (ids, mask) = (goldens.ids("ragged.ids"), goldens.ids("ragged.mask"));
    let together = model.forward(&ids, Some(&mask), Mode::Infer).unwrap();
    for row in 0..4 {
        let length = mask.get(row).unwrap().to_vec1::<u32>().unwrap().iter().sum::<u32>() as usize;
        let alone = ids.narrow(0, row, 1).unwrap().narrow(1, 0, length).unwrap();
        let alone = model.forward(&alone, None, Mode::Infer).unwrap();
        let difference = max_abs(&alone, &together.narrow(0, row, 1).unwrap());
        assert!(difference < 1e-6, "row {row}: {difference:e}");
    }
    // Whatever stands under the mask.
    let other = ids.add(&mask.eq(0u32).unwrap().to_dtype(DType::U32).unwrap().affine(55.0, 0.0).unwrap()).unwrap();
    let other = model.forward(&other, Some(&mask), Mode::Infer).unwrap();
    assert!(max_abs(&other, &together) < 1e-6);
}

fn loss(model: &BertClassifier, goldens: &Goldens, mode: Mode) -> Tensor {
    let (ids, mask) = (goldens.ids("ragged.ids"), goldens.ids("ragged.mask"));
    let logits = model.forward(&ids, Some(&mask), mode).unwrap();
    candle_nn::loss::cross_entropy(&logits, &goldens.ids("train.labels")).unwrap()
}

#[test]
fn every_gradient_is_that_of_torch() {
    let (model, params) = tiny_trainable();
    let goldens = Goldens::load("bert.safetensors");
    let loss = loss(&model, &goldens, Mode::Infer);
    goldens.check("train.loss", &loss, 1e-5);
    let grads = loss.backward().unwrap();
    for (name, var) in params.vars() {
        let grad = grads.get(&var).unwrap_or_else(|| panic!("no gradient: {name}"));
        goldens.check(&format!("train.grad.{name}"), grad, 1e-5);
    }
}

#[test]
fn with_dropout_every_tensor_still_learns_and_the_seed_decides_the_masks() {
    let (model, params) = tiny_trainable();
    let goldens = Goldens::load("bert.safetensors");
    let value = |seed| loss(&model, &goldens, Mode::Train { seed, step: 0 }).to_scalar::<f32>().unwrap();
    assert_eq!(value(1), value(1));
    assert_ne!(value(1), value(2));
    let grads = loss(&model, &goldens, Mode::Train { seed: 1, step: 0 }).backward().unwrap();
    for (name, var) in params.vars() {
        let largest = grads.get(&var).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        // A shift of all keys moves every score of a row alike, which softmax does not see: that gradient is 0.
        let learns = name.ends_with("self.key.bias") || largest > 1e-6;
        assert!(largest.is_finite() && learns, "{name}: {largest:e}");
    }
}

#[test]
fn four_steps_of_adamw_end_where_torch_ends() {
    let (model, params) = tiny_trainable();
    let goldens = Goldens::load("bert.safetensors");
    let config = AdamWConfig { weight_decay: 0.01, eps: 1e-5, ..AdamWConfig::default() };
    let mut optimizer = AdamW::new(params.vars(), config).unwrap();
    let (losses, norms) = (goldens.get("train.losses"), goldens.get("train.norms"));
    for step in 0..4 {
        let loss = loss(&model, &goldens, Mode::Infer);
        let difference = max_abs(&loss, &losses.get(step).unwrap());
        assert!(difference < 1e-4, "loss of step {step}: {difference:e}");
        let norm = optimizer.step(&loss.backward().unwrap(), 0.01 * Schedule::Linear.factor(step, 2, 6)).unwrap();
        let wanted = f64::from(norms.get(step).unwrap().to_scalar::<f32>().unwrap());
        assert!((norm - wanted).abs() < 1e-3, "norm of step {step}: {norm} {wanted}");
    }
    for (name, var) in params.vars() {
        goldens.check(&format!("train.after.{name}"), &var, 5e-5);
    }
}

#[test]
fn a_checkpoint_of_another_task_says_what_is_missing_and_what_is_unused() {
    let dir = ModelDir::local(&path("bert_tiny"));
    let config = Config { num_hidden_layers: 4, ..dir.json::<Config>("config.json").unwrap() };
    let weights = Weights::open(&dir, &Device::Cpu, DType::F32).unwrap();
    BertClassifier::load(weights.var_builder(), &config).unwrap();
    let error = weights.finish(|_| false).unwrap_err().to_string();
    assert!(error.contains("missing (16): bert.encoder.layer.3."), "{error}");
    let config = Config { num_hidden_layers: 2, ..config };
    let weights = Weights::open(&dir, &Device::Cpu, DType::F32).unwrap();
    BertClassifier::load(weights.var_builder(), &config).unwrap();
    let error = weights.finish(|_| false).unwrap_err().to_string();
    assert!(error.contains("unused (16): bert.encoder.layer.2."), "{error}");
}
