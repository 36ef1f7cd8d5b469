//! The vectors of `fixtures/text_metrics/vectors.jsonl`, each made by the library that the field uses.

#![allow(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use audsem_metrics::bleu::{BleuCounts, BleuTokenizer};
use audsem_metrics::edits::align;
use audsem_metrics::meteor::{WordNet, meteor, meteor_of_tokens, stem, tokens};
use audsem_metrics::normalise::{Compat, TextProfile, normalise, whisper_english, words};
use audsem_metrics::string_match::is_match;
use serde_json::Value;

const VECTORS: &str = include_str!("../../../fixtures/text_metrics/vectors.jsonl");

/// The vectors of a kind.
fn vectors(kind: &str) -> Vec<Value> {
    let all = VECTORS.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON"));
    all.filter(|vector| vector["kind"] == kind).collect()
}

fn text<'a>(vector: &'a Value, name: &str) -> &'a str {
    vector[name].as_str().expect("a text")
}

/// Compares all vectors of a kind, and tells all that differ.
fn check(kind: &str, expected: usize, ours: impl Fn(&Value) -> Value) {
    let vectors = vectors(kind);
    assert_eq!(vectors.len(), expected, "{kind}");
    let differ = |vector: &Value| {
        let got = ours(vector);
        (got != vector["expect"]).then(|| format!("{vector}\n  ours: {got}"))
    };
    let wrong: Vec<String> = vectors.iter().filter_map(differ).collect();
    assert!(wrong.is_empty(), "{} of {expected}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_vector_belongs_to_a_test() {
    let mut kinds = BTreeMap::new();
    for line in VECTORS.lines() {
        let vector: Value = serde_json::from_str(line).expect("a line is JSON");
        *kinds.entry(text(&vector, "kind").to_owned()).or_insert(0) += 1;
    }
    let expected = [
        ("meteor_nltk_wn30", 9),
        ("nltk_word_tokenizer", 5),
        ("porter_nltk_extensions", 90),
        ("preprocess_text_asr", 168),
        ("preprocess_text_asr_code_switch_chinese", 8),
        ("preprocess_text_asr_imda_part4", 6),
        ("sacrebleu", 30),
        ("string_match", 19),
        ("wer", 7),
        ("whisper_en", 168),
    ];
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), expected.map(|(kind, n)| (kind.to_owned(), n)));
}

#[test]
fn normalised_texts_are_those_of_whisper() {
    check("whisper_en", 168, |vector| whisper_english(text(vector, "input")).into());
}

#[test]
fn normalised_texts_are_those_of_the_published_evaluation() {
    for (kind, n, profile) in [
        ("preprocess_text_asr", 168, TextProfile::English),
        ("preprocess_text_asr_code_switch_chinese", 8, TextProfile::Chinese),
        ("preprocess_text_asr_imda_part4", 6, TextProfile::ImdaPart4),
    ] {
        check(kind, n, |vector| normalise(text(vector, "input"), profile, Compat::Reference).into());
    }
}

#[test]
fn word_errors_are_those_of_jiwer() {
    check("wer", 7, |vector| {
        let split = |name| words(text(vector, name)).collect::<Vec<_>>();
        let counts = align(&split("reference"), &split("prediction"));
        serde_json::json!({
            "substitutions": counts.substitutions, "deletions": counts.deletions, "insertions": counts.insertions,
            "hits": counts.hits, "wer": counts.rate(),
        })
    });
}

#[test]
fn answers_are_judged_as_by_the_scorer_of_mmau() {
    check("string_match", 19, |vector| {
        let choices: Vec<String> = serde_json::from_value(vector["choices"].clone()).expect("texts");
        is_match(text(vector, "prediction"), text(vector, "answer"), &choices).into()
    });
}

#[test]
fn bleu_is_that_of_sacrebleu() {
    for vector in vectors("sacrebleu") {
        let tokenizer = serde_json::from_value::<BleuTokenizer>(vector["tokenize"].clone()).expect("a tokenizer");
        let texts = |name: &str| serde_json::from_value::<Vec<String>>(vector[name].clone()).expect("texts");
        let mut counts = BleuCounts::default();
        for (prediction, reference) in texts("predictions").iter().zip(texts("references")) {
            counts.add(&BleuCounts::of(prediction, &[reference], tokenizer));
        }
        let expect = &vector["expect"];
        assert_eq!(serde_json::json!(counts.matches), expect["counts"], "{vector}");
        assert_eq!(serde_json::json!(counts.totals), expect["totals"], "{vector}");
        for (name, ours) in [("score", counts.score()), ("bp", counts.brevity_penalty())] {
            let expected = expect[name].as_f64().expect("a number");
            assert!((ours - expected).abs() <= 1e-9 * expected.max(1.0), "{name} {ours}: {vector}");
        }
    }
}

/// WordNet 3.0, which `scripts/fetch-assets --test` brings.
fn wordnet() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/wordnet-base/usr/share/wordnet");
    assert!(
        path.exists(),
        "no WordNet in {}\nhint: run scripts/fetch-assets --test (`just test` does)",
        path.display()
    );
    path
}

#[test]
fn stems_are_those_of_nltk() {
    check("porter_nltk_extensions", 90, |vector| stem(text(vector, "input")).into());
}

#[test]
fn tokens_are_those_of_nltk() {
    check("nltk_word_tokenizer", 5, |vector| tokens(text(vector, "input")).into());
}

#[test]
fn meteor_is_that_of_nltk() {
    let wordnet = WordNet::open(&wordnet()).expect("the files are those of Debian");
    let vectors = vectors("meteor_nltk_wn30");
    assert_eq!(vectors.len(), 9);
    for vector in vectors {
        let texts = |name: &str| serde_json::from_value::<Vec<String>>(vector[name].clone()).expect("texts");
        let (prediction, reference) = (text(&vector, "prediction"), text(&vector, "reference"));
        assert_eq!([tokens(prediction), tokens(reference)], [texts("prediction_tokens"), texts("reference_tokens")]);
        let expected = vector["expect"].as_f64().expect("a number");
        let of_tokens = meteor_of_tokens(&texts("prediction_tokens"), &texts("reference_tokens"), Some(&wordnet));
        for ours in [of_tokens, meteor(prediction, reference, Some(&wordnet))] {
            assert!((ours - expected).abs() < 1e-12, "{ours}: {vector}");
        }
        assert!(meteor(prediction, reference, None) <= expected + 1e-12, "{vector}");
    }
}
