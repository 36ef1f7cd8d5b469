//! Examples of the commands, for their help, and flags that they are without; a test parses each example.

use audsem_core::cli::{CommandExamples, Without};

/// In the order of the commands.
pub(super) const EXAMPLES: &[CommandExamples] = &[
    ("index", &["-i shards/train -o index/train", "-i qa/train captions/train -o index/both --workers 8"]),
    (
        "compose",
        &[
            "--audio-encoder whisper-tiny.en --language-model SmolLM2-135M-Instruct.Q4_1.gguf --output models/small --seed 1",
            "--audio-encoder openai/whisper-small --language-model Qwen/Qwen2.5-0.5B-Instruct --output models/medium --dtype bf16",
        ],
    ),
    ("inspect", &["--model Qwen/Qwen2-Audio-7B-Instruct --data shards/train --dtype bf16"]),
    (
        "sft",
        &[
            "--model Qwen/Qwen2-Audio-7B-Instruct --data shards/train --valid shards/valid -o sft",
            "--model tiny --data qa/train=2 --data captions/train --train full --epochs 3 -o sft",
            "--model tiny --data qa/train --from-scratch --train full --lr 1e-3 -o sft",
        ],
    ),
    (
        "grpo",
        &[
            "--model Qwen/Qwen2-Audio-7B-Instruct --adapter sft/final --data mcqa/train --rewards rewards.toml -o grpo",
            "--model tiny --train full --data mcqa/train --valid mcqa/valid --loss gspo --beta 0 -o grpo",
        ],
    ),
    (
        "export",
        &[
            "-i sft -o exported",
            "-i adapter --base Qwen/Qwen2.5-Omni-7B --layout thinker -o exported",
            "-i sft -o exported --push-to-hub org/name --private",
        ],
    ),
    (
        "generate",
        &[
            "--model Qwen/Qwen2-Audio-7B-Instruct --audio door.wav --question 'What is heard?'",
            "--model models/small --adapter runs/sft/adapter --audio a.flac b.flac --question 'Which animal is heard?' --choice 'a dog' 'a cat' --profile think:25 --json",
            "--model models/small --audio first.wav second.wav --together --question 'Which of both is louder?' --beams 5",
        ],
    ),
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
