//! Audio language models in training: Qwen2-Audio with any tower of Whisper's kind and any text model of the kinds of
//! Qwen2 and Llama, and the thinker of Qwen2.5-Omni.
//!
//! Gradients are computed half a layer at a time with recomputation, and the loss over the vocabulary in closed form; numbers
//! agree with torch and PEFT (`fixtures/regen/training.py`, `fixtures/regen/training_omni.py`). Without pictures all three
//! axes of the thinker's rotary positions are equal, so that its language model is trained as Qwen2 is.

mod family;
mod kept;
mod network;
mod pack;
#[cfg(test)]
mod tests;
mod tower;

use std::collections::HashMap;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::VarBuilder;

use crate::error::Result;
use crate::multimodal::audio_language::{AudioCheckpoint, AudioFamily, AudioLanguageConfig, AudioLanguageNetwork};
use crate::nn::lora::{Adapter, Modules};
use crate::nn::{LoraConfig, Mode, Params, Trainable};
use crate::train::{Accumulated, LossGradient, PolicySnapshot, TargetScores, TrainableModel, TrainingSequence};
pub use kept::{GraphSizes, KeptHalves};
use network::{Network, Pass};

/// Which weights of a checkpoint are trained beside adapters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TrainedWeights {
    /// None of them.
    #[default]
    None,
    /// The projector from the tower to the language model.
    Projector,
    /// All but the positions of the tower, which are constants.
    All,
}

impl TrainedWeights {
    /// Whether a tensor, by the network's name, is trained.
    #[must_use]
    pub fn contains(self, name: &str) -> bool {
        match self {
            Self::None => false,
            Self::Projector => family::is_of_projector(name),
            Self::All => family::is_weight(name),
        }
    }
}

/// What of a model is trained, and how.
#[derive(Debug, Clone)]
pub struct TrainingPlan {
    /// Adapters beside layers.
    pub adapters: Option<LoraConfig>,
    /// Weights of the checkpoint.
    pub weights: TrainedWeights,
    /// Seed of new adapters.
    pub seed: u64,
    /// Memory for graphs of the language model that are kept from the forward pass to the backward pass instead of being
    /// computed twice: that of so many layers' graphs, used by [`KeptHalves::best`]. One costs no more than none.
    pub kept_layers: usize,
}

impl TrainingPlan {
    /// Adapters alone.
    #[must_use]
    pub fn of_adapters(adapters: LoraConfig, seed: u64) -> Self {
        Self { adapters: Some(adapters), weights: TrainedWeights::None, seed, kept_layers: 1 }
    }
}

/// Settings of adapters that leave the tower as it is.
#[must_use]
pub fn language_only(config: LoraConfig) -> LoraConfig {
    let tower = r"(.*\.)?audio_tower\..*";
    let pattern = match &config.exclude_modules {
        None => tower.to_owned(),
        Some(Modules::Pattern(pattern)) => format!("{tower}|{pattern}"),
        Some(Modules::Names(names)) => {
            let names: Vec<String> = names.iter().map(|name| fancy_regex::escape(name).into_owned()).collect();
            format!(r"{tower}|(.*\.)?({})", names.join("|"))
        }
    };
    LoraConfig { exclude_modules: Some(Modules::Pattern(pattern)), ..config }
}

/// An audio language model in training.
pub struct TrainableAudioModel {
    config: AudioLanguageConfig,
    params: Params,
    vars: Vec<(String, Var)>,
    /// Settings of the adapters by the names that PEFT looks for.
    adapters: Option<LoraConfig>,
    network: Network,
    /// The network without adapters, with the same tensors.
    plain: Network,
    kept: KeptHalves,
    dtype: DType,
    device: Device,
}

impl std::fmt::Debug for TrainableAudioModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TrainableAudioModel").field("params", &self.params).finish_non_exhaustive()
    }
}

impl TrainableAudioModel {
    /// Opens a checkpoint, of any family and by any names of its tensors. With `adapter` training continues from that
    /// adapter, which has to be of the plan's kind, and may have any names as well.
    ///
    /// # Errors
    /// A file is missing or broken, tensors are missing or unused, the network has no training form, or the adapter is of
    /// another network.
    pub fn open(
        checkpoint: &AudioCheckpoint,
        plan: &TrainingPlan,
        adapter: Option<&Adapter>,
        (device, dtype): (&Device, DType),
    ) -> Result<Self> {
        plan.adapters.iter().try_for_each(LoraConfig::validate)?;
        let family = checkpoint.family();
        let weights = checkpoint.weights(device, dtype)?;
        let config = checkpoint.config().clone().with_stored_head(&weights.var_builder());
        let params = Params::over(plan.seed, &weights, trainable(plan.weights), plan.adapters.clone());
        if let Some(adapter) = adapter {
            let named = adapter.clone().with_tensor_names(|name| family.tensor_name(name));
            named.to_device(device)?.apply(&params)?;
        }
        let network = family::network(&params.var_builder(dtype, device), &config)?;
        params.finish(|_| false, |name| family.is_ignored(name))?;
        params.close_files();
        if let Some(adapter) = adapter {
            adapter.check(&params)?;
        }
        let vars = params.vars();
        let plain = VarBuilder::from_tensors(with_vars(params.without_adapters(), &vars), dtype, device);
        let language = config.language();
        let sizes = GraphSizes::of(language, vars.iter().any(|(name, _)| GraphSizes::is_of_feed_forward(name)));
        let kept = KeptHalves::best(plan.kept_layers, language.num_hidden_layers, sizes);
        let adapters = plan.adapters.as_ref().map(|adapters| saved_settings(adapters, family, &params));
        Ok(Self {
            plain: family::network(&plain, &config)?,
            adapters: adapters.transpose()?,
            config,
            params,
            vars,
            network,
            kept,
            dtype,
            device: device.clone(),
        })
    }

