//! `embed-text`: one vector for each caption.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use audsem_core::run::{Run, RunOptions, RunSpec, ShardError, ShardOutput, Step, Summary};
use audsem_core::tables::{TextEmbedding, TextEmbeddingRef, VectorWriter, text_hash};
use audsem_models::clap::ClapEncoder;
use serde::Serialize;

use super::audio::plan;
use super::caption_cache::CaptionCache;
use super::sources::{Kind, Source, limited};
use super::{ModelSettings, list_captions, model_name};
use crate::error::Error;
use crate::reason::{DropReason, Fault};
use crate::sets::MODEL_KEY;
use crate::tars::scan;

/// Settings of `embed-text`.
#[derive(Debug, Clone)]
pub struct Config {
    /// Shards, folders of them, or lists.
    pub inputs: Vec<PathBuf>,
    /// The model.
    pub model: ModelSettings,
    /// Captions are cut at this many tokens, special ones included.
    pub max_tokens: usize,
}

/// What decides the content of the output.
#[derive(Serialize)]
struct Record {
    model: String,
    max_tokens: usize,
}

/// Embeds every caption of the inputs; equal captions once.
///
/// # Errors
/// The model or an input cannot be read, or the output cannot be written.
pub fn run(config: &Config, options: &RunOptions) -> Result<Summary, Error> {
    let sources = limited(list_captions(&config.inputs)?, options.limit)?;
    let fingerprint = config.model.dir.fingerprint().map_err(audsem_models::Error::from)?;
    let model = model_name(&fingerprint, config.model.precision);
    let record = Record { model: model.clone(), max_tokens: config.max_tokens };
    let spec = RunSpec {
        tool: "audsem-clip-embeddings",
        command: "embed-text",
        config: &record,
        inputs: &[],
        models: vec![fingerprint],
    };
    let mut run = Run::open(options, spec)?;
    let encoder = if options.dry_run { None } else { Some(config.model.open(config.max_tokens)?) };
    let cache = CaptionCache::new(encoder.as_ref().map_or(1, ClapEncoder::dim));
    let step = Step { name: "part", unit: "captions", physical: "distinct" };
    run.execute(step, &plan(&sources), |source, out| {
        let captions = captions_of(source, out)?;
        match &encoder {
            Some(encoder) => write(&captions, encoder, &cache, &model, out),
            None => {
                out.keep(captions.len() as u64);
                Ok(())
            }
        }
    })?;
    Ok(run.finish()?)
}

/// The usable captions of a source, with their keys.
fn captions_of(source: &Source, out: &mut ShardOutput) -> Result<Vec<(String, String)>, ShardError> {
    let mut entries = Vec::new();
    match &source.kind {
        Kind::Tar(path) => {
            scan(path, |entry| entries.push((entry.key, entry.text, entry.sample))).map_err(ShardError::input)?;
        }
        Kind::Captions(rows) => {
            let rows = rows.iter().enumerate();
            entries.extend(rows.map(|(n, (key, text))| (key.clone(), text.clone(), format!("row {n}"))));
        }
        Kind::Files(_) => {}
    }
    entries.truncate(usize::try_from(source.limit).unwrap_or(usize::MAX));
    let (mut captions, mut keys) = (Vec::new(), HashSet::new());
    for (key, text, place) in entries {
        out.read(1);
        let Some(text) = text.filter(|text| !text.trim().is_empty()) else {
            out.drop(&key, DropReason::NoCaption, place);
            continue;
        };
        if key.is_empty() {
            out.fail(&place, Fault::NoKey, text);
        } else if keys.insert(key.clone()) {
            captions.push((key, text));
        } else {
            out.drop(&key, DropReason::RepeatedKey, place);
        }
    }
    Ok(captions)
}

fn write(
    captions: &[(String, String)],
    encoder: &ClapEncoder,
    cache: &CaptionCache,
    model: &str,
    out: &mut ShardOutput,
) -> Result<(), ShardError> {
    let vectors = vectors(captions, encoder, cache, out)?;
    let mut file = out.create(format!("part-{}.parquet", out.name()))?;
    let mut writer = VectorWriter::<TextEmbedding, _>::new(&mut file, encoder.dim(), &[(MODEL_KEY, model)])
        .map_err(ShardError::fatal)?;
    for (key, text) in captions {
        let vector = vectors.get(text.as_str()).filter(|vector| vector.iter().all(|x| x.is_finite()));
        let Some(vector) = vector else {
            out.fail(key, Fault::NotFinite, "the model's vector");
            continue;
        };
        let row = TextEmbeddingRef { key, text, text_hash: text_hash(text) };
        writer.push(row, vector).map_err(ShardError::fatal)?;
        out.keep(1);
    }
    writer.finish().map_err(ShardError::fatal)?;
    Ok(out.close(file)?)
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
