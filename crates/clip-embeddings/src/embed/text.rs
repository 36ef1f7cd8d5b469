//! `embed-text`: one vector for each caption.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use audsem_core::run::{Run, RunConfig, RunOptions, RunSpec, ShardError, ShardOutput, Step, Summary};
use audsem_core::tables::{TextEmbedding, TextEmbeddingRef, VectorWriter, text_hash};
use audsem_models::clap::ClapEncoder;
use serde::Serialize;

use super::caption_cache::CaptionCache;
use super::gate::{Candidate, Gate};
use super::model::TableModel;
use super::owners::{self, Planned};
use super::sources::{Kind, limited};
use super::{ModelSettings, list_captions};
use crate::error::Error;
use crate::reason::{DropReason, Fault};
use crate::sets::{MODEL_KEY, Modality};
use crate::tars::scan;
use crate::vector_math::{dot, scale};

/// Settings of `embed-text`.
#[derive(Debug, Clone)]
pub struct Config {
    /// Shards, folders of them, or lists.
    pub inputs: Vec<PathBuf>,
    /// The model.
    pub model: ModelSettings,
    /// Captions are truncated to this many tokens, special ones included; `None` is the model's own limit.
    pub max_tokens: Option<usize>,
}

/// Counter of captions whose end is in no vector.
const TRUNCATED: &str = "truncated";

/// What decides the content of the output.
#[derive(Serialize)]
struct HashedConfig {
    model: Option<String>,
    max_tokens: Option<usize>,
}

impl RunConfig for HashedConfig {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "embed-text";
}

/// Embeds every caption of the inputs; equal captions once. A dry run counts them, without a model.
///
/// # Errors
/// The model or an input cannot be read, or the output cannot be written.
pub fn run(config: &Config, options: &RunOptions) -> Result<Summary, Error> {
    // Before the run folder is touched: one that a wrong model has left behind would be in the way of the right one.
    let model = config.model.open_for_tables(config.max_tokens, options.dry_run)?;
    let sources = limited(list_captions(&config.inputs)?, options.limit)?;
    let record = HashedConfig { model: model.as_ref().map(|model| model.tag.clone()), max_tokens: config.max_tokens };
    let spec = RunSpec::new(&record).models(model.iter().map(|model| model.fingerprint.clone()).collect());
    let mut run = Run::open(options, spec)?;
    let Some(plan) = owners::step(&mut run, &sources, Modality::Text)? else { return Ok(run.finish()?) };
    let cache = CaptionCache::new(model.as_ref().map_or(1, |model| model.encoder.dim()));
    let step = Step { name: "part", unit: "captions", physical: "distinct" };
    run.must_keep(step).explain(DropReason::ALL).explain(Fault::ALL);
    let report = run.execute(step, &plan.shards, |planned, out| {
        let mut gate = Gate::new(planned.source, planned.number, Modality::Text, Some(&plan.owners));
        let captions = captions_of(planned, &mut gate)?;
        gate.report(out);
        match &model {
            Some(model) => write(&captions, model, &cache, out),
            None => {
                out.keep(captions.len() as u64);
                Ok(())
            }
        }
    })?;
    let truncated = report.stats.counts.get(TRUNCATED).copied().unwrap_or(0);
    if let Some(model) = model.as_ref().filter(|_| truncated > 0) {
        let limit = model.encoder.max_tokens();
        tracing::warn!("{truncated} captions have more than {limit} tokens; their vectors do not know their ends");
    }
    Ok(run.finish()?.with_result("shards", sources.len()).with_result(TRUNCATED, truncated))
}

/// The captions of a source that the gate lets through, with their keys.
fn captions_of(planned: &Planned<'_>, gate: &mut Gate<'_>) -> Result<Vec<(String, String)>, ShardError> {
    if let Some(problem) = &planned.problem {
        return Err(ShardError::input(problem));
    }
    let mut captions = Vec::new();
    match &planned.source.kind {
        Kind::Tar(path) => scan(path, |entry| {
            if gate.accept(Candidate::of_entry(&entry, Modality::Text)) {
                captions.push((entry.key, entry.text.unwrap_or_default()));
            }
        })
        .map_err(ShardError::input)?,
        Kind::Rows(rows) => {
            let rows = rows.iter().filter(|row| gate.accept(Candidate::of_row(row, Modality::Text)));
            captions.extend(rows.map(|row| (row.key.clone(), row.text.clone().unwrap_or_default())));
        }
    }
    Ok(captions)
}

fn write(
    captions: &[(String, String)],
    model: &TableModel,
    cache: &CaptionCache,
    out: &mut ShardOutput,
) -> Result<(), ShardError> {
    let encoder = &model.encoder;
    let vectors = vectors(captions, encoder, cache, out)?;
    let truncated = truncated(&vectors, encoder)?;
    let mut file = out.create(format!("part-{}.parquet", out.name()))?;
    let mut writer = VectorWriter::<TextEmbedding, _>::new(&mut file, encoder.dim(), &[(MODEL_KEY, &model.tag)])
        .map_err(ShardError::fatal)?;
    for (key, text) in captions {
        let vector = &vectors[text.as_str()];
        if let Err(fault) = scale(dot(vector, vector)) {
            out.fail(key, fault, "the model's vector");
            continue;
        }
        out.count(TRUNCATED, u64::from(truncated.contains(text.as_str())));
        let row = TextEmbeddingRef { key, text, text_hash: text_hash(text) };
        writer.push(row, vector).map_err(ShardError::fatal)?;
        out.keep(1);
    }
    writer.finish().map_err(ShardError::fatal)?;
    Ok(out.close(file)?)
}

/// The texts that are longer than the model takes.
fn truncated<'a, V>(vectors: &HashMap<&'a str, V>, encoder: &ClapEncoder) -> Result<HashSet<&'a str>, ShardError> {
    let mut found = HashSet::new();
    for text in vectors.keys() {
        if encoder.is_truncated(text).map_err(ShardError::fatal)? {
            found.insert(*text);
        }
    }
    Ok(found)
}

/// Vectors of all captions, each distinct one computed at most once.
fn vectors<'a>(
    captions: &'a [(String, String)],
    encoder: &ClapEncoder,
    cache: &CaptionCache,
    out: &mut ShardOutput,
) -> Result<HashMap<&'a str, Arc<[f32]>>, ShardError> {
    let mut seen = HashSet::new();
    let distinct: Vec<&str> =
        captions.iter().map(|(_, text)| text.as_str()).filter(|text| seen.insert(*text)).collect();
    let known = cache.get(&distinct);
    let unknown: Vec<&str> =
        distinct.iter().zip(&known).filter(|(_, known)| known.is_none()).map(|(text, _)| *text).collect();
    let mut vectors: HashMap<&str, Arc<[f32]>> =
        distinct.iter().zip(known).filter_map(|(text, known)| Some((*text, known?))).collect();
    // How many are known already depends on the order in which workers came by, so it is counted nowhere.
    let computed = encoder.embed_texts(&unknown).and_then(|rows| Ok(rows.to_vec2::<f32>()?));
    for (text, vector) in unknown.iter().zip(computed.map_err(ShardError::fatal)?) {
        let vector: Arc<[f32]> = vector.into();
        cache.keep(text, &vector);
        vectors.insert(text, vector);
    }
    out.work(distinct.len() as f64);
    Ok(vectors)
}
