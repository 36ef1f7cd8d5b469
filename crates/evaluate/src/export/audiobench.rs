//! Files as AudioBench writes them: predictions of a data set, and one file of scores for each metric.

use std::collections::BTreeMap;

use audsem_metrics::bleu::BleuCounts;
use serde_json::{Map, Value, json};

use super::Exported;
use crate::judge::Judgements;
use crate::score::MetricKind;
use crate::score::summary::sums;
use crate::score::translations::tokenizer_of;
use crate::tables::ItemScore;

/// What stands in file names for all samples.
const ALL: &str = "-1";

/// Names and contents of the files of a data set.
pub(super) fn files(
    name: &str,
    answers: &[Exported],
    judgements: Option<&Judgements>,
    wordnet: bool,
) -> Vec<(String, Value)> {
    let mut files = vec![(format!("{name}_{ALL}.json"), answers.iter().map(prediction).collect())];
    let mut add = |metric: &str, value: Value| files.push((format!("{name}_{metric}_{ALL}_score.json"), value));
    let kind = answers.first().map(|answer| answer.row.kind.as_str()).unwrap_or_default();
    let scored: Vec<&ItemScore> = answers.iter().map(|answer| &answer.row).collect();
    match kind {
        "transcript" => {
            add("wer", json!({ "wer": value(MetricKind::Wer, &scored), "sample_wer": sample_wer(&scored) }))
        }
        "translation" => add("bleu", json!({ "bleu": bleu(name, &scored) })),
        // Without synonyms the number is another one, which must not pass for METEOR.
        "caption" if wordnet => add("meteor", json!({ "meteor": value(MetricKind::Meteor, &scored) })),
        "choice" => add("string_match", string_match(answers)),
        _ => {}
    }
    if let Some(judgements) = judgements {
        let metric = metric_name(judgements);
        let scores = json!({
            (metric.as_str()): { "judge_score": value_of_judge(&scored, judgements), "success_rate": success_rate(&scored) },
            "details": answers.iter().map(|answer| judged(answer, judgements)).collect::<Vec<_>>(),
        });
        add(&metric, scores);
    }
    files
}

/// A metric over all answers; null where there is none.
fn value(kind: MetricKind, rows: &[&ItemScore]) -> Option<f64> {
    let all = sums(kind, rows);
    (all.denominator > 0.0).then(|| all.numerator / all.denominator)
}

/// The record of a prediction, without its sound.
fn prediction(answer: &Exported) -> Value {
    let mut record: Map<String, Value> = answer.prediction.item.published.clone();
    record.entry("instruction").or_insert_with(|| answer.row.question.clone().into());
    record.entry("reference").or_insert_with(|| reference(answer).into());
    record.insert("model_prediction".to_owned(), answer.answer().into());
    Value::Object(record)
}

fn reference(answer: &Exported) -> String {
    answer.row.references.first().cloned().unwrap_or_default()
}

fn sample_wer(rows: &[&ItemScore]) -> Vec<Value> {
    let sample = |row: &&ItemScore| {
        let (errors, words) = (row.word_errors? as f64, row.reference_words? as f64);
        let wer = (words > 0.0).then(|| errors / words);
        Some(json!({ "reference": row.normalised_reference, "prediction": row.normalised_answer, "wer": wer }))
    };
    rows.iter().filter_map(sample).collect()
}

/// BLEU of all translations together.
fn bleu(name: &str, rows: &[&ItemScore]) -> f64 {
    let mut all = BleuCounts::default();
    for row in rows {
        all.add(&BleuCounts::of(row.answer.as_deref().unwrap_or_default(), &row.references, tokenizer_of(name)));
    }
    all.score()
}

fn string_match(answers: &[Exported]) -> Value {
    let mut tasks: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let task = |row: &ItemScore| row.groups.iter().find(|group| group.name == "task").map(|group| group.value.clone());
    for row in answers.iter().map(|answer| &answer.row) {
        if let (Some(task), Some(score)) = (task(row), row.official) {
            tasks.entry(task).or_default().push(score);
        }
    }
    let mean = |scores: &[f64]| scores.iter().sum::<f64>() / scores.len().max(1) as f64;
    let all: Vec<f64> = answers.iter().filter_map(|answer| answer.row.official).collect();
    let details = answers.iter().map(|answer| {
        json!({
            "question": answer.row.question,
            "reference": reference(answer),
            "model_prediction": answer.answer(),
            "choices": answer.row.choices,
            "rate_score": answer.row.official,
            "task": task(&answer.row),
        })
    });
    json!({
        "string_match": { "judge_score": mean(&all) * 100.0 },
        "task_scores": tasks.iter().map(|(task, scores)| (task.clone(), mean(scores))).collect::<BTreeMap<_, _>>(),
        "details": details.collect::<Vec<_>>(),
    })
}

/// The name of a judge's metric: letters, digits and underscores of the judge's name, and the rubric.
fn metric_name(judgements: &Judgements) -> String {
    let plain = |text: &str| -> String {
        text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect()
    };
    let rubric = judgements.by.rubric.rsplit('/').next().unwrap_or_default();
    format!("{}_{}_judge", plain(&judgements.by.judge), plain(rubric.trim_end_matches(".toml")))
}

/// Mean of the ratings in the scale of the rubric, a missing one as 0.
fn value_of_judge(rows: &[&ItemScore], judgements: &Judgements) -> Option<f64> {
    value(MetricKind::Judge, rows).map(|mean| mean * judgements.by.scale.scale)
}

fn success_rate(rows: &[&ItemScore]) -> f64 {
    let asked: Vec<&&ItemScore> = rows.iter().filter(|row| row.judgement.is_some()).collect();
    let rated = asked.iter().filter(|row| row.rating.is_some()).count();
    rated as f64 / asked.len().max(1) as f64
}

fn judged(answer: &Exported, judgements: &Judgements) -> Value {
    let row = &answer.row;
    let judgement = judgements.of(&row.benchmark, &row.id, answer.prediction.heard);
    json!({
        "question": row.question,
        "reference": reference(answer),
        "model_prediction": answer.answer(),
        "judge_response": judgement.and_then(|judgement| judgement.responses.iter().flatten().next()),
        "rate_score": row.rating.unwrap_or(0.0),
        "success": u8::from(row.rating.is_some()),
    })
}
