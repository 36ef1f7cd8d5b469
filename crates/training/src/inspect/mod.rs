//! `inspect`: what a training would do: its first batch as text with what is learned of it, numbers of parameters, memory.

mod estimate;
mod preview;

use std::fmt;
use std::path::Path;

use audsem_core::run::RunOptions;
use audsem_core::terminal::counted;
use audsem_models::multimodal::audio_language::AudioCheckpoint;
use serde::Serialize;

pub use estimate::{MemoryEstimate, ParameterCounts};
pub use preview::{ExamplePreview, PreviewPart};

use crate::data::{BatchConfig, Cursor, LeftOutExample, Loader, LoaderConfig, MicroBatch, Turns};
use crate::error::Result;
use crate::setup::{TrainingData, TrainingSetup};

/// What is inspected.
#[derive(Debug, Clone)]
pub struct Config {
    /// Model and examples.
    pub setup: TrainingSetup,
    /// What is a batch.
    pub batches: BatchConfig,
    /// Seed of the order of examples.
    pub seed: u64,
    /// Threads that prepare examples.
    pub workers: usize,
}

/// What a training would do.
#[derive(Debug, Clone, Serialize)]
pub struct Inspection {
    /// The model.
    pub model: String,
    /// Its family.
    pub family: &'static str,
    /// What defaults stand for files that its folder lacks.
    pub notes: Vec<String>,
    /// Numbers of parameters.
    pub parameters: ParameterCounts,
    /// Memory for batches as the first one.
    pub memory: MemoryEstimate,
    /// Examples to learn from.
    pub examples: usize,
    /// Examples in one epoch.
    pub epoch: usize,
    /// Examples to validate on.
    pub valid_examples: usize,
    /// The first batch.
    pub batch: Vec<ExamplePreview>,
    /// Examples left out before it.
    pub left_out: Vec<LeftOutExample>,
}

/// Prepares the first batch of a training. Of the weights nothing is read but their headers.
///
/// # Errors
/// The model's folder or the data cannot be used.
pub fn run(config: &Config) -> Result<Inspection> {
    let Config { setup, .. } = config;
    setup.check()?;
    let mut checkpoint = AudioCheckpoint::open(&setup.model, setup.processor.as_deref())?;
    let folder = tempfile::tempdir().map_err(audsem_core::error::Error::write(&std::env::temp_dir()))?;
    let data = open_data(config, &mut checkpoint, folder.path())?;
    let (batch, left_out) = first_batch(config, &data)?;
    let parameters = ParameterCounts::of(setup, &checkpoint)?;
    let memory = MemoryEstimate::of(setup, checkpoint.config(), &parameters, &batch.examples)?;
    let audio_token = checkpoint.config().audio_token();
    let preview = |example| ExamplePreview::of(example, &data.processor, audio_token);
    Ok(Inspection {
        model: setup.model.clone(),
        family: checkpoint.family().name(),
        notes: checkpoint.notes().to_vec(),
        parameters,
        memory,
        examples: data.train.rows.len(),
        epoch: data.order.len(),
        valid_examples: data.valid.as_ref().map_or(0, |valid| valid.rows.len()),
        batch: batch.examples.iter().map(preview).collect::<Result<_>>()?,
        left_out,
    })
}

/// Opens the examples; folders of shards are indexed below `folder`.
fn open_data(config: &Config, checkpoint: &mut AudioCheckpoint, folder: &Path) -> Result<TrainingData> {
    let Config { setup, seed, workers, .. } = config;
    let options = RunOptions { seed: *seed, workers: *workers, ..RunOptions::new(folder) };
    TrainingData::open(setup, setup.prompt(Turns::Answered(setup.target)), checkpoint, &options)
}

/// The first batch that is not empty, and what was left out up to there.
fn first_batch(config: &Config, data: &TrainingData) -> Result<(MicroBatch, Vec<LeftOutExample>)> {
    let loading = LoaderConfig { batches: config.batches, seed: config.seed, workers: config.workers, epochs: 1 };
    let (train, preparer, order) = (data.train.clone(), data.preparer.clone(), data.order.clone());
    let mut loader = Loader::start(train, preparer, order, loading, Cursor::default());
    let (mut batch, mut left_out) = (MicroBatch::default(), Vec::new());
    while batch.examples.is_empty() {
        let Some(next) = loader.next_batch()? else { break };
        left_out.extend(next.left_out.iter().map(|(_, key, why)| LeftOutExample::new(key, why)));
        batch = next;
    }
    Ok((batch, left_out))
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "model: {} ({})", self.model, self.family)?;
        self.notes.iter().try_for_each(|note| writeln!(f, "  {note}"))?;
        write!(f, "{}{}", self.parameters, self.memory)?;
        let Self { examples, epoch, valid_examples, .. } = self;
        let examples = counted(*examples, "examples");
        writeln!(f, "data: {examples}, {epoch} in an epoch, {valid_examples} to validate on")?;
        for LeftOutExample { key, reason, detail } in &self.left_out {
            writeln!(f, "  left out: {key}: {reason}: {detail}")?;
        }
        let sum = |count: fn(&ExamplePreview) -> usize| self.batch.iter().map(count).sum::<usize>();
        let (tokens, learned) = (sum(|example| example.tokens), sum(|example| example.learned));
        let (batch, tokens) = (counted(self.batch.len(), "examples"), counted(tokens, "tokens"));
        write!(f, "first batch: {batch}, {tokens}, {learned} learned (in [[ ]])")?;
        self.batch.iter().try_for_each(|example| write!(f, "\n{example}"))
    }
}