    /// The tensors of the network, trained and frozen.
    #[must_use]
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The adapter as it stands, which belongs to the network `base`, by the names of transformers 5; nothing where none is
    /// trained.
    #[must_use]
    pub fn adapter(&self, base: Option<&str>) -> Option<Adapter> {
        let adapter = Adapter::of(self.adapters.as_ref()?, base, &self.params);
        Some(adapter.with_tensor_names(|name| self.config.family().library_name(name)))
    }

    fn pass<'a>(&self, batch: &'a [TrainingSequence], temperature: f64, mode: Mode) -> Pass<'a> {
        // No second copy of weights that change.
        let mode = if mode == Mode::Infer { Mode::Evaluate } else { mode };
        Pass { batch, temperature, mode, kept: self.kept }
    }
}

impl TrainableModel for TrainableAudioModel {
    fn vars(&self) -> &[(String, Var)] {
        &self.vars
    }

    fn audio_tokens(&self, samples: usize) -> Result<usize> {
        self.network.audio_tokens(samples)
    }

    fn score(&self, batch: &[TrainingSequence], temperature: f64, adapter: bool) -> Result<Vec<TargetScores>> {
        let network = if adapter { &self.network } else { &self.plain };
        network.score(self.pass(batch, temperature, Mode::Evaluate))
    }

    fn backward(
        &self,
        batch: &[TrainingSequence],
        temperature: f64,
        mode: Mode,
        loss: &mut LossGradient<'_>,
        sum: &mut Accumulated,
    ) -> Result<()> {
        self.network.backward(self.pass(batch, temperature, mode), &self.vars, loss, sum)?;
        if batch.iter().all(|sequence| sequence.sounds.is_empty()) {
            sum.fill(&self.vars)?;
        }
        Ok(())
    }

    fn policy(&self, adapter: bool) -> Result<Box<dyn PolicySnapshot>> {
        let mut tensors = if adapter { self.params.merged()? } else { self.params.without_adapters() };
        // What is trained changes in place.
        for (name, _) in &self.vars {
            if let Some(tensor) = tensors.get_mut(name) {
                *tensor = tensor.copy()?;
            }
        }
        let vb = VarBuilder::from_tensors(tensors, self.dtype, &self.device);
        Ok(Box::new(AudioLanguageNetwork::load(&vb, &self.config)?))
    }
}

fn trainable(weights: TrainedWeights) -> Trainable {
    match weights {
        TrainedWeights::None => Trainable::Adapters,
        weights => Trainable::Where(Arc::new(move |name: &str| weights.contains(name))),
    }
}

/// Tensors with the trained ones among them as variables, so that no layer keeps a copy of what they were.
fn with_vars(mut tensors: HashMap<String, Tensor>, vars: &[(String, Var)]) -> HashMap<String, Tensor> {
    for (name, var) in vars {
        if let Some(tensor) = tensors.get_mut(name) {
            *tensor = var.as_tensor().clone();
        }
    }
    tensors
}

/// The settings of adapters for PEFT, which looks for layers by the names that transformers 5 has in memory: as they are
/// where they mean the same layers by these names, else with a list of the adapted ones.
fn saved_settings(config: &LoraConfig, family: AudioFamily, params: &Params) -> Result<LoraConfig> {
    let tensors = params.without_adapters();
    let layers: Vec<&str> = tensors.keys().filter_map(|name| name.strip_suffix(".weight")).collect();
    let is_same = |layer: &str| -> Result<bool> {
        let stored = family.library_name(layer);
        let is_meant = |name: &str| config.target_of(name).is_some();
        Ok(is_meant(layer) == is_meant(&stored) && config.rank_and_scale(layer)? == config.rank_and_scale(&stored)?)
    };
    for layer in layers {
        if !is_same(layer)? {
            return Ok(Adapter::of(config, None, params).translated(|name| family.library_name(name))?.config);
        }
    }
    Ok(config.clone())
}
