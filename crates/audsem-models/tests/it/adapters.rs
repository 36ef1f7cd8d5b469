//! Low-rank adapters against PEFT, and networks of which only a part is trained.

use std::collections::{BTreeSet, HashMap};

use audsem_core::weights::Weights;
use audsem_models::nn::encoder::{Encoder, EncoderConfig};
use audsem_models::nn::lora::{from_peft_name, to_peft_name};
use audsem_models::nn::{
    Activation, DecoderConfig, DecoderStack, Linear, LoraConfig, Mode, Params, TokenSpan, Trainable,
};
use candle_core::{DType, Device, Tensor, Var};
use candle_nn::VarBuilder;

use crate::blocks;
use crate::golden::{Goldens, max_abs};

const CPU: &Device = &Device::Cpu;
const INFER: Mode = Mode::Infer;

/// A checkpoint of these tensors, as a file that is mapped.
struct Checkpoint {
    folder: tempfile::TempDir,
}

impl Checkpoint {
    fn new(tensors: &HashMap<String, Tensor>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        candle_core::safetensors::save(tensors, folder.path().join("model.safetensors")).unwrap();
        Self { folder }
    }

    fn weights(&self) -> Weights {
        Weights::open_files(&[self.folder.path().join("model.safetensors")], CPU, DType::F32).unwrap()
    }
}

/// The parameters of a golden, without those of adapters.
fn base(goldens: &Goldens, name: &str) -> HashMap<String, Tensor> {
    let parameters = goldens.under(&format!("{name}.param."));
    parameters.into_iter().filter(|(key, _)| !key.contains("lora_")).map(|(key, x)| (key, x.clone())).collect()
}

fn lora(targets: &[&str]) -> LoraConfig {
    LoraConfig { r: 4, lora_alpha: 6.0, target_modules: targets.into(), ..LoraConfig::default() }
}

fn load(params: &Params, layer: &str, inputs: usize, outputs: usize) -> Linear {
    Linear::load(&params.var_builder(DType::F32, CPU).pp(layer), inputs, outputs, 0.02).unwrap()
}

/// The golden layer as `proj` of a network, over a base that is trained or is not.
fn golden_layer(goldens: &Goldens, name: &str, use_rslora: bool, trainable: Trainable) -> (Params, Linear) {
    let tensors = base(goldens, name).into_iter().map(|(key, tensor)| (format!("proj.{key}"), tensor)).collect();
    let config = LoraConfig { use_rslora, ..lora(&["proj"]) };
    let params = Params::over(1, &Checkpoint::new(&tensors).weights(), trainable, Some(config));
    for part in ["lora_A.weight", "lora_B.weight"] {
        let stored = format!("base_model.model.proj.{part}");
        params.set(&from_peft_name(&stored).unwrap(), goldens.get(&format!("{name}.param.{part}"))).unwrap();
    }
    let layer = load(&params, "proj", 6, 5);
    params.finish(|_| false, |_| false).unwrap();
    (params, layer)
}

#[test]
fn adapters_are_those_of_peft_over_trained_and_frozen_weights() {
    let goldens = Goldens::load("nn.safetensors");
    for (name, rslora) in [("lora", false), ("rslora", true)] {
        for trainable in [Trainable::Adapters, Trainable::All] {
            let trains_all = matches!(trainable, Trainable::All);
            let (params, layer) = golden_layer(&goldens, name, rslora, trainable);
            let x = Var::from_tensor(goldens.get(&format!("{name}.x"))).unwrap();
            let out = layer.forward_in(&x, INFER).unwrap();
            goldens.check_relative(&format!("{name}.out"), &out, 1e-5, 1.0);
            let loss = (&out * goldens.get(&format!("{name}.cotangent"))).unwrap().sum_all().unwrap();
            let grads = loss.backward().unwrap();
            let golden_grad = |grad: &str, of: &Tensor| {
                goldens.check_relative(&format!("{name}.grad.{grad}"), grads.get(of).unwrap(), 1e-4, 1.0);
            };
            golden_grad("x", &x);
            let vars = params.vars();
            for (key, var) in vars.iter().filter(|(key, _)| key.contains("lora_")) {
                golden_grad(&format!("param.{}", key.trim_start_matches("proj.")), var);
            }
            let names: Vec<&str> = vars.iter().map(|(key, _)| key.as_str()).collect();
            let adapters = ["proj.lora_A.weight", "proj.lora_B.weight"];
            match trains_all {
                true => assert_eq!(names, ["proj.bias", adapters[0], adapters[1], "proj.weight"]),
                false => assert_eq!(names, adapters),
            }
            assert_eq!(grads.get(layer.weight()).is_some(), trains_all, "{name}: gradient of the base");
            let stored: Vec<String> = params.adapter_vars().iter().map(|(key, _)| to_peft_name(key)).collect();
            assert_eq!(stored, adapters.map(|key| format!("base_model.model.{key}")));
        }
    }
}

