//! Tokenizers of checkpoints against those of transformers (`fixtures/regen/token_ids.py`).

use std::collections::BTreeMap;

use audsem_core::hub::ModelDir;
use audsem_models::tokenizer::Tokenizer;
use serde::Deserialize;
use serde_json::Value;

use crate::golden::path;

#[derive(Deserialize)]
struct Goldens {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    files: BTreeMap<String, Value>,
    texts: Vec<String>,
    ids: Vec<Vec<u32>>,
    pad_id: Option<u32>,
}

#[test]
fn token_ids_are_those_of_transformers() {
    let goldens: Goldens = serde_json::from_slice(&std::fs::read(path("token_ids.json")).unwrap()).unwrap();
    assert!(goldens.cases.len() > 20);
    let mut wrong = Vec::new();
    for case in &goldens.cases {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in &case.files {
            let text = content.as_str().map_or_else(|| content.to_string(), str::to_owned);
            audsem_core::files::write_atomically(&folder.path().join(name), text.as_bytes()).unwrap();
        }
        let tokenizer = match Tokenizer::load(&ModelDir::local(folder.path()), 64, None) {
            Ok(tokenizer) => tokenizer,
            Err(error) => {
                wrong.push(format!("{}: {error}", case.name));
                continue;
            }
        };
        if case.pad_id.is_some_and(|id| id != tokenizer.pad_id()) {
            wrong.push(format!("{}: pads with {}, not {:?}", case.name, tokenizer.pad_id(), case.pad_id));
        }
        for (text, expected) in case.texts.iter().zip(&case.ids) {
            let ids = tokenizer.ids(text).unwrap();
            if ids != *expected {
                wrong.push(format!("{}: {text:?}: {ids:?}, expected {expected:?}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
