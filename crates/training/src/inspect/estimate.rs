//! Sizes of a training, before anything is loaded.

use std::fmt;

use audsem_models::multimodal::SoundLengths;
use audsem_models::multimodal::audio_language::{AudioCheckpoint, AudioLanguageConfig};
use audsem_models::multimodal::trainable::{GraphSizes, KeptHalves, TrainedWeights};
use candle_core::{DType, Device};
use serde::Serialize;

use crate::data::Prepared;
use crate::error::Result;
use crate::setup::TrainingSetup;

/// Bytes of a trained number, of its gradient and of its moments, each.
const F32_BYTES: usize = 4;

/// Tokens whose logits are held at a time.
const LOGIT_ROWS: usize = 256;

/// States of a layer's width that the graph of one layer of a tower holds for each token: norms, projections, heads and sums.
const STATES_OF_A_LAYER: usize = 16;

/// Numbers of parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ParameterCounts {
    /// Those of the model.
    pub model: usize,
    /// Those that are trained.
    pub trained: usize,
    /// Layers with an adapter.
    pub adapted_layers: usize,
    /// Whether feed-forward blocks of the language model are trained, or have adapters.
    #[serde(skip)]
    pub trains_feed_forward: bool,
}

impl ParameterCounts {
    /// Counts by the headers of the model's files; a model whose weights are random ones has none, and counts are 0.
    ///
    /// # Errors
    /// A file cannot be read, or the settings of adapters contradict each other.
    pub fn of(setup: &TrainingSetup, checkpoint: &AudioCheckpoint) -> Result<Self> {
        let trains_feed_forward = setup.train.weights() == TrainedWeights::All;
        let mut counts = Self { model: 0, trained: 0, adapted_layers: 0, trains_feed_forward };
        let weights = checkpoint.weights(&Device::Cpu, DType::F32)?;
        for (name, tensor) in weights.stored() {
            if checkpoint.family().is_ignored(name) {
                continue;
            }
            counts.model += tensor.n_numbers();
            if setup.train.weights().contains(name) {
                counts.trained += tensor.n_numbers();
            }
            let is_table = name.ends_with("embed_tokens.weight") || name.ends_with("embed_positions.weight");
            let layer = name.strip_suffix(".weight").filter(|_| setup.train.has_adapters() && !is_table);
            let layer = layer.filter(|layer| setup.lora.target_of(layer).is_some());
            if let ([outputs, inputs], Some(layer)) = (&*tensor.shape, layer) {
                counts.trained += setup.lora.rank_and_scale(layer)?.0 * (inputs + outputs);
                counts.adapted_layers += 1;
                counts.trains_feed_forward |= GraphSizes::is_of_feed_forward(name);
            }
        }
        Ok(counts)
    }
}

impl fmt::Display for ParameterCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, trained, adapted_layers, .. } = self;
        let share = 100.0 * *trained as f64 / (*model).max(1) as f64;
        writeln!(
            f,
            "parameters: {model} in the model, {trained} trained ({share:.3} %), {adapted_layers} layers with adapters"
        )
    }
}

/// Memory of a training in bytes, by sizes alone: what the allocator and the program itself need is not part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MemoryEstimate {
    /// Weights that are not trained.
    pub frozen: usize,
    /// Trained tensors, their gradients and both moments, in f32.
    pub trained: usize,
    /// The inputs of every half of a layer, the graphs that are held at once, and the logits of a chunk of tokens.
    pub activations: usize,
    /// Tokens of the batch that this holds for.
    pub tokens: usize,
}

impl MemoryEstimate {
    /// Estimates the memory of batches as this one.
    ///
    /// # Errors
    /// A sound is too short for the model.
    pub fn of(
        setup: &TrainingSetup,
        config: &AudioLanguageConfig,
        counts: &ParameterCounts,
        batch: &[Prepared],
    ) -> Result<Self> {
        let (language, encoder) = (config.language(), config.encoder());
        let lengths = batch.iter().map(|example| example.sequence.tokens.len());
        let (tokens, longest) = (lengths.clone().sum::<usize>(), lengths.max().unwrap_or(0));
        let mut states = 0;
        for sound in batch.iter().flat_map(|example| &example.sequence.sounds) {
            states += SoundLengths::of(sound.len(), config.longest_sound())?.states;
        }
        let (width, heads) = (language.hidden_size, language.num_attention_heads);
        let layers = language.num_hidden_layers;
        let inputs = 2 * tokens * width * layers + states * encoder.dim * encoder.layers;
        let sizes = GraphSizes::of(language, counts.trains_feed_forward);
        let graphs = tokens * KeptHalves::best(setup.keep_layers, layers, sizes).held(layers, sizes);
        let graphs = graphs.max(states * (STATES_OF_A_LAYER * encoder.dim + 2 * encoder.intermediate));
        let scores = heads * longest * longest;
        let logits = 3 * LOGIT_ROWS.min(tokens) * language.vocab_size;
        let bytes = setup.dtype.dtype().size_in_bytes();
        let is_full = setup.train.weights() == TrainedWeights::All;
        Ok(Self {
            frozen: if is_full { 0 } else { counts.model * bytes },
            trained: 4 * counts.trained * F32_BYTES,
            activations: (inputs + graphs + scores) * bytes + logits * F32_BYTES,
            tokens,
        })
    }
}

impl fmt::Display for MemoryEstimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: usize| bytes.div_ceil(1 << 20);
        let Self { frozen, trained, activations, tokens } = *self;
        writeln!(
            f,
            "memory, estimated: {} MiB: {} of weights, {} of trained tensors with gradients and moments, {} for a batch of \
             {tokens} tokens",
            mib(frozen + trained + activations),
            mib(frozen),
            mib(trained),
            mib(activations),
        )
    }
}
