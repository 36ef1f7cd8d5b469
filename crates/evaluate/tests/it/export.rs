//! `export`.

use audsem_core::testing::loopback::Loopback;
use audsem_evaluate::export::MmauProAnswer;
use serde_json::Value;

use crate::answers::{choice, many_choices, without_sound, write_run};
use crate::judge::{open_questions, rate};
use crate::workbench::Bench;

#[test]
fn published_records_get_the_keys_of_their_scorers() {
    let bench = Bench::new();
    let second = choice(1, "<think>It barks.</think><answer>B. a dog</answer>");
    write_run(&bench, "asked", &[vec![second, without_sound(choice(0, ""))]]);
    bench.call("export -i asked --format mmau -o mmau").ended(0);
    let records = bench.json("mmau/mmau.json");
    assert_eq!((&records[0]["id"], &records[1]["id"]), (&"q0".into(), &"q1".into()), "in the order of the data set");
    for key in ["model_output", "model_prediction"] {
        assert_eq!((&records[0][key], &records[1][key]), (&"".into(), &"B. a dog".into()), "{key}");
    }
    assert_eq!(records[1]["answer"], "a dog");
    bench.call("export -i asked --format submission -o hidden").ended(0);
    assert!(bench.json("hidden/mmau.json")[1].get("answer").is_none());
    bench.call("export -i asked --format mmar -o mmar").ended(0);
    let lines: Vec<Value> =
        bench.text("mmar/mmau.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        (&lines[1]["answer_prediction"], &lines[1]["thinking_prediction"]),
        (&"B. a dog".into(), &"It barks.".into())
    );
    bench.call("export -i asked --format mmau-pro -o pro").ended(0);
    let rows: Vec<MmauProAnswer> = bench.rows("pro/mmau.parquet");
    assert_eq!(
        (rows[1].model_output.as_str(), rows[1].answer.as_str(), rows[0].choices.len()),
        ("B. a dog", "a dog", 4)
    );
}

#[test]
fn other_orders_and_ways_of_hearing_are_left_out() {
    let bench = Bench::new();
    write_run(&bench, "asked", &many_choices(3));
    let called = bench.call("export -i asked --format mmau -o out").ended(0);
    assert_eq!(called.step("part")["counts"]["asked_in_other_ways"], 80);
    assert_eq!(bench.json("out/mmau.json").as_array().unwrap().len(), 20);
    let scores = bench.call("export -i asked --format audiobench --model-name tiny -o log").ended(0);
    assert_eq!(scores.step("part")["kept"], 20);
    let file = bench.json("log/log/tiny/mmau_string_match_-1_score.json");
    assert_eq!(file["string_match"]["judge_score"], 15.0);
    assert_eq!(file["details"].as_array().unwrap().len(), 20);
}

#[test]
fn audiobench_gets_its_shapes() {
    let bench = Bench::new();
    write_run(&bench, "open", &[open_questions()]);
    let server = Loopback::start(|request, _| rate(request));
    let judge =
        format!("judge -i open -o judged --rubric graded --max-fail-rate 1 --model j-1 --server {}", server.url("/v1"));
    bench.call(&judge).ended(0);
    bench.call("export -i open --judgements judged --format audiobench -o judge").ended(0);
    let file = bench.json("judge/log/model/clotho_aqa_test_j_1_graded_judge_-1_score.json");
    assert_eq!(
        (&file["j_1_graded_judge"]["judge_score"], &file["j_1_graded_judge"]["success_rate"]),
        (&36.0.into(), &0.8.into())
    );
    assert_eq!(file["details"][0]["rate_score"], 5.0);
    bench.call("export -i open --format mmau --model-name ../x -o bad").ended(2).says("--model-name");
}
