//! Flags of `classify`.

use std::path::PathBuf;

use audsem_core::cli::{GlobalArgs, ModelArgs, RunArgs};
use audsem_core::run::Summary;
use audsem_models::nn::limit_threads;
use clap::Args;

use super::numbers::probability;
use crate::classify::{Config, checkpoint_of, run};
use crate::error::Result;

/// The checkpoint the published scripts start from.
pub(super) const BERT_BASE: &str = "bert-base-uncased";

/// Flags of `classify`.
#[derive(Debug, Clone, Args)]
pub struct ClassifyArgs {
    /// Run folders of `extract`, or any files or folders of caption tables (Parquet or CSV)
    #[arg(short, long, value_name = "PATH", required = true, num_args = 1..)]
    pub input: Vec<PathBuf>,
    /// Truncate texts to this many tokens, special tokens included [default: the model's own limit]
    #[arg(long, alias = "max-length", value_name = "N", value_parser = clap::value_parser!(u32).range(3..))]
    pub max_tokens: Option<u32>,
    /// Name of the class that means a sound, if it is not clear from the names of the classes
    #[arg(long, value_name = "NAME")]
    pub sound_label: Option<String>,
    /// Probability above which a text is labelled as a sound
    #[arg(long, value_name = "P", default_value_t = 0.5, value_parser = probability)]
    pub threshold: f32,
    /// Texts per shard, which are scored and committed together
    #[arg(long = "per-shard", alias = "texts-per-shard", value_name = "N", default_value_t = 16384, value_parser = clap::value_parser!(u32).range(1..))]
    pub texts_per_shard: u32,
    /// The checkpoint: the folder `train-classifier` wrote, or any two-class BERT.
    #[command(flatten)]
    pub model: ModelArgs,
    /// The run.
    #[command(flatten)]
    pub run: RunArgs,
}

impl ClassifyArgs {
    /// Runs the subcommand.
    ///
    /// # Errors
    /// Any error that prevents the run.
    pub fn run(&self, global: &GlobalArgs) -> Result<Summary> {
        let mut config = Config::new(PathBuf::new(), checkpoint_of(self.model.resolve(BERT_BASE)?)?);
        config.inputs.clone_from(&self.input);
        config.device = self.model.device;
        config.precision = self.model.dtype;
        config.max_tokens = self.max_tokens.map(|n| n as usize);
        config.batch_size = self.model.batch_size.map_or(config.batch_size, |n| n as usize);
        config.sound_label.clone_from(&self.sound_label);
        config.threshold = self.threshold;
        config.texts_per_shard = self.texts_per_shard as usize;
        let options = self.run.options(global)?;
        limit_threads(options.workers);
        run(&config, &options)
    }
}
