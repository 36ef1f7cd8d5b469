//! `rewards`: reading completions, the report, the table, refusals.

use audsem_core::testing::Bench;
use serde_json::{Value, json};

pub(crate) fn bench() -> Bench {
    Bench::new(env!("CARGO_BIN_EXE_audsem-training"))
}

/// Four completions of two questions; of the first one the wrong answer has the length that is asked for.
pub(crate) fn completions() -> String {
    let line = |key: &str, words: usize, answer: &str| {
        let thinking = vec!["word"; words].join(" ");
        json!({
            "key": key, "question": "What barks?\nChoices:\nA. A dog\nB. A door", "answer": "A. A dog",
            "completion": format!("<think>{thinking}</think>\n<answer>{answer}</answer>"),
        })
    };
    let lines = [line("one", 90, "A"), line("one", 25, "B"), line("two", 25, "A. A dog"), line("two", 25, "(a)")];
    lines.iter().map(|line| format!("{line}\n")).collect()
}

const REWARDS: &str = "[accuracy]\nweight = 0.5\n[length]\ngate = \"none\"\n[[program]]\nname = \"fixed\"\nweight = 0.1\n\
    command = [\"/bin/sh\", \"-c\", '''while read -r l; do i=${l#*:}; echo \"{\\\"id\\\": ${i%%,*}, \\\"reward\\\": 1}\"; done''']\n";

#[test]
fn completions_are_scored_reported_and_listed() {
    let bench = bench();
    bench.write("c.jsonl", completions());
    bench.write("r.toml", REWARDS);
    let called = bench.call("rewards -c c.jsonl --rewards r.toml --instruction think:25 --table t.jsonl").ended(0);
    let report: Value = serde_json::from_str(&called.stdout).unwrap();
    let names: Vec<&str> = report["rewards"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["accuracy", "length", "fixed"]);
    assert_eq!(report["order"]["wrong_first_by_reward"], json!([["length", 1], ["fixed", 0]]));
    assert_eq!((&report["groups"]["n"], &report["groups"]["without_gradient"]), (&json!(2), &json!(1)));
    let table: Vec<Value> = bench.text("t.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(table.len(), 4);
    assert_eq!(table[2]["rewards"], json!({ "accuracy": 1.0, "length": 1.0, "fixed": 1.0 }));
    assert_eq!(table[2]["reward"], json!(0.5 + 1.0 + 0.1));
}

#[test]
fn people_get_a_table() {
    let bench = bench();
    bench.write("c.jsonl", completions());
    let output = bench.command("rewards -c c.jsonl --quiet").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for part in ["4 completions of 2 questions", "accuracy", "format", "sum", "1 of 2 without a gradient"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn what_cannot_be_scored_is_refused_with_a_reason() {
    let bench = bench();
    bench.write("c.jsonl", completions());
    bench.write("none.jsonl", "{}\n");
    bench.write("r.toml", "[acuracy]\n");
    bench.write("p.toml", "[[program]]\nname = \"lost\"\ncommand = [\"/nowhere/reward\"]\n");
    bench.call("rewards -c none.jsonl").ended(2).says("no line is a completion");
    bench.call("rewards -c absent.jsonl").ended(2).says("absent.jsonl");
    bench.call("rewards -c c.jsonl --rewards r.toml").ended(2).says("unknown field");
    bench.call("rewards -c c.jsonl --rewards p.toml").ended(2).says("/nowhere/reward could not be started");
    bench.call("rewards -c c.jsonl --instruction long").ended(2).says("no instruction profile");
}
