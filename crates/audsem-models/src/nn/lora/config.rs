//! Settings of adapters, as `adapter_config.json` of PEFT has them.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::targets::{Modules, OneOrMany, layer_index, matches_end};
use crate::error::{Error, Result, SettingValue};

/// Settings of adapters, with the keys of `adapter_config.json` of PEFT and its defaults. A key that is not here and changes
/// what an adapter computes is refused when a folder is opened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoraConfig {
    /// Rank r.
    pub r: usize,
    /// The adapter's result is scaled by `lora_alpha / r`.
    pub lora_alpha: f64,
    /// Dropout of the adapter's input.
    pub lora_dropout: f64,
    /// Scales by `lora_alpha / √r` (rsLoRA; Kalajdzievski, 2023).
    pub use_rslora: bool,
    /// Layers that get an adapter.
    pub target_modules: Modules,
    /// Layers that get none.
    pub exclude_modules: Option<Modules>,
    /// Numbers of the layers to which names in `target_modules` are restricted.
    pub layers_to_transform: Option<OneOrMany<usize>>,
    /// What stands before the number of a layer; anything if absent.
    pub layers_pattern: Option<OneOrMany<String>>,
    /// Ranks of layers, by regular expressions for the ends of their names.
    pub rank_pattern: BTreeMap<String, usize>,
    /// Alphas of layers, in the same way.
    pub alpha_pattern: BTreeMap<String, f64>,
    /// Task of the network: the head of `SEQ_CLS` is not meant by `all-linear`.
    pub task_type: Option<String>,
    /// Which biases are trained; must be `none`.
    pub bias: String,
    /// Weights decomposed into direction and magnitude; must be false.
    pub use_dora: bool,
    /// Weights stored as (in, out); must be false.
    pub fan_in_fan_out: bool,
}

impl Default for LoraConfig {
    fn default() -> Self {
        Self {
            r: 8,
            lora_alpha: 8.0,
            lora_dropout: 0.0,
            use_rslora: false,
            target_modules: Modules::default(),
            exclude_modules: None,
            layers_to_transform: None,
            layers_pattern: None,
            rank_pattern: BTreeMap::new(),
            alpha_pattern: BTreeMap::new(),
            task_type: None,
            bias: "none".to_owned(),
            use_dora: false,
            fan_in_fan_out: false,
        }
    }
}

impl LoraConfig {
    /// Names the setting that is not supported.
    ///
    /// # Errors
    /// The first such setting.
    pub fn validate(&self) -> Result<()> {
        let refuse = |key, value: &dyn SettingValue, supported| Err(Error::unsupported(key, value, supported));
        let ranks = self.rank_pattern.values().chain([&self.r]);
        if let Some(rank) = ranks.copied().find(|rank| !(1..=MAX_RANK).contains(rank)) {
            return refuse("r", &rank, "1 to 65536");
        }
        if !(0.0..1.0).contains(&self.lora_dropout) {
            return refuse("lora_dropout", &self.lora_dropout, "0 to less than 1");
        }
        if self.bias != "none" {
            return refuse("bias", &self.bias, "none");
        }
        if self.use_dora {
            return refuse("use_dora", &self.use_dora, "false");
        }
        if self.fan_in_fan_out {
            return refuse("fan_in_fan_out", &self.fan_in_fan_out, "false");
        }
        if self.target_modules.is_empty() {
            return refuse(
                "target_modules",
                &self.target_modules,
                "a list of names of layers, or a regular expression",
            );
        }
        let restricted = self.layers_to_transform.is_some() || self.layers_pattern.is_some();
        if restricted && matches!(self.target_modules, Modules::Pattern(_)) {
            return refuse("layers_to_transform", &self.layers_to_transform, "null, where target_modules is a string");
        }
        self.validate_patterns()
    }

    /// Names a regular expression that is none.
    fn validate_patterns(&self) -> Result<()> {
        self.target_modules.validate("target_modules")?;
        self.exclude_modules.iter().try_for_each(|modules| modules.validate("exclude_modules"))?;
        for pattern in self.layers_pattern.iter().flat_map(OneOrMany::as_slice) {
            layer_index("", Some(pattern.as_str()))
                .map_err(|error| Error::unsupported("layers_pattern", pattern, &error))?;
        }
        for pattern in self.rank_pattern.keys().chain(self.alpha_pattern.keys()) {
            matches_end(pattern, "").map_err(|error| Error::unsupported("rank_pattern", pattern, &error))?;
        }
        Ok(())
    }

