//! The client against a real socket that answers as vLLM does.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::time::Duration;

use audsem_core::testing::loopback::{Loopback, ReceivedRequest, Reply};
use audsem_llm::{RetryPolicy, ServerConfig};
use audsem_models::nn::Mode;
use audsem_models::train::{Accumulated, LossGradient, PolicySnapshot, Sound, TargetScores, TrainingSequence};
use candle_core::Var;
use serde_json::Value;

use super::super::Finish;
use super::*;

/// A model that is never asked: the server writes the completions.
struct Elsewhere;

impl TrainableModel for Elsewhere {
    fn vars(&self) -> &[(String, Var)] {
        &[]
    }

    fn audio_tokens(&self, _: usize) -> audsem_models::Result<usize> {
        panic!("the server writes")
    }

    fn score(&self, _: &[TrainingSequence], _: f64, _: bool) -> audsem_models::Result<Vec<TargetScores>> {
        panic!("the server writes")
    }

    fn backward(
        &self,
        _: &[TrainingSequence],
        _: f64,
        _: Mode,
        _: &mut LossGradient<'_>,
        _: &mut Accumulated,
    ) -> audsem_models::Result<()> {
        panic!("the server writes")
    }

    fn policy(&self, _: bool) -> audsem_models::Result<Box<dyn PolicySnapshot>> {
        panic!("the server writes")
    }
}

const TOKENS: [u32; 4] = [7, 8, 8, 9];

fn answer(edit: impl Fn(&mut Value)) -> Reply {
    let choice = |index: u64, finish: &str| {
        json!({ "index": index, "token_ids": [11, index], "finish_reason": finish, "message": { "content": "x" },
            "logprobs": { "content": [{ "token": "a", "logprob": -0.5 }, { "token": "b", "logprob": -1.5 }] } })
    };
    let mut body = json!({
        "prompt_token_ids": TOKENS, "usage": { "prompt_tokens": 4, "completion_tokens": 4 },
        "choices": [choice(1, "length"), choice(0, "stop")],
    });
    edit(&mut body);
    Reply::Send(200, "", body.to_string().into_bytes())
}

/// Answers about adapters as vLLM does, and about prompts with `completions`.
fn serve(completions: impl Fn(&ReceivedRequest, usize) -> Reply + Send + Sync + 'static) -> Loopback {
    Loopback::start(move |call, number| match call.path.as_str() {
        "/v1/load_lora_adapter" => Reply::Send(200, "", b"Success: LoRA adapter added".to_vec()),
        "/v1/unload_lora_adapter" => Reply::Send(200, "", b"Success: LoRA adapter removed".to_vec()),
        _ => completions(call, number),
    })
}

struct Asking {
    folder: tempfile::TempDir,
    rollouts: ServerRollouts<'static>,
}

fn asking(server: &Loopback) -> Asking {
    let folder = tempfile::tempdir().unwrap();
    let mut config = ServerConfig::new(&server.url("/v1"));
    config.model = Some("base".to_owned());
    config.retry = RetryPolicy { retries: 2, base: Duration::from_millis(1), cap: Duration::from_millis(2) };
    let adapter = || Ok(vec![("adapter_config.json".to_owned(), b"{}".to_vec())]);
    let client = OpenAiServer::connect(config).unwrap();
    let serving = ServingConfig {
        sampling: SamplingConfig::default(),
        tokens: CompletionTokens { ends: vec![2, 3], barred: vec![8] },
        concurrency: 2,
        folder: folder.path().to_owned(),
    };
    Asking { folder, rollouts: ServerRollouts::new(client, serving, Box::new(adapter)) }
}

fn roll_out(asking: &mut Asking, step: usize) -> Result<Vec<Vec<Rollout>>> {
    let sounds: [Sound; 1] = [vec![0.0, 0.5, -0.5].into()];
    let prompt =
        |key| RolloutPrompt { key, tokens: &TOKENS, sounds: &sounds, system: Some("S"), question: "What is it?" };
    let request = RolloutRequest { per_prompt: 2, seed: 3, step };
    asking.rollouts.roll_out(&Elsewhere, &[prompt("one"), prompt("two"), prompt("three")], request)
}

fn bodies(server: &Loopback, path: &str) -> Vec<Value> {
    let calls = server.calls();
    calls.iter().filter(|call| call.path == path).map(|call| serde_json::from_str(&call.body).unwrap()).collect()
}

#[test]
fn the_server_is_asked_with_the_sound_and_the_adapter() {
    let server = serve(|_, _| answer(|_| ()));
    let mut asking = asking(&server);
    let all = roll_out(&mut asking, 4).unwrap();
    assert_eq!(all.len(), 3);
    assert_eq!(all[0][0], Rollout { tokens: vec![11, 0], log_probs: vec![-0.5, -1.5], finish: Finish::Stop });
    assert_eq!((all[2][1].tokens[1], all[2][1].finish), (1, Finish::Length));
    let asked = bodies(&server, "/v1/chat/completions");
    let body = &asked[0];
    for (field, expected) in [
        ("model", json!("audsem-step-4")),
        ("n", json!(2)),
        ("top_k", json!(50)),
        ("max_tokens", json!(512)),
        ("stop_token_ids", json!([2, 3])),
        ("logit_bias", json!({ "8": -100 })),
        ("logprobs", json!(true)),
        ("return_token_ids", json!(true)),
    ] {
        assert_eq!(body[field], expected, "{field}");
    }
    assert_eq!(body["messages"][0], json!({ "role": "system", "content": "S" }));
    assert_eq!(body["messages"][1]["content"][1], json!({ "type": "text", "text": "What is it?" }));
    let url = body["messages"][1]["content"][0]["audio_url"]["url"].as_str().unwrap();
    assert!(url.starts_with("data:audio/wav;base64,UklGR"), "{url}");
    assert!(asked.iter().any(|other| other["seed"] != body["seed"]), "each prompt has a seed of its own");
}

