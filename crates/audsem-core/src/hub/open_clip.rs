//! Files of models of the library `open_clip`.

use super::{ModelDir, names};
use crate::weights::ModelError;

/// The configuration of a model, which has no `config.json`.
pub const OPEN_CLIP_CONFIG: &str = "open_clip_config.json";

/// The folder with a tokenizer of `tiktoken`.
const TIKTOKEN_FOLDER: &str = "open_clip_tiktoken";

/// Whether a file of a repository belongs to a tokenizer of `tiktoken`.
pub(super) fn is_of_tiktoken(name: &str) -> bool {
    name.strip_prefix(TIKTOKEN_FOLDER).is_some_and(|rest| rest.starts_with('/'))
}

/// Files of a tokenizer of `tiktoken` that the configuration of a folder names.
///
/// # Errors
/// The configuration cannot be read. Of one that is no JSON those say it who need it.
pub(super) fn tiktoken_files(dir: &ModelDir) -> Result<Vec<String>, ModelError> {
    let config = match dir.optional_json::<serde_json::Value>(OPEN_CLIP_CONFIG) {
        Ok(Some(config)) => config,
        Ok(None) | Err(ModelError::Json { .. }) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let text = &config["model_cfg"]["text_cfg"];
    let named = ["tiktoken_bpe_path", "tiktoken_config_path"].map(|key| text[key].as_str().map(str::to_owned));
    Ok(named.into_iter().flatten().filter(|name| names::is_relative(name)).collect())
}