    /// The entry of `target_modules` that the layer `module` (a dotted name) is meant by; nothing if it gets no adapter.
    ///
    /// As PEFT has it: a list holds whole names, and ends of names behind a dot, which hold for the layers of
    /// `layers_to_transform` alone; a string is a regular expression for the whole name; `all-linear` means every linear
    /// layer but the output. What `exclude_modules` means gets no adapter.
    #[must_use]
    pub fn target_of(&self, module: &str) -> Option<&str> {
        if self.is_excluded(module) {
            return None;
        }
        if self.target_modules.is_all_linear() && self.is_output(module) {
            return None;
        }
        let target = self.target_modules.find(module)?;
        (target == module || self.is_in_layers(module)).then_some(target)
    }

    /// Entries of `target_modules` that have to mean a layer: PEFT writes down what it then excludes.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = &String> {
        self.target_modules.entries().iter().filter(move |entry| !self.is_excluded(entry))
    }

    /// Whether `exclude_modules` means a layer.
    #[must_use]
    pub fn is_excluded(&self, module: &str) -> bool {
        self.exclude_modules.as_ref().is_some_and(|modules| modules.find(module).is_some())
    }

    /// Whether a layer is what `all-linear` leaves out: the output embeddings, or the head of a classifier.
    fn is_output(&self, module: &str) -> bool {
        let heads: &[&str] = match self.task_type.as_deref() {
            Some("SEQ_CLS") => &["lm_head", "score", "classifier"],
            _ => &["lm_head"],
        };
        // Checkpoints of Qwen2-Audio have the output within their language model.
        heads.contains(&module) || module.ends_with(".lm_head")
    }

    fn is_in_layers(&self, module: &str) -> bool {
        let Some(layers) =
            self.layers_to_transform.as_ref().map(OneOrMany::as_slice).filter(|layers| !layers.is_empty())
        else {
            return true;
        };
        let patterns = self.layers_pattern.as_ref().map_or(&[][..], OneOrMany::as_slice);
        let index = |pattern: Option<&str>| layer_index(module, pattern).ok().flatten();
        let found = match patterns {
            [] => index(None),
            patterns => patterns.iter().find_map(|pattern| index(Some(pattern.as_str()))),
        };
        found.is_some_and(|layer| layers.contains(&layer))
    }

    /// Rank and scale of the adapter of a layer.
    ///
    /// # Errors
    /// Two patterns say different things of it. (PEFT takes the one that stands first, which a parsed file does not tell.)
    pub fn rank_and_scale(&self, module: &str) -> Result<(usize, f64)> {
        let rank = of_layer("rank_pattern", &self.rank_pattern, module)?.unwrap_or(self.r);
        let alpha = of_layer("alpha_pattern", &self.alpha_pattern, module)?.unwrap_or(self.lora_alpha);
        let r = rank as f64;
        Ok((rank, alpha / if self.use_rslora { r.sqrt() } else { r }))
    }

    /// The settings of a layer as the tensor that [`super::Lora::load`] asks for.
    pub(crate) fn settings(&self, module: &str) -> Result<Tensor> {
        let (rank, scale) = self.rank_and_scale(module)?;
        Ok(Tensor::new(&[rank as f64, scale, self.lora_dropout], &Device::Cpu)?)
    }
}

/// Largest rank: more than the width of any layer is of no use.
const MAX_RANK: usize = 1 << 16;

/// What a table of patterns says of a layer.
fn of_layer<T: Copy + PartialEq + Serialize>(
    key: &'static str,
    table: &BTreeMap<String, T>,
    module: &str,
) -> Result<Option<T>> {
    let mut found: Option<T> = None;
    for (pattern, value) in table {
        if !matches_end(pattern, module).map_err(|error| Error::unsupported(key, pattern, &error))? {
            continue;
        }
        if found.is_some_and(|other| other != *value) {
            return Err(Error::unsupported(key, table, &format!("one value for `{module}`")));
        }
        found = Some(*value);
    }
    Ok(found)
}
