//! Writers, judges and `contribution` with a language model in this process, through the binary.

use serde_json::{Value, json};

use crate::workbench::{Bench, random_language_model};
use crate::write::{clips, lines};

/// Clips to write about, a model of random weights, and a prompt that such a model reads quickly.
fn prepared(n: usize) -> Bench {
    let bench = Bench::new();
    clips(&bench, n);
    random_language_model(&bench.path("model"));
    bench.write("prompt.txt", "--- user ---\n{{ closed_caption }}\n");
    bench
}

const FLAGS: &str = "-i clips --model model --template prompt.txt --min-thinking 0 --max-tokens 6000 --max-attempts 3 --max-fail-rate 1";

/// Random weights write nonsense, which fits the schema, and is kept unless a rule about wording happens to meet it. Questions
/// would take them too long: `guided` has every shape.
#[test]
fn a_model_in_this_process_writes_captions() {
    let bench = prepared(1);
    let step = bench.call(&format!("caption {FLAGS} -o caption")).ended(0).step("part");
    let rows = lines(&bench, "caption/part-00000.jsonl");
    assert!(!rows.is_empty() && step["kept"] == rows.len(), "{step}");
    for row in &rows {
        assert!(!row["caption"].as_str().unwrap().is_empty() && !row["thinking"].as_str().unwrap().is_empty(), "{row}");
        assert!(row["writer"].as_str().unwrap().starts_with("model (F32) sha256 "), "{row}");
    }
    let run = bench.json("caption/run.json");
    let model = &run["models"][0];
    assert!(run["config"]["writer"].as_str().unwrap().contains(model["sha256"][0].as_str().unwrap()), "{run}");
    // The stored answers give the same bytes.
    bench.call(&format!("caption {FLAGS} --replay caption/replay -o replayed")).ended(0);
    assert_eq!(bench.text("replayed/part-00000.jsonl"), bench.text("caption/part-00000.jsonl"));
}

/// Random weights know no answer, but give one of four letters to every question.
#[test]
fn contribution_asks_a_model_in_this_process() {
    let bench = prepared(3);
    bench.call("mcqa -i clips --backend template -o mcqa").ended(0);
    let summary = bench.call("contribution -r mcqa --model model -o out").ended(0).summary();
    let (tries, right) = (summary["results"]["tries"].as_u64(), summary["results"]["right_without_audio"].as_u64());
    assert!(tries >= Some(24) && right < tries, "{summary}");
    let rows: Vec<Value> = lines(&bench, "out/part-00000.jsonl");
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(|row| (0.0..=1.0).contains(&row["without_audio"].as_f64().unwrap())));
    assert_eq!(bench.json("out/run.json")["models"][0]["sha256"][0].as_str().map(str::len), Some(64));
    bench.call("contribution -r mcqa --model model --no-replay --workers 1 -o again").ended(0);
    assert_eq!(bench.text("again/part-00000.jsonl"), bench.text("out/part-00000.jsonl"));
    assert!(bench.path("out/replay").exists() && !bench.path("again/replay").exists());
}

#[test]
fn contribution_reads_several_runs_and_files() {
    let bench = prepared(3);
    bench.call("mcqa -i clips --backend template --per-shard 1 -o mcqa").ended(0);
    let whole = bench.call("contribution -r mcqa --model model -o one").ended(0).summary();
    let text = bench.text("mcqa/part-00000.jsonl");
    bench.write("more/first.jsonl", text);
    let (second, third) = (bench.text("mcqa/part-00001.jsonl"), bench.text("mcqa/part-00002.jsonl"));
    bench.write("rest.jsonl", format!("{second}{third}"));
    let summary = bench.call("contribution -r more rest.jsonl --model model -o two").ended(0).summary();
    let all = |folder: &str, parts: &[u32]| -> Vec<Value> {
        parts.iter().flat_map(|part| lines(&bench, &format!("{folder}/part-{part:05}.jsonl"))).collect()
    };
    assert_eq!(all("two", &[0, 1]), all("one", &[0, 1, 2]));
    assert_eq!(summary["results"]["tries"], whole["results"]["tries"]);
}

#[test]
fn an_answer_of_a_model_in_this_process_does_not_depend_on_workers_or_shards() {
    let bench = prepared(4);
    bench.call("mcqa -i clips --backend template --per-shard 1 -o mcqa").ended(0);
    let call = |flags: &str| bench.call(&format!("contribution -r mcqa --model model --no-replay {flags}")).ended(0);
    call("-o one --workers 1");
    call("-o two --workers 2");
    call("-o split --shard 1/2");
    call("-o split --shard 0/2");
    assert_eq!(bench.tree("two"), bench.tree("one"));
    assert_eq!(bench.tree("split"), bench.tree("one"));
}

#[test]
fn flags_that_contradict_each_other_are_refused_with_a_hint() {
    let bench = prepared(1);
    let check = |arguments: &str, expected: &str| bench.call(&format!("{arguments} -o out")).ended(2).says(expected);
    check(
        "caption -i clips",
        "hint: name one with --server URL or --model PATH, or let rules write with --backend template",
    );
    check("caption -i clips --backend template --judge", "or omit --judge");
    check("caption -i clips --backend template --model model", "have it judge what rules write with --judge");
    check("caption -i clips --backend template --retries 1", "--retries is for a server");
    check("caption -i clips --model model --concurrency 2", "--concurrency is for a server");
    check("caption -i clips --model nowhere", "nowhere");
    check(
        "qa -i clips --model model --sounds clips",
        "--sounds attaches sounds, but a model in this process reads text",
    );
    check("contribution -r clips --model model --silence 1", "--silence attaches sounds");
    check("contribution -r clips", "--model");
    assert!(!bench.path("out").exists());
    let dry = bench.call("caption -i clips --model nowhere --dry-run -o out").ended(0);
    assert_eq!((dry.step("clips")["kept"].clone(), bench.path("out").exists()), (json!(1), false));
}
