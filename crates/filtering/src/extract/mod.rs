//! `extract`: captions dumps and subtitle files to a table of bracketed sound captions.
//!
//! A caption such as `[door slams]` names a sound that is heard while it is shown. This step finds
//! those that fill their caption and last between one and ten seconds, in a dump of JSON objects (one
//! video each) or in subtitle files as yt-dlp writes them (WebVTT, SubRip, `json3`, `srv1`–`srv3`,
//! TTML, SubViewer, SubStation Alpha), loose or in tars. Its output is a table of cues in `part-NNNNN.parquet`; `row_id` is the
//! number of the shard in the upper 32 bits and the number of the row in the shard in the lower 32, so
//! that it depends on the input and on `--shard-mb` only.
//!
//! A *record* is one cue of a track in the wanted languages; a stretch of input that cannot be read
//! (a corrupt object, a broken file) counts as one record that failed. Every record read is kept,
//! dropped or failed. The speech of a video shares a line of the rejects, unless `--rejects all`.
//!
//! Most videos have no bracketed caption. Those of a dump are recognised by their bytes and not parsed (see
//! `dump::prefilter`), so their speech is not counted either; `--count-all` parses everything.

pub mod config;
#[cfg(test)]
mod damage;
pub mod dump;
pub mod explain;
pub mod harvest;
mod other_languages;
mod pandas;
pub mod plan;
pub mod reasons;
pub mod reference;
pub mod rules;
pub mod sources;
pub mod subtitles;
pub mod text;
mod twins;
mod work;
mod work_reference;

pub use config::{Config, ExtractCompat};

use std::path::PathBuf;

use audsem_core::run::{Run, RunOptions, RunSpec, Step, Summary};
use serde_json::Value;

use crate::error::Result;
use other_languages::OtherLanguages;

/// Extracts the cues of all inputs into the run folder of `options`.
///
/// # Errors
/// If the configuration makes no sense, there is nothing to read, or the output cannot be written.
/// Input that cannot be read is counted instead.
pub fn run(config: &Config, options: &RunOptions) -> Result<Summary> {
    config.validate()?;
    let sources = sources::find(&config.inputs, config.naming())?;
    let mut told = other_languages::warn_of_files(&config.subtitle_languages, &sources.files);
    let with_others = sources.files.iter().flat_map(|source| std::iter::once(source).chain(&source.others));
    let inputs: Vec<PathBuf> = with_others.map(|source| source.path.clone()).collect();
    let mut run = Run::open(options, RunSpec::new(&config::HashedConfig::of(config)).inputs(&inputs))?;
    let plan = plan::plan(&sources.files, config, options.limit.is_some())?;
    let step = Step { name: "part", unit: "cues", physical: "MB" };
    run.must_keep(step).explain(reasons::DropReason::ALL).explain(reasons::Fault::ALL);
    let languages = OtherLanguages::default();
    let done = run.execute(step, &plan, |work, out| match config.compat {
        ExtractCompat::None => work::extract(config, options.limit, work, &languages, out),
        ExtractCompat::Reference => work_reference::extract(config, options.limit, work, &languages, out),
    })?;
    told |= done.stats.kept + done.stats.n_dropped() > 0;
    if !told {
        languages.warn();
    }
    let mut summary = run.finish()?;
    if sources.n_other_format > 0 {
        let n = Value::from(sources.n_other_format);
        summary.results.insert("subtitle files behind another format of the same track".to_owned(), n);
    }
    if done.stats.counts.contains_key(work::CUT_DUMPS) {
        return Ok(summary.as_broken_input());
    }
    Ok(summary)
}
