//! Errors of this crate.

use audsem_core::terminal::counted;

/// What can go wrong beside the questions themselves.
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
    /// A table.
    #[error(transparent)]
    Table(#[from] audsem_core::tables::TableError),
    /// A data set on the hub.
    #[error(transparent)]
    DataSet(#[from] audsem_core::hub::DataSetError),
    /// A device.
    #[error(transparent)]
    Model(#[from] audsem_core::weights::ModelError),
    /// A question that no answer could be compared by.
    #[error("{place}: {problem}\nhint: each line is one question, as docs/formats.md describes under `EvaluationItem`")]
    NotAnItem {
        /// File and line.
        place: String,
        /// What is wrong.
        problem: String,
    },
    /// None of the sounds of the questions is there.
    #[error(
        "the sounds of these questions are not there: none of {}, such as {first}\n\
         hint: name the folders or tars that hold them with --sounds",
        counted(*n, "sounds")
    )]
    NoSounds {
        /// Sounds that the questions name.
        n: usize,
        /// What the data set calls the first of them.
        first: String,
    },
    /// A prompt template that cannot be used.
    #[error("prompt templates, {place}: {problem}")]
    Prompts {
        /// File and name of the template.
        place: String,
        /// What is wrong, and what to do.
        problem: String,
    },
}
