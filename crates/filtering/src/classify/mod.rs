//! `classify`: which captions name a sound, by a BERT sequence classifier.
//!
//! The verdict depends on the text alone, so each distinct text is scored once; texts of similar length share a
//! batch, so that little is computed on padding, and padding never changes a result. All six bracket characters are
//! removed before tokenising, in training as in use: they say that something is a caption, not what it is about.
//!
//! Step `texts` collects the distinct texts, step `part` scores them.

mod begin;
mod checkpoint;
mod classes;
mod epoch;
mod labelled;
mod learner;
mod metrics;
mod scorer;
pub mod train;

use std::path::{Path, PathBuf};

use crate::tables::{BertLabel, BertLabelRef, refuse_other_kinds};
use audsem_core::device::{DeviceChoice, Precision};
use audsem_core::hub::ModelDir;
use audsem_core::run::{LeftOut, Run, RunConfig, RunOptions, RunSpec, ShardError, ShardOutput, Step, Summary};
use audsem_core::tables::{ParquetWriter, read_parquet, tables_under};
use audsem_core::terminal::{by_number, counted};
use serde::Serialize;

pub use labelled::{Example, Examples, LabelledSplit, read_labelled};
pub use metrics::{Confusion, Metrics};
pub use scorer::{Processed, Scorer, ScorerOptions, SoundScore, Unscored};

use crate::error::Result;
use crate::texts::{self, DistinctText};

audsem_core::reasons! {
    /// What can be wrong with a text.
    pub enum Fault {
        NoVerdict = "no_verdict": "the classifier gave no probability for this text",
        TooLong = "too_long": "the text is too long, and its beginning does not determine its first tokens",
        NoTokens = "no_tokens": "the text has no token: it is empty, or has only characters that the model does not see",
    }
}

/// Settings of `classify`.
#[derive(Debug, Clone)]
pub struct Config {
    /// Run folder of `extract`, or any folder or file of caption tables.
    pub inputs: Vec<PathBuf>,
    /// The checkpoint.
    pub model: ModelDir,
    /// Where it runs.
    pub device: DeviceChoice,
    /// Number type of its weights.
    pub precision: Precision,
    /// Texts are truncated to this many tokens, special ones included; `None` is the model's own limit.
    pub max_tokens: Option<usize>,
    /// Texts in one forward pass.
    pub batch_size: usize,
    /// Name of the class that means *names a sound*; `None` to infer it from the names.
    pub sound_label: Option<String>,
    /// A text names a sound if its probability lies above this.
    pub threshold: f32,
    /// Texts per shard: scored at a time, committed at a time.
    pub texts_per_shard: usize,
}

impl Config {
    /// The defaults: the model's own limit of tokens, batches of 64, threshold one half, shards of 16,384.
    #[must_use]
    pub fn new(input: impl Into<PathBuf>, model: ModelDir) -> Self {
        Self {
            inputs: vec![input.into()],
            model,
            device: DeviceChoice::Auto,
            precision: Precision::F32,
            max_tokens: None,
            batch_size: 64,
            sound_label: None,
            threshold: 0.5,
            texts_per_shard: 16384,
        }
    }

    fn scorer(&self) -> ScorerOptions {
        ScorerOptions {
            dtype: self.precision.dtype(),
            max_tokens: self.max_tokens,
            batch_size: self.batch_size,
            sound_label: self.sound_label.clone(),
        }
    }
}

/// Counter of texts that were truncated.
const TRUNCATED: &str = "truncated";

/// Bytes of a text that is too long, in the rejects.
const SHOWN_BYTES: usize = 200;

/// What decides the content of the output. The batch size does, on a GPU, in the last bits of a probability.
#[derive(Serialize)]
struct HashedConfig<'a> {
    precision: Precision,
    max_tokens: Option<usize>,
    batch_size: usize,
    sound_label: Option<&'a str>,
    threshold: f32,
    texts_per_shard: usize,
    weights_sha256: Vec<String>,
}

impl RunConfig for HashedConfig<'_> {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "classify";
}

/// The checkpoint of a folder, or of its subfolder `model`, where `train-classifier` puts it.
///
/// # Errors
/// It cannot be told which of them has one.
pub fn checkpoint_of(dir: ModelDir) -> Result<ModelDir> {
    let inner = ModelDir::local(&dir.root().join("model"));
    Ok(if !dir.has("config.json")? && inner.has("config.json")? { inner } else { dir })
}

