//! Errors of this crate.

use std::path::PathBuf;

/// What can go wrong beside the records themselves.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A language model.
    #[error(transparent)]
    Text(#[from] audsem_llm::TextError),
    /// A page.
    #[error(transparent)]
    Report(#[from] audsem_report::ReportError),
    /// Reading, writing, the run folder or a flag.
    #[error(transparent)]
    Core(#[from] audsem_core::error::Error),
    /// A network.
    #[error(transparent)]
    Network(#[from] audsem_models::Error),
    /// Weights of another library.
    #[error(transparent)]
    Weights(#[from] audsem_models::convert::ConvertError),
    /// A table.
    #[error(transparent)]
    Table(#[from] audsem_core::tables::TableError),
    /// A flag that attaches sounds, for a model that reads text alone.
    #[error(
        "{flag} attaches sounds, but a model in this process reads text alone\nhint: name a server whose model can hear with --server"
    )]
    NoHearing {
        /// The flag.
        flag: &'static str,
    },
    /// Nobody who could write or judge is named.
    #[error("no language model is named, which {who}\nhint: name one with --server URL or --model PATH{or}")]
    NoLanguageModel {
        /// Whom it is wanted for.
        who: &'static str,
        /// What else can be done.
        or: &'static str,
    },
    /// A language model that would not be asked.
    #[error(
        "rules write without a language model\nhint: omit --server and --model, or have it judge what rules write with --judge"
    )]
    IdleLanguageModel,
    /// A table in a format that this command does not read.
    #[error("this command reads Parquet tables only: {}\nhint: {hint}", path.display())]
    NotATable {
        /// The file.
        path: PathBuf,
        /// What to do about it.
        hint: &'static str,
    },
    /// A network whose checkpoint is not named, and which has no default.
    #[error("no checkpoint is named for `{model}`\nhint: pass --model-dir {model}=FOLDER; `convert-weights` makes one")]
    NoCheckpoint {
        /// The network.
        model: &'static str,
    },
    /// A checkpoint of a network that does not run.
    #[error("--model-dir names a checkpoint for `{model}`, which --models does not name")]
    IdleCheckpoint {
        /// The network.
        model: &'static str,
    },
    /// Settings of music captions, without the network that makes them.
    #[error("--music, --music-throughout and --music-draw tell what lp-musiccaps does, which --models does not name")]
    IdleMusic,
    /// Music is to be told by labels that no network gives.
    #[error(
        "--music tags needs a tagger of AudioSet's classes among --models\nhint: add ced, yamnet, beats or ast, or choose with --music text or --music always"
    )]
    NoTagger,
    /// A command with one network whose checkpoint is not named.
    #[error("no checkpoint is named\nhint: pass --model FOLDER; `convert-weights` makes one")]
    NoModel,
    /// A class of a checkpoint whose name is not known.
    #[error(
        "class {class} of the checkpoint has no name: {model}\nhint: pass AudioSet's class_labels_indices.csv with --class-names"
    )]
    UnnamedClass {
        /// The checkpoint.
        model: String,
        /// The class.
        class: usize,
    },
}
