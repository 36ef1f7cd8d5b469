//! Language models in this process: chat templates against transformers, answers, schemas, seeds.

use audsem_llm::{FinishReason, Message, Prompt, Request, Role, Schema, TextGenerator};
use audsem_models::chat::ChatTemplate;
use audsem_models::language::LocalModel;
use candle_core::{DType, Device};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::golden::path;

#[derive(Deserialize)]
struct Templates {
    bos_token: String,
    eos_token: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    template: String,
    messages: Vec<Turn>,
    prompt: bool,
    text: String,
}

#[derive(Deserialize)]
struct Turn {
    role: Role,
    content: String,
}

#[test]
fn chat_templates_render_as_in_transformers() {
    let text = std::fs::read_to_string(path("chat_templates.json")).unwrap();
    let golden: Templates = serde_json::from_str(&text).unwrap();
    assert!(golden.cases.len() >= 12);
    for case in golden.cases {
        let template = ChatTemplate::parse(&case.template, Some(&golden.bos_token), Some(&golden.eos_token)).unwrap();
        let messages: Vec<Message> =
            case.messages.into_iter().map(|turn| Message::new(turn.role, turn.content)).collect();
        assert_eq!(template.render(&messages, case.prompt).unwrap(), case.text, "{}", case.name);
    }
}

fn model(name: &str) -> LocalModel {
    LocalModel::open(path(name).to_str().unwrap(), &Device::Cpu, DType::F32).unwrap()
}

fn chat(text: &str) -> Prompt {
    Prompt::Chat(vec![Message::new(Role::User, text)])
}

fn sampled(text: &str, seed: u64) -> Request {
    Request { temperature: 1.0, seed: Some(seed), ..Request::greedy(chat(text), 12) }
}

#[test]
fn an_answer_is_that_of_the_request_alone() {
    let model = model("qwen2_tiny");
    let texts = ["the dog", "a", "singing in the rain, with a drum and a bell and the birds of the forest"];
    let requests: Vec<Request> = (0..11).map(|n| sampled(texts[n % 3], n as u64 / 3)).collect();
    let together = model.generate_batch(&requests);
    for (request, answer) in requests.iter().zip(&together) {
        assert_eq!(&model.generate(request).unwrap(), answer.as_ref().unwrap());
    }
    let text = |n: usize| together[n].as_ref().unwrap().text.clone();
    assert_ne!(text(0), text(3), "another seed");
    assert!(together.iter().flatten().all(|answer| answer.usage.completion_tokens <= 12));
}

#[test]
fn log_probabilities_belong_to_the_tokens() {
    let model = model("qwen2_tiny");
    let request = Request { top_logprobs: 5, ..Request::greedy(chat("the dog"), 6) };
    let answer = model.generate(&request).unwrap();
    assert!(!answer.tokens.is_empty());
    for token in &answer.tokens {
        assert_eq!(token.alternatives.len(), 5);
        assert_eq!((&token.alternatives[0].text, token.alternatives[0].logprob), (&token.text, token.logprob));
        assert!(token.alternatives.windows(2).all(|two| two[0].logprob >= two[1].logprob));
        let mass: f32 = token.alternatives.iter().map(|alternative| alternative.logprob.exp()).sum();
        assert!(mass > 0.0 && mass <= 1.0 + 1e-5, "{mass}");
    }
    let all = Request { top_logprobs: 255, ..request };
    let answer = model.generate(&all).unwrap();
    let mass: f32 = answer.tokens[0].alternatives.iter().map(|alternative| alternative.logprob.exp()).sum();
    assert!((mass - 1.0).abs() < 0.2, "nearly all of 272 tokens: {mass}");
}

#[test]
fn an_answer_ends_at_its_bound_and_before_a_stop_text() {
    let model = model("qwen2_tiny");
    let long = model.generate(&Request::greedy(chat("a dog"), 20)).unwrap();
    assert_eq!((long.finish, long.usage.completion_tokens), (FinishReason::Length, 20));
    let stop: String = long.text.chars().skip(4).take(2).collect();
    let at = long.text.find(&stop).unwrap();
    let request = Request { stop: vec![stop], ..Request::greedy(chat("a dog"), 20) };
    let short = model.generate(&request).unwrap();
    assert_eq!((short.finish, short.text.as_str()), (FinishReason::Stop, &long.text[..at]));
}

