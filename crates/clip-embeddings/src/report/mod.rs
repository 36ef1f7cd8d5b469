//! `report`: the distribution of scores, and what each threshold would drop.
//!
//! ```text
//! out/report.txt             counts, quantiles, histogram, yield
//! out/report.html            the same as a self-contained page, with the extremes to listen to
//! out/over-audio-0.95.csv    key, source and score of everything over a threshold (`under-` below one)
//! out/clips/00000/KEY.flac   the extremes' sounds, with --shards
//! ```

mod clips;
mod extremes;
mod lists;
mod page;
mod source;
mod summarise;
mod summary;
mod text;

use std::path::PathBuf;

use audsem_core::run::{Fingerprint, Reads, Run, RunConfig, RunOptions, RunSpec, Shard, Step, Summary};
use audsem_core::tar::list_tars;
use serde::Serialize;

use crate::criterion::{Column, Criterion, CriterionArgs, Side, label};
use crate::error::Error;
use crate::scores::Scores;
use crate::texts::TextTables;

use source::Source;

pub use clips::ClipsMode;
pub use summary::{BIN, Extreme, SetSummary, Summaries, SummaryConfig};

/// What is reported.
#[derive(Debug, Clone)]
pub struct Config {
    /// Tables of scores or of matches.
    pub scores: Vec<PathBuf>,
    /// Shards in which the extremes' sounds are.
    pub shards: Vec<PathBuf>,
    /// Tables in which captions are.
    pub texts: Vec<PathBuf>,
    /// The column to report on; `None` for the usual one of the tables.
    pub column: Option<Column>,
    /// The suspicious side; `None` for that of the column.
    pub side: Option<Side>,
    /// Thresholds to try; none for those of the column.
    pub thresholds: Vec<f32>,
    /// Extremes shown at either end.
    pub extremes: usize,
    /// How the page has its sounds.
    pub clips: ClipsMode,
    /// Title of the page; `None` for that of the column.
    pub title: Option<String>,
}

/// What decides the content of a report, nothing left open.
#[derive(Debug, Serialize)]
struct HashedConfig<'a> {
    #[serde(flatten)]
    criterion: &'a Criterion,
    extremes: usize,
    clips: ClipsMode,
    title: String,
}

impl RunConfig for HashedConfig<'_> {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "report";
}

impl HashedConfig<'_> {
    fn summary_config(&self) -> SummaryConfig<'_> {
        SummaryConfig { criterion: self.criterion, extremes: self.extremes }
    }

    /// The extremes of a modality as a report shows them: the suspicious end first.
    fn ends<'s>(&self, total: &'s SetSummary) -> [(&'static str, &'s [Extreme]); 2] {
        let (largest, smallest) = self.criterion.column.ends();
        let (high, low) = ((largest, total.highest.as_slice()), (smallest, total.lowest.as_slice()));
        if self.criterion.side == Side::Over { [high, low] } else { [low, high] }
    }
}

/// Writes the report into the output folder.
///
/// # Errors
/// There are no scores, they lack what is asked for, and what [`Run::open`] and [`Run::execute`] give.
pub fn run(config: &Config, options: &RunOptions) -> Result<Summary, Error> {
    let asked = CriterionArgs { column: config.column, side: config.side, thresholds: config.thresholds.clone() };
    let scores = Scores::open(&config.scores, &asked, |column| column.thresholds().0.to_vec())?;
    let texts = TextTables::list(&config.texts)?;
    let mut tars = Vec::new();
    for path in &config.shards {
        tars.extend(list_tars(path)?);
    }
    let settings = HashedConfig {
        criterion: &scores.criterion,
        extremes: config.extremes,
        clips: config.clips,
        title: config.title.clone().unwrap_or_else(|| scores.criterion.column.title().to_owned()),
    };
    let spec = RunSpec::new(&settings);
    let mut run = Run::open(options, spec)?;
    let about = Source::of(&config.scores, &scores)?;
    let Some((mut summaries, fingerprint)) = summarise::all(&mut run, &settings, &scores)? else {
        return Ok(run.finish()?);
    };
    let fingerprint = Fingerprint::new().with(&fingerprint).with(&texts.fingerprint).finish();
    summaries.part_ends(scores.criterion.side);
    lists::write(&mut run, &scores, &summaries, &texts, &fingerprint)?;
    extremes::add_captions(&mut summaries, &texts)?;
    let sounds = clips::find(&mut run, &tars, &summaries, &fingerprint)?;
    if let Some(sounds) = &sounds {
        extremes::add_captions_of_sounds(&mut summaries, sounds);
        write_pages(&mut run, &settings, (&summaries, &about), sounds, &fingerprint)?;
    }
    let mut summary = run.finish()?;
    if sounds.is_some() {
        if !options.dry_run {
            let page = summary.output.join("report.html").display().to_string();
            summary = summary.with_result("page", page);
        }
        for (modality, total) in &summaries.totals {
            for (threshold, n) in scores.criterion.thresholds.iter().zip(&total.beyond) {
                let name = format!("{modality}_{}_{}", scores.criterion.side.name(), label(*threshold));
                summary = summary.with_result(&name, *n);
            }
        }
    }
    Ok(summary)
}

fn write_pages(
    run: &mut Run,
    settings: &HashedConfig<'_>,
    (summaries, source): (&Summaries, &Source),
    sounds: &clips::Sounds,
    fingerprint: &Reads,
) -> Result<(), Error> {
    let pages = [
        ("report.txt", text::render(settings, summaries)),
        ("report.html", page::render(settings, summaries, source, sounds)?),
    ];
    let fingerprint = pages.iter().fold(Fingerprint::new().with(fingerprint), |all, (_, page)| all.with(page));
    let plan = [Shard { name: "all".to_owned(), fingerprint: fingerprint.finish(), work: pages }];
    let step = Step { name: "pages", unit: "pages", physical: "" };
    run.execute(step, &plan, |pages, out| {
        for (name, page) in pages {
            out.file_kept(1);
            out.write_file(name, page.as_bytes())?;
        }
        Ok(())
    })?;
    Ok(())
}