/// Scores every distinct text of the input.
///
/// # Errors
/// The model or an input cannot be read, or the output cannot be written.
pub fn run(config: &Config, options: &RunOptions) -> Result<Summary> {
    let inputs = config.inputs.iter().map(|path| tables_under(path)).collect::<Result<Vec<_>, _>>()?.concat();
    refuse_other_kinds::<texts::Caption>(&inputs)?;
    let model = config.model.fingerprint()?;
    let record = HashedConfig {
        precision: config.precision,
        max_tokens: config.max_tokens,
        batch_size: config.batch_size,
        sound_label: config.sound_label.as_deref(),
        threshold: config.threshold,
        texts_per_shard: config.texts_per_shard,
        weights_sha256: model.sha256.clone(),
    };
    let spec = RunSpec::new(&record).inputs(&inputs).models(vec![model]);
    let mut run = Run::open(options, spec)?;
    let texts = texts::collect(&mut run, &inputs, config.texts_per_shard)?;
    if !texts.complete || options.dry_run {
        return Ok(run.finish()?);
    }
    let device = config.device.open()?;
    let scorer = Scorer::open(&config.model, &device, &config.scorer())?;
    let step = Step { name: "part", unit: "texts", physical: "tok" };
    let plan = texts.shard_per_file(".parquet");
    run.must_keep(step).explain(Fault::ALL);
    let report = run.execute(step, &plan, |path, out| score(config, &scorer, path, out))?;
    let count = |name| report.stats.counts.get(name).copied().unwrap_or(0);
    let truncated = count(TRUNCATED);
    if truncated > 0 {
        let (has, was) = (by_number(truncated, "has", "have"), by_number(truncated, "was", "were"));
        let (texts, limit) = (counted(truncated, "texts"), scorer.max_tokens());
        tracing::warn!("{texts} {has} more than {limit} tokens and {was} truncated");
    }
    let summary = run.finish()?.with_result("texts that name a sound", count("sounds"));
    Ok(summary.with_result(TRUNCATED, truncated))
}

/// One shard: scores its texts, writes `part-N.parquet`.
fn score(config: &Config, scorer: &Scorer, path: &Path, out: &mut ShardOutput) -> Result<(), ShardError> {
    let rows: Vec<DistinctText> = read_parquet(path).map_err(ShardError::input)?;
    let texts: Vec<&str> = rows.iter().map(|row| row.text.as_str()).collect();
    out.expect(rows.len() as u64);
    let processed = |part: Processed| {
        out.work(part.tokens as f64);
        out.through(part.texts as u64);
    };
    let scores = scorer.score(&texts, processed).map_err(ShardError::fatal)?;
    let mut file = out.create(format!("part-{}.parquet", out.name()))?;
    let mut writer = ParquetWriter::<BertLabel, _>::new(&mut file).map_err(ShardError::fatal)?;
    out.announce(rows.len() as u64);
    for (row, score) in rows.iter().zip(scores) {
        let SoundScore { probability, truncated } = match score {
            Ok(score) => score,
            Err(unscored) => {
                let fault = match unscored {
                    Unscored::TooLong => Fault::TooLong,
                    Unscored::NoTokens => Fault::NoTokens,
                };
                out.file_left_out(beginning(&row.text), LeftOut::fail(fault, format!("{} bytes", row.text.len())));
                continue;
            }
        };
        out.count(TRUNCATED, u64::from(truncated));
        if !probability.is_finite() {
            out.file_left_out(&row.text, LeftOut::fail(Fault::NoVerdict, probability));
            continue;
        }
        let sound = probability > config.threshold;
        out.count(if sound { "sounds" } else { "others" }, 1);
        let label = BertLabelRef {
            text_hash: row.text_hash,
            text: &row.text,
            bert_label: i8::from(sound),
            bert_prob: probability,
        };
        writer.push(label).map_err(ShardError::fatal)?;
        out.file_kept(1);
    }
    writer.finish().map_err(ShardError::fatal)?;
    Ok(out.close(file)?)
}

/// So much of a text that is too long for a line as tells which one it is.
pub(super) fn beginning(text: &str) -> &str {
    &text[..text.floor_char_boundary(SHOWN_BYTES)]
}
