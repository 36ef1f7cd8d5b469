//! Files of networks that write about sounds.

use std::collections::BTreeMap;

use audsem_core::pickle::Pickle;
use serde_json::{Map, Value, json};

use super::network::{Rewritten, beside, dim, object};
use super::taggers::count;
use super::{ConvertError, ExpectedTensors, SourceFile};
use crate::audio::{conette, lp_musiccaps};
use crate::text::bart;

/// Width of an attention head of `facebook/bart-base`, which the network is built from; the file does not tell it.
const BART_HEAD_WIDTH: usize = 64;
/// Rows of BART's position tables that are not used.
const BART_POSITION_OFFSET: usize = 2;
/// Under which CoNeTTE keeps what is no tensor: a pickle, as a tensor of bytes.
const EXTRA_STATE: &str = "_extra_state_";
/// What the state of a tokenizer calls its words, in the versions of the package.
const WORDS: [&str; 3] = ["itos", "_itos", "_AACTokenizer__itos"];
/// Most parts of a vocabulary's state.
const MOST_PARTS: usize = 2_000_000;

/// The authors' checkpoint: weights under `state_dict`, beside epoch and optimiser. Sizes that tensors do not tell are those
/// of the published network.
pub(super) fn lp_musiccaps(file: &SourceFile) -> Rewritten {
    let tensors = file.tensors.clone();
    let (default, size) = (lp_musiccaps::Config::default(), |name: &str, n| dim(&tensors, name, n));
    let d_model = size("bart.model.shared.weight", 1).unwrap_or(default.bart.d_model);
    let heads = (d_model / BART_HEAD_WIDTH).max(1);
    let layers = |side: &str| count(&tensors, |n| format!("bart.model.{side}.layers.{n}.fc1.weight"));
    let wide = |side: &str| size(&format!("bart.model.{side}.layers.0.fc1.weight"), 0);
    let positions = size("bart.model.decoder.embed_positions.weight", 0);
    let convolutions = 1 + count(&tensors, |n| format!("audio_encoder.conv_stack.{n}.weight"));
    let config = lp_musiccaps::Config {
        model: lp_musiccaps::MusicCapsConfig {
            n_mels: size("audio_encoder.conv1.weight", 1).unwrap_or(default.model.n_mels),
            num_of_conv: convolutions,
            audio_dim: d_model,
            ..default.model
        },
        bart: bart::Config {
            vocab_size: size("bart.model.shared.weight", 0).unwrap_or(default.bart.vocab_size),
            max_position_embeddings: positions
                .map_or(default.bart.max_position_embeddings, |rows| rows.saturating_sub(BART_POSITION_OFFSET)),
            d_model,
            encoder_layers: layers("encoder"),
            decoder_layers: layers("decoder"),
            encoder_attention_heads: heads,
            decoder_attention_heads: heads,
            encoder_ffn_dim: wide("encoder").unwrap_or(default.bart.encoder_ffn_dim),
            decoder_ffn_dim: wide("decoder").unwrap_or(default.bart.decoder_ffn_dim),
            ..default.bart
        },
    };
    let expected = ExpectedTensors::of(|vb| lp_musiccaps::LpMusicCaps::load(vb, &config));
    let config = object(json!(config), "lp_musiccaps");
    Rewritten { tensors, config, expected, ignorable: lp_musiccaps::is_ignorable }
}

/// The checkpoint on the Hugging Face hub: `config.json` beside the file gives the settings, and it or the pickled state
/// within the file the words.
pub(super) fn conette(file: &SourceFile) -> Result<Rewritten, ConvertError> {
    let mut config = beside(file)?;
    let mut tensors = file.tensors.clone();
    let words = words_of(config.get("tokenizer_state")).map(Ok);
    let words = words.or_else(|| words_within(file).transpose()).transpose()?;
    let words = words.ok_or_else(|| {
        ConvertError::content(
            "no words: neither `tokenizer_state` of config.json beside the file nor the file itself has any",
        )
    })?;
    config.insert("tokenizer_state".to_owned(), json!({ "tokenizer": { "itos": words } }));
    tensors.retain(|name, _| name != EXTRA_STATE);
    let mut config: conette::Config = serde_json::from_value(Value::Object(config))
        .map_err(|error| ConvertError::content(format!("config.json beside the file: {error}")))?;
    let size = |name: String, n| dim(&tensors, &name, n);
    let stage = |n: usize, block: usize| format!("preprocessor.encoder.stages.{n}.{block}.dwconv.weight");
    for n in 0..config.encoder_dims.len() {
        config.encoder_dims[n] = size(stage(n, 0), 0).unwrap_or(config.encoder_dims[n]);
        config.encoder_depths[n] = count(&tensors, |block| stage(n, block));
    }
    config.d_model = size("model.projection.2.weight".to_owned(), 0).unwrap_or(config.d_model);
    config.num_decoder_layers = count(&tensors, |n| format!("model.decoder.layers.{n}.linear1.weight"));
    let wide = size("model.decoder.layers.0.linear1.weight".to_owned(), 0);
    config.dim_feedforward = wide.unwrap_or(config.dim_feedforward);
    let expected = ExpectedTensors::of(|vb| conette::Conette::load_unchecked(vb, &config));
    let config = object(json!(config), "conette");
    Ok(Rewritten { tensors, config, expected, ignorable: conette::is_ignorable })
}

/// The words of a tokenizer's state by their ids.
fn words_of(state: Option<&Value>) -> Option<Map<String, Value>> {
    let tokenizer = state?.get("tokenizer")?;
    let words = WORDS.iter().find_map(|name| tokenizer.get(name)?.as_object())?;
    (!words.is_empty()).then(|| words.clone())
}

/// The words that a file keeps beside its tensors, or pickled within the tensor `_extra_state_`.
fn words_within(file: &SourceFile) -> Result<Option<Map<String, Value>>, ConvertError> {
    let mut states: BTreeMap<String, Value> = file.metadata.clone().into_iter().collect();
    if let Some(pickled) = file.tensors.get(EXTRA_STATE) {
        let pickle = Pickle::read(&mut pickled.bytes())?;
        if let Value::Object(inner) = pickle.root().to_json(MOST_PARTS)? {
            states.extend(inner);
        }
    }
    Ok(states.values().find_map(|state| words_of(Some(state))))
}
