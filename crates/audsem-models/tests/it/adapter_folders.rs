//! Adapter folders of PEFT, read and written, with each way to say which layers are meant (`fixtures/regen/adapter.py`).

use audsem_core::hub::ModelDir;
use audsem_core::weights::Weights;
use audsem_models::bert::{BertClassifier, Config};
use audsem_models::nn::lora::{Adapter, Modules};
use audsem_models::nn::{LoraConfig, Mode, Params, Trainable};
use candle_core::{DType, Device};
use serde_json::Value;

use crate::golden::{Goldens, max_abs, path};

const CASES: [&str; 7] = ["names", "pattern", "all_linear", "without", "without_pattern", "layers", "ranks"];

fn folder(name: &str) -> ModelDir {
    ModelDir::local(&path("adapters").join(name))
}

/// The golden classifier with adapters beside its layers; `before` gives them values.
fn adapted(config: &LoraConfig, before: impl Fn(&Params)) -> (Params, BertClassifier) {
    let base = folder("base");
    let network: Config = base.json("config.json").unwrap();
    let weights = Weights::open(&base, &Device::Cpu, DType::F32).unwrap();
    let params = Params::over(1, &weights, Trainable::Adapters, Some(config.clone()));
    before(&params);
    let model = BertClassifier::load(params.var_builder(DType::F32, &Device::Cpu), &network).unwrap();
    params.finish(|_| false, |_| false).unwrap();
    (params, model)
}

fn targets(name: &str) -> Vec<String> {
    folder(name).json("targets.json").unwrap()
}

#[test]
fn folders_of_peft_give_what_they_give_in_peft() {
    let goldens = Goldens::load("adapters.safetensors");
    let ids = goldens.ids("ids");
    for name in CASES {
        let adapter = Adapter::open(&folder(name)).unwrap();
        assert_eq!(adapter.layers(), targets(name), "{name}");
        let (params, model) = adapted(&adapter.config, |params| adapter.apply(params).unwrap());
        adapter.check(&params).unwrap();
        let logits = model.forward(&ids, None, Mode::Infer).unwrap();
        goldens.check(&format!("{name}.logits"), &logits, 1e-5);
        assert!(max_abs(&logits, goldens.get("base.logits")) > 1e-2, "{name}: the adapter does nothing");
        // The same with the adapter merged.
        let merged = candle_nn::VarBuilder::from_tensors(params.merged().unwrap(), DType::F32, &Device::Cpu);
        let merged = BertClassifier::load(merged, &folder("base").json("config.json").unwrap()).unwrap();
        goldens.check(&format!("{name}.logits"), &merged.forward(&ids, None, Mode::Infer).unwrap(), 1e-5);
    }
}

/// PEFT resolves `all-linear` before it saves, so the string itself is proven by the layers that it has adapted.
#[test]
fn new_adapters_are_at_the_layers_that_peft_adapts() {
    let pattern = |pattern: &str| Some(Modules::Pattern(pattern.to_owned()));
    for (name, exclude_modules) in [("all_linear", None), ("without_pattern", pattern(".*(query|pooler).*"))] {
        for all in ["all-linear", "All-Linear"] {
            let config = LoraConfig {
                target_modules: pattern(all).unwrap(),
                exclude_modules: exclude_modules.clone(),
                task_type: Some("SEQ_CLS".to_owned()),
                ..LoraConfig::default()
            };
            let (params, _) = adapted(&config, |_| ());
            assert_eq!(Adapter::of(&config, None, &params).layers(), targets(name));
        }
    }
    for name in CASES {
        let config = Adapter::open(&folder(name)).unwrap().config;
        let (params, _) = adapted(&config, |_| ());
        assert_eq!(Adapter::of(&config, None, &params).layers(), targets(name), "{name}");
    }
}

/// `python fixtures/regen/adapter.py --check FOLDER/NAME …` opens what this writes with PEFT; here it is compared with what
/// PEFT itself has written.
#[test]
fn written_folders_are_those_of_peft() {
    let kept = std::env::var("AUDSEM_ADAPTERS").ok();
    for name in CASES {
        let dir = folder(name);
        let adapter = Adapter::open(&dir).unwrap();
        let (params, _) = adapted(&adapter.config, |params| adapter.apply(params).unwrap());
        let files = Adapter::of(&adapter.config, adapter.base.as_deref(), &params).files().unwrap();
        let bytes = |wanted: &str| &files.iter().find(|(file, _)| *file == wanted).unwrap().1;

        let written: Value = serde_json::from_slice(bytes("adapter_config.json")).unwrap();
        let golden: Value = dir.json("adapter_config.json").unwrap();
        for (key, value) in written.as_object().unwrap() {
            let (value, golden) = (without_fractions(value), without_fractions(&golden[key]));
            assert_eq!(value, golden, "{name}: {key}");
        }
        let load = |bytes: &[u8]| candle_core::safetensors::load_buffer(bytes, &Device::Cpu).unwrap();
        let (ours, theirs) = (
            load(bytes("adapter_model.safetensors")),
            load(&std::fs::read(dir.file("adapter_model.safetensors").unwrap()).unwrap()),
        );
        assert_eq!(ours.len(), theirs.len(), "{name}");
        for (tensor, value) in &theirs {
            assert_eq!(max_abs(&ours[tensor], value), 0.0, "{name}: {tensor}");
        }
        for (file, bytes) in kept.iter().flat_map(|_| &files) {
            let folder = std::path::Path::new(kept.as_deref().unwrap()).join(name);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(file), bytes).unwrap();
        }
    }
}

/// Python writes whole numbers without a fraction.
fn without_fractions(value: &Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().into(),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), without_fractions(value))).collect(),
        other => other.clone(),
    }
}

#[test]
fn what_would_be_lost_is_refused() {
    let golden: Value = folder("names").json("adapter_config.json").unwrap();
    for (key, value) in [
        ("peft_type", "IA3".into()),
        ("modules_to_save", serde_json::json!(["classifier"])),
        ("use_dora", true.into()),
        ("lora_bias", true.into()),
        ("init_lora_weights", "pissa".into()),
        ("layer_replication", serde_json::json!([[0, 1]])),
        ("target_modules", serde_json::json!(["query"])),
        ("target_modules", serde_json::json!(["query", "value", "nothing"])),
        ("r", 4.into()),
    ] {
        let copy = tempfile::tempdir().unwrap();
        let mut config = golden.clone();
        config[key] = value;
        std::fs::write(copy.path().join("adapter_config.json"), config.to_string()).unwrap();
        std::fs::copy(path("adapters/names/adapter_model.safetensors"), copy.path().join("adapter_model.safetensors"))
            .unwrap();
        let error = Adapter::open(&ModelDir::local(copy.path())).and_then(|adapter| {
            let base = folder("base");
            let weights = Weights::open(&base, &Device::Cpu, DType::F32)?;
            let params = Params::over(1, &weights, Trainable::Adapters, Some(adapter.config.clone()));
            adapter.apply(&params)?;
            BertClassifier::load(params.var_builder(DType::F32, &Device::Cpu), &base.json("config.json")?)?;
            params.finish(|_| false, |_| false)?;
            adapter.check(&params)
        });
        assert!(error.is_err(), "{key}");
    }
}
