//! Files of models of the library `open_clip`.

use super::{ModelDir, names};

/// The configuration of a model, which has no `config.json`.
pub const OPEN_CLIP_CONFIG: &str = "open_clip_config.json";

/// The folder with a tokenizer of `tiktoken`.
const TIKTOKEN_FOLDER: &str = "open_clip_tiktoken";

/// Whether a file of a repository belongs to a tokenizer of `tiktoken`.
pub(super) fn is_of_tiktoken(name: &str) -> bool {
    name.strip_prefix(TIKTOKEN_FOLDER).is_some_and(|rest| rest.starts_with('/'))
}

/// Files of a tokenizer of `tiktoken` that the configuration of a folder names.
pub(super) fn tiktoken_files(dir: &ModelDir) -> Vec<String> {
    if dir.optional(OPEN_CLIP_CONFIG).is_none() {
        return Vec::new();
    }
    let config = dir.json::<serde_json::Value>(OPEN_CLIP_CONFIG).unwrap_or_default();
    let text = &config["model_cfg"]["text_cfg"];
    let named = ["tiktoken_bpe_path", "tiktoken_config_path"].map(|key| text[key].as_str().map(str::to_owned));
    named.into_iter().flatten().filter(|name| names::is_relative(name)).collect()
}
