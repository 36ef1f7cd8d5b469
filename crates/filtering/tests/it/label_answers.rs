//! Labels from answers as servers of different makes send them.

use std::fs::File;

use audsem_core::run::RunOptions;
use audsem_core::tables::{Cue, read_parquet, write_parquet};
use audsem_core::testing::loopback::{Loopback, Reply};
use audsem_filtering::label::Config;
use audsem_filtering::tables::LlmLabel;
use audsem_llm::ServerConfig;
use serde_json::{Value, json};

use crate::label::run_server;

/// The label of one caption where the server sends `choice`, beside another caption with a plain answer.
fn label(choice: &Value) -> (i8, Option<f32>) {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("cues.parquet");
    let cue = |(i, text): (u64, &str)| Cue {
        row_id: i,
        video_id: "v".into(),
        start_ms: i as u32 * 1000,
        dur_ms: 900,
        text: text.into(),
    };
    let rows: Vec<Cue> = [(0, "[asked]"), (1, "[plain]")].into_iter().map(cue).collect();
    write_parquet(&rows, File::create(&input).unwrap()).unwrap();
    let choice = choice.clone();
    let server = Loopback::start(move |call, _| {
        let plain = json!({"message": {"role": "assistant", "content": "Yes"}, "finish_reason": "stop"});
        let choice = if call.body.contains("[asked]") { &choice } else { &plain };
        let body = json!({"id": "x", "object": "chat.completion", "model": "m", "choices": [choice]});
        Reply::Send(200, "content-type: application/json\r\n", body.to_string().into_bytes())
    });
    let mut config = ServerConfig::new(&server.url("/v1"));
    config.model = Some("m".into());
    let out = folder.path().join("out");
    run_server(&Config::new(&input).unwrap(), config, None, &RunOptions::new(&out)).unwrap();
    let rows = read_parquet::<LlmLabel>(&out.join("part-00000.parquet")).unwrap();
    (rows[0].llm_label, rows[0].llm_yes_prob)
}

fn token(text: &str, p: f64, top: &[(&str, f64)]) -> Value {
    let entry = |text: &str, p: f64| json!({"token": text, "logprob": p.ln(), "bytes": text.as_bytes()});
    let mut token = entry(text, p);
    token["top_logprobs"] = top.iter().map(|(text, p)| entry(text, *p)).collect();
    token
}

fn check(server: &str, choice: &Value, label_expected: i8, prob: Option<f32>) {
    let (found, found_prob) = label(choice);
    let near = match (found_prob, prob) {
        (Some(found), Some(prob)) => (found - prob).abs() < 1e-5,
        (found, prob) => found == prob,
    };
    assert!(found == label_expected && near, "{server}: {found} {found_prob:?}, expected {label_expected} {prob:?}");
}

