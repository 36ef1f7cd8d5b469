//! The command line: clap types only, one file for each subcommand.

mod contamination;
mod embed;
mod examples;
mod import;
mod matching;
mod merge;
mod reference;
mod report;
mod score;

pub use contamination::ContaminationArgs;
pub use embed::{ClapArgs, EmbedAudioArgs, EmbedTextArgs, SimilarityArgs};
pub use import::ImportArgs;
pub use matching::MatchArgs;
pub use merge::MergeArgs;
pub use reference::{BuildArgs, ReferenceArgs, ReferenceCommand};
pub use report::{ExtractArgs, ReportArgs};
pub use score::{ScoreArgs, ScoreKind};

use audsem_core::cli::{CommandExamples, CommandOutput, GlobalArgs, HasGlobal, RunArgs, Without};
use audsem_core::error::Error as CoreError;
use audsem_core::run::RunOptions;
use audsem_models::nn::limit_threads;
use clap::{Parser, Subcommand};

use crate::error::Error;

/// Compare embeddings of clips and captions with reference sets, benchmarks and each other.
#[derive(Debug, Parser)]
#[command(name = "audsem-clip-embeddings", version, max_term_width = 100)]
pub struct Cli {
    /// Flags of every binary.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands, in the order a pipeline uses them.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Number the shards of several folders as one sequence, linked or copied, and list repeated clips
    MergeShards(MergeArgs),
    /// Embed sounds with a CLAP model
    EmbedAudio(EmbedAudioArgs),
    /// Embed captions with a CLAP model
    EmbedText(EmbedTextArgs),
    /// Import vectors that another program has made: any Parquet of keys and vectors
    ImportEmbeddings(ImportArgs),
    /// Reference sets: `reference build`
    Reference(ReferenceArgs),
    /// Score every embedding: mean dissimilarity to a reference, and its nearest neighbours there
    Score(ScoreArgs),
    /// Find contamination: records near to benchmark items, and duplicates
    Contamination(ContaminationArgs),
    /// Compute the cosine of each clip and its own caption
    Match(MatchArgs),
    /// Report histogram, quantiles and yield of scores, as text and as an HTML page with the extremes to listen to
    Report(ReportArgs),
    /// Copy the sounds of clips beyond a threshold out of the shards
    Extract(ExtractArgs),
    /// Rank texts by their similarity to one sound
    Similarity(SimilarityArgs),
}

impl Command {
    /// Runs the subcommand.
    ///
    /// # Errors
    /// Any error that prevents the run.
    pub fn run(&self, global: &GlobalArgs) -> Result<CommandOutput, Error> {
        let summary = match self {
            Self::EmbedAudio(args) => crate::embed::audio::run(&args.config(), &options(&args.run, global)?),
            Self::EmbedText(args) => crate::embed::text::run(&args.config(), &options(&args.run, global)?),
            Self::ImportEmbeddings(args) => crate::import::run(&args.config(), &options(&args.run, global)?),
            Self::Similarity(args) => {
                if let Some(workers) = args.workers {
                    limit_threads(usize::from(workers));
                }
                let found = crate::embed::similarity::run(&args.config())?;
                let json = || serde_json::to_string(&found).expect("names and numbers are plain data");
                return Ok(CommandOutput::Text(if global.json {
                    json()
                } else {
                    crate::embed::similarity::table(&found)
                }));
            }
            Self::MergeShards(args) => crate::merge::run(&args.config(), &options(&args.run, global)?),
            Self::Reference(ReferenceArgs { command: ReferenceCommand::Build(args) }) => {
                crate::reference::run(&args.config(), &whole(&args.run, global)?)
            }
            Self::Score(args) => crate::score::run(&args.config(), &options(&args.run, global)?),
            Self::Contamination(args) => crate::contamination::run(&args.config(), &whole(&args.run, global)?),
            Self::Match(args) => crate::matching::run(&args.config(), &whole(&args.run, global)?),
            Self::Report(args) => crate::report::run(&args.config(), &options(&args.run, global)?),
            Self::Extract(args) => crate::extract::run(&args.config(), &options(&args.run, global)?),
        };
        Ok(summary?.into())
    }
}

/// Why `--limit` means nothing where an answer is about all there is.
const WHOLE: &str =
    "this command works on whole sets\nhint: use --limit in the step that makes the embeddings, or give fewer files";

/// The options of a command, whose networks and matrix products keep to its `--workers` too.
fn options(run: &RunArgs, global: &GlobalArgs) -> Result<RunOptions, Error> {
    let options = run.options(global)?;
    limit_threads(options.workers);
    Ok(options)
}

/// The options of a command whose answer is about whole sets: a part of one has another mean, other repeats and other
/// partners, so `--limit` is refused rather than skipped.
fn whole(run: &RunArgs, global: &GlobalArgs) -> Result<RunOptions, Error> {
    let options = options(run, global)?;
    if options.limit.is_some() {
        return Err(CoreError::Config { what: "--limit".to_owned(), problem: WHOLE.to_owned() }.into());
    }
    Ok(options)
}

fn cosine(text: &str) -> Result<f32, String> {
    number(text, -1.0..=1.0).ok_or_else(|| "expected a cosine from -1 to 1".to_owned())
}

fn score(text: &str) -> Result<f32, String> {
    number(text, -1.0..=2.0).ok_or_else(|| "expected a score from -1 to 2".to_owned())
}

fn number(text: &str, range: std::ops::RangeInclusive<f32>) -> Option<f32> {
    text.parse().ok().filter(|value| range.contains(value))
}

impl HasGlobal for Cli {
    fn global(&self) -> &GlobalArgs {
        &self.global
    }

    fn examples() -> &'static [CommandExamples] {
        examples::EXAMPLES
    }

    fn without() -> &'static [Without] {
        examples::WITHOUT
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_help_has_what_people_need() {
        let faults: Vec<String> = audsem_core::cli::faults::<super::Cli>();
        assert!(faults.is_empty(), "{faults:#?}");
    }
}
