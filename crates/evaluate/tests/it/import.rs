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

/// Whoever knows the hash of a version can ask for it alone.
#[test]
fn another_version_of_the_questions_is_refused_by_its_hash() {
    let bench = Bench::new();
    let call = format!("import {}", mmau(&bench));
    let told = bench.call(&format!("{call} -o out")).ended(0).summary();
    let hash = told["results"]["questions_sha256"].as_str().unwrap().to_owned();
    assert_eq!(bench.json("out/run.json")["config"]["questions_sha256"], hash);
    bench.call(&format!("{call} -o same --questions-sha256 {}", hash.to_uppercase())).ended(0);
    let changed = bench.text("mmau.json").replacen("A door", "A cat", 1);
    bench.write("mmau.json", changed);
    for command in
        [format!("{call} -o other"), "predict --benchmark mmau --data mmau.json -o other --model m".to_owned()]
    {
        let refused = bench.call(&format!("{command} --questions-sha256 {hash}")).ended(2);
        refused.says("these questions are another version: their SHA-256 is ");
    }
}

#[test]
fn answers_about_other_questions_are_refused() {
    let bench = Bench::new();
    mmau(&bench);
    bench.write("answers.json", json!([{ "id": "x", "model_output": "A dog" }]).to_string());
    let call = "import --benchmark mmau --data mmau.json --answers answers.json --max-fail-rate 1 -o out";
    bench.call(call).ended(2).says("no answer is about a question of this benchmark");
}

/// Versions of MMAU have other questions and other options under the same ids.
#[test]
fn answers_about_another_version_are_left_out() {
    let bench = Bench::new();
    mmau(&bench);
    let answer = |id: &str, question: &str, choices: &[&str]| json!({ "id": id, "question": question, "choices": choices, "prediction": "A dog" });
    let check = |answers: serde_json::Value, faults: serde_json::Value| {
        bench.write("answers.json", answers.to_string());
        let call = "import --benchmark mmau --data mmau.json --answers answers.json --max-fail-rate 1 --fresh -o out";
        let called = bench.call(call).ended(0);
        assert_eq!(called.step("part")["failed"], faults, "{answers}");
        assert_eq!(
            called.summary()["results"]["absent"],
            3 - answers.as_array().unwrap().len() + faults.as_object().unwrap().len()
        );
    };
    // The prompt around the question, letters and the order of the options are no other question.
    let same = answer("2", "Listen. What?\nChoices:\n(A) A door", &["(A) A door", "(B) A dog "]);
    check(json!([answer("1", " What? ", &["A dog", "A door"]), same]), json!({}));
    let other = json!([answer("1", "What?", &["A dog", "A door"]), answer("2", "What else?", &["A dog", "A door"])]);
    check(other, json!({ "other_question": 1 }));
    let other = json!([answer("1", "What?", &["A dog", "A cat"]), answer("2", "What?", &["A dog", "A door"])]);
    check(other, json!({ "other_question": 1 }));
    let more = json!([answer("1", "What?", &["A dog", "A door", "A cat"]), answer("2", "What?", &["A dog", "A door"])]);
    check(more, json!({ "other_question": 1 }));
}

/// Three rows of a data set of AudioBench, and its file of predictions.
fn audiobench(bench: &Bench) -> serde_json::Value {
    let right = ["Norway", "Chile", "Norway"].map(|name| format!("From the audio, I guess the speaker is from {name}"));
    let rows: Vec<_> = right.iter().map(|answer| json!({ "context": "a.wav", "answer": answer })).collect();
    bench.write("rows.json", json!(rows).to_string());
    let said = |n: usize| json!({ "instruction": "Where from?", "reference": right[n], "task_type": "AR", "model_prediction": format!("said {n}") });
    json!([said(0), said(1), said(2)])
}

const AUDIOBENCH: &str =
    "import --benchmark audiobench --data-set voxceleb_accent_test --data rows.json --answers log.json";

#[test]
fn predictions_of_audiobench_are_joined_where_their_right_answers_fit() {
    let bench = Bench::new();
    let log = audiobench(&bench);
    bench.write("log.json", log.to_string());
    bench.call(&format!("{AUDIOBENCH} -o out")).ended(0);
    let lines = bench.text("out/part-00000.jsonl");
    let read: Vec<Prediction> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> = read.iter().map(|p| (p.item.references[0].as_str(), p.output.as_deref().unwrap())).collect();
    assert_eq!(told, [("Norway", "said 0"), ("Chile", "said 1"), ("Norway", "said 2")]);
    // What it wrote comes out as it went in, the wording of the question apart.
    bench.call("export -i out -o exported --format audiobench").ended(0);
    let exported = bench.json("exported/log/model/voxceleb_accent_test_-1.json");
    for (n, record) in log.as_array().unwrap().iter().enumerate() {
        for field in ["reference", "task_type", "model_prediction"] {
            assert_eq!(exported[n][field], record[field], "{field}");
        }
    }
    let mut other = log.clone();
    other.as_array_mut().unwrap().swap(0, 1);
    bench.write("log.json", other.to_string());
    bench.call(&format!("{AUDIOBENCH} -o other")).ended(2).says("these are not the same rows");
    other.as_array_mut().unwrap().pop();
    bench.write("log.json", other.to_string());
    bench.call(&format!("{AUDIOBENCH} -o short")).ended(2).says("2 records, and the data set 3 rows");
}

#[test]
fn reviews_of_evalscope_are_joined_by_sound_and_right_answer() {
    let bench = Bench::new();
    let question = |id: &str, sound: &str, answer: &str| {
        json!({ "id": id, "audio_id": sound, "question": "What?", "choices": ["A dog", "A door"], "answer": answer,
                "task": "sound", "difficulty": "easy" })
    };
    let all =
        [question("1", "./a.wav", "A dog"), question("2", "./b.wav", "A dog"), question("3", "./b.wav", "A door")];
    bench.write("mmau.json", json!(all).to_string());
    let review = |sound: &str, answer: Option<&str>| {
        json!({ "index": 0, "target": "A", "sample_score": { "score": { "prediction": format!("ANSWER: A {sound}") },
                "sample_metadata": { "audio_id": sound, "answer": answer } } })
    };
    let reviews = [review("./b.wav", Some("A door")), review("a.wav", Some("A dog")), review("./b.wav", None)];
    bench.write("reviews.jsonl", reviews.map(|review| format!("{review}\n")).concat());
    let call = "import --benchmark mmau --data mmau.json --answers reviews.jsonl --max-fail-rate 1 -o out";
    let called = bench.call(call).ended(0);
    assert_eq!(called.step("part")["failed"], json!({ "ambiguous_question": 1 }));
    let lines = bench.text("out/part-00000.jsonl");
    let read: Vec<Prediction> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> = read.iter().map(|p| p.output.as_deref()).collect();
    assert_eq!(told, [Some("ANSWER: A a.wav"), None, Some("ANSWER: A ./b.wav")]);
}
