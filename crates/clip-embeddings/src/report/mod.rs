//! What the scores look like, and what each threshold would leave out.
//!
//! ```text
//! out/report.txt             counts, quantiles, histogram, yield
//! out/report.html            the same as a page of its own, with the extremes to listen to
//! out/over-audio-0.95.csv    key, source and score of everything over a threshold
//! out/clips/00000/KEY.flac   the extremes' sounds, with --shards
//! ```

mod clips;
mod html;
mod over;
mod summary;
mod svg;
mod text;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;

use audsem_core::error::Error as CoreError;
use audsem_core::run::{Fingerprint, Run, RunOptions, RunSpec, Shard, ShardError, ShardOutput, Step, Summary};
use audsem_core::tables::{Columns as _, ParquetFile, Score};
use serde::Serialize;

use crate::error::Error;
use crate::reference::write_file;
use crate::scores::{ScoreFile, list_scores};
use crate::tars::list_tars;

pub use clips::ClipsMode;
pub use summary::{BIN, Extreme, Noted, SetSummary, Summaries};

/// What is reported.
#[derive(Debug, Clone, Serialize)]
pub struct Config {
    /// Tables of scores.
    #[serde(skip)]
    pub scores: Vec<PathBuf>,
    /// Shards in which the extremes' sounds are.
    #[serde(skip)]
    pub shards: Vec<PathBuf>,
    /// Thresholds to try.
    pub thresholds: Vec<f32>,
    /// Extremes shown at either end.
    pub extremes: usize,
    /// How the page has its sounds.
    pub clips: ClipsMode,
    /// Title of the page.
    pub title: String,
}

impl Config {
    fn noted(&self) -> Noted<'_> {
        Noted { thresholds: &self.thresholds, extremes: self.extremes }
    }
}

/// Writes the report into the output folder.
///
/// # Errors
/// There are no scores, and what [`Run::open`] and [`Run::execute`] give.
pub fn run(config: &Config, options: &RunOptions) -> Result<Summary, Error> {
    let scores = list_scores(&config.scores)?;
    let mut tars = Vec::new();
    for path in &config.shards {
        tars.extend(list_tars(path)?);
    }
    let spec = RunSpec { tool: "audsem-clip-embeddings", command: "report", config, inputs: &[], models: Vec::new() };
    let mut run = Run::open(options, spec)?;
    let Some((summaries, fingerprint)) = summarise(&mut run, config, &scores)? else {
        return Ok(run.finish()?);
    };
    over::write(&mut run, &scores, config, &summaries, &fingerprint)?;
    let sounds = clips::find(&mut run, config, &tars, &summaries, &fingerprint)?;
    let mut results = serde_json::Map::new();
    if let Some(sounds) = sounds {
        let pages = [
            ("report.txt", text::render(config, &summaries)),
            ("report.html", html::render(config, &summaries, &sounds)?),
        ];
        let fingerprint = pages.iter().fold(Fingerprint::new().with(fingerprint), |all, (_, page)| all.with(page));
        let plan = [Shard { name: "all".to_owned(), fingerprint: fingerprint.finish(), work: pages }];
        let step = Step { name: "pages", unit: "pages", physical: "" };
        run.execute(step, &plan, |pages, out| {
            for (name, page) in pages {
                out.read(1);
                out.keep(1);
                write_file(out, name, page.as_bytes())?;
            }
            Ok(())
        })?;
        for modality in summaries.sets.keys() {
            let total = summaries.total(modality, config.noted());
            for (threshold, over) in config.thresholds.iter().zip(&total.over) {
                results.insert(format!("{modality}_over_{threshold:.2}"), (*over).into());
            }
        }
    }
    let mut summary = run.finish()?;
    summary.results.extend(results);
    Ok(summary)
}

/// Summaries of all tables; `None` when the step was interrupted.
fn summarise(run: &mut Run, config: &Config, scores: &[ScoreFile]) -> Result<Option<(Summaries, String)>, Error> {
    let mut left = run.options().limit.unwrap_or(u64::MAX);
    let mut plan: Vec<Shard<(usize, &ScoreFile, u64)>> = Vec::new();
    for (i, file) in scores.iter().enumerate() {
        let work = (i, file, left);
        left = left.saturating_sub(ParquetFile::<Score>::open(&file.path)?.n_rows() as u64);
        plan.push(Shard { name: format!("{i:05}"), fingerprint: file.fingerprint.clone(), work });
        if left == 0 {
            break;
        }
    }
    let fresh: Mutex<BTreeMap<usize, Summaries>> = Mutex::default();
    let step = Step { name: "part", unit: "scores", physical: "" };
    let report = run.execute(step, &plan, |(i, file, limit), out| {
        let summaries = summarise_file(file, *limit, config, out)?;
        let json = serde_json::to_vec(&summaries).map_err(ShardError::fatal)?;
        write_file(out, &format!("summary-{}.json", out.name().to_owned()), &json)?;
        fresh.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(*i, summaries);
        Ok(())
    })?;
    if !report.complete || report.outputs.len() < plan.len() {
        return Ok(None);
    }
    let mut fresh = fresh.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let (mut all, mut fingerprint) = (Summaries::default(), Fingerprint::new());
    for (i, output) in report.outputs.iter().enumerate() {
        fingerprint = fingerprint.with(&scores[i].fingerprint);
        let summaries = match (fresh.remove(&i), output.files_ending(".json").next()) {
            (Some(summaries), _) => summaries,
            (None, Some(path)) => {
                let bytes = std::fs::read(path).map_err(CoreError::read(path))?;
                serde_json::from_slice(&bytes)
                    .map_err(|error| CoreError::input(path, format!("not a summary of scores: {error}")))?
            }
            (None, None) => Summaries::default(),
        };
        all.merge(summaries, config.noted());
    }
    Ok(Some((all, fingerprint.finish())))
}

fn summarise_file(
    file: &ScoreFile,
    limit: u64,
    config: &Config,
    out: &mut ShardOutput,
) -> Result<Summaries, ShardError> {
    let mut summaries = Summaries::default();
    let mut left = usize::try_from(limit).unwrap_or(usize::MAX);
    for columns in ParquetFile::<Score>::open(&file.path).map_err(ShardError::fatal)?.groups() {
        let columns = columns.map_err(ShardError::fatal)?;
        let n = columns.len().min(left);
        left -= n;
        (0..n).for_each(|i| summaries.add(columns.get(i), config.noted()));
        out.read(n as u64);
        out.keep(n as u64);
    }
    Ok(summaries)
}
