//! Examples of the commands, for their help, and flags that they are without; a test parses each example.

use audsem_core::cli::{CommandExamples, Without};

/// In the order of the commands.
pub(super) const EXAMPLES: &[CommandExamples] = &[
    (
        "predict",
        &[
            "--benchmark shards --data held-out -o runs/small --model models/small --permute 4 --blind",
            "--benchmark mmau --data mmau/mmau-test-mini.json -o runs/omni --server http://127.0.0.1:8000/v1 --expect-family qwen2.5-omni --prompt omni-length --target-words 25",
            "--benchmark mmau --data mmau/mmau-test-mini.json -o runs/reference --model Qwen/Qwen2.5-Omni-7B --device cuda:0 --dtype bf16 --preset reference --prompt omni-semantic",
            "--benchmark audiobench --data-set librispeech_test_clean -o runs/clean --subset 500 --whisper openai/whisper-tiny.en",
            "--items spoken.jsonl --sounds recordings -o runs/whisper --whisper openai/whisper-tiny.en",
        ],
    ),
    (
        "import",
        &[
            "--benchmark mmau --data mmau-test-mini.json --answers theirs.json -o runs/theirs",
            "--benchmark mmar --data MMAR-meta.jsonl --answers samples_mmar.jsonl -o runs/lmms-eval",
            "--benchmark audiobench --data-set clotho_aqa_test --data clotho --answers log/salmonn_7b/clotho_aqa_test_-1.json -o runs/salmonn",
        ],
    ),
    ("judge", &["--input predictions --rubric graded --server http://127.0.0.1:8000/v1 --output judged"]),
    (
        "score",
        &[
            "--input predictions --output scores",
            "--input predictions --judgements judged --output scores",
            "--input mmau mmar --output scores",
        ],
    ),
    ("export", &["--input predictions --format mmau --output mmau"]),
    ("report", &["--input sft=scores-sft base=scores-base --sounds shards/valid --training sft --output report"]),
];

const NO_CHOICE: &str = "it makes no random choice";

/// Flags of all runs that mean nothing for a command.
pub(super) const WITHOUT: &[Without] = &[
    ("export", "seed", NO_CHOICE),
    ("import", "limit", super::WHOLE),
    ("judge", "limit", super::WHOLE),
    ("score", "limit", super::WHOLE),
    ("export", "limit", super::WHOLE),
    ("report", "limit", super::WHOLE),
];
