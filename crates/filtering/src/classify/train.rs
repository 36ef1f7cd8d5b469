//! `train-classifier`: a BERT classifier from labelled captions.
//!
//! Either an existing checkpoint is fine-tuned, with the settings of the published scripts, or a small network with its
//! own WordPiece vocabulary is trained from scratch, which takes seconds and needs no download. The run folder gets
//! `model/` (a checkpoint as the Hugging Face libraries write and read it), `metrics.json` and `heldout.csv` (the
//! verdict on every held-out caption). The same seed gives the same bytes. A stop request takes effect at the next step;
//! after each epoch weights and optimiser are kept, so that the same command then continues, with the same final bytes.

use std::path::PathBuf;
use std::time::Instant;

use audsem_core::device::DeviceChoice;
use audsem_core::error::Error as CoreError;
use audsem_core::hub::ModelDir;
use audsem_core::run::{
    Fingerprint, ReadBack, Run, RunConfig, RunOptions, RunSpec, Shard, ShardError, ShardOutput, ShardOutputs, Step,
    Summary,
};
use audsem_core::terminal::{by_number, counted};
use audsem_models::tokenizer::Tokenizer;
use audsem_models::train::{StateFile, Trainer};
use serde::Serialize;
use serde_json::{Value, json};

use super::begin::begin;
use super::checkpoint::{checkpoint_files, pretty};
use super::epoch::Epoch;
use super::labelled::{Examples, read_labelled};
use super::learner::{Learner, Loop};
use super::metrics::Metrics;
use super::scorer::without_brackets;
use crate::error::{Error, Result};

/// Counter of captions that are learned from or tested on without their end.
const TRUNCATED: &str = "truncated";

/// What training starts from.
#[derive(Debug, Clone)]
pub enum Start {
    /// A checkpoint; a classification head is made new where it has none.
    Checkpoint(Box<ModelDir>),
    /// New weights.
    Scratch(Size),
}

/// Size of a network trained from scratch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Size {
    /// Most tokens in the vocabulary.
    pub vocab_size: usize,
    /// Width.
    pub hidden_size: usize,
    /// Layers.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
}

impl Default for Size {
    fn default() -> Self {
        Self { vocab_size: 1000, hidden_size: 64, layers: 1, heads: 4 }
    }
}

/// Settings of `train-classifier`.
#[derive(Debug, Clone)]
pub struct Config {
    /// CSV files of labelled captions.
    pub inputs: Vec<PathBuf>,
    /// What to start from.
    pub start: Start,
    /// Where the network runs.
    pub device: DeviceChoice,
    /// Captions are cut at this many tokens, special ones included.
    pub max_length: usize,
    /// Share of captions held out where the files have no column `split`.
    pub heldout: f64,
    /// Passes over the data.
    pub epochs: usize,
    /// Captions in one step.
    pub batch_size: usize,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Steps over which the learning rate rises; a tenth of all where absent.
    pub warmup_steps: Option<usize>,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Share of tokens masked during training.
    pub token_dropout: f64,
    /// MaxMatch-Dropout: probability with which a match is skipped while splitting words during training.
    pub subword_dropout: f64,
}

impl Config {
    /// The settings of the published scripts for fine-tuning a checkpoint.
    #[must_use]
    pub fn fine_tune(inputs: Vec<PathBuf>, model: ModelDir) -> Self {
        Self {
            inputs,
            start: Start::Checkpoint(Box::new(model)),
            device: DeviceChoice::Auto,
            max_length: 32,
            heldout: 0.2,
            epochs: 3,
            batch_size: 1024,
            learning_rate: 5e-5,
            warmup_steps: Some(500),
            weight_decay: 0.01,
            token_dropout: 0.0,
            subword_dropout: 0.0,
        }
    }

    /// Settings that serve a small network and a few thousand captions.
    #[must_use]
    pub fn scratch(inputs: Vec<PathBuf>) -> Self {
        Self {
            inputs,
            start: Start::Scratch(Size::default()),
            device: DeviceChoice::Cpu,
            max_length: 32,
            heldout: 0.2,
            epochs: 10,
            batch_size: 32,
            learning_rate: 2e-3,
            warmup_steps: None,
            weight_decay: 0.01,
            token_dropout: 0.1,
            subword_dropout: 0.2,
        }
    }
}

