//! `predict` and `score` against a llama.cpp that takes sounds: what it adds to them shows in the tokens. Each test runs only where
//! a variable names a server.

#![allow(clippy::print_stderr, reason = "tests that need a server say why they did nothing")]

use std::ffi::{OsStr, OsString};

use audsem_evaluate::item::{AnswerKind, EvaluationItem};
use audsem_evaluate::tables::ItemScore;
use serde_json::json;

use crate::predict::{item, items, predictions, tone, write_items};
use crate::workbench::Bench;

/// The address that a variable has, or else how to start a server.
fn server(variable: &str, flag: &str) -> Option<OsString> {
    let url = std::env::var_os(variable);
    if url.is_none() {
        eprintln!("{variable} is not set: start a server with `just llm-server {flag}`");
    }
    url
}

fn predict(bench: &Bench, url: &OsStr, flags: &str) {
    let common =
        "predict --items items.jsonl --sounds sounds --max-tokens 8 --timeout 600 --expect-family qwen2.5-omni -o out";
    bench.call_with(&format!("{common} {flags}"), |command| _ = command.arg("--server").arg(url)).ended(0);
}

/// Any server with an encoder of Whisper's kind, which hears windows of 30 seconds, such as that of `just llm-server --hearing`.
#[test]
fn windows_are_filled_up_and_the_tokens_tell() {
    let Some(url) = server("AUDSEM_TEST_HEARING_SERVER", "--hearing") else { return };
    let bench = Bench::new();
    items(&bench, 2);
    predict(&bench, &url, "");
    for (n, one) in predictions(&bench, "out", 1).iter().enumerate() {
        let heard = one.prompt_tokens.unwrap() - one.text_tokens.unwrap();
        eprintln!("{} s: {heard} tokens for the sound, {:?} expected", n + 1, one.sounds[0].expected_tokens);
        assert_eq!(one.sounds[0].expected_tokens, Some(25 * (n as u64 + 1)));
        assert!(one.output.is_some() && heard >= 750, "{one:?}");
    }
}

/// A question with options about a tone of so many seconds.
fn question(bench: &Bench, seconds: u64) -> EvaluationItem {
    let name = format!("{seconds}.wav");
    bench.write(&format!("sounds/{name}"), tone(seconds as f32));
    item(&seconds.to_string(), &name, AnswerKind::Choice, &["a dog", "a door"])
}

/// Qwen2.5-Omni in llama.cpp, such as `just llm-server --omni`: the numbers do not depend on the weights.
#[test]
fn an_omni_of_llama_cpp_is_called_padded_from_the_tokens_to_the_summary() {
    let Some(url) = server("AUDSEM_TEST_OMNI_SERVER", "--omni") else { return };
    let bench = Bench::new();
    // Seconds, tokens by the model's own processor, and those of llama.cpp with two marks around the sound.
    let expected = [(1, 25, 752), (29, 725, 752), (31, 775, 1502), (60, 1500, 2252)];
    write_items(&bench, &expected.map(|(seconds, ..)| question(&bench, seconds)));
    predict(&bench, &url, "--long native --blind");
    bench.call("score -i out -o scored").ended(0);

    let rows: Vec<ItemScore> = bench.rows("scored/scores.parquet");
    let found = |heard: &str| -> Vec<(u64, Option<u64>, u64, &str)> {
        let tokens = |row: &ItemScore| row.prompt_tokens.unwrap() - row.text_tokens.unwrap();
        let rows = rows.iter().filter(|row| row.heard == heard);
        rows.map(|row| (row.given_ms / 1000, row.expected_tokens, tokens(row), row.token_audit.as_str())).collect()
    };
    let padded = expected.map(|(seconds, own, theirs)| (seconds, Some(own), theirs, "padded"));
    assert_eq!((found("sound"), found("silence")), (padded.to_vec(), padded.to_vec()));
    assert_eq!(found("nothing"), [(0, None, 0, "silent"); 4]);
    let summary = bench.json("scored/summary.json");
    assert_eq!(summary["benchmarks"]["test"]["token_audit"], json!({ "padded": 4 }));
    eprintln!("{:?}: {}", found("sound"), summary["benchmarks"]["test"]["token_audit"]);
}
