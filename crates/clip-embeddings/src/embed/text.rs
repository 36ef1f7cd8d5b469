//! `embed-text`: one vector for each caption.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use audsem_core::clips::{ClipContent, ClipDrop, ClipFault, index_keys, limited, list_captions};
use audsem_core::run::{LeftOut, Outcome, Run, RunConfig, RunOptions, RunSpec, ShardError, ShardOutput, Step, Summary};
use audsem_core::tables::{TextEmbedding, TextEmbeddingRef, VectorWriter, text_hash};
use audsem_core::terminal::{by_number, counted};
use audsem_models::Error as NetworkError;
use audsem_models::clap::ClapEncoder;
use serde::Serialize;

use super::ModelSettings;
use super::caption_cache::{CaptionCache, EmbeddedCaption};
use super::model::TableModel;
use crate::error::Error;
use crate::reason::Fault;
use crate::sets::MODEL_KEY;
use crate::vector_math::{dot, scale};

audsem_core::reasons! {
    /// What can be wrong with a caption.
    pub enum TextFault {
        TooLong = "too_long": "the caption is too long, and its beginning does not determine its first tokens",
        Unclean = "unclean": "the caption has characters that the library of the model mends before it makes tokens of them",
        NoTokens = "no_tokens": "the caption has no token: it is empty, or has only characters that the model does not see",
    }
}

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

/// Counter of captions that were truncated.
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
    // Before the run folder is created: a folder left by a wrong model would block the right one.
    let model = config.model.open_for_tables(config.max_tokens, options.dry_run)?;
    let sources = limited(list_captions(&config.inputs)?, options.limit)?;
    let record = HashedConfig { model: model.as_ref().map(|model| model.tag.clone()), max_tokens: config.max_tokens };
    let spec = RunSpec::new(&record).models(model.iter().map(|model| model.fingerprint.clone()).collect());
    let mut run = Run::open(options, spec)?;
    let Some(plan) = index_keys(&mut run, &sources, ClipContent::Caption)? else { return Ok(run.finish()?) };
    let cache = CaptionCache::new(model.as_ref().map_or(1, |model| model.encoder.dim()));
    let step = Step { name: "part", unit: "captions", physical: "distinct" };
    run.must_keep(step).explain(ClipDrop::ALL).explain(ClipFault::ALL).explain(Fault::ALL).explain(TextFault::ALL);
    let report = run.execute(step, &plan.shards, |planned, out| {
        let mut dedupe = plan.deduplicator(planned, ClipContent::Caption)?;
        let captions = planned.source.captions(&mut dedupe)?;
        dedupe.report(out);
        match &model {
            Some(model) => write(&captions, model, &cache, out),
            None => {
                out.file_kept(captions.len() as u64);
                Ok(())
            }
        }
    })?;
    let truncated = report.stats.counts.get(TRUNCATED).copied().unwrap_or(0);
    if let Some(model) = model.as_ref().filter(|_| truncated > 0) {
        let limit = model.encoder.max_tokens();
        let (has, was) = (by_number(truncated, "has", "have"), by_number(truncated, "was", "were"));
        tracing::warn!("{} {has} more than {limit} tokens and {was} truncated", counted(truncated, "captions"));
    }
    Ok(run.finish()?.with_result("shards", sources.len()).with_result(TRUNCATED, truncated))
}

fn write(
    captions: &[(String, String)],
    model: &TableModel,
    cache: &CaptionCache,
    out: &mut ShardOutput,
) -> Result<(), ShardError> {
    let encoder = &model.encoder;
    let embedded = embed(captions, encoder, cache, out)?;
    let mut file = out.create(format!("part-{}.parquet", out.name()))?;
    let mut writer = VectorWriter::<TextEmbedding, _>::new(&mut file, encoder.dim(), &[(MODEL_KEY, &model.tag)])
        .map_err(ShardError::fatal)?;
    for (key, text) in captions {
        let usable = embedded[text.as_str()].as_ref().map_err(LeftOut::clone).and_then(|caption| {
            let direction = scale(dot(&caption.vector, &caption.vector));
            direction.map(|_| caption).map_err(|fault| LeftOut::fail(fault, "the model's vector".to_owned()))
        });
        let Some(EmbeddedCaption { vector, truncated }) = out.file(key, usable) else { continue };
        out.count(TRUNCATED, u64::from(*truncated));
        let row = TextEmbeddingRef { key, text, text_hash: text_hash(text) };
        writer.push(row, vector).map_err(ShardError::fatal)?;
    }
    writer.finish().map_err(ShardError::fatal)?;
    Ok(out.close(file)?)
}

/// What the model makes of all captions, each distinct one computed at most once.
fn embed<'a>(
    captions: &'a [(String, String)],
    encoder: &ClapEncoder,
    cache: &CaptionCache,
    out: &mut ShardOutput,
) -> Result<HashMap<&'a str, Outcome<EmbeddedCaption>>, ShardError> {
    let mut seen = HashSet::new();
    let distinct = captions.iter().map(|(_, text)| text.as_str()).filter(|text| seen.insert(*text));
    let (known, unknown) = cache.divide(distinct);
    // The number of cache hits depends on the order of the workers, so it is not counted.
    out.work((known.len() + unknown.len()) as f64);
    let mut embedded: HashMap<&str, Outcome<EmbeddedCaption>> =
        known.into_iter().map(|(text, caption)| (text, Ok(caption))).collect();
    let mut tokens = Vec::with_capacity(unknown.len());
    for text in unknown {
        match encoder.encode(text) {
            Ok(encoded) if !encoded.has_text => {
                let detail = format!("{text:?}");
                embedded.insert(text, Err(LeftOut::fail(TextFault::NoTokens, detail)));
            }
            Ok(encoded) => tokens.push((text, encoded)),
            Err(error @ NetworkError::TextBytes { .. }) => {
                embedded.insert(text, Err(LeftOut::fail(TextFault::TooLong, error.to_string())));
            }
            Err(error @ NetworkError::UncleanText { .. }) => {
                embedded.insert(text, Err(LeftOut::fail(TextFault::Unclean, error.to_string())));
            }
            Err(error) => return Err(ShardError::fatal(error)),
        }
    }
    let ids: Vec<&[u32]> = tokens.iter().map(|(_, encoded)| encoded.ids.as_slice()).collect();
    let vectors = encoder.embed_ids(&ids).and_then(|rows| Ok(rows.to_vec2::<f32>()?)).map_err(ShardError::fatal)?;
    for ((text, encoded), vector) in tokens.into_iter().zip(vectors) {
        let caption = EmbeddedCaption { vector: vector.into(), truncated: encoded.truncated };
        cache.keep(text, &caption);
        embedded.insert(text, Ok(caption));
    }
    Ok(embedded)
}
