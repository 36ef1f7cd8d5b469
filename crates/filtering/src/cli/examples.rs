//! Examples of the commands, for their help, and flags that they are without; a test parses each example.

use audsem_core::cli::{CommandExamples, Without};

/// In the order of the commands.
pub(super) const EXAMPLES: &[CommandExamples] = &[
    (
        "fetch-captions",
        &[
            "--input videos.txt --output captions",
            "--input videos.txt more.txt --languages en,de --requests-per-hour 120 --output captions",
        ],
    ),
    (
        "extract",
        &["--input videos --output cues", "--input dump-00.jsonl.gz dump-01.jsonl.gz --languages en --output cues"],
    ),
    (
        "train-classifier",
        &[
            "--input labelled.csv corrected.csv --output bert",
            "--input labelled.csv --from-scratch --quick --output bert",
        ],
    ),
    ("classify", &["--input cues --model bert/model --output sounds"]),
    ("label", &["--input cues --server http://127.0.0.1:8000/v1 --output labels"]),
    (
        "combine",
        &[
            "--input cues --policy none --output table",
            "--input cues --bert sounds --llm labels --policy both --output table",
        ],
    ),
    ("explain", &["--policy none '[dog barks in the distance]'"]),
    ("download", &["--input table --source videos --output media", "--input table --output media"]),
    ("clips", &["--input media --table table --output clips"]),
];

const NO_CHOICE: &str = "it makes no random choice";

/// Flags of all runs that mean nothing for a command.
pub(super) const WITHOUT: &[Without] = &[
    ("fetch-captions", "seed", NO_CHOICE),
    ("extract", "seed", NO_CHOICE),
    ("classify", "seed", NO_CHOICE),
    ("label", "seed", NO_CHOICE),
    ("combine", "seed", NO_CHOICE),
    ("download", "seed", NO_CHOICE),
    ("clips", "seed", NO_CHOICE),
];
