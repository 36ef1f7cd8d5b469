//! Pieces of texts beside those of the library of SentencePiece, and BLEU of these beside sacrebleu (`fixtures/regen/sentence_piece.py`).
//!
//! `AUDSEM_SENTENCE_PIECE_CASES` names a folder with other models and cases, which the script writes too.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use audsem_metrics::bleu::BleuCounts;
use audsem_metrics::sentence_piece::SentencePieceModel;
use proptest::prelude::*;
use serde_json::{Value, json};

fn folder() -> PathBuf {
    let sample = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/text_metrics/sentence_piece");
    std::env::var_os("AUDSEM_SENTENCE_PIECE_CASES").map_or_else(sample, PathBuf::from)
}

fn model(name: &str) -> SentencePieceModel {
    SentencePieceModel::open(&folder().join(format!("{name}.model"))).expect("the model is whole")
}

#[test]
fn pieces_and_bleu_are_those_of_the_libraries() {
    let models: BTreeMap<&str, SentencePieceModel> = ["prefix", "bytes"].map(|name| (name, model(name))).into();
    let text = std::fs::read_to_string(folder().join("cases.jsonl")).expect("the cases can be read");
    let (mut wrong, mut counted) = (Vec::new(), [0, 0]);
    for case in text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON")) {
        let model = &models[case["model"].as_str().expect("a name")];
        let is_text = case.get("input").is_some();
        let found = match case["input"].as_str() {
            Some(text) => json!(model.pieces(text)),
            None => {
                let texts = |name: &str| serde_json::from_value::<Value>(case[name].clone()).expect("texts");
                let predictions: Vec<String> = serde_json::from_value(texts("predictions")).expect("texts");
                let references: Vec<Vec<String>> = serde_json::from_value(texts("references")).expect("texts");
                let mut all = BleuCounts::default();
                for (prediction, references) in predictions.iter().zip(&references) {
                    all.add(&BleuCounts::of_pieces(prediction, references, model));
                }
                json!({ "counts": all.matches, "totals": all.totals, "score": all.score() })
            }
        };
        let near = |name: &str| found[name].as_f64().zip(case["expect"][name].as_f64());
        let is_same = found == case["expect"]
            || (found["counts"] == case["expect"]["counts"]
                && found["totals"] == case["expect"]["totals"]
                && near("score").is_some_and(|(ours, theirs)| (ours - theirs).abs() < 1e-9));
        if !is_same {
            wrong.push(format!("{case}\n  ours: {found}"));
        }
        counted[usize::from(is_text)] += 1;
    }
    assert!(counted[0] >= 40 && counted[1] >= 120, "{counted:?}");
    let first: Vec<&str> = wrong.iter().take(5).map(String::as_str).collect();
    assert!(wrong.is_empty(), "{} of {counted:?}:\n{}", wrong.len(), first.join("\n"));
}

#[test]
fn files_that_are_no_unigram_model_are_refused() {
    for (bytes, problem) in [
        (&b""[..], "without pieces"),
        (b"{\"model\": 1}", "damaged, or no SentencePiece model"),
        // A trainer of the kind BPE.
        (&[0x12, 0x02, 0x18, 0x02], "of another kind than unigram"),
    ] {
        let found = SentencePieceModel::from_bytes(bytes).expect_err("no model");
        assert!(found.contains(problem), "{found}");
    }
    assert!(SentencePieceModel::open(Path::new("nowhere.model")).is_err());
}

proptest! {
    /// No file makes it panic, and whatever it accepts can be used.
    #[test]
    fn damaged_models_are_refused_or_work(at in 0usize..3300, byte in any::<u8>(), text in "\\PC{0,20}") {
        let mut bytes = std::fs::read(folder().join("prefix.model")).expect("the model can be read");
        bytes[at] = byte;
        if let Ok(model) = SentencePieceModel::from_bytes(&bytes) {
            prop_assert!(model.pieces(&text).iter().all(|piece| !piece.is_empty()));
        }
        if let Ok(model) = SentencePieceModel::from_bytes(&bytes[..at]) {
            prop_assert!(model.pieces(&text).iter().all(|piece| !piece.is_empty()));
        }
    }
}
