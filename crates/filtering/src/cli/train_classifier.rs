//! Flags of `train-classifier`.

use std::path::PathBuf;

use audsem_core::cli::{GlobalArgs, RunArgs};
use audsem_core::device::DeviceChoice;
use audsem_core::error::Error as CoreError;
use audsem_core::hub::ModelDir;
use audsem_core::run::Summary;
use audsem_models::nn::limit_threads;
use clap::Args;

use super::classify::BERT_BASE;
use super::numbers::{not_negative, share};
use crate::classify::train::{self, Config, Size, Start};
use crate::error::Result;

/// Flags of `train-classifier`. Defaults depend on what training starts from.
#[derive(Debug, Clone, Args)]
pub struct TrainClassifierArgs {
    /// CSV files with columns `text`, `label` (1: names a sound) and, for a fixed split, `split` (train, heldout), which all
    /// have or none; if a text is repeated, its first row counts
    #[arg(short, long, value_name = "FILE", required = true, num_args = 1..)]
    pub input: Vec<PathBuf>,
    /// Train a small network from scratch instead of fine-tuning `--model` (by default bert-base-uncased)
    #[arg(long, conflicts_with_all = ["model", "revision"])]
    pub from_scratch: bool,
    /// With --from-scratch: fewer epochs, for demonstrations and tests
    #[arg(long, requires = "from_scratch", conflicts_with = "epochs")]
    pub quick: bool,
    /// Number of epochs [default: 3; 10 from scratch]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub epochs: Option<u32>,
    /// Peak learning rate [default: 5e-5; 2e-3 from scratch]
    #[arg(long, value_name = "RATE", value_parser = not_negative)]
    pub lr: Option<f64>,
    /// Warm-up steps, over which the learning rate rises from 0 [default: 500; a tenth of all steps from scratch]
    #[arg(long, value_name = "N")]
    pub warmup_steps: Option<usize>,
    /// Weight decay, not applied to biases and norms
    #[arg(long, value_name = "SHARE", default_value_t = 0.01, value_parser = not_negative)]
    pub weight_decay: f64,
    /// Share of tokens masked during training [default: 0; 0.1 from scratch]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub token_dropout: Option<f64>,
    /// MaxMatch-Dropout of WordPiece tokenizers: probability with which a match is skipped while splitting words during
    /// training [default: 0; 0.2 from scratch]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub subword_dropout: Option<f64>,
    /// Truncate captions to this many tokens, special tokens included
    #[arg(long, alias = "max-length", value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(3..))]
    pub max_tokens: u32,
    /// Share of captions held out for evaluation if the files have no column `split`
    #[arg(long, value_name = "SHARE", default_value_t = 0.2, value_parser = share)]
    pub heldout: f64,
    /// With --from-scratch: maximum size of the vocabulary [default: 1000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(6..), help_heading = "Size")]
    pub vocab_size: Option<u32>,
    /// With --from-scratch: width of the network, a multiple of 4 [default: 64]
    #[arg(long, value_name = "N", value_parser = width, help_heading = "Size")]
    pub hidden_size: Option<u32>,
    /// With --from-scratch: number of layers [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Size")]
    pub layers: Option<u32>,
    /// Checkpoint to start from: a folder, or an id on the Hugging Face hub [default: bert-base-uncased]
    #[arg(long, value_name = "ID_OR_PATH", help_heading = "Model")]
    pub model: Option<String>,
    /// Branch, tag or commit of the hub repository [default: main]
    #[arg(long, value_name = "REV", help_heading = "Model")]
    pub revision: Option<String>,
    /// Device to train on: `auto`, `cpu` or `cuda:N` [default: auto; cpu from scratch, where it is faster]
    #[arg(long, value_name = "DEVICE", help_heading = "Model")]
    pub device: Option<DeviceChoice>,
    /// Batch size in captions [default: 1024; 32 from scratch]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Model")]
    pub batch_size: Option<u32>,
    /// The run.
    #[command(flatten)]
    pub run: RunArgs,
}

/// Number of epochs with `--quick`.
const QUICK_EPOCHS: usize = 6;

impl TrainClassifierArgs {
    /// Runs the subcommand.
    ///
    /// # Errors
    /// Any error that prevents the run.
    pub fn run(&self, global: &GlobalArgs) -> Result<Summary> {
        let options = self.run.options(global)?;
        limit_threads(options.workers);
        train::run(&self.config()?, &options)
    }

