//! `export-dataset` and `export-config`: rows that other libraries read, rewards that agree with ours.

use std::path::Path;
use std::process::Command;

use audsem_core::testing::{Bench, python, tree};
use audsem_training::data::TargetStyle;
use audsem_training::rewards::{AnswerForm, RewardConfig, RewardItem, RewardSet};
use serde_json::{Value, json};

use crate::shards::{json_of, shard, tone};

pub(crate) fn bench() -> Bench {
    let bench = Bench::new(env!("CARGO_BIN_EXE_audsem-training"));
    let (first, second) = (tone(300.0, 8000, 16_000), tone(500.0, 11_025, 22_050));
    let pair =
        |question: &str, answer: &str| json!({ "question": question, "thinking": "It barks.", "answer": answer });
    let pairs = json!({ "qa_pairs": [
        pair("What barks?\nChoices:\nA. A dog\nB. A door", "A. A dog"),
        pair("What is \"it\"?", "A dog's bark, über 30 Hz 🐕."),
        pair("What?\nChoices:\nA. A dog\nB. A door", "C. A cat"),
    ] });
    let pairs = pairs.to_string();
    bench.write("in/0000.tar", shard(&[("V (1_0-3_5)", &[("flac", &first), ("json", pairs.as_bytes())])]));
    bench.write(
        "in/0001.tar",
        shard(&[("W (0_0-0_5)_qa_0", &[("flac", &second), ("json", &json_of("Which?", "t", "A tone."))])]),
    );
    bench.call("index -i in -o index").ended(0);
    bench
}

/// What a script prints as JSON.
fn ask_python(script: &str, arguments: &[&Path], cache: &Path) -> Value {
    let output = Command::new(python())
        .args(["-c", script])
        .args(arguments)
        .envs([("HF_HUB_OFFLINE", "1"), ("HF_DATASETS_OFFLINE", "1"), ("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")])
        .env("HF_HOME", cache)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

const LOAD: &str = r#"
import json, sys, datasets, soundfile
kind, folder = sys.argv[1:]
suffix = {"json": "jsonl", "parquet": "parquet"}[kind]
rows = datasets.load_dataset(kind, data_files=f"{folder}/part-*.{suffix}", split="train").to_list()
for row in rows:
    row["seconds"] = [soundfile.info(path).duration for path in row["audios"]]
print(json.dumps(rows))
"#;

fn load(kind: &str, bench: &Bench) -> Vec<Value> {
    let rows = ask_python(LOAD, &[Path::new(kind), &bench.path("out")], &bench.path("cache"));
    rows.as_array().unwrap().clone()
}

#[test]
fn prompts_for_ms_swift_are_read_by_the_library_under_it() {
    let bench = bench();
    let called = bench.call(
        "export-dataset --engine ms-swift --data index -o out --instruction think:25 --system S --max-fail-rate 0.5",
    );
    let called = called.ended(0);
    assert_eq!(called.step("part")["failed"], json!({ "answer_not_among_choices": 1 }));
    let rows = load("json", &bench);
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0]["messages"][0], json!({ "role": "system", "content": "S" }));
    let asked = rows[0]["messages"][1]["content"].as_str().unwrap();
    assert!(asked.starts_with("<audio>You hear") && asked.contains("about 25 words"), "{asked}");
    assert_eq!(rows[0]["messages"].as_array().unwrap().len(), 2, "the answer is for rewards alone");
    assert_eq!((&rows[0]["solution"], &rows[0]["choices"]), (&json!("A. A dog"), &json!(["A. A dog", "B. A door"])));
    assert_eq!((&rows[1]["solution"], &rows[1]["choices"]), (&json!("A dog's bark, über 30 Hz 🐕."), &json!([])));
    assert_eq!(rows[2]["seconds"], json!([0.5]));
    assert_eq!(rows[0]["audios"], rows[1]["audios"], "a clip lies there once");
}

#[test]
fn examples_for_fine_tuning_hold_what_is_learned() {
    let bench = bench();
    bench.call("export-dataset --engine ms-swift --kind sft --data index -o out --instruction none").ended(0);
    let rows = load("json", &bench);
    // What rewards cannot judge can be learned all the same.
    assert_eq!(rows.len(), 4);
    assert_eq!(rows[3]["messages"][0]["content"], "<audio>Which?");
    assert_eq!(
        rows[3]["messages"][1],
        json!({ "role": "assistant", "content": "<think>t</think>\n<answer>A tone.</answer>" })
    );
}

#[test]
fn prompts_for_verl_are_tables() {
    let bench = bench();
    bench.call("export-dataset --engine verl-omni --data index -o out --max-fail-rate 0.5").ended(0);
    let rows = load("parquet", &bench);
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0]["reward_model"], json!({ "style": "rule", "ground_truth": "A. A dog" }));
    assert_eq!(rows[0]["extra_info"]["choices"], json!(["A. A dog", "B. A door"]));
    assert!(rows[0]["prompt"][0]["content"].as_str().unwrap().starts_with("<audio>"));
    assert_eq!((&rows[0]["ability"], &rows[2]["ability"]), (&json!("audio_mcq"), &json!("audio_qa")));
    bench
        .call("export-dataset --engine verl-omni --kind sft --data index -o sft")
        .ended(2)
        .says("reinforcement learning");
}

