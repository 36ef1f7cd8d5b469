//! Every command under injected faults and random kills; see `docs/reliability.md`.

use audsem_core::testing::Bench;
use audsem_core::testing::chaos::{survive, survive_printing, survive_writing};

use crate::generate::golden;
use crate::{export, generate, grpo, hand_over, rewards, sft};

audsem_core::survival_tests! {
    audsem_training::cli::Cli:
    "index" => index;
    "compose" => compose;
    "sft" => fine_tune_all, fine_tune_adapters;
    "inspect" => first_batch;
    "export" => model_folder;
    "grpo" => learn_from_rewards, learn_behind_an_adapter;
    "generate" => answers;
    "rewards" => score_completions;
    "export-dataset" => prompts_in_lines, prompts_in_tables;
    "export-config" => recipe;
}

/// Runs a command through its rounds; `--output` and `--workers` are added.
fn check(bench: &Bench, name: &str, arguments: &str) {
    survive(name, &bench.path(""), |output, workers| {
        let mut command = bench.command(arguments);
        command.arg("--output").arg(output).args(["--workers", &workers.to_string()]);
        command
    });
}

fn index(command: &str) {
    check(&hand_over::bench(), "manifest", &format!("{command} -i in"));
}

fn prompts_in_lines(command: &str) {
    check(
        &hand_over::bench(),
        "export-lines",
        &format!("{command} --engine ms-swift --data index --audio-root /data --max-fail-rate 0.5"),
    );
}

fn prompts_in_tables(command: &str) {
    check(
        &hand_over::bench(),
        "export-tables",
        &format!("{command} --engine verl-omni --data index --audio-root /data --max-fail-rate 0.5"),
    );
}

fn recipe(command: &str) {
    let bench = hand_over::bench();
    bench.call("export-dataset --engine ms-swift --data index -o rows --max-fail-rate 0.5").ended(0);
    survive_writing("export-config", &bench.path(""), |output| {
        let flags = "--engine ms-swift --model Qwen/Qwen2.5-Omni-7B --dataset rows --output";
        let mut command = bench.command(&format!("{command} {flags}"));
        command.arg(output.join("recipe"));
        command
    });
}

fn compose(command: &str) {
    let bench = Bench::new(env!("CARGO_BIN_EXE_audsem-training"));
    survive_writing("compose", &bench.path(""), |output| {
        let (whisper, language) = (golden("whisper_tiny"), golden("qwen2_tiny"));
        let mut command = bench.command(&format!("{command} --audio-encoder {whisper} --language-model {language}"));
        command.arg("--output").arg(output.join("model"));
        command
    });
}

fn fine_tune_all(command: &str) {
    let bench = sft::bench();
    for name in ["train", "valid"] {
        bench.call(&format!("index -i {name} -o index-{name}")).ended(0);
    }
    let flags = "--valid index-valid --max-steps 4 --save-steps 2 --eval-steps 4 --batch-tokens 400 --bucket 8";
    let scratch = sft::SCRATCH.replacen("sft", command, 1).replace("--data train", "--data index-train");
    check(&bench, "sft-all", &format!("{scratch} {flags}"));
}

fn fine_tune_adapters(command: &str) {
    let bench = sft::with_model(sft::bench());
    check(&bench, "sft-adapters", &format!("{} --max-steps 2", sft::LORA.replacen("sft", command, 1)));
}

fn first_batch(command: &str) {
    let bench = sft::with_model(sft::bench());
    bench.call("index -i train -o index").ended(0);
    survive_printing("inspect", &bench.path(""), |workers| {
        bench.command(&format!("{command} --model model --data index --target answer --workers {workers}"))
    });
}

fn model_folder(command: &str) {
    check(&export::trained(), "export", &format!("{command} -i lora"));
}

fn learn_from_rewards(command: &str) {
    let flags = "--valid valid --iterations 2 --beta 0.04 --max-steps 4 --save-steps 2 --eval-steps 3";
    check(&grpo::bench(), "grpo-all", &format!("{} {flags}", grpo::FULL.replacen("grpo", command, 1)));
}

fn learn_behind_an_adapter(command: &str) {
    let bench = grpo::bench();
    bench.call(&format!("{} --max-steps 1 -o sft", sft::LORA)).ended(0);
    let flags = "--adapter sft/final --adapter-use merge --max-steps 2";
    check(&bench, "grpo-adapters", &format!("{} {flags}", grpo::LORA.replacen("grpo", command, 1)));
}

fn answers(command: &str) {
    let bench = generate::bench();
    survive_printing("generate", &bench.path(""), |_| {
        bench.command(&format!("{command} --model model --question What? --max-new-tokens 4 --audio low.wav high.wav"))
    });
}

fn score_completions(command: &str) {
    let bench = rewards::bench();
    bench.write("c.jsonl", rewards::completions());
    survive_printing("rewards", &bench.path(""), |_| bench.command(&format!("{command} -c c.jsonl")));
}
