//! The order in which a pipeline runs its commands.

use audsem_core::run::RunFolder;

/// Binaries and their commands, as a clip meets them.
const ORDER: [(&str, &[&str]); 9] = [
    (
        "audsem-filtering",
        &["fetch-captions", "extract", "train-classifier", "classify", "label", "combine", "download", "clips"],
    ),
    ("audsem-tarify", &["pack", "rename", "transcode", "check", "index"]),
    (
        "audsem-clip-embeddings",
        &[
            "merge-shards",
            "import-embeddings",
            "embed-audio",
            "embed-text",
            "reference build",
            "score",
            "contamination",
            "match",
            "report",
            "extract",
        ],
    ),
    (
        "audsem-metadata-eval",
        &["audio", "sat", "image", "video", "audio-caption", "import-reference", "combine", "filter"],
    ),
    ("audsem-metadata-eval", &[]),
    ("audsem-tarify", &["shards"]),
    ("audsem-tarify", &[]),
    ("audsem-training", &[]),
    ("audsem-evaluate", &[]),
];

/// Sorts run folders by their place in the pipeline, then by path.
pub(super) fn sort(records: &mut [RunFolder]) {
    records.sort_by_cached_key(|record| (place(&record.tool, &record.command), record.folder.clone()));
}

/// A list without commands stands for those of its binary that are in no list.
fn place(tool: &str, command: &str) -> (usize, usize) {
    let named = ORDER.iter().enumerate().find_map(|(group, (owner, commands))| {
        let at = commands.iter().position(|known| *known == command).filter(|_| *owner == tool)?;
        Some((group, at))
    });
    let others = || ORDER.iter().position(|(owner, commands)| *owner == tool && commands.is_empty()).map(|at| (at, 0));
    named.or_else(others).unwrap_or((ORDER.len(), 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_of_one_name_are_told_apart_by_their_binary() {
        let order = [
            ("audsem-filtering", "extract"),
            ("audsem-filtering", "combine"),
            ("audsem-filtering", "clips"),
            ("audsem-tarify", "pack"),
            ("audsem-clip-embeddings", "match"),
            ("audsem-clip-embeddings", "extract"),
            ("audsem-metadata-eval", "combine"),
            ("audsem-metadata-eval", "caption"),
            ("audsem-tarify", "shards"),
            ("audsem-training", "index"),
            ("another", "tool"),
        ];
        let places: Vec<_> = order.iter().map(|(tool, command)| place(tool, command)).collect();
        assert!(places.is_sorted() && places.windows(2).all(|pair| pair[0] != pair[1]), "{places:?}");
    }
}
