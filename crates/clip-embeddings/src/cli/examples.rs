//! Examples of the commands, for their help, and flags that they are without; a test parses each example.

use audsem_core::cli::{CommandExamples, Without};

/// In the order of the commands.
pub(super) const EXAMPLES: &[CommandExamples] = &[
    ("merge-shards", &["--source clips-2023 clips-2024 --output clips"]),
    (
        "embed-audio",
        &[
            "--input clips --output embeddings/audio",
            "--input clips --model laion/larger_clap_general --device cuda:0 --dtype bf16 --batch-size 64 --output embeddings/audio",
        ],
    ),
    (
        "embed-text",
        &["--input clips --output embeddings/text", "--input questions.csv --max-tokens 32 --output embeddings/text"],
    ),
    (
        "import-embeddings",
        &["--input theirs.parquet --modality audio --model-name muq-large --output embeddings/audio"],
    ),
    ("reference build", &["--reference audioset=embeddings/audioset clotho=embeddings/clotho --output reference"]),
    ("score", &["--input embeddings/audio --reference reference --output scores"]),
    (
        "contamination",
        &["--input embeddings/audio --benchmark mmau=embeddings/mmau --near-duplicates 0.98 --output near"],
    ),
    ("match", &["--audio embeddings/audio --text embeddings/text --output fit"]),
    ("report", &["--input scores --shards clips --text embeddings/text --output report"]),
    ("extract", &["--input scores --shards clips --threshold 0.95 --output to-hear"]),
    ("similarity", &["bark.flac 'a dog barks' 'rain on a roof' 'people talking'"]),
];

const NO_CHOICE: &str = "it makes no random choice";

/// Flags of all runs that mean nothing for a command.
pub(super) const WITHOUT: &[Without] = &[
    ("merge-shards", "seed", NO_CHOICE),
    ("embed-text", "seed", NO_CHOICE),
    ("import-embeddings", "seed", NO_CHOICE),
    ("reference build", "seed", NO_CHOICE),
    ("score", "seed", NO_CHOICE),
    ("contamination", "seed", NO_CHOICE),
    ("match", "seed", NO_CHOICE),
    ("report", "seed", NO_CHOICE),
    ("extract", "seed", NO_CHOICE),
    ("reference build", "limit", super::WHOLE),
    ("contamination", "limit", super::WHOLE),
    ("match", "limit", super::WHOLE),
];
