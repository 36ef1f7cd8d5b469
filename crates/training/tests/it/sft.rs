//! `sft`: a tiny model learns from synthetic sounds.

use audsem_core::testing::{Bench, Called};
use audsem_models::multimodal::random::RandomModel;
use serde_json::{Value, json};

use crate::{skeleton, sounds};

/// A folder with the skeleton of a model, and shards to learn from and to validate on.
pub(crate) fn bench() -> Bench {
    let bench = Bench::new(env!("CARGO_BIN_EXE_audsem-training"));
    skeleton::write(&bench.path("skeleton"), skeleton::Kind::Qwen2Audio);
    bench.write("train/0000.tar", sounds::shard(16, 1_000_000));
    bench.write("valid/0000.tar", sounds::shard(8, 2_000_000));
    bench
}

/// A training of all weights from random ones.
pub(crate) const SCRATCH: &str = "sft --model skeleton --data train --from-scratch --train full --target answer \
                                  --batch-size 4 --lr 3e-3 --log-steps 1 --device cpu";

/// A training of adapters.
pub(crate) const LORA: &str =
    "sft --model model --data train --target answer --batch-size 4 --log-steps 1 --device cpu --lr 1e-2";

/// Adds a folder `model` with random weights to a bench.
pub(crate) fn with_model(bench: Bench) -> Bench {
    let skeleton = bench.path("skeleton");
    let random = RandomModel { model: skeleton.to_str().unwrap(), processor: None, seed: 3 };
    random.write(&bench.path("model")).unwrap();
    bench
}