    /// The configuration these flags stand for.
    fn config(&self) -> Result<Config> {
        let mut config = self.begin()?;
        config.device = self.device.unwrap_or(config.device);
        config.epochs = self.epochs.map_or(config.epochs, |n| n as usize);
        config.batch_size = self.batch_size.map_or(config.batch_size, |n| n as usize);
        config.learning_rate = self.lr.unwrap_or(config.learning_rate);
        config.warmup_steps = self.warmup_steps.or(config.warmup_steps);
        config.weight_decay = self.weight_decay;
        config.token_dropout = self.token_dropout.unwrap_or(config.token_dropout);
        config.subword_dropout = self.subword_dropout.unwrap_or(config.subword_dropout);
        config.max_length = self.max_tokens as usize;
        config.heldout = self.heldout;
        Ok(config)
    }

    /// The defaults of what training starts from.
    fn begin(&self) -> Result<Config> {
        if !self.from_scratch {
            self.refuse_sizes()?;
            let model = self.model.as_deref().unwrap_or(BERT_BASE);
            return Ok(Config::fine_tune(self.input.clone(), ModelDir::resolve(model, self.revision.as_deref())?));
        }
        let mut config = Config::scratch(self.input.clone());
        let default = Size::default();
        config.start = Start::Scratch(Size {
            vocab_size: self.vocab_size.map_or(default.vocab_size, |n| n as usize),
            hidden_size: self.hidden_size.map_or(default.hidden_size, |n| n as usize),
            layers: self.layers.map_or(default.layers, |n| n as usize),
            ..default
        });
        if self.quick {
            config.epochs = QUICK_EPOCHS;
        }
        Ok(config)
    }

    /// Refuses flags that set the size of a new network together with a checkpoint. Checked here, because clap's
    /// `requires` does not see a `from-scratch` in a configuration file.
    fn refuse_sizes(&self) -> Result<()> {
        let sizes = [("--vocab-size", self.vocab_size), ("--hidden-size", self.hidden_size), ("--layers", self.layers)];
        match sizes.into_iter().find(|(_, size)| size.is_some()) {
            None => Ok(()),
            Some((flag, _)) => Err(CoreError::Config {
                what: flag.to_owned(),
                problem: "it sets the size of a network that is trained from scratch; a checkpoint has a fixed size\n\
                          hint: add --from-scratch, or leave the flag out"
                    .to_owned(),
            }
            .into()),
        }
    }
}

/// A width that the attention heads of a new network share evenly.
fn width(text: &str) -> Result<u32, String> {
    let heads = Size::default().heads as u32;
    match text.parse::<u32>() {
        Ok(width) if width > 0 && width.is_multiple_of(heads) => Ok(width),
        _ => Err(format!("expected a multiple of {heads}")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn config(flags: &[&str]) -> Result<Config, String> {
        let words = ["audsem-filtering", "train-classifier", "--input", "c.csv", "--output", "o"];
        let cli = Cli::try_parse_from(words.iter().chain(flags)).map_err(|error| error.to_string())?;
        let Command::TrainClassifier(args) = cli.command else { panic!("another subcommand") };
        args.config().map_err(|error| error.to_string())
    }

    #[test]
    fn device_is_the_named_one_else_what_suits_the_start() {
        let device = |flags: &[&str]| config(flags).unwrap().device;
        assert_eq!(device(&["--from-scratch"]), DeviceChoice::Cpu);
        assert_eq!(device(&["--from-scratch", "--device", "auto"]), DeviceChoice::Auto);
        assert_eq!(device(&["--from-scratch", "--device", "cuda:1"]), DeviceChoice::Cuda(1));
    }

    #[test]
    fn sizes_are_those_of_a_new_network_alone() {
        let shaped =
            config(&["--from-scratch", "--vocab-size", "200", "--hidden-size", "32", "--layers", "2"]).unwrap();
        let Start::Scratch(size) = shaped.start else { panic!("not from scratch") };
        assert_eq!(size, Size { vocab_size: 200, hidden_size: 32, layers: 2, heads: 4 });
        for flag in ["--vocab-size", "--hidden-size", "--layers"] {
            let error = config(&[flag, "8"]).unwrap_err();
            assert!(error.contains(flag) && error.contains("hint: add --from-scratch"), "{error}");
        }
        // Training always uses f32 weights.
        let error = config(&["--from-scratch", "--dtype", "bf16"]).unwrap_err();
        assert!(error.contains("unexpected argument '--dtype'"), "{error}");
    }
}