#[test]
fn merging_is_that_of_peft_and_unmerging_is_exact() {
    let goldens = Goldens::load("nn.safetensors");
    for (name, rslora) in [("lora", false), ("rslora", true)] {
        let (params, mut layer) = golden_layer(&goldens, name, rslora, Trainable::Adapters);
        let (x, before) = (goldens.get(&format!("{name}.x")), layer.weight().to_vec2::<f32>().unwrap());
        let adapted = layer.forward_in(x, INFER).unwrap();
        for _ in 0..3 {
            layer.merge().unwrap();
            layer.merge().unwrap();
            goldens.check_relative(&format!("{name}.merged"), layer.weight(), 1e-5, 1.0);
            assert!(max_abs(&layer.forward_in(x, INFER).unwrap(), &adapted) <= 1e-5, "{name}");
            layer.unmerge();
            layer.unmerge();
            assert_eq!(layer.weight().to_vec2::<f32>().unwrap(), before, "{name}");
            assert_eq!(max_abs(&layer.forward_in(x, INFER).unwrap(), &adapted), 0.0, "{name}");
        }
        goldens.check_relative(&format!("{name}.merged"), &params.merged().unwrap()["proj.weight"], 1e-5, 1.0);
    }
}

/// A base in bfloat16 keeps its type; the adapter stays in f32 and is merged with one rounding.
#[test]
fn adapters_are_f32_over_a_base_in_half_precision() {
    let goldens = Goldens::load("nn.safetensors");
    let tensors = base(&goldens, "lora").into_iter().map(|(key, x)| (format!("proj.{key}"), x)).collect();
    let weights = Checkpoint::new(&tensors).weights();
    let params = Params::over(1, &weights, Trainable::Adapters, Some(lora(&["proj"])));
    for part in ["lora_A.weight", "lora_B.weight"] {
        params.set(&format!("proj.{part}"), goldens.get(&format!("lora.param.{part}"))).unwrap();
    }
    let vb = params.var_builder(DType::BF16, CPU);
    let mut layer = Linear::load(&vb.pp("proj"), 6, 5, 0.02).unwrap();
    let x = goldens.get("lora.x").to_dtype(DType::BF16).unwrap();
    let out = layer.forward_in(&x, INFER).unwrap();
    assert_eq!((out.dtype(), layer.weight().dtype()), (DType::BF16, DType::BF16));
    goldens.check_relative("lora.out", &out.to_dtype(DType::F32).unwrap(), 2e-2, 1.0);
    layer.merge().unwrap();
    let exact = goldens.get("lora.merged").to_dtype(DType::F32).unwrap();
    goldens.check_relative("lora.merged", &layer.weight().to_dtype(DType::F32).unwrap(), 1e-2, 1.0);
    assert_eq!(exact.dims(), layer.weight().dims());
    assert!(params.vars().iter().all(|(_, var)| var.dtype() == DType::F32));
}