#[test]
fn each_step_has_an_adapter_of_its_own() {
    let server = serve(|_, _| answer(|_| ()));
    let mut asking = asking(&server);
    for step in [0, 0, 1] {
        roll_out(&mut asking, step).unwrap();
    }
    let loaded = bodies(&server, "/v1/load_lora_adapter");
    assert_eq!(loaded.len(), 2, "what the server has is not loaded again");
    assert_eq!(loaded[1]["lora_name"], "audsem-step-1");
    let folder = asking.folder.path().join("audsem-step-1");
    assert_eq!(loaded[1]["lora_path"], json!(folder));
    assert!(folder.join("adapter_config.json").is_file());
    assert_eq!(bodies(&server, "/v1/unload_lora_adapter"), [json!({ "lora_name": "audsem-step-0" })]);
    assert!(!asking.folder.path().join("audsem-step-0").exists());
    asking.rollouts.finish();
    assert_eq!(bodies(&server, "/v1/unload_lora_adapter").len(), 2);
    assert!(!folder.exists(), "nothing is left at the end");
}

/// A training that was killed has left its adapter there, with what may be other weights.
#[test]
fn an_adapter_of_that_name_is_replaced() {
    let server = Loopback::start(|call, number| match call.path.as_str() {
        "/v1/load_lora_adapter" if number == 0 => {
            Reply::Send(400, "", b"The lora adapter 'audsem-step-5' has already been loaded.".to_vec())
        }
        "/v1/chat/completions" => answer(|_| ()),
        _ => Reply::Send(200, "", b"Success".to_vec()),
    });
    roll_out(&mut asking(&server), 5).unwrap();
    let paths: Vec<String> = server.calls().into_iter().map(|call| call.path).collect();
    assert_eq!(paths[..3], ["/v1/load_lora_adapter", "/v1/unload_lora_adapter", "/v1/load_lora_adapter"]);
}

#[test]
fn a_busy_server_is_asked_again() {
    let server = serve(|_, number| if number < 2 { Reply::Send(503, "", b"busy".to_vec()) } else { answer(|_| ()) });
    assert_eq!(roll_out(&mut asking(&server), 0).unwrap().len(), 3);
}

/// Servers cut sounds, pad them or leave them out, and say nothing.
#[test]
fn another_prompt_is_refused_with_both_numbers() {
    for (edit, expected) in [
        (json!({ "prompt_token_ids": [7, 8, 9] }), "has 3 tokens and the trainer's has 4, and token 2 is the first"),
        (json!({ "prompt_token_ids": [7, 8, 8, 9, 9] }), "has 5 tokens and the trainer's has 4, and token 4"),
        (json!({ "prompt_token_ids": [7, 8, 6, 9] }), "has 4 tokens and the trainer's has 4, and token 2"),
        (
            json!({ "prompt_token_ids": null, "usage": { "prompt_tokens": 2 } }),
            "has 2 tokens and the trainer's has 4\n",
        ),
        (json!({ "prompt_token_ids": null, "usage": null }), "no number of prompt tokens"),
    ] {
        let fields = edit.clone();
        let server = serve(move |_, _| {
            answer(|body| {
                for (name, value) in fields.as_object().unwrap() {
                    body[name] = value.clone();
                }
            })
        });
        let error = roll_out(&mut asking(&server), 0).unwrap_err().to_string();
        assert!(error.contains(expected), "{edit}: {error}");
    }
}

#[test]
fn answers_that_training_cannot_use_are_told() {
    for (pointer, value, expected) in [
        ("/choices/0/token_ids", json!(null), "no token ids"),
        ("/choices/0/token_ids", json!([1, 8]), "token 8, which stands for a sound"),
        ("/choices/0/token_ids", json!([1]), "1 token with 2 log-probabilities"),
        ("/choices/0/logprobs", json!(null), "no log-probabilities"),
        ("/choices/0/finish_reason", json!("abort"), "the completion ended by `abort`"),
        ("/choices", json!([]), "0 completions instead of 2"),
    ] {
        let server = serve(move |_, _| answer(|body| *body.pointer_mut(pointer).unwrap() = value.clone()));
        let error = roll_out(&mut asking(&server), 0).unwrap_err().to_string();
        assert!(error.contains(expected), "{pointer}: {error}");
    }
}

#[test]
fn a_server_without_adapters_is_told_how_to_start() {
    let server = Loopback::start(|_, _| Reply::Send(404, "", b"Not Found".to_vec()));
    let error = roll_out(&mut asking(&server), 0).unwrap_err().to_string();
    assert!(error.contains("VLLM_ALLOW_RUNTIME_LORA_UPDATING") && error.contains("404"), "{error}");
}
