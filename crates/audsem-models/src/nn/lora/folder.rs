//! Adapter folders of PEFT: `adapter_config.json` and `adapter_model.safetensors`.

use std::collections::{BTreeMap, HashMap};

use audsem_core::hub::ModelDir;
use audsem_core::weights::{ModelError, Weights};
use candle_core::{DType, Device, Tensor};
use serde_json::{Map, Value};

use super::{LoraConfig, OMNI_PREFIX, adapted_layer, from_peft_name, to_peft_name};
use crate::checkpoint::serialize;
use crate::error::{Error, Result};
use crate::nn::Params;

/// The file with the settings.
const CONFIG: &str = "adapter_config.json";

/// The file with the projections.
pub(super) const TENSORS: &str = "adapter_model.safetensors";

/// Settings of PEFT that change what an adapter computes, and which no network here has.
const UNSUPPORTED: [&str; 16] = [
    "modules_to_save",
    "layer_replication",
    "lora_bias",
    "use_qalora",
    "use_bdlora",
    "alora_invocation_tokens",
    "trainable_token_indices",
    "target_parameters",
    "megatron_config",
    "arrow_config",
    "kasa_config",
    "velora_config",
    "monteclora_config",
    "lora_ga_config",
    "eva_config",
    "corda_config",
];

/// Whether a setting is other than the default of PEFT.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        _ => true,
    }
}

/// An adapter as PEFT keeps it: settings, and the projections by the names of a network's tensors.
#[derive(Debug, Clone)]
pub struct Adapter {
    /// The settings.
    pub config: LoraConfig,
    /// The network that it belongs to, if the folder tells: a path or an id on the hub.
    pub base: Option<String>,
    pub(super) tensors: Vec<(String, Tensor)>,
}

impl Adapter {
    /// Opens the folder of an adapter.
    ///
    /// # Errors
    /// A file is missing or broken, it is no LoRA, or it asks for something that is not supported.
    pub fn open(dir: &ModelDir) -> Result<Self> {
        let settings: Map<String, Value> = dir.json(CONFIG)?;
        match settings.get("peft_type").and_then(Value::as_str) {
            Some("LORA") => {}
            other => return Err(Error::unsupported("peft_type", &other, "LORA")),
        }
        if let Some((key, value)) =
            UNSUPPORTED.into_iter().find_map(|key| Some((key, settings.get(key).filter(|value| is_set(value))?)))
        {
            return Err(Error::unsupported(key, value, "null"));
        }
        // PiSSA, OLoRA and their kin change the weights beside the adapter.
        if let Some(init) =
            settings.get("init_lora_weights").filter(|init| init.as_str().is_some_and(|s| s != "gaussian"))
        {
            return Err(Error::unsupported("init_lora_weights", init, "true, false or gaussian"));
        }
        let base = settings.get("base_model_name_or_path").and_then(Value::as_str).map(str::to_owned);
        let config: LoraConfig = dir.json(CONFIG)?;
        config.validate()?;
        let weights = Weights::open_files(&[dir.file(TENSORS)?], &Device::Cpu, DType::F32)?;
        let vb = weights.var_builder();
        let mut tensors = Vec::new();
        for name in weights.names() {
            tensors.push((from_peft_name(&name)?, vb.get_unchecked(&name)?));
        }
        Ok(Self { config, base, tensors })
    }

    /// This adapter with other names for its layers, those of the network that it is for: libraries disagree about them.
    /// Its targets are the layers that it has projections for.
    ///
    /// # Errors
    /// Two patterns say different things of the rank or scale of a layer.
    pub fn translated(mut self, rename: impl Fn(&str) -> String) -> Result<Self> {
        let (mut ranks, mut alphas) = (BTreeMap::new(), BTreeMap::new());
        for layer in self.layers() {
            let (rank, scale) = self.stored_rank_and_scale(layer)?;
            let r = rank as f64;
            let pattern = fancy_regex::escape(&rename(layer)).into_owned();
            ranks.insert(pattern.clone(), rank);
            alphas.insert(pattern, scale * if self.config.use_rslora { r.sqrt() } else { r });
        }
        // What the patterns say is said of the old names.
        if !self.config.rank_pattern.is_empty() || !self.config.alpha_pattern.is_empty() {
            (self.config.rank_pattern, self.config.alpha_pattern) = (ranks, alphas);
        }
        for (name, _) in &mut self.tensors {
            *name = rename(name);
        }
        self.config.target_modules = self.layers().as_slice().into();
        (self.config.exclude_modules, self.config.layers_to_transform, self.config.layers_pattern) = (None, None, None);
        Ok(self)
    }