#[test]
fn dropout_of_an_adapter_is_keyed_by_its_name_and_spares_the_base() {
    let goldens = Goldens::load("nn.safetensors");
    let tensors = base(&goldens, "lora").into_iter().map(|(key, x)| (format!("proj.{key}"), x)).collect();
    let weights = Checkpoint::new(&tensors).weights();
    let config = LoraConfig { lora_dropout: 0.5, ..lora(&["proj"]) };
    let params = Params::over(1, &weights, Trainable::Adapters, Some(config));
    for part in ["lora_A.weight", "lora_B.weight"] {
        params.set(&format!("proj.{part}"), goldens.get(&format!("lora.param.{part}"))).unwrap();
    }
    let layer = load(&params, "proj", 6, 5);
    let x = goldens.get("lora.x");
    let train = |step| layer.forward_in(x, Mode::Train { seed: 1, step }).unwrap();
    assert_eq!(max_abs(&train(1), &train(1)), 0.0);
    assert!(max_abs(&train(1), &train(2)) > 1e-2);
    goldens.check_relative("lora.out", &layer.forward_in(x, INFER).unwrap(), 1e-5, 1.0);
    // The same mask, applied by hand.
    let dropped = layer.adapter().unwrap().dropout().forward(x, Mode::Train { seed: 1, step: 1 }).unwrap();
    let plain = Linear::from_tensors(tensors_of(&weights, "proj.weight"), Some(tensors_of(&weights, "proj.bias")));
    let [a, b] = ["A", "B"].map(|part| goldens.get(&format!("lora.param.lora_{part}.weight")).t().unwrap());
    let wanted = (dropped.matmul(&a).unwrap().matmul(&b).unwrap() * 1.5).unwrap();
    let wanted = (plain.forward(x).unwrap() + wanted).unwrap();
    assert!(max_abs(&train(1), &wanted) <= 1e-5);
    assert!(layer.forward(x).unwrap_err().to_string().contains("training from inference"));
}

fn tensors_of(weights: &Weights, name: &str) -> Tensor {
    weights.var_builder().get_unchecked(name).unwrap()
}

/// The golden decoder, with dropout.
fn qwen2() -> DecoderConfig {
    DecoderConfig { attention_dropout: 0.1, ..blocks::qwen2() }
}

fn decode(decoder: &DecoderStack, goldens: &Goldens, mode: Mode) -> Tensor {
    let mask = goldens.ids("qwen2.mask");
    let span = TokenSpan::from_mask(&mask).unwrap();
    let out = decoder.forward(goldens.get("qwen2.x").clone(), &span, None, mode).unwrap();
    out.broadcast_mul(&mask.unsqueeze(2).unwrap().to_dtype(DType::F32).unwrap()).unwrap()
}

/// Values that are not 0, so that every part of an adapter has a gradient.
fn give_values(params: &Params) {
    for (_, var) in params.adapter_vars() {
        let wave = Tensor::arange(0f32, var.elem_count() as f32, CPU).unwrap().affine(0.7, 0.3).unwrap();
        var.set(&(wave.sin().unwrap() * 0.2).unwrap().reshape(var.shape()).unwrap()).unwrap();
    }
}

#[test]
fn a_decoder_learns_through_its_adapters_alone() {
    let goldens = Goldens::load("nn.safetensors");
    let checkpoint = Checkpoint::new(&base(&goldens, "qwen2"));
    let weights = checkpoint.weights();
    let config = LoraConfig { lora_dropout: 0.1, ..lora(&["q_proj", "v_proj", "down_proj"]) };
    let params = Params::over(7, &weights, Trainable::Adapters, Some(config));
    let decoder = DecoderStack::load(&params.var_builder(DType::F32, CPU), &qwen2()).unwrap();
    params.finish(|_| false, |_| false).unwrap();

    // Two layers, three adapted projections, two tensors each; all of them new, all of them trained, nothing else is.
    let names: BTreeSet<String> = params.vars().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), 12, "{names:?}");
    assert!(names.contains("layers.1.mlp.down_proj.lora_A.weight"), "{names:?}");
    assert_eq!(names, params.newly_initialized().into_iter().collect());

    // A new adapter changes nothing.
    goldens.check_relative("qwen2.out", &decode(&decoder, &goldens, INFER), 1e-5, 1.0);

    give_values(&params);
    let adapted = decode(&decoder, &goldens, INFER);
    assert!(max_abs(&adapted, goldens.get("qwen2.out")) > 1e-3);
    let loss = decode(&decoder, &goldens, Mode::Train { seed: 3, step: 0 }).sqr().unwrap().sum_all().unwrap();
    let grads = loss.backward().unwrap();
    for (name, var) in params.vars() {
        let grad = grads.get(&var).unwrap_or_else(|| panic!("no gradient: {name}"));
        let largest = grad.abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar::<f32>().unwrap();
        assert!(largest.is_finite() && largest > 0.0, "{name}: {largest}");
    }
    let frozen = params.without_adapters();
    let plain = |tensors| DecoderStack::load(&VarBuilder::from_tensors(tensors, DType::F32, CPU), &qwen2()).unwrap();
    goldens.check_relative("qwen2.out", &decode(&plain(frozen), &goldens, INFER), 1e-5, 1.0);
    let merged = decode(&plain(params.merged().unwrap()), &goldens, INFER);
    assert!(max_abs(&merged, &adapted) <= 1e-5, "{:e}", max_abs(&merged, &adapted));
}

