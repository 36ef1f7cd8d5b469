//! Examples of the commands, for their help, and flags that they are without; a test parses each example.

use audsem_core::cli::{Examples, Without};

/// In the order of the commands.
pub(super) const EXAMPLES: &[Examples] = &[
    (
        "predict",
        &[
            "--benchmark mmau --data mmau-test-mini.json --sounds mmau/audio --server http://127.0.0.1:8000/v1 --output predictions",
            "--benchmark shards --data shards/valid --model models/small --permute 4 --blind --output predictions",
            "--benchmark audiobench --data-set librispeech_test_clean --whisper openai/whisper-tiny.en --output predictions",
        ],
    ),
    ("import", &["--benchmark mmau --data mmau-test-mini.json --answers theirs.json --output predictions"]),
    ("judge", &["--input predictions --rubric graded --server http://127.0.0.1:8000/v1 --output judged"]),
    ("score", &["--input predictions --output scores", "--input predictions --judgements judged --output scores"]),
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
