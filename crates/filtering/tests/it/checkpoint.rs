//! The checkpoint of `train-classifier` against what transformers writes for the same network.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use audsem_core::run::RunOptions;
use audsem_filtering::classify::train;
use serde_json::{Map, Value};

/// Made by `fixtures/regen/checkpoint.py`.
fn layout() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/goldens/bert_checkpoint_layout.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap()
}

/// The header of a safetensors file: an eight-byte length, then JSON.
fn header(path: &Path) -> Map<String, Value> {
    let bytes = fs::read(path).unwrap();
    let len = usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
    serde_json::from_slice(&bytes[8..8 + len]).unwrap()
}

#[test]
fn the_checkpoint_is_what_transformers_would_have_saved() {
    let folder = tempfile::tempdir().unwrap();
    let captions = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/captions/labelled.csv");
    let config = train::Config { epochs: 1, ..train::Config::scratch(vec![captions]) };
    train::run(&config, &RunOptions { limit: Some(400), ..RunOptions::new(folder.path()) }).unwrap();
    let (model, layout) = (folder.path().join("model"), layout());
    let json =
        |name: &str| -> Map<String, Value> { serde_json::from_slice(&fs::read(model.join(name)).unwrap()).unwrap() };

    for file in layout["files"].as_array().unwrap() {
        assert!(model.join(file.as_str().unwrap()).is_file(), "there is no {file}");
    }

    let ours = json("config.json");
    let vocab_size = ours["vocab_size"].clone();
    // The same tensors, but for the rows of the vocabulary, which are trained.
    let mut tensors = header(&model.join("model.safetensors"));
    assert_eq!(tensors.remove("__metadata__").unwrap(), layout["tensor_metadata"]);
    assert!(tensors.values().all(|tensor| tensor["dtype"] == "F32"));
    let shapes: BTreeMap<String, Value> =
        tensors.into_iter().map(|(name, tensor)| (name, tensor["shape"].clone())).collect();
    let mut expected: BTreeMap<String, Value> = object(&layout["tensors"]).clone().into_iter().collect();
    expected.get_mut("bert.embeddings.word_embeddings.weight").unwrap()[0] = vocab_size.clone();
    assert_eq!(shapes, expected);

    // The same configuration: a key that we do not write has the value that its absence means.
    for (key, theirs) in object(&layout["config"]) {
        let meant = match key.as_str() {
            "transformers_version" => continue,
            "vocab_size" => &vocab_size,
            // Its name up to transformers 4.55, which the later ones read, too.
            "dtype" => &ours["torch_dtype"],
            key => ours.get(key).unwrap_or(&layout["config_defaults"][key]),
        };
        let theirs = if key == "vocab_size" { &vocab_size } else { theirs };
        assert!(same(meant, theirs), "{key}: {meant}, and transformers has {theirs}");
    }
    // And nothing that transformers would not know, or has known.
    let older = ["torch_dtype", "position_embedding_type"];
    for key in ours.keys().filter(|key| !older.contains(&key.as_str())) {
        assert!(object(&layout["config_defaults"]).contains_key(key), "transformers does not know {key}");
    }

    let ours = json("tokenizer_config.json");
    for (key, theirs) in object(&layout["tokenizer_config"]) {
        let is_token_or_class = key.ends_with("_token") || matches!(key.as_str(), "tokenizer_class" | "do_lower_case");
        assert!(!is_token_or_class || ours[key] == *theirs, "{key}: {}", ours[key]);
    }
}

/// Equal, numbers by their value.
fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a.to_bits() == b.to_bits(),
        _ => a == b,
    }
}
