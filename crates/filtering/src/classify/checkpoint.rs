//! A trained classifier in the layout of the Hugging Face libraries.

use audsem_models::bert::Config as BertConfig;
use audsem_models::checkpoint::safetensors_bytes;
use audsem_models::nn::Params;
use audsem_models::tokenizer::{SPECIAL_TOKENS, Tokenizer, vocab_txt};
use serde_json::Value;

use crate::error::Error;

/// The files of a checkpoint, as `save_pretrained` of transformers names them.
pub(super) fn checkpoint_files(
    network: &BertConfig,
    params: &Params,
    encoder: &Tokenizer,
    side: Vec<(&'static str, Vec<u8>)>,
) -> Result<Vec<(&'static str, Vec<u8>)>, Error> {
    let mut tokenizer = encoder.inner().clone();
    let failed = |error: tokenizers::Error| {
        Error::Network(audsem_models::Error::Tokenizer { path: "tokenizer.json".into(), message: error.to_string() })
    };
    tokenizer.with_truncation(None).map_err(failed)?;
    let special: Value = ["pad_token", "unk_token", "cls_token", "sep_token", "mask_token"]
        .into_iter()
        .zip(SPECIAL_TOKENS)
        .map(|(role, token)| (role.to_owned(), Value::from(token)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let mut settings = special.clone();
    settings["tokenizer_class"] = "BertTokenizer".into();
    settings["do_lower_case"] = true.into();
    settings["model_max_length"] = network.max_position_embeddings.into();
    let mut config = serde_json::to_value(network).expect("a configuration is plain data");
    config["torch_dtype"] = "float32".into();
    config["problem_type"] = "single_label_classification".into();
    let mut files = vec![
        ("config.json", pretty(&config)),
        ("model.safetensors", safetensors_bytes(&params.vars())?),
        ("tokenizer.json", tokenizer.to_string(true).map_err(failed)?.into_bytes()),
        ("vocab.txt", vocab_txt(&tokenizer).into_bytes()),
    ];
    for (name, default) in [("tokenizer_config.json", settings), ("special_tokens_map.json", special)] {
        let copied = side.iter().find(|(found, _)| *found == name).map(|(_, bytes)| bytes.clone());
        files.push((name, copied.unwrap_or_else(|| pretty(&default))));
    }
    Ok(files)
}

pub(super) fn pretty(value: &Value) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(value).expect("a JSON value is plain data");
    bytes.push(b'\n');
    bytes
}