#[test]
fn answers_with_probabilities() {
    let yes = || token("Yes", 0.8, &[("Yes", 0.8), ("No", 0.2)]);
    let end = || token("<|im_end|>", 1.0, &[]);
    check(
        "OpenAI",
        &json!({"index": 0, "message": {"role": "assistant", "content": "Yes", "refusal": null}, "finish_reason": "stop",
            "logprobs": {"content": [yes()], "refusal": null}}),
        1,
        Some(0.8),
    );
    check(
        "vLLM, which sends the end of the turn as a token",
        &json!({"index": 0, "message": {"role": "assistant", "content": "Yes", "reasoning_content": null, "tool_calls": []},
            "logprobs": {"content": [yes(), end()]}, "finish_reason": "stop", "stop_reason": null}),
        1,
        Some(0.8),
    );
    check(
        "llama.cpp",
        &json!({"finish_reason": "stop", "index": 0, "message": {"role": "assistant", "content": "Yes"},
            "logprobs": {"content": [{"id": 9642, "token": "Yes", "bytes": [89, 101, 115], "logprob": -0.22314355,
                "top_logprobs": [{"id": 9642, "token": "Yes", "bytes": [], "logprob": -0.22314355},
                                 {"id": 2822, "token": "No", "bytes": [], "logprob": -1.6094379}]}, end()]}}),
        1,
        Some(0.8),
    );
    check(
        "SGLang",
        &json!({"index": 0, "message": {"role": "assistant", "content": "Yes", "reasoning_content": null, "tool_calls": null},
            "logprobs": {"content": [yes(), token("<|eot_id|>", 1.0, &[])]}, "finish_reason": "stop", "matched_stop": 128_009}),
        1,
        Some(0.8),
    );
    check(
        "llama-cpp-python, with parallel arrays",
        &json!({"index": 0, "message": {"role": "assistant", "content": " Yes"}, "finish_reason": "stop", "logprobs":
            {"tokens": [" Yes"], "token_logprobs": [-0.22314355], "text_offset": [9],
             "top_logprobs": [{" Yes": -0.22314355, " No": -1.6094379}]}}),
        1,
        Some(0.8),
    );
    check(
        "a wrapper around the word",
        &json!({"message": {"content": "**Yes**"}, "finish_reason": "stop",
            "logprobs": {"content": [token("**", 1.0, &[("No", 0.3)]), yes(), token("**", 1.0, &[]), end()]}}),
        1,
        Some(0.8),
    );
}

#[test]
fn answers_of_models_that_think() {
    let no = || token("No", 0.9, &[("No", 0.9), ("Yes", 0.1)]);
    let yes = || token("Yes", 0.8, &[("Yes", 0.8), ("No", 0.2)]);
    let end = token("<|im_end|>", 1.0, &[]);
    let thought = || {
        [
            token("<think>", 1.0, &[]),
            no(),
            token(" speech", 1.0, &[]),
            token("</think>", 1.0, &[]),
            token("\n\n", 1.0, &[]),
        ]
    };
    let whole: Vec<Value> = thought().into_iter().chain([yes(), end]).collect();
    check(
        "vLLM with a reasoning parser: tokens of both, text of one",
        &json!({"message": {"content": "\n\nYes", "reasoning_content": "No speech"}, "finish_reason": "stop",
            "logprobs": {"content": whole}}),
        1,
        Some(0.8),
    );
    check(
        "the same without a parser",
        &json!({"message": {"content": "<think>No speech</think>\n\nYes"}, "finish_reason": "stop", "logprobs": {"content": whole}}),
        1,
        Some(0.8),
    );
    check(
        "DeepSeek: tokens of the two apart",
        &json!({"message": {"content": "Yes", "reasoning_content": "No speech"}, "finish_reason": "stop",
            "logprobs": {"content": [yes()], "reasoning_content": thought()}}),
        1,
        Some(0.8),
    );
    check(
        "tokens of the thought alone say nothing about the answer",
        &json!({"message": {"content": "Yes", "reasoning": "No speech"}, "finish_reason": "stop", "logprobs": {"content": thought()}}),
        1,
        None,
    );
    check(
        "thinking cut off, by a server that tells thoughts apart",
        &json!({"message": {"content": null, "reasoning_content": "No speech in"}, "finish_reason": "length",
            "logprobs": {"content": [no()]}}),
        -1,
        None,
    );
    check(
        "thinking cut off, in the text",
        &json!({"message": {"content": "<think>\nNo speech in"}, "finish_reason": "length", "logprobs": {"content": thought()[..3].to_vec()}}),
        -1,
        None,
    );
    check(
        "content as a list of parts, as Mistral's thinking models have it",
        &json!({"message": {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "No speech"}]},
            {"type": "text", "text": "Yes"}]}, "finish_reason": "stop"}),
        1,
        None,
    );
}

#[test]
fn answers_without_probabilities() {
    for (text, expected) in
        [("Answer: Yes", 1), ("**No**", 0), ("yes.", 1), ("The caption names a place.", -1), ("", -1)]
    {
        check(text, &json!({"message": {"content": text}, "finish_reason": "stop", "logprobs": null}), expected, None);
    }
}