/// What decides the content of the output.
#[derive(Serialize)]
struct HashedConfig {
    scratch: Option<Size>,
    weights_sha256: Option<Vec<String>>,
    max_length: usize,
    heldout: f64,
    epochs: usize,
    batch_size: usize,
    learning_rate: f64,
    warmup_steps: Option<usize>,
    weight_decay: f64,
    token_dropout: f64,
    subword_dropout: f64,
}

impl RunConfig for HashedConfig {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "train-classifier";
}

/// Trains, and writes checkpoint and metrics into the run folder of `options`.
///
/// # Errors
/// The captions or the checkpoint cannot be used, training breaks, or the output cannot be written.
pub fn run(config: &Config, options: &RunOptions) -> Result<Summary> {
    let (scratch, model) = match &config.start {
        Start::Scratch(size) => (Some(*size), None),
        Start::Checkpoint(dir) => (None, Some(dir.fingerprint()?)),
    };
    let record = HashedConfig {
        scratch,
        weights_sha256: model.as_ref().map(|model| model.sha256.clone()),
        max_length: config.max_length,
        heldout: config.heldout,
        epochs: config.epochs,
        batch_size: config.batch_size,
        learning_rate: config.learning_rate,
        warmup_steps: config.warmup_steps,
        weight_decay: config.weight_decay,
        token_dropout: config.token_dropout,
        subword_dropout: config.subword_dropout,
    };
    let spec = RunSpec::new(&record).inputs(&config.inputs).models(model.into_iter().collect());
    let mut run = Run::open(options, spec)?;
    let fingerprint = run.inputs().iter().fold(Fingerprint::new(), Fingerprint::with_file).finish();
    let state = StateFile::new(run.folder(), purpose(&record, options, &fingerprint));
    let folder = run.folder().to_owned();
    let plan = [Shard { name: "00000".to_owned(), fingerprint, work: () }];
    let step = Step { name: "train", unit: "captions", physical: "" };
    let train = |(): &(), out: &mut ShardOutput| train(config, options, &state, out);
    let trained = run.execute_via(&ReadBack(read_metrics), step, &plan, train)?;
    if trained.complete && !options.dry_run {
        StateFile::remove(&folder)?;
    }
    let truncated = trained.stats.counts.get(TRUNCATED).copied().unwrap_or(0);
    let mut summary = run.finish()?.with_result(TRUNCATED, truncated);
    for heldout in trained.values.into_iter().flatten() {
        for (name, value) in [
            ("accuracy", heldout.accuracy),
            ("precision", heldout.precision),
            ("recall", heldout.recall),
            ("f1", heldout.f1),
        ] {
            summary = summary.with_result(name, (value * 1e4).round() / 1e4);
        }
    }
    Ok(summary)
}

/// What `metrics.json` says of the held-out captions after the last epoch.
fn read_metrics(shard: &ShardOutputs) -> Result<Option<Metrics>, CoreError> {
    #[derive(serde::Deserialize)]
    struct Written {
        heldout: Option<Metrics>,
    }
    let path = shard.file_ending("/metrics.json")?;
    let bytes = std::fs::read(path).map_err(CoreError::read(path))?;
    let written: Written = serde_json::from_slice(&bytes)
        .map_err(|error| CoreError::input(path, format!("not written by this command: {error}")))?;
    Ok(written.heldout)
}

/// Identifies the run that a saved state belongs to.
fn purpose(record: &HashedConfig, options: &RunOptions, input: &str) -> String {
    let config = serde_json::to_string(record).expect("a configuration is plain data");
    let options = format!("{} {:?}", options.seed, options.limit);
    Fingerprint::new().with(env!("CARGO_PKG_VERSION")).with(config).with(options).with(input).hash()
}

