//! Flags of `classify` and `train-classifier`.

use std::path::PathBuf;

use audsem_core::cli::{GlobalArgs, ModelArgs, RunArgs};
use audsem_core::run::Summary;
use clap::Args;

use crate::classify::train::{self, Size, Start};
use crate::classify::{Config, checkpoint_of, run};
use crate::error::Result;

/// The checkpoint the published scripts start from.
const BERT_BASE: &str = "bert-base-uncased";

/// Flags of `classify`.
#[derive(Debug, Clone, Args)]
pub struct ClassifyArgs {
    /// Run folder of `extract`, or any file or folder of caption tables (Parquet or CSV)
    #[arg(short, long, value_name = "PATH")]
    pub input: PathBuf,
    /// Cut texts at this many tokens; the same as in training
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(3..))]
    pub max_length: u32,
    /// A text names a sound if its probability lies above this
    #[arg(long, value_name = "P", default_value_t = 0.5)]
    pub threshold: f32,
    /// Texts scored and committed at a time
    #[arg(long, value_name = "N", default_value_t = 16384, value_parser = clap::value_parser!(u32).range(1..))]
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
    /// Whatever keeps it from running.
    pub fn run(&self, global: &GlobalArgs) -> Result<Summary> {
        let mut config = Config::new(&self.input, checkpoint_of(self.model.resolve(BERT_BASE)?));
        config.device = self.model.device;
        config.precision = self.model.dtype;
        config.max_length = self.max_length as usize;
        config.batch_size = self.model.batch_size.map_or(config.batch_size, |n| n as usize);
        config.threshold = self.threshold;
        config.texts_per_shard = self.texts_per_shard as usize;
        run(&config, &self.run.options(global)?)
    }
}

/// Flags of `train-classifier`. Defaults depend on what training starts from.
#[derive(Debug, Clone, Args)]
pub struct TrainClassifierArgs {
    /// CSV file with columns `text`, `label` (1: names a sound) and, for a fixed split, `split` (train, heldout)
    #[arg(short, long, value_name = "FILE")]
    pub input: PathBuf,
    /// Train a small network from nothing instead of tuning `--model` (bert-base-uncased unless given)
    #[arg(long, conflicts_with_all = ["model", "revision"])]
    pub from_scratch: bool,
    /// With --from-scratch: fewer epochs, for demonstrations and tests
    #[arg(long, requires = "from_scratch", conflicts_with = "epochs")]
    pub quick: bool,
    /// Passes over the data [default: 3; 10 from scratch]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub epochs: Option<u32>,
    /// Highest learning rate [default: 5e-5; 2e-3 from scratch]
    #[arg(long, value_name = "RATE")]
    pub lr: Option<f64>,
    /// Steps over which the learning rate rises [default: 500; a tenth of all steps from scratch]
    #[arg(long, value_name = "N")]
    pub warmup_steps: Option<usize>,
    /// Weight decay, spared on biases and norms
    #[arg(long, value_name = "SHARE", default_value_t = 0.01)]
    pub weight_decay: f64,
    /// Share of tokens hidden while learning [default: 0; 0.1 from scratch]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub token_dropout: Option<f64>,
    /// Probability with which a match is passed over in cutting words into pieces while learning, for WordPiece
    /// tokenizers [default: 0; 0.2 from scratch]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub subword_dropout: Option<f64>,
    /// Cut captions at this many tokens
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(3..))]
    pub max_length: u32,
    /// Share of captions held out where the file has no column `split`
    #[arg(long, value_name = "SHARE", default_value_t = 0.2, value_parser = share)]
    pub heldout: f64,
    /// With --from-scratch: most tokens in the vocabulary
    #[arg(long, value_name = "N", default_value_t = Size::default().vocab_size)]
    pub vocab_size: usize,
    /// With --from-scratch: width of the network, a multiple of 4
    #[arg(long, value_name = "N", default_value_t = Size::default().hidden_size)]
    pub hidden_size: usize,
    /// With --from-scratch: layers
    #[arg(long, value_name = "N", default_value_t = Size::default().layers)]
    pub layers: usize,
    /// The checkpoint to start from; captions in one step are 1024 unless given, 32 from scratch.
    #[command(flatten)]
    pub model: ModelArgs,
    /// The run.
    #[command(flatten)]
    pub run: RunArgs,
}

/// Epochs with `--quick`.
const QUICK_EPOCHS: usize = 6;

impl TrainClassifierArgs {
    /// Runs the subcommand.
    ///
    /// # Errors
    /// Whatever keeps it from running.
    pub fn run(&self, global: &GlobalArgs) -> Result<Summary> {
        let mut config = if self.from_scratch {
            let mut config = train::Config::scratch(&self.input);
            let Self { vocab_size, hidden_size, layers, .. } = *self;
            config.start = Start::Scratch(Size { vocab_size, hidden_size, layers, ..Size::default() });
            if self.quick {
                config.epochs = QUICK_EPOCHS;
            }
            config
        } else {
            train::Config::fine_tune(&self.input, self.model.resolve(BERT_BASE)?)
        };
        config.device = self.model.device;
        config.epochs = self.epochs.map_or(config.epochs, |n| n as usize);
        config.batch_size = self.model.batch_size.map_or(config.batch_size, |n| n as usize);
        config.learning_rate = self.lr.unwrap_or(config.learning_rate);
        config.warmup_steps = self.warmup_steps.or(config.warmup_steps);
        config.weight_decay = self.weight_decay;
        config.token_dropout = self.token_dropout.unwrap_or(config.token_dropout);
        config.subword_dropout = self.subword_dropout.unwrap_or(config.subword_dropout);
        config.max_length = self.max_length as usize;
        config.heldout = self.heldout;
        train::run(&config, &self.run.options(global)?)
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..1.0).contains(&share) => Ok(share),
        _ => Err("expected a share from 0 to below 1".to_owned()),
    }
}
