//! What training of a classifier begins with: a checkpoint, or a small new network with a vocabulary of its own.

use audsem_core::error::Error as CoreError;
use audsem_core::hub::ModelDir;
use audsem_core::weights::Weights;
use audsem_models::Error as NetworkError;
use audsem_models::bert::{BertClassifier, Config as BertConfig};
use audsem_models::nn::Params;
use audsem_models::tokenizer::{Tokenizer, train_wordpiece};
use candle_core::{DType, Device};

use super::classes::sound_class;
use super::labelled::Examples;
use super::scorer::without_brackets;
use super::train::{Config, Size, Start};
use crate::error::Result;

/// Dropout of a network trained from scratch: more than BERT's, because it sees few captions many times.
const SCRATCH_DROPOUT: f64 = 0.3;

/// Standard deviation of its new weights: more than BERT's 0.02, which suits a width of 768.
const SCRATCH_DEVIATION: f64 = 0.05;

/// The class that means *names a sound* where the head is new.
const NEW_SOUND: usize = 1;

/// What training begins with.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) network: BertConfig,
    pub(super) params: Params,
    pub(super) encoder: Tokenizer,
    /// Tokenizer settings to pass on unchanged.
    pub(super) side: Vec<(&'static str, Vec<u8>)>,
    /// The class that means *names a sound*.
    pub(super) sound: usize,
}

impl Begun {
    /// The number of the class of captions that name a sound, or of the others.
    pub(super) fn class_of(&self, sound: bool) -> u32 {
        (if sound { self.sound } else { 1 - self.sound }) as u32
    }
}

/// Opens or makes what training begins with.
///
/// # Errors
/// The checkpoint cannot be used.
pub(super) fn begin(config: &Config, seed: u64, examples: &Examples, device: &Device) -> Result<Begun> {
    match &config.start {
        Start::Scratch(size) => begin_scratch(config, size, seed, examples),
        Start::Checkpoint(dir) => begin_checkpoint(config, dir, seed, device),
    }
}

fn begin_scratch(config: &Config, size: &Size, seed: u64, examples: &Examples) -> Result<Begun> {
    let texts: Vec<String> = examples.train.iter().map(|example| without_brackets(&example.text)).collect();
    let tokenizer = train_wordpiece(texts.iter().map(String::as_str), size.vocab_size)?;
    let network = BertConfig {
        vocab_size: tokenizer.get_vocab_size(true),
        hidden_size: size.hidden_size,
        num_hidden_layers: size.layers,
        num_attention_heads: size.heads,
        intermediate_size: 2 * size.hidden_size,
        max_position_embeddings: config.max_length,
        hidden_dropout_prob: SCRATCH_DROPOUT,
        initializer_range: SCRATCH_DEVIATION,
        ..BertConfig::default()
    };
    let encoder = Tokenizer::new(tokenizer, config.max_length)?;
    let (network, params) = (named(network, NEW_SOUND), Params::new(seed));
    Ok(Begun { network, params, encoder, side: Vec::new(), sound: NEW_SOUND })
}

fn begin_checkpoint(config: &Config, dir: &ModelDir, seed: u64, device: &Device) -> Result<Begun> {
    let network: BertConfig = dir.json("config.json")?;
    network.validate()?;
    let weights = Weights::open(dir, device, DType::F32)?;
    let sound = sound_of(&network, &weights)?;
    let network = named(network, sound);
    let params = Params::from_weights(seed, &weights);
    BertClassifier::load(params.var_builder(DType::F32, device), &network)?;
    // The head may be absent and is then new. Any other missing tensor or wrong shape is an error.
    params.finish(|name| name.starts_with("classifier.") || name.contains("pooler."), |_| true)?;
    tracing::info!("made new: {}", params.newly_initialized().join(", "));
    let encoder = Tokenizer::load(dir, network.max_position_embeddings, Some(config.max_length))?;
    let mut side = Vec::new();
    for name in ["tokenizer_config.json", "special_tokens_map.json"] {
        if let Some(path) = dir.optional(name)? {
            let bytes = std::fs::read(&path).map_err(CoreError::read(&path))?;
            side.push((name, bytes));
        }
    }
    Ok(Begun { network, params, encoder, side, sound })
}

/// The class that means *names a sound* to the head that training begins with.
///
/// # Errors
/// The head's names do not tell.
fn sound_of(network: &BertConfig, weights: &Weights) -> Result<usize> {
    if !weights.names().iter().any(|name| name == "classifier.weight") {
        return Ok(NEW_SOUND);
    }
    Ok(sound_class(network, None).map_err(|error| match error {
        NetworkError::Unsupported { key, value, .. } => {
            let supported =
                "two classes whose names tell which one means a sound, such as `other` and `sound`".to_owned();
            NetworkError::Unsupported { key, value, supported }
        }
        other => other,
    })?)
}

/// The two classes, by name.
fn named(network: BertConfig, sound: usize) -> BertConfig {
    let classes = [0, 1].map(|n| (n, if n as usize == sound { "sound" } else { "other" }.to_owned()));
    BertConfig {
        architectures: Some(vec!["BertForSequenceClassification".to_owned()]),
        label2id: classes.iter().map(|(n, name)| (name.clone(), *n)).collect(),
        id2label: classes.into_iter().collect(),
        ..network
    }
}
