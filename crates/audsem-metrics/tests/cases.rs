//! Random cases with the values of sacrebleu, NLTK, jiwer, whisper-normalizer and aac-metrics (`fixtures/regen/text_metrics.py`).
//!
//! `AUDSEM_TEXT_METRICS_CASES` names a file with many more of them, which the script writes too.

#![allow(clippy::disallowed_methods)]

use std::path::Path;

use audsem_metrics::bleu::{BleuCounts, BleuTokenizer};
use audsem_metrics::caption::{CaptionStyle, CocoBleu, ReferenceCorpus, rouge_l};
use audsem_metrics::edits::align;
use audsem_metrics::meteor::{WordNet, meteor, stem, tokens};
use audsem_metrics::normalise::{Compat, ThaiWords, whisper_english, words};
use serde_json::{Value, json};

const SAMPLE: &str = include_str!("../../../fixtures/text_metrics/cases.jsonl");

/// The cases of a kind.
fn cases(kind: &str) -> Vec<Value> {
    let named = std::env::var_os("AUDSEM_TEXT_METRICS_CASES");
    let text = named.map(|path| std::fs::read_to_string(path).expect("the file of cases can be read"));
    let text = text.as_deref().unwrap_or(SAMPLE);
    let all = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON"));
    let cases: Vec<Value> = all.filter(|case| case["kind"] == kind).collect();
    assert!(cases.len() >= 20, "{kind}: {} cases", cases.len());
    cases
}

fn text<'a>(case: &'a Value, name: &str) -> &'a str {
    case[name].as_str().expect("a text")
}

/// Whether all numbers are the same but for rounding, and everything else is equal.
fn is_near(ours: &Value, expected: &Value) -> bool {
    match (ours, expected) {
        (Value::Array(ours), Value::Array(expected)) => {
            ours.len() == expected.len() && ours.iter().zip(expected).all(|(ours, expected)| is_near(ours, expected))
        }
        (Value::Object(ours), Value::Object(expected)) => {
            ours.len() == expected.len()
                && expected.iter().all(|(name, value)| ours.get(name).is_some_and(|ours| is_near(ours, value)))
        }
        (Value::Number(ours), Value::Number(expected)) => {
            let (ours, expected) = (ours.as_f64().unwrap_or(f64::NAN), expected.as_f64().unwrap_or(f64::NAN));
            (ours - expected).abs() <= 1e-9 * expected.abs().max(1.0)
        }
        (ours, expected) => ours == expected,
    }
}

/// Compares all cases of a kind, and tells the first that differ.
fn check(kind: &str, ours: impl Fn(&Value) -> Value) {
    let cases = cases(kind);
    let differ = |case: &Value| {
        let got = ours(case);
        (!is_near(&got, &case["expect"])).then(|| format!("{case}\n  ours: {got}"))
    };
    let wrong: Vec<String> = cases.iter().filter_map(differ).collect();
    let first: Vec<&str> = wrong.iter().take(5).map(String::as_str).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), first.join("\n"));
}

#[test]
fn word_errors_are_those_of_jiwer() {
    check("wer", |case| {
        let split = |name| words(text(case, name)).collect::<Vec<_>>();
        let counts = align(&split("reference"), &split("prediction"));
        json!({
            "substitutions": counts.substitutions, "deletions": counts.deletions, "insertions": counts.insertions,
            "hits": counts.hits, "wer": counts.rate(),
        })
    });
}

#[test]
fn normalised_texts_are_those_of_whisper() {
    check("whisper_en", |case| whisper_english(text(case, "input")).into());
}

#[test]
fn bleu_is_that_of_sacrebleu() {
    check("sacrebleu", |case| {
        let tokenizer = serde_json::from_value::<BleuTokenizer>(case["tokenize"].clone()).expect("a tokenizer");
        let predictions: Vec<String> = serde_json::from_value(case["predictions"].clone()).expect("texts");
        let references: Vec<Vec<String>> = serde_json::from_value(case["references"].clone()).expect("texts");
        let mut counts = BleuCounts::default();
        for (prediction, references) in predictions.iter().zip(&references) {
            counts.add(&BleuCounts::of(prediction, references, tokenizer));
        }
        json!({ "score": counts.score(), "counts": counts.matches, "totals": counts.totals, "bp": counts.brevity_penalty() })
    });
}

#[test]
fn stems_are_those_of_nltk() {
    check("porter_nltk_extensions", |case| stem(text(case, "input")).into());
}

#[test]
fn tokens_are_those_of_nltk() {
    check("nltk_word_tokenizer", |case| tokens(text(case, "input")).into());
}

#[test]
fn meteor_is_that_of_nltk() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/wordnet-base/usr/share/wordnet");
    assert!(
        folder.exists(),
        "no WordNet in {}\nhint: run scripts/fetch-assets --test (`just test` does)",
        folder.display()
    );
    let wordnet = WordNet::open(&folder).expect("the files are those of Debian");
    check("meteor_nltk_wn30", |case| meteor(text(case, "prediction"), text(case, "reference"), Some(&wordnet)).into());
}

#[test]
fn words_of_thai_are_those_of_pythainlp() {
    check("pythainlp_newmm", |case| {
        let words = ThaiWords::new(serde_json::from_value(case["words"].clone()).expect("words"));
        words.normalise(text(case, "input"), Compat::Reference).into()
    });
}

#[test]
fn caption_metrics_are_those_of_aac_metrics() {
    check("aac_metrics", |case| {
        let split = |text: &str| words(text).map(str::to_owned).collect::<Vec<_>>();
        let predictions: Vec<String> = serde_json::from_value(case["predictions"].clone()).expect("texts");
        let references: Vec<Vec<String>> = serde_json::from_value(case["references"].clone()).expect("texts");
        let predictions: Vec<Vec<String>> = predictions.iter().map(|text| split(text)).collect();
        let references: Vec<Vec<Vec<String>>> =
            references.iter().map(|texts| texts.iter().map(|text| split(text)).collect()).collect();
        let (mut corpus, mut bleu) = (ReferenceCorpus::default(), CocoBleu::default());
        references.iter().for_each(|texts| corpus.add(texts));
        let pairs = || predictions.iter().zip(&references);
        pairs().for_each(|(given, texts)| bleu.add(&CocoBleu::of(given, texts)));
        json!({
            "cider_d": pairs().map(|(given, texts)| corpus.cider_d(given, texts)).collect::<Vec<_>>(),
            "rouge_l": pairs().map(|(given, texts)| rouge_l(given, texts)).collect::<Vec<_>>(),
            "bleu_1_to_4": bleu.scores(),
            "vocabulary": CaptionStyle::of(&predictions, &Default::default()).vocabulary,
        })
    });
}
