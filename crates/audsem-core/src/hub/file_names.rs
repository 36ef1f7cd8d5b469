//! Names of the files of models.

use super::OPEN_CLIP_CONFIG;

/// Files of tokenizers of transformers.
pub(super) const TOKENIZER_FILES: [&str; 7] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
];

/// How a model is asked, and how it answers.
const CHAT_FILES: [&str; 3] = ["generation_config.json", "chat_template.jinja", "chat_template.json"];

/// How sounds and pictures become features.
const PROCESSOR_FILES: [&str; 2] = ["preprocessor_config.json", "processor_config.json"];

/// Configurations of networks.
const CONFIGURATIONS: [&str; 2] = ["config.json", OPEN_CLIP_CONFIG];

/// How states of tokens become a vector.
const POOLING_FILES: [&str; 2] = ["modules.json", "1_Pooling/config.json"];

/// Names of weight files, in the order in which they are preferred.
pub(super) const WEIGHT_FILES: [&str; 6] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.bin",
];

/// Files beside the weights on which results depend. Their order is that of the hashes in `run.json`.
pub(super) fn hashed_files<'a>() -> impl Iterator<Item = &'a str> {
    CONFIGURATIONS.into_iter().chain(PROCESSOR_FILES).chain(TOKENIZER_FILES).chain(CHAT_FILES)
}

/// Files beside the weights that are fetched where the repository has them.
pub(super) fn side_files<'a>() -> impl Iterator<Item = &'a str> {
    hashed_files().chain(POOLING_FILES)
}