    /// Rank and scale of a layer by patterns that were made for it, or for it as a part of the full Qwen2.5-Omni.
    fn stored_rank_and_scale(&self, layer: &str) -> Result<(usize, f64)> {
        let (of_all, of_layer) = (self.config.rank_and_scale("")?, self.config.rank_and_scale(layer)?);
        if of_layer != of_all {
            return Ok(of_layer);
        }
        self.config.rank_and_scale(&format!("{OMNI_PREFIX}{layer}"))
    }

    /// This adapter with other names of its tensors, where libraries disagree about those of layers. The settings stay as
    /// they are.
    #[must_use]
    pub fn with_tensor_names(mut self, rename: impl Fn(&str) -> String) -> Self {
        for (name, _) in &mut self.tensors {
            *name = rename(name);
        }
        self
    }

    /// This adapter on another device.
    ///
    /// # Errors
    /// Memory or device.
    pub fn to_device(mut self, device: &Device) -> Result<Self> {
        for (_, tensor) in &mut self.tensors {
            *tensor = tensor.to_device(device)?;
        }
        Ok(self)
    }

    /// Gives the projections to a network that is loaded from `params` afterwards. [`Params::finish`] tells whether it has
    /// asked for all of them, [`Adapter::check`] whether it has asked for others.
    ///
    /// # Errors
    /// Memory or device.
    pub fn apply(&self, params: &Params) -> Result<()> {
        for (name, tensor) in &self.tensors {
            params.set(name, tensor)?;
        }
        Ok(())
    }

    /// Checks, once the network is loaded, that each adapted layer has got its projections from here.
    ///
    /// # Errors
    /// [`ModelError::Mismatch`] with the projections that are missing.
    pub fn check(&self, params: &Params) -> Result<()> {
        let is_adapter = |name: &String| adapted_layer(name).is_some();
        let missing: Vec<String> = params.newly_initialized().into_iter().filter(is_adapter).collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(ModelError::Mismatch { path: TENSORS.into(), missing, misshapen: Vec::new(), unused: Vec::new() }.into())
    }

    /// The adapter of a network in training.
    #[must_use]
    pub fn of(config: &LoraConfig, base: Option<&str>, params: &Params) -> Self {
        let tensors = params.adapter_vars().into_iter().map(|(name, var)| (name, var.as_detached_tensor())).collect();
        Self { config: config.clone(), base: base.map(str::to_owned), tensors }
    }

    /// The files of the folder, as `save_pretrained` of PEFT names them.
    ///
    /// # Errors
    /// A tensor cannot be read back from its device.
    pub fn files(&self) -> Result<Vec<(&'static str, Vec<u8>)>> {
        let mut settings = serde_json::to_value(&self.config).expect("a configuration is plain data");
        settings["peft_type"] = "LORA".into();
        settings["base_model_name_or_path"] = self.base.clone().into();
        settings["inference_mode"] = true.into();
        let mut json = serde_json::to_vec_pretty(&settings).expect("a JSON value is plain data");
        json.push(b'\n');
        let mut named: Vec<(String, &Tensor)> =
            self.tensors.iter().map(|(name, tensor)| (to_peft_name(name), tensor)).collect();
        named.sort_by(|a, b| a.0.cmp(&b.0));
        let bytes = serialize(&named, HashMap::from([("format".to_owned(), "pt".to_owned())]))?;
        Ok(vec![(CONFIG, json), (TENSORS, bytes)])
    }

    /// Dotted names of the layers that it has projections for, sorted.
    #[must_use]
    pub fn layers(&self) -> Vec<&str> {
        let mut layers: Vec<&str> = self.tensors.iter().filter_map(|(name, _)| adapted_layer(name)).collect();
        layers.sort_unstable();
        layers.dedup();
        layers
    }
}