#[test]
fn bytes_depend_on_no_number_of_workers() {
    let bench = bench();
    for (output, workers) in [("one", 1), ("two", 2)] {
        let call = format!(
            "export-dataset --engine ms-swift --data index -o {output} --audio-root /data --max-fail-rate 0.5 --workers {workers}"
        );
        bench.call(&call).ended(0);
    }
    assert_eq!(tree(&bench.path("one")).unwrap(), tree(&bench.path("two")).unwrap());
    assert!(bench.text("one/part-00000.jsonl").contains("\"/data/00000/"));
}

/// Completions of every kind that rewards tell apart.
fn completions() -> Vec<String> {
    let long = "word ".repeat(93);
    let mut all: Vec<String> = [
        "<think>a b</think>\n<answer>B. dog barking</answer>",
        "<think>a b</think>\n<answer>B. cat</answer>",
        "<think>a</think><answer>C. dog barking</answer>",
        "B. dog barking",
        "<think>a</think>\n<answer>B. dog\nbarking</answer>",
        "<think>a</think>\n<answer>B. dog barking</answer>\n",
        "x<think>a</think><answer>B. dog barking</answer>",
        "<think>a</think><semantic_elements>s</semantic_elements> <answer>(b)</answer> and more",
        "<answer>A</answer><think>a</think><answer>b: Dog  barking.</answer>",
        "<answer>A</answer><answer>B",
        "<answer>B",
        "<think>a<answer>3.0</answer>",
        "",
    ]
    .map(str::to_owned)
    .to_vec();
    all.push(format!("<think>{long}</think><answer>1,200</answer>"));
    all.push(format!("<think>{long}</think><semantic_elements>é</semantic_elements><answer>b)</answer>"));
    all
}

const ASK_REWARDS: &str = r#"
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("audsem_rewards", sys.argv[1] + "/audsem_rewards.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
items = json.load(open(sys.argv[2], encoding="utf-8"))
print(json.dumps([module.compute_score("audsem", i["completion"], i["answer"], {"choices": i["choices"]}) for i in items]))
"#;

#[test]
fn rewards_in_python_are_ours() {
    let toml = "[accuracy]\n[format]\nweight = 0.5\n[length]\n[tags]\nweight = 0.25\n";
    let choices = audsem_core::records::Choices::from_value(&json!(["cat", "dog barking", "car"])).unwrap();
    let listed: Vec<String> = choices.iter().map(|choice| choice.answer()).collect();
    for profile in ["think", "semantic:90"] {
        let bench = bench();
        bench.write("r.toml", toml);
        let call = format!(
            "export-config --engine ms-swift --model m --dataset in --rewards r.toml --instruction {profile} -o recipe"
        );
        bench.call(&call).ended(0);
        let completions = completions();
        let mut items: Vec<RewardItem<'_>> = Vec::new();
        for completion in &completions {
            let item = RewardItem { answer: "B. dog barking", completion, ..RewardItem::default() };
            items.push(RewardItem { choices: Some(&choices), ..item });
            items.extend(["dog barking", "3", "1200"].map(|answer| RewardItem { answer, ..item }));
        }
        let asked: Vec<Value> = items
            .iter()
            .map(|item| {
                let options = if item.choices.is_some() { json!(listed) } else { json!([]) };
                json!({ "completion": item.completion, "answer": item.answer, "choices": options })
            })
            .collect();
        bench.write("items.json", Value::from(asked).to_string());
        let theirs = ask_python(ASK_REWARDS, &[&bench.path("recipe"), &bench.path("items.json")], &bench.path("cache"));
        let config = RewardConfig::parse(toml).unwrap();
        let ours = RewardSet::new(&config, AnswerForm::new(TargetStyle::Think, profile.parse().unwrap()))
            .unwrap()
            .score(&items)
            .unwrap();
        for ((item, ours), theirs) in items.iter().zip(&ours).zip(theirs.as_array().unwrap()) {
            for (name, value) in ["accuracy", "format", "length", "tags"].iter().zip(&ours.values) {
                let (ours, theirs) = (value.unwrap(), theirs[name].as_f64().unwrap());
                assert!((ours - theirs).abs() < 1e-12, "{profile} {name} {item:?}: {ours} {theirs}");
            }
            assert!((ours.total.unwrap() - theirs["score"].as_f64().unwrap()).abs() < 1e-12, "{item:?}");
        }
    }
}

#[test]
fn recipes_are_scripts_that_a_shell_reads() {
    let bench = bench();
    bench.call("export-dataset --engine verl-omni --data index -o verl --max-fail-rate 0.5").ended(0);
    for (engine, rest) in [
        ("ms-swift", "--dataset in"),
        ("ms-swift", "--dataset in --kind sft"),
        ("ms-swift", "--dataset in --adapter sft/final --loss dapo"),
        ("verl-omni", "--dataset verl --valid verl"),
    ] {
        bench
            .call(&format!("export-config --engine {engine} --model Qwen/Qwen3-Omni-30B-A3B-Instruct {rest} -o recipe"))
            .ended(0);
        let checked = Command::new("bash").args(["-n"]).arg(bench.path("recipe/train.sh")).output().unwrap();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
        let text = bench.text("recipe/train.sh");
        assert!(text.contains("Qwen/Qwen3-Omni-30B-A3B-Instruct") && !text.contains("{{"), "{text}");
    }
    assert!(bench.text("recipe/train.sh").contains("verl/part-00000.parquet"));
    bench.call("export-config --engine verl-omni --model m --dataset verl -o x").ended(2).says("--valid");
}