fn schemas() -> [Value; 4] {
    let text = |most: usize| json!({"type": "string", "minLength": 1, "maxLength": most});
    [
        json!({"type": "object", "properties": {"thinking": text(20), "answer": text(30)},
            "required": ["thinking", "answer"], "additionalProperties": false}),
        json!({"type": "object", "properties": {"label": {"enum": ["yes", "no"]}, "score": {"type": "integer",
            "minimum": 0, "maximum": 10}}, "required": ["label", "score"], "additionalProperties": false}),
        json!({"type": "array", "items": {"$ref": "#/$defs/item"}, "minItems": 1, "maxItems": 2,
            "$defs": {"item": {"type": "object", "properties": {"q": text(8), "ok": {"type": "boolean"}},
            "required": ["q"], "additionalProperties": false}}}),
        json!({"anyOf": [{"type": "null"}, {"type": "string", "maxLength": 12, "pattern": "^[a-z]+$"}]}),
    ]
}

/// Random weights would write anything: only the grammar makes it JSON.
#[test]
fn a_random_network_writes_json_of_the_shape_that_was_asked_for() {
    let model = model("qwen2_tiny");
    let schemas = schemas();
    let request = |n: usize| {
        let schema = Some(schemas[n % schemas.len()].clone());
        Request { schema, max_tokens: 300, ..sampled("sounds", n as u64) }
    };
    let requests: Vec<Request> = (0..100).map(request).collect();
    let mut distinct = std::collections::BTreeSet::new();
    for (request, answer) in requests.iter().zip(model.generate_batch(&requests)) {
        let answer = answer.unwrap();
        assert_eq!(answer.finish, FinishReason::Stop, "{}", answer.text);
        Schema::compile(request.schema.as_ref().unwrap()).unwrap().read(&answer.text).unwrap();
        distinct.insert(answer.text);
    }
    assert!(distinct.len() > 60, "{} different answers", distinct.len());
}

#[test]
fn what_cannot_be_answered_is_an_error_of_its_own_request() {
    let model = model("llama_tiny");
    let good = Request::greedy(chat("a"), 4);
    let long = Request::greedy(chat(&"x".repeat(200)), 4);
    let unknown = Request { schema: Some(json!({"type": "array", "uniqueItems": true})), ..good.clone() };
    let media = audsem_llm::Part::Audio(audsem_llm::Media::from_bytes("wav", &b"x"[..]));
    let heard = Request { prompt: chat("a").with_media(vec![media]).unwrap(), ..good.clone() };
    let answers = model.generate_batch(&[good.clone(), long, unknown, heard, good]);
    let error = |n: usize| answers[n].as_ref().unwrap_err().to_string();
    assert!(answers[0].is_ok() && answers[0].as_ref().unwrap() == answers[4].as_ref().unwrap());
    assert!(error(1).contains("the model takes 1 to 128"), "{}", error(1));
    assert!(error(2).contains("schema"), "{}", error(2));
    assert!(error(3).contains("text alone"), "{}", error(3));
    assert!(answers.iter().flatten().count() == 2 && !answers[1].as_ref().unwrap_err().is_systemic());
}

#[test]
fn a_gguf_file_is_a_model_by_itself() {
    let model = model("llama_tiny.gguf");
    let answer = model.generate(&Request::greedy(chat("the dog"), 5)).unwrap();
    assert_eq!(answer.model, "llama_tiny.gguf");
    assert!(model.identity().contains(&model.fingerprint().sha256[0]));
    let tokenizer = tokenizers::Tokenizer::from_file(path("qwen2_tiny/tokenizer.json")).unwrap();
    let text = "<|im_start|>user\nthe dog<|im_end|>\n<|im_start|>assistant\n";
    assert_eq!(answer.usage.prompt_tokens, tokenizer.encode(text, false).unwrap().len() as u64);
}
