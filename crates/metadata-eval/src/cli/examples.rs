//! Examples of the commands, for their help, and flags that they are without; a test parses each example.

use audsem_core::cli::{CommandExamples, Without};

/// In the order of the commands.
pub(super) const EXAMPLES: &[CommandExamples] = &[
    ("convert-weights", &["--input whisper/model.bin --network whisper --output models/whisper-tiny.en"]),
    (
        "audio",
        &[
            "--input clips --models ast --output features/audio",
            "--input clips --models ast,beats --model-dir beats=BEATs --class-names class_labels_indices.csv \
             --output features/audio",
        ],
    ),
    ("sat", &["--input clips --model SAT --class-names class_labels_indices.csv --output features/sat"]),
    ("image", &["--input shards --models blip,rt-detr --output features/image"]),
    ("video", &["--input shards --models llava-video --dtype bf16 --device cuda:0 --output features/video"]),
    ("audio-caption", &["--input clips --server http://127.0.0.1:8000/v1 --concurrency 32 --output features/caption"]),
    ("combine", &["--audio features/audio features/caption --sat features/sat --table table --output metadata"]),
    ("import-reference", &["--kind audio --input audio_model/output --output imported/audio"]),
    (
        "filter",
        &[
            "--input metadata --max-speech 0.5 --output filtered",
            "--input metadata --scores scores --max-dissimilarity 0.9 --min-similarity off --output filtered",
        ],
    ),
    (
        "caption",
        &[
            "--input filtered --backend template --output captions",
            "--input filtered --server http://127.0.0.1:8000/v1 --judge --output captions",
        ],
    ),
    ("qa", &["--input filtered-1 filtered-2 --server http://127.0.0.1:8000/v1 --output qa"]),
    ("mcqa", &["--input filtered --server http://127.0.0.1:8000/v1 --judge --output mcqa"]),
    ("visual-caption", &["--input filtered --sounds clips --server http://127.0.0.1:8000/v1 --output visual-captions"]),
    ("prompt", &["caption --input filtered --show 'dQw4w9WgXcQ (1.0-4.0)'"]),
    ("lint", &["--records mcqa captions.jsonl --table metadata"]),
    ("contribution", &["--records mcqa --server http://127.0.0.1:8000/v1 --output contribution"]),
    ("sample", &["--records old=captions-1 --records new=captions-2 --shards clips --output sample.html"]),
];

const NO_CHOICE: &str = "it makes no random choice";

/// Flags of all runs that mean nothing for a command.
pub(super) const WITHOUT: &[Without] = &[
    ("sat", "seed", NO_CHOICE),
    ("image", "seed", NO_CHOICE),
    ("video", "seed", NO_CHOICE),
    ("audio-caption", "seed", NO_CHOICE),
    ("combine", "seed", NO_CHOICE),
    ("import-reference", "seed", NO_CHOICE),
    ("filter", "seed", NO_CHOICE),
    ("contribution", "seed", NO_CHOICE),
];
