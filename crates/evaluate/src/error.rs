//! Errors of this crate.

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
}
