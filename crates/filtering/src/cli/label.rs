//! `label`.

use std::path::PathBuf;

use audsem_core::cli::{GlobalArgs, RunArgs};
use audsem_core::run::Summary;
use audsem_llm::PromptTemplate;
use audsem_models::language::LanguageModelArgs;
use audsem_models::nn::limit_threads;
use clap::Args;

use super::numbers::probability;
use crate::error::Result;
use crate::label::{Config, run};

/// Flags of `label`.
#[derive(Debug, Clone, Args)]
pub struct LabelArgs {
    /// Run folders of `extract`, or any files or folders of caption tables (Parquet or CSV)
    #[arg(short, long, value_name = "PATH", required = true, num_args = 1..)]
    pub input: Vec<PathBuf>,
    /// Prompt template that replaces the built-in one: sections `--- system ---` and `--- user ---`
    /// (or a single `--- raw ---`), with {{ caption }} in place of the caption
    #[arg(long, value_name = "FILE")]
    pub prompt: Option<PathBuf>,
    /// Maximum number of tokens of an answer; use hundreds for a reasoning model
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_tokens: u32,
    /// Top log-probabilities to request for each token; 0 for servers without log-probabilities; most allow at most 20
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub top_logprobs: u8,
    /// Minimum P(yes) for the label yes
    #[arg(long, value_name = "P", default_value_t = 0.5, value_parser = probability)]
    pub threshold: f32,
    /// Reply to an answer that is neither yes nor no with a reminder, up to N times. To ask only the
    /// unknowns of an earlier run again, repeat it with this flag and --fresh: all other answers are cached
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub retry_unknown: u32,
    /// Texts per shard, which are asked about and committed together
    #[arg(long = "per-shard", alias = "texts-per-shard", value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..))]
    pub texts_per_shard: u32,
    /// The server, or the model in this process.
    #[command(flatten)]
    pub language_model: LanguageModelArgs,
    /// The run.
    #[command(flatten)]
    pub run: RunArgs,
}

impl LabelArgs {
    /// Runs the subcommand.
    ///
    /// # Errors
    /// Any error that prevents the run.
    pub fn run(&self, global: &GlobalArgs) -> Result<Summary> {
        let options = self.run.options(global)?;
        let mut config = Config::new(PathBuf::new())?;
        config.inputs.clone_from(&self.input);
        if let Some(path) = &self.prompt {
            config.prompt = PromptTemplate::load(path)?;
        }
        config.max_tokens = self.max_tokens;
        config.top_logprobs = self.top_logprobs;
        config.threshold = self.threshold;
        config.retry_unknown = self.retry_unknown;
        config.texts_per_shard = self.texts_per_shard as usize;
        config.unanswered = self.language_model.unanswered();
        limit_threads(options.workers);
        let model = self.language_model.open(&options.output, options.dry_run)?;
        run(&config, &*model.generator, model.fingerprints, &options)
    }
}
