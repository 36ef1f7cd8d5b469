//! Examples of the commands, for their help, and flags that they are without; a test parses each example.

use audsem_core::cli::{Examples, Without};

/// In the order of the commands.
pub(super) const EXAMPLES: &[Examples] = &[
    ("index", &["--input shards/train --output index/train"]),
    (
        "compose",
        &["--audio-encoder openai/whisper-tiny.en --language-model HuggingFaceTB/SmolLM2-135M-Instruct --output small"],
    ),
    ("inspect", &["--model Qwen/Qwen2-Audio-7B-Instruct --data index/train --dtype bf16"]),
    (
        "sft",
        &[
            "--model Qwen/Qwen2-Audio-7B-Instruct --data index/train --valid index/valid --dtype bf16 --output sft",
            "--model small --data qa/train=2 --data captions/train --train lora-projector --epochs 3 --output sft",
        ],
    ),
    (
        "grpo",
        &[
            "--model small --adapter sft/final --data mcqa/train --valid mcqa/valid --rewards rewards.toml --output grpo",
        ],
    ),
    ("export", &["--input sft --output exported", "--input sft --push-to-hub org/name --private --output exported"]),
    ("generate", &["--model small --adapter sft/adapter --audio door.wav rain.flac --question 'What can be heard?'"]),
    ("rewards", &["--completions grpo/completions.jsonl --rewards rewards.toml --instruction think:25"]),
    ("export-dataset", &["--engine ms-swift --data index/train --instruction think:25 --output rows"]),
    (
        "export-config",
        &[
            "--engine ms-swift --model Qwen/Qwen2.5-Omni-7B --dataset rows --instruction think:25 --rewards rewards.toml --output recipe",
        ],
    ),
];

const NO_CHOICE: &str = "it makes no random choice";

/// Flags of all runs that mean nothing for a command.
pub(super) const WITHOUT: &[Without] =
    &[("index", "seed", NO_CHOICE), ("export", "seed", NO_CHOICE), ("export-dataset", "seed", NO_CHOICE)];
