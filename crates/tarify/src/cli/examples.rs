//! Examples of the commands, for their help, and flags that they are without; a test parses each example.

use audsem_core::cli::{CommandExamples, Without};

/// In the order of the commands.
pub(super) const EXAMPLES: &[CommandExamples] = &[
    ("pack", &["--input media --table table --output packed"]),
    ("rename", &["--input packed --output renamed"]),
    ("transcode", &["--input packed --output small"]),
    ("check", &["--input small --output checked", "--input shards/train --task mc-qa --output checked"]),
    ("index", &["--input small --output indexed"]),
    (
        "shards",
        &[
            "--table table --input clips --output shards",
            "--table table --input clips --scores fit --min cosine=0.2 --num-valid 5% --output shards",
            "--task caption --records captions.jsonl --input clips --output shards",
        ],
    ),
    ("why", &["'dQw4w9WgXcQ (1_0-2_5)' runs", "dQw4w9WgXcQ extracted combined clips fit shards"]),
];

const NO_CHOICE: &str = "it makes no random choice";

/// Flags of all runs that mean nothing for a command.
pub(super) const WITHOUT: &[Without] = &[
    ("pack", "seed", NO_CHOICE),
    ("rename", "seed", NO_CHOICE),
    ("transcode", "seed", NO_CHOICE),
    ("check", "seed", NO_CHOICE),
    ("index", "seed", NO_CHOICE),
];
