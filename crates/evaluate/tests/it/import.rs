//! `import`: answers of other programs, joined by id.

use audsem_evaluate::prediction::{Prediction, PredictionStatus};
use serde_json::json;

use crate::workbench::Bench;

/// Two questions in the form of MMAU, and three answers, of which one is about none of them.
pub(crate) fn mmau(bench: &Bench) -> &'static str {
    let question = |id: &str| {
        json!({ "id": id, "audio_id": "a.wav", "question": "What?", "choices": ["A dog", "A door"], "answer": "A dog",
                "task": "sound", "difficulty": "easy" })
    };
    bench.write("mmau.json", json!([question("1"), question("2"), question("3")]).to_string());
    let answer = |id: &str, text: &str| json!({ "id": id, "model_output": text });
    let answers = json!([answer("3", "A dog"), answer("9", "A dog"), answer("1", "A door"), answer("1", "A dog")]);
    bench.write("answers.json", answers.to_string());
    "--benchmark mmau --data mmau.json --answers answers.json --max-fail-rate 1"
}

#[test]
fn answers_are_joined_by_id_and_absent_ones_count() {
    let bench = Bench::new();
    let call = format!("import {} -o out", mmau(&bench));
    let called = bench.call(&call).ended(0);
    let step = called.step("part");
    assert_eq!(
        (&step["kept"], &step["failed"]),
        (&3.into(), &json!({ "unknown_question": 1, "repeated_question": 1 }))
    );
    let lines = bench.text("out/part-00000.jsonl");
    let read: Vec<Prediction> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> = read.iter().map(|p| (p.item.id.as_str(), p.status, p.output.as_deref())).collect();
    assert_eq!(
        told,
        [
            ("1", PredictionStatus::Answered, Some("A door")),
            ("2", PredictionStatus::Absent, None),
            ("3", PredictionStatus::Answered, Some("A dog")),
        ]
    );
    bench.call("score -i out -o scores --resamples 100").ended(0);
    let summary = bench.json("scores/summary.json").to_string();
    assert!(summary.contains("\"official\""), "{summary}");
}

#[test]
fn answers_about_other_questions_are_refused() {
    let bench = Bench::new();
    mmau(&bench);
    bench.write("answers.json", json!([{ "id": "x", "model_output": "A dog" }]).to_string());
    let call = "import --benchmark mmau --data mmau.json --answers answers.json --max-fail-rate 1 -o out";
    bench.call(call).ended(2).says("no answer is about a question of this benchmark");
}