/// The only shard. Returns the metrics of the last epoch, or nothing on a dry run.
fn train(
    config: &Config,
    options: &RunOptions,
    state: &StateFile,
    out: &mut ShardOutput,
) -> Result<Option<Metrics>, ShardError> {
    let examples = read_labelled(&config.inputs, config.heldout, options.seed, options.limit, out)?;
    if options.dry_run {
        return Ok(None);
    }
    let device = config.device.open().map_err(Error::from)?;
    let begun = begin(config, options.seed, &examples, &device)?;
    count_truncated(&begun.encoder, &examples, out)?;
    let n_steps = config.epochs * examples.train.len().div_ceil(config.batch_size);
    let settings = Loop {
        epochs: config.epochs,
        batch_size: config.batch_size,
        learning_rate: config.learning_rate,
        warmup_steps: config.warmup_steps.unwrap_or(n_steps / 10),
        weight_decay: config.weight_decay,
        token_dropout: config.token_dropout,
        subword_dropout: config.subword_dropout,
        seed: options.seed,
    };
    let learner = Learner::new(&begun, &settings, &examples.heldout, &device).map_err(Error::from)?;
    let trainer = Trainer {
        config: settings.train_config(),
        params: &begun.params,
        device: &device,
        state,
        stop: audsem_core::signals::stop_requested,
    };
    out.on_stop("the training stops at its next update, and the next run continues there");
    let mut last = Instant::now();
    let history = trainer.run(&learner, &examples.train, |epoch| {
        let epoch = Epoch::from_bits(epoch);
        let (loss, f1) = (epoch.train_loss, epoch.heldout.f1);
        let (number, n_epochs) = (epoch.epoch, config.epochs);
        tracing::info!("epoch {number}: train loss {loss:.4}, held-out F1 {f1:.4}");
        let left = last.elapsed().as_secs_f64() * n_epochs.saturating_sub(number) as f64;
        last = Instant::now();
        out.note(format!("epoch {number} of {n_epochs}: train loss {loss:.4}, held-out F1 {f1:.4}, {left:.0} s left"));
    });
    let history = history.map_err(Error::from)?.ok_or(ShardError::Stopped)?;
    let history: Vec<Epoch> = history.iter().map(Epoch::from_bits).collect();
    for (name, bytes) in checkpoint_files(&begun.network, &begun.params, &begun.encoder, begun.side.clone())? {
        out.write_file(format!("model/{name}"), &bytes)?;
    }
    out.write_file("metrics.json", &pretty(&metrics(&settings, &examples, &history)))?;
    let probabilities = learner.probabilities(&examples.heldout).map_err(Error::from)?;
    out.write_file("heldout.csv", &heldout_csv(&examples, &probabilities))?;
    Ok(history.last().map(|epoch| epoch.heldout))
}

/// Counts the captions that are cut to the limit of tokens.
fn count_truncated(encoder: &Tokenizer, examples: &Examples, out: &mut ShardOutput) -> Result<()> {
    let mut truncated = 0;
    for example in examples.train.iter().chain(&examples.heldout) {
        truncated += u64::from(encoder.encode(&without_brackets(&example.text))?.truncated);
    }
    out.count(TRUNCATED, truncated);
    if truncated > 0 {
        let limit = encoder.max_tokens();
        tracing::warn!(
            "{} {} more than {limit} tokens and {} learned and judged without the end",
            counted(truncated, "captions"),
            by_number(truncated, "has", "have"),
            by_number(truncated, "is", "are")
        );
    }
    Ok(())
}

fn metrics(settings: &Loop, examples: &Examples, history: &[Epoch]) -> Value {
    json!({
        "n_train": examples.train.len(),
        "n_heldout": examples.heldout.len(),
        "settings": settings,
        "heldout": history.last().map(|epoch| epoch.heldout),
        "history": history,
    })
}

fn heldout_csv(examples: &Examples, probabilities: &[f32]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut write = |cells: [&str; 3]| writer.write_record(cells).expect("writing to memory");
    write(["text", "label", "probability"]);
    for (example, probability) in examples.heldout.iter().zip(probabilities) {
        write([&example.text, if example.sound { "1" } else { "0" }, &probability.to_string()]);
    }
    writer.into_inner().expect("writing to memory")
}
