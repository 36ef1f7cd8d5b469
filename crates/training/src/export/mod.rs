//! `export`: a complete model folder, which transformers opens, of a base and what was trained on it.
//!
//! ```text
//! out/model/    weights, config.json, tokenizer, chat template, feature extractor, settings of generation, README.md
//! ```
//!
//! Adapters are merged in f32 and rounded once. The base is only read.

mod card;
mod source;

use std::path::{Path, PathBuf};

use audsem_core::device::Precision;
use audsem_core::hub::{HubSettings, ModelDir, PushedModel, push_folder};
use audsem_core::input::read_whole;
use audsem_core::run::{
    CompletedRun, Fingerprint, Run, RunConfig, RunOptions, RunSpec, Shard, ShardError, ShardOutput, Step, Summary,
};
use audsem_models::multimodal::audio_language::AudioCheckpoint;
use audsem_models::multimodal::export::{ModelExport, TensorLayout};
use serde::Serialize;

use crate::error::{Error, Result};
use source::TrainedSource;

/// The folder of the model, below that of the run.
pub const MODEL: &str = "model";

/// Files of a processor and of a model that are taken over unchanged.
const SIDE_FILES: [&str; 12] = [
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "chat_template.json",
    "preprocessor_config.json",
    "processor_config.json",
    "generation_config.json",
    "spk_dict.pt",
];

/// What is exported.
#[derive(Debug, Clone)]
pub struct Config {
    /// The output folder of a training, or a PEFT folder.
    pub trained: PathBuf,
    /// Folder or hub id of the base, where it is not the one that the training names.
    pub base: Option<String>,
    /// Folder or hub id of tokenizer and chat template, where the base lacks them.
    pub processor: Option<String>,
    /// Names of tensors.
    pub layout: TensorLayout,
    /// Number type of the weights, where it is not that of the base.
    pub dtype: Option<Precision>,
    /// Repository of the hub that the model is uploaded to.
    pub push: Option<PushTarget>,
}

/// A repository of the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushTarget {
    /// Its id.
    pub repo: String,
    /// Whether it is private if it is made.
    pub private: bool,
}

/// What decides the output.
#[derive(Serialize)]
struct HashedConfig {
    base_sha256: Vec<String>,
    processor_sha256: Option<Vec<String>>,
    trained_sha256: Vec<String>,
    base: String,
    layout: TensorLayout,
    dtype: Option<Precision>,
}

impl RunConfig for HashedConfig {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "export";
}

/// Writes the model folder into the output folder, and uploads it where that is asked for.
///
/// # Errors
/// What was trained cannot be read or does not fit its base, the output cannot be written, or the hub refuses.
pub fn run(config: &Config, options: &RunOptions) -> Result<Summary> {
    let trained = TrainedSource::open(&config.trained)?;
    let base = trained.base(config.base.as_deref())?;
    let processor = config.processor.clone().or_else(|| trained.processor());
    let checkpoint = AudioCheckpoint::open(&base.path, processor.as_deref())?;
    let model = checkpoint.dir().fingerprint()?;
    let record = HashedConfig {
        base_sha256: model.sha256.clone(),
        processor_sha256: processor.as_deref().map(side_files_of).transpose()?,
        trained_sha256: trained.sha256()?,
        base: card::shown(&base.name)?.to_owned(),
        layout: config.layout,
        dtype: config.dtype,
    };
    let mut run = Run::open(options, RunSpec::new(&record).models(vec![model]))?;
    let step = Step { name: "part", unit: "tensors", physical: "MB" };
    let plan = [Shard { name: "00000".to_owned(), fingerprint: Fingerprint::new().finish(), work: () }];
    run.must_keep(step);
    let export = Export {
        config,
        trained: &trained,
        checkpoint: &checkpoint,
        base: &base.name,
        processor: processor.as_deref(),
    };
    let written = run.execute(step, &plan, |(): &(), out: &mut ShardOutput| export.write(out))?;
    let folder = options.output.join(MODEL);
    let whole = written.whole().is_some();
    let mut summary = run.finish()?.with_result("model", folder.display().to_string());
    if let Some(target) = config.push.as_ref().filter(|_| whole && !options.dry_run) {
        let pushed = push(target, &folder, &options.output)?;
        summary = summary.with_result("url", pushed.url).with_result("sent_bytes", pushed.sent_bytes);
    }
    Ok(summary)
}

/// Uploads a model that is complete.
fn push(target: &PushTarget, folder: &Path, run_folder: &Path) -> Result<PushedModel> {
    // Refuses a folder that has lost a file since.
    CompletedRun::open(run_folder)?;
    push_folder(&HubSettings::from_env(), &target.repo, folder, target.private).map_err(Error::Push)
}

/// Hashes of the files of a processor.
fn side_files_of(name: &str) -> Result<Vec<String>> {
    Ok(ModelDir::resolve(name, None)?.hashes_of(SIDE_FILES)?)
}

struct Export<'a> {
    config: &'a Config,
    trained: &'a TrainedSource,
    checkpoint: &'a AudioCheckpoint,
    base: &'a str,
    processor: Option<&'a str>,
}

impl Export<'_> {
    fn write(&self, out: &mut ShardOutput) -> Result<(), ShardError> {
        let Config { layout, dtype, .. } = self.config;
        let dtype = dtype.map(Precision::dtype);
        let export = ModelExport::open(self.checkpoint, &self.trained.files(), *layout, dtype).map_err(Error::from)?;
        if out.dry_run() {
            out.file_kept(1);
            return Ok(());
        }
        let tensors = export.write(|name, bytes| {
            out.work(bytes.len() as f64 / 1e6);
            write(out, name, bytes)
        });
        out.file_kept(tensors? as u64);
        self.side_files(out)?;
        write_json(out, "config.json", &export.config())?;
        let card = card::model_card(self.base, self.trained.card.as_ref(), export.dtype())?;
        Ok(write(out, "README.md", card.as_bytes())?)
    }

    /// Tokenizer, chat template and feature extractor; those of the family where the base has none.
    fn side_files(&self, out: &mut ShardOutput) -> Result<(), ShardError> {
        let (family, config) = (self.checkpoint.family(), self.checkpoint.config());
        let base = self.checkpoint.dir();
        let dir = match self.processor {
            Some(name) => ModelDir::resolve(name, None).map_err(Error::from)?,
            None => base.clone(),
        };
        let mut written = Vec::new();
        for name in SIDE_FILES {
            let found = match dir.optional(name).map_err(Error::from)? {
                Some(path) => Some(path),
                None => base.optional(name).map_err(Error::from)?,
            };
            if let Some(path) = found {
                write(out, name, &read_whole(&path)?)?;
                written.push(name);
            }
        }
        let has = |name: &str| written.contains(&name);
        if !has("chat_template.jinja") && !has("chat_template.json") {
            write(out, "chat_template.jinja", family.chat_template().as_bytes())?;
        }
        if !has("preprocessor_config.json") && !has("processor_config.json") {
            let json = family.preprocessor_json(config.mels(), config.longest_sound());
            write_json(out, "preprocessor_config.json", &json)?;
        }
        Ok(())
    }
}

fn write(out: &mut ShardOutput, name: &str, bytes: &[u8]) -> Result<()> {
    Ok(out.write_file(format!("{MODEL}/{name}"), bytes)?)
}

fn write_json(out: &mut ShardOutput, name: &str, json: &serde_json::Value) -> Result<()> {
    write(out, name, format!("{json:#}\n").as_bytes())
}