#[test]
fn what_is_missing_or_unexpected_is_named() {
    let goldens = Goldens::load("nn.safetensors");
    let mut tensors = base(&goldens, "qwen2");
    tensors.remove("layers.0.mlp.up_proj.weight");
    tensors.insert("talker.weight".to_owned(), Tensor::zeros(3, DType::F32, CPU).unwrap());
    let checkpoint = Checkpoint::new(&tensors);
    for trainable in [Trainable::All, Trainable::Adapters] {
        let params = Params::over(7, &checkpoint.weights(), trainable, Some(lora(&["q_proj", "k_projection"])));
        params
            .set("layers.0.self_attn.o_proj.lora_A.weight", &Tensor::zeros((4, 16), DType::F32, CPU).unwrap())
            .unwrap();
        DecoderStack::load(&params.var_builder(DType::F32, CPU), &qwen2()).unwrap();
        let error = params.finish(|_| false, |_| false).unwrap_err().to_string();
        for part in [
            "missing (2): layers.0.mlp.up_proj.weight, a layer `k_projection` to adapt",
            "unused (2): talker.weight, layers.0.self_attn.o_proj.lora_A.weight",
        ] {
            assert!(error.contains(part), "{part} not in {error}");
        }
    }
    // A new tensor that is not trained would stay random.
    let params = Params::over(
        7,
        &checkpoint.weights(),
        Trainable::Where(std::sync::Arc::new(|name| name.contains("norm"))),
        None,
    );
    DecoderStack::load(&params.var_builder(DType::F32, CPU), &qwen2()).unwrap();
    let error = params.finish(|_| true, |name| name == "talker.weight").unwrap_err().to_string();
    assert!(error.contains("missing (1): layers.0.mlp.up_proj.weight"), "{error}");
    assert!(params.vars().iter().all(|(name, _)| name.contains("norm")) && params.vars().len() == 5);
}

/// The layers for inference know no adapters: they must not be taken in place of adapted ones.
#[test]
fn an_adapted_encoder_is_not_fused() {
    let config = EncoderConfig {
        layers: 1,
        dim: 8,
        heads: 2,
        intermediate: 8,
        activation: Activation::Gelu,
        layer_norm_eps: 1e-5,
        dropout: 0.0,
        attention_dropout: 0.0,
        initializer_range: 0.1,
    };
    let made = Params::new(3);
    Encoder::load(&made.var_builder(DType::F32, CPU), &config).unwrap();
    let weights = Checkpoint::new(&made.without_adapters()).weights();
    for (targets, is_fused) in [(vec!["query"], false), (vec!["output.dense"], false), (vec![], true)] {
        let adapters = (!targets.is_empty()).then(|| lora(&targets));
        let params = Params::over(3, &weights, Trainable::Adapters, adapters);
        let encoder = Encoder::load(&params.var_builder(DType::F32, CPU), &config).unwrap();
        params.finish(|_| false, |_| false).unwrap();
        assert_eq!(encoder.fuse().unwrap().is_some(), is_fused, "{targets:?}");
    }
}
