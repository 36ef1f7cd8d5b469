//! `score`, `judge` and `export` of several runs that asked different questions in the same way.

use audsem_core::testing::loopback::Loopback;
use audsem_evaluate::item::AnswerKind;
use audsem_evaluate::tables::ItemScore;
use serde_json::{Value, json};

use crate::answers::{choice, free, write_run};
use crate::judge::rate;
use crate::workbench::Bench;

#[test]
fn scores_of_several_runs_are_those_of_each() {
    let bench = Bench::new();
    write_run(&bench, "one", &[vec![choice(0, "a dog"), choice(1, "a cat")], vec![choice(2, "a dog")]]);
    let open = |n, output| free(AnswerKind::Open, "clotho_aqa_test", n, &["a dog"], output);
    write_run(&bench, "two", &[vec![open(0, "a dog"), open(1, "nothing")]]);
    for (inputs, out) in [("one", "of-one"), ("two", "of-two"), ("one two", "of-both")] {
        bench.call(&format!("score -i {inputs} -o {out}")).ended(0);
    }
    let both = bench.json("of-both/summary.json");
    let of_one = bench.json("of-one/summary.json")["benchmarks"]["mmau"].clone();
    let of_two = bench.json("of-two/summary.json")["benchmarks"]["clotho_aqa_test"].clone();
    assert_eq!(both["benchmarks"], json!({"mmau": of_one, "clotho_aqa_test": of_two}));
    let rows: Vec<ItemScore> = bench.rows("of-both/scores.parquet");
    let ids: Vec<(&str, &str)> = rows.iter().map(|row| (row.benchmark.as_str(), row.id.as_str())).collect();
    let expected =
        [("mmau", "q0"), ("mmau", "q1"), ("mmau", "q2"), ("clotho_aqa_test", "q0"), ("clotho_aqa_test", "q1")];
    assert_eq!(ids, expected);
    // All inputs decide which run this is.
    let before = bench.tree("of-both");
    bench.call("score -i one two -o of-both").ended(0);
    assert_eq!(bench.tree("of-both"), before);
    bench.call("score -i one -o of-both").ended(2).says("inputs");
}

#[test]
fn a_question_in_two_runs_and_runs_of_other_settings_are_refused_by_name() {
    let bench = Bench::new();
    write_run(&bench, "one", &[vec![choice(0, "a dog"), choice(1, "a cat")]]);
    write_run(&bench, "again", &[vec![choice(2, "a dog"), choice(1, "a dog")]]);
    let judge = "judge --rubric binary --server http://127.0.0.1:1/v1 --model m";
    for command in ["score", "export --format mmau", judge] {
        let called = bench.call(&format!("{command} -i one again -o out")).ended(2);
        called.says("question q1 of mmau has an answer in one, and another one here: again");
        bench
            .call(&format!("{command} -i one -i one -o out"))
            .ended(2)
            .says("has an answer in one, and another one here: one");
        assert!(!bench.path("out/run.json").exists());
    }
    write_run(&bench, "other", &[vec![choice(2, "a dog")]]);
    let mut record = bench.json("other/run.json");
    record["config"]["max_tokens"] = json!(5);
    bench.write("other/run.json", record.to_string());
    let called = bench.call("score -i one other -o out").ended(2);
    called.says("made in another way than those of one (`max_tokens` is 5 and not null): other");
    // Which questions, and in files of how many, is no other way.
    record["config"] = json!({"questions_sha256": "b", "items_per_part": 7});
    record["config_hash"] = json!("second");
    bench.write("other/run.json", record.to_string());
    bench.call("score -i one other -o out").ended(0);
    let predictions = bench.json("out/summary.json")["predictions"].clone();
    assert!(predictions["config_hash"].as_str().unwrap().ends_with(" second"), "{predictions}");
}

#[test]
fn an_export_has_the_runs_one_after_the_other() {
    let bench = Bench::new();
    write_run(&bench, "one", &[vec![choice(1, "a dog"), choice(0, "a dog")]]);
    let mut second = vec![choice(3, "a dog"), choice(2, "a dog")];
    // Each run counts the questions of its own file.
    second.iter_mut().for_each(|prediction| prediction.index -= 2);
    write_run(&bench, "two", &[second]);
    bench.call("export -i one two --format mmau -o out").ended(0);
    let records = bench.json("out/mmau.json");
    let ids: Vec<&str> = records.as_array().unwrap().iter().map(|record| record["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["q0", "q1", "q2", "q3"]);
}

#[test]
fn a_judge_reads_the_answers_of_several_runs() {
    let bench = Bench::new();
    let open = |n, output: &str| free(AnswerKind::Open, "clotho_aqa_test", n, &["a dog"], output);
    write_run(&bench, "one", &[vec![open(0, "good")]]);
    write_run(&bench, "two", &[vec![open(1, "bad")], vec![open(2, "good")]]);
    let server = Loopback::start(|request, _| rate(request));
    let judge = format!("judge -o judged --model m --server {}", server.url("/v1"));
    bench.call(&format!("{judge} -i one two")).ended(0);
    let rating = |part: usize| -> Value {
        let line: Value = serde_json::from_str(&bench.text(&format!("judged/part-{part:05}.jsonl"))).unwrap();
        json!([line["id"], line["rating"]])
    };
    assert_eq!([0, 1, 2].map(rating), [json!(["q0", 5.0]), json!(["q1", 1.0]), json!(["q2", 5.0])]);
    let asked = server.calls().len();
    bench.call(&format!("{judge} -i one two")).ended(0);
    assert_eq!(server.calls().len(), asked);
    bench.call(&format!("{judge} -i one")).ended(2).says("inputs");
    bench.call("score -i one two --judgements judged -o scores").ended(0);
    let metrics = &bench.json("scores/summary.json")["benchmarks"]["clotho_aqa_test"]["heard"]["sound"]["metrics"];
    let judged = metrics.as_array().unwrap().iter().find(|metric| metric[0] == "judge").unwrap();
    // Times 20: (5 + 1 + 5) / 3.
    assert!((judged[1]["value"].as_f64().unwrap() - 220.0 / 3.0).abs() < 1e-9, "{judged}");
}
