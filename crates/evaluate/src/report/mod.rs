//! `report`: what was scored, on one page, with its uncertainty and with what a score must not stand without.
//!
//! ```text
//! out/report.html   a page that holds everything it shows: no scripts, nothing from the network
//! out/report.md     the same as text
//! out/answers.csv   each answer with its score
//! ```

mod answers;
mod compare;
mod examples;
mod named;
mod pipeline;
mod published;
mod run_view;
mod scored;
mod sounds;
mod source_view;
mod text;
mod training;
mod view;

use std::path::PathBuf;

use audsem_core::run::{Fingerprint, Run, RunConfig, RunOptions, RunSpec, Shard, Step, Summary};
use audsem_metrics::interval::Resampling;
use serde::Serialize;

pub use compare::{Comparison, NotComparable, compare, compare_hearing};
pub use named::NamedFolder;
pub use pipeline::{Funnel, FunnelStep, funnel};
pub use published::{PublishedResults, PublishedRow, PublishedTable};
pub use scored::ScoredRun;
pub use training::TrainingCurves;

use crate::error::Error;
use answers::{ANSWERS_FILE, answers_csv};
use view::{ReportPage, ReportParts};

const HTML: &str = include_str!("page.html");
const MARKDOWN: &str = include_str!("page.md");

/// What is reported.
#[derive(Debug)]
pub struct Config {
    /// Run folders of `score`, the first of which is the main one.
    pub inputs: Vec<NamedFolder>,
    /// Folders and tars in which sounds of examples are looked for.
    pub sounds: Vec<PathBuf>,
    /// Run folders of a data pipeline, in its order.
    pub pipeline: Vec<NamedFolder>,
    /// Run folders of trainings.
    pub training: Vec<NamedFolder>,
    /// Published results; `None` for those that are built in.
    pub published: Option<PathBuf>,
    /// Examples of each data set.
    pub examples: usize,
    /// Resamples of the bootstrap of differences between runs.
    pub resamples: u32,
    /// Title of the page.
    pub title: String,
}

/// What decides the content of the output, besides the inputs.
#[derive(Debug, Serialize)]
struct ReportRun<'a> {
    names: Vec<&'a str>,
    pipeline: Vec<&'a str>,
    training: Vec<&'a str>,
    examples: usize,
    resamples: u32,
    title: &'a str,
}

impl RunConfig for ReportRun<'_> {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "report";
}

/// Writes the page.
///
/// # Errors
/// An input is not what its flag expects, and what [`Run::open`] and [`Run::execute`] give.
pub fn run(config: &Config, options: &RunOptions) -> Result<Summary, Error> {
    let names = |folders: &'_ [NamedFolder]| folders.iter().map(|folder| folder.name.clone()).collect::<Vec<_>>();
    let (inputs, pipeline, training) = (names(&config.inputs), names(&config.pipeline), names(&config.training));
    let settings = ReportRun {
        names: inputs.iter().map(String::as_str).collect(),
        pipeline: pipeline.iter().map(String::as_str).collect(),
        training: training.iter().map(String::as_str).collect(),
        examples: config.examples,
        resamples: config.resamples,
        title: &config.title,
    };
    let runs = config.inputs.iter().map(ScoredRun::open).collect::<Result<Vec<_>, _>>()?;
    let curves = config.training.iter().map(TrainingCurves::open).collect::<Result<Vec<_>, _>>()?;
    let parts = ReportParts {
        title: &config.title,
        runs: &runs,
        published: PublishedResults::open(config.published.as_deref())?,
        funnel: funnel(&config.pipeline)?,
        curves,
        sounds: sounds::find(&config.sounds, &examples::wanted(&runs, config.examples))?,
        examples: config.examples,
        resampling: Resampling { draws: config.resamples, seed: options.seed },
    };
    let page = ReportPage::of(parts)?;
    let files: Vec<PathBuf> = runs.iter().flat_map(|run| run.files.clone()).collect();
    let mut run = Run::open(options, RunSpec::new(&settings).inputs(&files))?;
    let pages = [
        ("report.html", audsem_report::render(HTML, &page)?.into_bytes()),
        ("report.md", text::render(MARKDOWN, &page)?.into_bytes()),
        (ANSWERS_FILE, answers_csv(&runs)?),
    ];
    // The pages tell apart all that decides them, sounds and published results included.
    let inputs = run.inputs().iter().fold(Fingerprint::new(), Fingerprint::with_file);
    let fingerprint = pages.iter().fold(inputs, |all, (_, page)| all.with(page));
    let plan = [Shard { name: "all".to_owned(), fingerprint: fingerprint.finish(), work: pages }];
    let step = Step { name: "pages", unit: "pages", physical: "" };
    run.execute(step, &plan, |pages, out| {
        for (name, page) in pages {
            out.file_kept(1);
            out.write_file(name, page)?;
        }
        Ok(())
    })?;
    let summary = run.finish()?;
    let page = summary.output.join("report.html").display().to_string();
    Ok(if options.dry_run { summary } else { summary.with_result("page", page) })
}
