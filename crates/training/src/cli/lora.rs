//! Flags of adapters.

use audsem_models::multimodal::trainable::language_only;
use audsem_models::nn::LoraConfig;
use audsem_models::nn::lora::Modules;
use clap::{Args, ValueEnum};

use super::numbers::{below_one, positive};

/// Which part of a model gets adapters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LoraScope {
    /// The language model; servers that take adapters at run time know no others
    Language,
    /// The language model and the audio tower
    LanguageAudio,
}

/// Settings of low-rank adapters, with the defaults of the published trainings.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Adapters")]
pub struct LoraArgs {
    /// Rank of adapters
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub lora_r: u32,
    /// Adapters are scaled by this, divided by the rank
    #[arg(long, value_name = "X", default_value_t = 16.0, value_parser = positive)]
    pub lora_alpha: f64,
    /// Dropout of the input of adapters
    #[arg(long, value_name = "SHARE", default_value_t = 0.05, value_parser = below_one)]
    pub lora_dropout: f64,
    /// Layers that get an adapter: ends of their names, or `all-linear`
    #[arg(long, value_name = "NAME", default_values = ["q_proj", "v_proj"], num_args = 1.., value_delimiter = ',')]
    pub lora_targets: Vec<String>,
    /// Layers that get an adapter, by a regular expression for their full names
    #[arg(long, value_name = "REGEX", conflicts_with = "lora_targets")]
    pub lora_target_regex: Option<String>,
    /// Part of the model that gets adapters
    #[arg(long, value_enum, default_value = "language-audio")]
    pub lora_scope: LoraScope,
    /// Divide by the root of the rank instead of the rank (rsLoRA)
    #[arg(long)]
    pub rslora: bool,
}

impl LoraArgs {
    /// What the flags ask for.
    #[must_use]
    pub fn config(&self) -> LoraConfig {
        let target_modules = match &self.lora_target_regex {
            Some(pattern) => Modules::Pattern(pattern.clone()),
            None if self.lora_targets == ["all-linear"] => Modules::Pattern("all-linear".to_owned()),
            None => Modules::Names(self.lora_targets.clone()),
        };
        let config = LoraConfig {
            r: self.lora_r as usize,
            lora_alpha: self.lora_alpha,
            lora_dropout: self.lora_dropout,
            use_rslora: self.rslora,
            target_modules,
            ..LoraConfig::default()
        };
        match self.lora_scope {
            LoraScope::Language => language_only(config),
            LoraScope::LanguageAudio => config,
        }
    }
}
