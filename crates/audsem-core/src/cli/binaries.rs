//! The binaries and their commands, as one configuration file for all of them needs to know them.

/// What the names of all binaries begin with.
const PREFIX: &str = "audsem-";

/// Binaries, by the second part of their names, with their commands.
const BINARIES: [(&str, &[&str]); 6] = [
    (
        "filtering",
        &[
            "fetch-captions",
            "extract",
            "train-classifier",
            "classify",
            "label",
            "combine",
            "explain",
            "download",
            "clips",
        ],
    ),
    (
        "clip-embeddings",
        &[
            "merge-shards",
            "embed-audio",
            "embed-text",
            "import-embeddings",
            "reference",
            "score",
            "contamination",
            "match",
            "report",
            "extract",
            "similarity",
        ],
    ),
    (
        "metadata-eval",
        &[
            "convert-weights",
            "audio",
            "sat",
            "image",
            "video",
            "audio-caption",
            "combine",
            "import-reference",
            "filter",
            "caption",
            "qa",
            "mcqa",
            "visual-caption",
            "prompt",
            "lint",
            "contribution",
            "sample",
        ],
    ),
    ("tarify", &["pack", "rename", "transcode", "check", "index", "shards", "why"]),
    (
        "training",
        &[
            "index",
            "compose",
            "inspect",
            "sft",
            "grpo",
            "export",
            "generate",
            "rewards",
            "export-dataset",
            "export-config",
        ],
    ),
    ("evaluate", &["predict", "import", "judge", "score", "export", "report"]),
];

/// Flags that commands of several binaries have, so that they may stand at the top of a file for all of them.
pub(super) const SHARED_FLAGS: [&str; 13] = [
    "output",
    "workers",
    "shard",
    "limit",
    "seed",
    "dry-run",
    "fresh",
    "max-fail-rate",
    "rejects",
    "revision",
    "device",
    "dtype",
    "batch-size",
];

/// The name of a binary without what all of them begin with.
pub(super) fn short_name(binary: &str) -> &str {
    binary.strip_prefix(PREFIX).unwrap_or(binary)
}

/// Whether a section of a file may be called so because a binary or a command is.
pub(super) fn has_section(name: &str) -> bool {
    let binary = short_name(name);
    BINARIES.iter().any(|(own, commands)| *own == binary || commands.contains(&name))
}

/// What sections may be called.
pub(super) fn section_names() -> impl Iterator<Item = String> {
    let names = BINARIES.iter().flat_map(|(binary, commands)| std::iter::once(binary).chain(*commands));
    names.map(|name| (*name).to_owned())
}

/// The commands that are known of a binary; for tests.
pub(super) fn commands_of(binary: &str) -> &'static [&'static str] {
    BINARIES.iter().find(|(own, _)| *own == short_name(binary)).map_or(&[], |(_, commands)| *commands)
}