fn metrics(bench: &Bench, run: &str) -> Vec<Value> {
    bench.text(&format!("{run}/metrics.jsonl")).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn numbers(bench: &Bench, run: &str, name: &str) -> Vec<f64> {
    metrics(bench, run).iter().filter_map(|line| line[name].as_f64()).collect()
}

fn result(called: &Called, name: &str) -> Value {
    called.summary()["results"][name].clone()
}

#[test]
fn a_training_learns_tells_that_it_hears_and_leaves_its_files() {
    let bench = bench();
    let command = format!("{SCRATCH} --valid valid --epochs 6 -o out");
    let called = bench.call(&format!("{command} -v")).ended(0);
    called.says("the model hears: mean log-probability of");
    let losses = numbers(&bench, "out", "loss");
    assert_eq!(losses.len(), 24);
    assert!(losses[20..].iter().sum::<f64>() < 0.5 * losses[..4].iter().sum::<f64>(), "{losses:?}");
    let lines = metrics(&bench, "out");
    assert_eq!(numbers(&bench, "out", "valid_loss").len(), 6, "one for each epoch");
    assert_eq!((lines[0]["step"].clone(), lines[1]["learning_rate"].clone()), (json!(0), json!(3e-3)));
    let heard = |name: &str| result(&called, name).as_f64().unwrap();
    assert!(heard("log_prob_with_sound") != heard("log_prob_with_silence"));
    for name in ["final/trained.safetensors", "final/training.json", "report.html", "events.out.tfevents.0.audsem"] {
        assert!(bench.path("out").join(name).is_file(), "{name}");
    }
    assert!(!bench.path("out/live").exists());
    assert_eq!(called.step("train")["kept"], 16);
    // Run again, it is done.
    let before = bench.text("out/metrics.jsonl");
    assert_eq!(result(&bench.call(&command).ended(0), "updates"), 24);
    assert_eq!(bench.text("out/metrics.jsonl"), before);
}

#[test]
fn without_a_terminal_a_training_tells_its_epoch_and_its_loss_in_plain_lines() {
    let bench = bench();
    let mut command = bench.command(&format!("{SCRATCH} --epochs 4 --progress-every 0.02 -o out"));
    let output = command.stdin(std::process::Stdio::null()).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
    let lines: Vec<&str> = told.lines().filter_map(|line| line.strip_prefix("sft (train): update ")).collect();
    assert!(!lines.is_empty(), "{told}");
    let losses = numbers(&bench, "out", "loss");
    for line in lines {
        let (update, rest) = line.split_once(" (epoch ").unwrap_or_else(|| panic!("no epoch in: {line}"));
        let (epoch, rest) = rest.split_once("): loss ").unwrap_or_else(|| panic!("no loss in: {line}"));
        let update: usize = update.parse().unwrap();
        let (loss, rest) = rest.split_once(", ").unwrap();
        assert_eq!((epoch, loss), (&*format!("{:.2}", update as f64 / 4.0), &*format!("{:.4}", losses[update - 1])));
        assert!(rest.contains("tokens/s") && rest.ends_with(" s left"), "{line}");
    }
}

/// Each of four kinds is heard once, and only the sound tells them apart: a network that learns at all learns these by heart.
#[test]
fn four_sounds_are_learned_by_heart() {
    let bench = bench();
    bench.write("four/0000.tar", sounds::shard(4, 3_000_000));
    let call = SCRATCH.replace("--data train", "--data four");
    bench.call(&format!("{call} --max-steps 60 -o out")).ended(0);
    let losses = numbers(&bench, "out", "loss");
    assert!(losses.last().is_some_and(|loss| *loss < 0.05), "{losses:?}");
}

/// How much is computed twice decides time and memory alone, so a training that was stopped may continue with another number.
#[test]
fn layers_that_keep_their_graphs_change_nothing_that_is_learned() {
    let bench = with_model(bench());
    let weights = |run: &str| std::fs::read(bench.path(run).join("final/adapter_model.safetensors")).unwrap();
    for (flags, run) in [("", "one"), ("--keep-layers 0", "none"), ("--keep-layers 9", "all")] {
        bench.call(&format!("{LORA} --max-steps 3 {flags} -o {run}")).ended(0);
        assert_eq!(bench.text(&format!("{run}/metrics.jsonl")), bench.text("one/metrics.jsonl"), "{run}");
        assert_eq!(weights(run), weights("one"), "{run}");
    }
    bench.call(&format!("{LORA} --max-steps 3 --keep-layers 9 -o one")).ended(0);
}

/// Sums over devices are made in their order, so that two are one that sees twice as much before each update.
#[test]
fn copies_on_other_devices_share_out_the_batches() {
    let bench = with_model(bench());
    let weights = |run: &str| std::fs::read(bench.path(run).join("final/adapter_model.safetensors")).unwrap();
    let call =
        format!("{LORA} --batch-size 2 --valid valid --max-steps 3 --save-steps 1").replacen("--batch-size 4 ", "", 1);
    bench.call(&format!("{call} --accumulation 2 -o alone")).ended(0);
    bench.call(&format!("{call} --copies-on cpu -o shared")).ended(0);
    assert_eq!(weights("shared"), weights("alone"));
    let curves = |run: &str| metrics(&bench, run).into_iter().filter(|line| line["step"] != 0).collect::<Vec<_>>();
    assert_eq!(curves("shared"), curves("alone"));
    // Without CUDA the copy fails, and the training does not wait for it.
    bench.call(&format!("{call} --copies-on cuda:7 -o none")).ended(2).says("cuda");
}

#[test]
fn tags_of_answers_are_tokens_of_a_model_from_scratch() {
    let bench = bench();
    skeleton::write(&bench.path("omni"), skeleton::Kind::OmniThinker);
    let scratch = SCRATCH.replace("--target answer", "--target think");
    for model in ["skeleton", "omni"] {
        let call = scratch.replace("--model skeleton", &format!("--model {model}"));
        bench.call(&format!("{call} --max-steps 4 -o {model}-out")).ended(0);
        let losses = numbers(&bench, &format!("{model}-out"), "loss");
        assert!(losses.last() < losses.first(), "{losses:?}");
        let tokenizer = bench.json(&format!("{model}-out/begin/tokenizer.json"));
        let added = tokenizer["added_tokens"].as_array().unwrap();
        let special = |text: &str| added.iter().any(|token| token["content"] == text && token["special"] == true);
        for tag in audsem_core::answers::TAGS {
            assert!(special(tag.open) && special(tag.close), "{tag:?}");
        }
    }
    // The thinker may be called as a part of the full model.
    bench.call("export -i omni-out --layout prefixed -o full").ended(0);
    let config = bench.json("full/model/config.json");
    assert_eq!((&config["model_type"], config["thinker_config"].is_object()), (&json!("qwen2_5_omni"), true));
    bench.call("sft --model full/model --data train --target think --max-steps 1 --device cpu -o more").ended(0);
    bench.call("export -i more -o merged").ended(0);
    let tensors = |run: &str| std::fs::metadata(bench.path(run).join("model/model.safetensors")).unwrap().len();
    assert_eq!(tensors("merged"), tensors("full"));
}

#[test]
fn adapters_the_projector_or_both_are_trained() {
    let bench = with_model(bench());
    let trained = |flags: &str, output: &str| -> Vec<String> {
        bench.call(&format!("{LORA} --max-steps 4 {flags} -o {output}")).ended(0);
        let losses = numbers(&bench, output, "loss");
        assert!(losses.last() < losses.first(), "{flags}: {losses:?}");
        let files = std::fs::read_dir(bench.path(output).join("final")).unwrap();
        let mut names: Vec<String> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let adapter = ["adapter_config.json", "adapter_model.safetensors", "training.json"];
    assert_eq!(trained("", "lora"), adapter);
    assert_eq!(trained("--lora-scope language", "language"), adapter);
    assert_eq!(trained("--lora-targets all-linear --rslora --lora-r 4", "all"), adapter);
    assert_eq!(trained("--lora-target-regex .*language_model.*gate_proj", "regex"), adapter);
    assert_eq!(trained("--train projector", "projector"), ["trained.safetensors", "training.json"]);
    assert_eq!(trained("--train lora-projector", "both").len(), 4);
    let layers = |run: &str| {
        let bytes = std::fs::read(bench.path(run).join("final/adapter_model.safetensors")).unwrap();
        let tensors = candle_core::safetensors::load_buffer(&bytes, &candle_core::Device::Cpu).unwrap();
        let mut names: Vec<String> = tensors.into_keys().collect();
        names.sort();
        names
    };
    // Two layers of each part, q and v, two projections each.
    assert_eq!((layers("lora").len(), layers("language").len(), layers("regex").len()), (16, 8, 4));
    assert!(layers("language").iter().all(|name| name.contains("language_model")));
    // The adapter is trained on where it was left.
    bench.call(&format!("{LORA} --adapter lora/final --max-steps 2 -o more")).ended(0);
    let (first, more) = (numbers(&bench, "lora", "loss"), numbers(&bench, "more", "loss"));
    assert!(more[0] < first[0], "{first:?} {more:?}");
}

#[test]
fn weights_curriculum_limits_and_splits_decide_the_order_of_examples() {
    let bench = with_model(bench());
    let examples = |flags: &str, output: &str| {
        let called = bench.call(&format!("{LORA} {flags} -o {output}")).ended(0);
        (result(&called, "examples"), result(&called, "updates"), called.step("train")["kept"].clone())
    };
    let dry = bench.call(&format!("{LORA} --dry-run -o dry")).ended(0);
    assert_eq!((dry.step("train")["kept"].clone(), bench.path("dry").exists()), (json!(16), false));
    assert_eq!(examples("--data valid=2", "two"), (json!(24), json!(8), json!(24)));
    assert_eq!(examples("--limit 6", "few"), (json!(6), json!(2), json!(6)));
    let (left, _, _) = examples("--valid-share 0.3 --seed 4", "split");
    assert!((6..16).contains(&left.as_u64().unwrap()), "{left}");
    assert!(!numbers(&bench, "split", "valid_loss").is_empty());
    examples("--curriculum -text_bytes --batch-tokens 300 --bucket 8", "sorted");
    bench.call(&format!("{LORA} --curriculum gone -o gone")).ended(0).says("16 of 16 examples have no number `gone`");
}

#[test]
fn what_contradicts_itself_is_refused_before_anything_is_read() {
    let bench = with_model(bench());
    let refused = |command: &str, says: &str| bench.call(command).ended(2).says(says);
    bench.write("both/0000.tar", sounds::shard(4, 1_000_000));
    refused(&format!("{LORA} --valid both -o a"), "4 clips are in both");
    refused(
        &format!("{} -o b", SCRATCH.replace("--train full", "--train lora")),
        "adapters would freeze random weights",
    );
    refused(&format!("{LORA} --train full --dtype bf16 -o c"), "have to be f32");
    refused(&format!("{LORA} --train projector --adapter x -o d"), "--adapter");
    refused(&format!("{LORA} --lora-targets nothing -o e"), "nothing");
    refused("sft --model gone --data train -o f", "gone");
    refused(&format!("{LORA} --max-tokens 20 -o g"), "16 of 16 examples cannot be learned from");
    refused(&format!("{LORA} --max-tokens 20 -o g"), "hint: --max-tokens changes that");
}

#[test]
fn the_best_of_a_training_is_its_result_and_patience_ends_it() {
    let bench = with_model(bench());
    // So fast that the validation soon gets worse.
    let call = format!("{LORA} --train full --valid valid --epochs 20 --eval-steps 1 --patience 3 -o out");
    let called = bench.call(&call.replace("--lr 1e-2", "--lr 0.3")).ended(0);
    let losses = numbers(&bench, "out", "valid_loss");
    assert!(losses.len() < 80, "{losses:?}");
    let best = losses.iter().copied().fold(f64::INFINITY, f64::min);
    let step = losses.iter().position(|loss| *loss == best).unwrap() + 1;
    assert_eq!(result(&called, "used_step"), step);
    assert_eq!(losses.len(), step + 3);
}

#[test]
fn inspect_shows_what_is_learned_and_counts_what_is_trained() {
    let bench = with_model(bench());
    let inspect =
        |flags: &str| bench.call(&format!("inspect --model model --data train --batch-size 2 {flags}")).ended(0);
    let shown = inspect("--target think").summary();
    let parts = shown["batch"][0]["parts"].as_array().unwrap();
    let learned: Vec<&str> =
        parts.iter().filter(|part| part["learned"] == true).filter_map(|part| part["text"].as_str()).collect();
    assert_eq!(learned.len(), 1);
    assert!(learned[0].starts_with("<think>It is ") && learned[0].ends_with("</answer><|im_end|>\n"), "{learned:?}");
    let prompt = parts[0]["text"].as_str().unwrap();
    assert!(prompt.contains("<|audio_bos|>(20 audio tokens)<|audio_eos|>") && prompt.contains("Choices:"), "{prompt}");
    let answer = inspect("--target answer --train-on-trailing-newline false").summary();
    let last = answer["batch"][0]["parts"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(last, json!({ "text": "\n", "learned": false }));
    assert!(answer["batch"][0]["learned"].as_u64() < shown["batch"][0]["learned"].as_u64());
    // What is counted is what a training has.
    for flags in
        ["", "--lora-targets all-linear --lora-r 4", "--train projector", "--train lora-projector", "--train full"]
    {
        let counted = inspect(&format!("--target answer {flags}")).summary();
        let output = format!("out{}", flags.len());
        bench.call(&format!("{LORA} {flags} --max-steps 1 -o {output}")).ended(0);
        let bytes =
            std::fs::read(bench.path(&format!("{output}/checkpoints/step-00000001/trained.safetensors"))).unwrap();
        let tensors = candle_core::safetensors::load_buffer(&bytes, &candle_core::Device::Cpu).unwrap();
        let trained: usize = tensors.values().map(candle_core::Tensor::elem_count).sum();
        assert_eq!(counted["parameters"]["trained"], trained, "{flags}");
        let adapters = tensors.keys().filter(|name| name.contains("lora_A")).count();
        assert_eq!(counted["parameters"]["adapted_layers"], adapters, "{flags}");
        assert_eq!(counted["memory"]["trained"], 16 * trained, "weights, gradients, both moments");
    }
    let text = bench
        .command("inspect --model model --data train=2 --batch-size 2 --target answer --valid-share 0.3")
        .output()
        .unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("model: model (Qwen2-Audio)") && text.contains("memory, estimated: "), "{text}");
    assert!(text.contains("<|im_start|>assistant\n[[") && text.contains("<|im_end|>\n]]"), "{text}");
}
