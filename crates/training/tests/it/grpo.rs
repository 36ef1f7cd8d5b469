//! `grpo`: a tiny model learns from rewards of what it writes about synthetic sounds.

use std::fs;
use std::path::Path;

use audsem_core::testing::loopback::{Loopback, Reply};
use audsem_core::testing::{Bench, Called, kill_and_resume, kills};
use audsem_models::multimodal::audio_language::AudioCheckpoint;
use serde_json::{Value, json};

use crate::{sft, skeleton, sounds};

/// A model with random weights, shards to learn from and to evaluate on, and rewards that such a model can earn.
pub(crate) fn bench() -> Bench {
    let bench = sft::with_model(sft::bench());
    bench.write("r.toml", "[rouge-l]\n");
    bench
}

/// A training of all weights.
pub(crate) const FULL: &str = "grpo --model model --data train --target answer --rewards r.toml --train full --lr 1e-3 \
                               --prompts 4 --num-generations 6 --max-completion-tokens 8 --device cpu";

/// A training of adapters.
pub(crate) const LORA: &str = "grpo --model model --data train --target answer --rewards r.toml --lr 1e-2 --prompts 4 \
                               --num-generations 4 --max-completion-tokens 8 --device cpu";

fn lines(bench: &Bench, file: &str) -> Vec<Value> {
    bench.text(file).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn numbers(bench: &Bench, run: &str, name: &str) -> Vec<f64> {
    lines(bench, &format!("{run}/metrics.jsonl")).iter().filter_map(|line| line[name].as_f64()).collect()
}

/// A command with some of its flags changed and others added.
fn with(command: &str, flags: &str) -> String {
    let words: Vec<&str> = command.split_whitespace().collect();
    let is_changed = |word: &str| word.starts_with("--") && flags.split_whitespace().any(|flag| flag == word);
    let kept = |n: usize| !(is_changed(words[n]) || n > 0 && is_changed(words[n - 1]));
    let kept: Vec<&str> = (0..words.len()).filter(|n| kept(*n)).map(|n| words[n]).collect();
    format!("{} {flags}", kept.join(" "))
}

fn result(called: &Called, name: &str) -> Value {
    called.summary()["results"][name].clone()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn rewards_rise_and_the_folder_has_all_that_was_written() {
    let bench = bench();
    let command = with(FULL, "--valid valid --epochs 3 --lr 3e-3 -o out");
    let called = bench.call(&format!("{command} -v")).ended(0);
    called.says("the model hears: mean log-probability of");
    let rewards = numbers(&bench, "out", "reward");
    assert_eq!(rewards.len(), 12, "four prompts of sixteen in each of three epochs");
    assert!(mean(&rewards[8..]) > mean(&rewards[..4]) + 0.03, "{rewards:?}");
    assert_eq!(numbers(&bench, "out", "eval/reward").len(), 4, "at the start and behind each epoch");
    assert!(result(&called, "eval_reward_at_start").is_f64() && result(&called, "eval_reward").is_f64());
    for name in ["final/trained.safetensors", "final/training.json", "report.html", "events.out.tfevents.0.audsem"] {
        assert!(bench.path("out").join(name).is_file(), "{name}");
    }
    assert!(!bench.path("out/live").exists());
    let completions = lines(&bench, "out/completions.jsonl");
    assert_eq!(completions.len(), 12 * 24);
    for (n, one) in completions.iter().enumerate() {
        assert_eq!(
            (one["step"].as_u64().unwrap() as usize, one["number"].as_u64().unwrap()),
            (n / 24 + 1, n as u64 % 6)
        );
        assert!(one["completion"].is_string() && one["rewards"]["rouge-l"].is_f64(), "{one}");
    }
    // Advantages of a group are differences, whose sum is 0.
    let group: f64 = completions[..6].iter().map(|one| one["advantage"].as_f64().unwrap()).sum();
    assert!(group.abs() < 1e-9, "{group}");
    bench.call("rewards -c out/completions.jsonl --target answer --rewards r.toml").ended(0);
    // Run again, it is done; and `export` makes a model of it.
    let before = bench.text("out/metrics.jsonl");
    assert_eq!(result(&bench.call(&command).ended(0), "steps"), 12);
    assert_eq!(bench.text("out/metrics.jsonl"), before);
    bench.call("export -i out -o exported").ended(0);
    assert!(bench.path("exported/model/model.safetensors").is_file());
}

#[test]
fn a_killed_training_continues_to_the_same_bytes() {
    let bench = bench();
    let program = |output: &Path, workers: usize| {
        let flags = "--valid valid --iterations 2 --beta 0.04 --max-steps 3 --save-steps 1 --no-progress";
        bench.command(&format!("{LORA} {flags} --workers {workers} -o {}", output.display()))
    };
    kill_and_resume(&bench.path("kills"), kills(3), program).unwrap();
}

#[test]
fn a_checkpoint_too_many_is_removed_by_the_next_run() {
    let bench = bench();
    let command = format!("{LORA} --max-steps 1 --keep-last 1 -o out");
    bench.call(&command).ended(0);
    // As a process leaves it that ends between its last save and the removal of old checkpoints.
    let [kept, left] = [1, 0].map(|step| bench.path(&format!("out/checkpoints/step-{step:08}")));
    fs::create_dir(&left).unwrap();
    fs::copy(kept.join("trainer_state.json"), left.join("trainer_state.json")).unwrap();
    fs::remove_file(bench.path("out/train-00000.done.json")).unwrap();
    fs::create_dir(bench.path("out/live")).unwrap();
    fs::rename(bench.path("out/completions.jsonl"), bench.path("out/live/completions.jsonl")).unwrap();
    bench.call(&command).ended(0);
    assert!(!left.exists() && kept.is_dir());
}

/// Only the sounds differ.
#[test]
fn other_sounds_lead_to_other_completions() {
    let bench = bench();
    bench.write("other/0000.tar", sounds::shard_of(16, 1_000_000, 1));
    let texts = |data: &str, output: &str| {
        let command = LORA.replace("--data train", &format!("--data {data}"));
        bench.call(&format!("{command} --max-steps 1 -o {output}")).ended(0);
        let all = lines(&bench, &format!("{output}/completions.jsonl"));
        all.into_iter().map(|one| (one["key"].clone(), one["completion"].clone())).collect::<Vec<_>>()
    };
    let (first, second) = (texts("train", "first"), texts("other", "second"));
    assert!(first.iter().zip(&second).all(|(a, b)| a.0 == b.0), "the same questions, keys and seeds");
    assert_ne!(first, second);
}

#[test]
fn an_adapter_is_continued_or_merged_and_is_the_reference_in_either_case() {
    let bench = bench();
    bench.call(&format!("{} --max-steps 4 -o sft", sft::LORA)).ended(0);
    let train = |flags: &str, output: &str| {
        let called =
            bench.call(&format!("{LORA} --adapter sft/final --beta 0.1 --max-steps 3 {flags} -o {output}")).ended(0);
        let metrics = |name: &str| numbers(&bench, output, name);
        // Nothing is between the policy and its start before the first update, and something after it.
        assert_eq!(metrics("kl")[0], 0.0);
        assert!(metrics("kl")[2] > 0.0);
        result(&called, "eval_reward")
    };
    train("", "continued");
    train("--adapter-use merge", "merged");
    let completions = |run: &str| lines(&bench, &format!("{run}/completions.jsonl"));
    let first = |run: &str| completions(run)[..16].iter().map(|one| one["completion"].clone()).collect::<Vec<_>>();
    assert_eq!(first("continued"), first("merged"), "both begin with what the adapter has learned");
    assert!(bench.path("merged/begin/model/config.json").is_file());
    let adapter = |run: &str| std::fs::read(bench.path(run).join("final/adapter_model.safetensors")).unwrap();
    assert!(adapter("continued") != adapter("sft"));
    for run in ["continued", "merged"] {
        bench.call(&format!("export -i {run} -o {run}-exported")).ended(0);
    }
}

#[test]
fn losses_and_what_is_left_out_can_be_chosen() {
    let bench = bench();
    let train = |flags: &str, output: &str| {
        let called = bench.call(&with(LORA, &format!("{flags} --max-steps 2 -o {output}"))).ended(0);
        (std::fs::read(bench.path(output).join("final/adapter_model.safetensors")).unwrap(), called)
    };
    let (usual, _) = train("", "usual");
    for (n, flags) in [
        "--loss gspo --iterations 2",
        "--loss dapo --iterations 2 --epsilon 0.001 --epsilon-high 0.002",
        "--loss bnpo --batch-rows 3",
        "--loss dr-grpo --scale-rewards none",
        "--scale-rewards batch --kl k1 --beta 0.5 --correct-kl",
        "--mask-truncated --skip-flat-groups",
        "--temperature 1.5 --top-k 0 --top-p 0.9 --min-p 0.01 --repetition-penalty 1.1",
    ]
    .iter()
    .enumerate()
    {
        assert!(train(flags, &format!("out-{n}")).0 != usual, "{flags}");
    }
    let clipped = numbers(&bench, "out-1", "clip_ratio/region_mean");
    assert!(clipped.iter().any(|share| *share > 0.0), "{clipped:?}");
    // A reward that all completions earn alike teaches nothing, and no weight moves.
    bench.write("flat.toml", "[accuracy]\n");
    let (_, called) = train("--rewards flat.toml --max-completion-tokens 1 --beta 0", "flat");
    assert_eq!((result(&called, "updates"), result(&called, "idle_steps")), (json!(0), json!(2)));
}

#[test]
fn what_contradicts_itself_is_refused() {
    let bench = bench();
    let refused = |flags: &str, says: &str| bench.call(&with(LORA, &format!("{flags} -o x"))).ended(2).says(says);
    refused("--num-generations 1", "at least 2");
    refused("--adapter-use merge", "--adapter");
    refused("--max-completion-tokens 100000", "no room for prompts");
    refused("--delta 1.1", "--delta");
    refused("--rollout-concurrency 3", "--rollout-server");
    refused("--rollout-server http://127.0.0.1:1/v1 --train full", "--lora-scope language");
    bench.write("tags.toml", "[format]\n");
    refused("--rewards tags.toml", "about tags");
}

/// A server that answers every prompt with the tokens of two answers, and says that it has read `prompt_tokens`.
fn serve(bench: &Bench, prompt_tokens: usize) -> Loopback {
    let mut checkpoint = AudioCheckpoint::open(bench.path("model").to_str().unwrap(), None).unwrap();
    let processor = checkpoint.processor().unwrap();
    let tokens = |text: &str| processor.tokenizer().encode(text, false).unwrap().get_ids().to_vec();
    let answers = [tokens("A. a tone<|im_end|>"), tokens("B. a sweep<|im_end|>")];
    Loopback::start(move |call, _| {
        if call.path != "/v1/chat/completions" {
            return Reply::Send(200, "", b"Success".to_vec());
        }
        let choice = |index: usize| {
            let tokens = &answers[index % 2];
            let log_probs: Vec<Value> = tokens.iter().map(|_| json!({ "token": "x", "logprob": -5.0 })).collect();
            json!({
                "index": index, "token_ids": tokens, "finish_reason": "stop", "logprobs": { "content": log_probs },
                "message": { "content": "x" },
            })
        };
        let choices: Vec<Value> = (0..4).map(choice).collect();
        let body = json!({ "usage": { "prompt_tokens": prompt_tokens }, "choices": choices });
        Reply::Send(200, "", body.to_string().into_bytes())
    })
}

#[test]
fn a_server_that_hears_less_is_refused_and_one_that_hears_as_much_is_trained_with() {
    let bench = bench();
    let command = |server: &Loopback, output: &str| {
        let flags = "--lora-scope language --max-steps 2 --mismatch-level token --mismatch-limit truncate";
        format!("{LORA} {flags} --rollout-server {} -o {output}", server.url("/v1"))
    };
    let deaf = serve(&bench, 7);
    let called = bench.call(&command(&deaf, "refused")).ended(2);
    called.says("has 7 tokens and the trainer's has ");
    let told = called.stderr.split("the trainer's has ").nth(1).unwrap();
    let tokens: usize = told.split_whitespace().next().unwrap().parse().unwrap();
    let server = serve(&bench, tokens);
    bench.call(&command(&server, "out")).ended(0);
    let calls = server.calls();
    let names = |path: &str| -> Vec<Value> {
        let of_path = calls.iter().filter(|call| call.path == path);
        of_path.map(|call| serde_json::from_str::<Value>(&call.body).unwrap()["lora_name"].clone()).collect()
    };
    let steps = [json!("audsem-step-0"), json!("audsem-step-1")];
    assert_eq!(names("/v1/load_lora_adapter"), steps);
    assert_eq!(names("/v1/unload_lora_adapter"), steps, "nothing stays there");
    assert!(!bench.path("out/serving/audsem-step-1").exists());
    assert_eq!(calls.iter().filter(|call| call.path == "/v1/chat/completions").count(), 8);
    let completions = lines(&bench, "out/completions.jsonl");
    assert_eq!((completions.len(), &completions[1]["completion"]), (32, &json!("B. a sweep")));
    for name in ["sampling/importance_sampling_ratio/mean", "sampling/sampling_logp_difference/max"] {
        assert!(numbers(&bench, "out", name).iter().all(|value| *value > 0.0), "{name}");
    }
}

/// A model that was fine-tuned for too short a time answers questions about sounds that it has not heard better when it has
/// learned from rewards. Takes minutes: `just learning` sets AUDSEM_TEST_LEARNING.
#[test]
fn rewards_raise_the_accuracy_on_held_out_sounds_by_ten_points() {
    if std::env::var_os("AUDSEM_TEST_LEARNING").is_none() {
        eprintln!("AUDSEM_TEST_LEARNING is not set: `just learning` sets it");
        return;
    }
    let bench = Bench::new(env!("CARGO_BIN_EXE_audsem-training"));
    skeleton::write(&bench.path("skeleton"), skeleton::Kind::OmniThinker);
    bench.write("train/0000.tar", sounds::shard(400, 1_000_000));
    bench.write("valid/0000.tar", sounds::shard(100, 2_000_000));
    bench.write("r.toml", "[accuracy]\n");
    let begin =
        "sft --model skeleton --data train --from-scratch --train full --target answer --batch-size 8 --device cpu";
    bench.call(&format!("{begin} --lr 2e-3 --max-steps {WEAK_STEPS} -o sft")).ended(0);
    bench.call("export -i sft -o weak").ended(0);
    let learn =
        "grpo --model weak/model --data train --valid valid --target answer --rewards r.toml --train full --device cpu";
    let called = bench.call(&format!("{learn} {LEARNING} -o grpo")).ended(0);
    let [before, after] =
        ["eval_accuracy_at_start", "eval_accuracy"].map(|name| result(&called, name).as_f64().unwrap());
    eprintln!("held-out accuracy {before:.2} before and {after:.2} after");
    assert!(after >= before + 0.1, "{before} {after}");
}

/// Updates of a fine-tuning that ends too early.
const WEAK_STEPS: usize = 40;

/// Settings of learning from rewards.
const LEARNING: &str =
    "--lr 1e-3 --prompts 8 --num-generations 8 --max-completion-tokens 8 --beta 0 --max-steps 60 --eval-steps 20";
