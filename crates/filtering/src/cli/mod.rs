//! The command line: clap types only, one file for each subcommand.

mod classify;
mod clips;
mod combine;
mod download;
mod examples;
mod extract;
mod fetch_captions;
mod label;
mod numbers;
mod site;
mod train_classifier;

use audsem_core::cli::{CommandExamples, GlobalArgs, HasGlobal, Without};
use clap::{Parser, Subcommand};

pub use classify::ClassifyArgs;
pub use clips::ClipsArgs;
pub use combine::{CombineArgs, ExplainArgs};
pub use download::DownloadArgs;
pub use extract::ExtractArgs;
pub use fetch_captions::FetchCaptionsArgs;
pub use label::LabelArgs;
pub use site::SiteArgs;
pub use train_classifier::TrainClassifierArgs;

/// Turn closed captions into a clean clip table, media files and audio shards.
#[derive(Debug, Parser)]
#[command(name = "audsem-filtering", version, max_term_width = 100)]
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
    /// Fetch manually written subtitle tracks of a list of videos with yt-dlp
    FetchCaptions(Box<FetchCaptionsArgs>),
    /// Extract bracketed sound captions from captions dumps and subtitle files into a table
    Extract(Box<ExtractArgs>),
    /// Train a BERT classifier that tells captions of sounds from others
    TrainClassifier(Box<TrainClassifierArgs>),
    /// Score each distinct caption with a BERT classifier
    Classify(Box<ClassifyArgs>),
    /// Ask a language model, behind a server or in this process, whether each distinct caption names a sound
    Label(Box<LabelArgs>),
    /// Apply labels and text rules to cues: a clean clip table and a list of distinct captions
    Combine(Box<CombineArgs>),
    /// Show which rule of `combine` decides about a caption, and what each rule does to it
    Explain(Box<ExplainArgs>),
    /// Get a media file for each clip, from a video site with yt-dlp or from a folder
    Download(Box<DownloadArgs>),
    /// Convert media of clips to audio shards: tars of 48 kHz mono FLAC and JSON
    Clips(Box<ClipsArgs>),
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
