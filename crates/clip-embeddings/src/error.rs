//! Errors of this crate.

use std::path::PathBuf;

use audsem_core::terminal::counted;

/// What can go wrong beside the records themselves.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Reading, writing, the run folder or a flag.
    #[error(transparent)]
    Core(#[from] audsem_core::error::Error),
    /// The model.
    #[error(transparent)]
    Network(#[from] audsem_models::Error),
    /// A file of weights that the authors of a model have published.
    #[error(transparent)]
    Weights(#[from] audsem_models::convert::ConvertError),
    /// A file of weights without a tokenizer.
    #[error(
        "no tokenizer beside {}: files of the authors have none\n\
         hint: name a folder with that of roberta-base (LAION's CLAP) or gpt2 (MS-CLAP): --tokenizer DIR",
        path.display()
    )]
    NoTokenizer {
        /// The file.
        path: PathBuf,
    },
    /// The page of a report.
    #[error(transparent)]
    Report(#[from] audsem_report::ReportError),
    /// A table.
    #[error(transparent)]
    Table(#[from] audsem_core::tables::TableError),
    /// Vectors of different lengths cannot be compared.
    #[error(
        "vectors of {found} dimensions where others have {expected}: {}\nhint: embed all sets with the same model",
        path.display()
    )]
    OtherDimension {
        /// The table.
        path: PathBuf,
        /// Numbers in the vectors read before.
        expected: usize,
        /// Numbers in its vectors.
        found: usize,
    },
    /// Vectors of different models cannot be compared.
    #[error(
        "embeddings of the model {found} where others are of {expected}: {}\nhint: embed all sets with the same model",
        path.display()
    )]
    OtherModel {
        /// The table or reference.
        path: PathBuf,
        /// The model of those read before.
        expected: String,
        /// Its model.
        found: String,
    },
    /// A step that reads one modality was given the other.
    #[error("{found} embeddings where {expected} embeddings are expected: {}", path.display())]
    OtherModality {
        /// The table.
        path: PathBuf,
        /// What is expected.
        expected: &'static str,
        /// What it holds.
        found: &'static str,
    },
    /// A table whose modality cannot be inferred from its columns.
    #[error(
        "cannot tell whether this table holds audio or text embeddings (it has neither `text` nor `shard`): {}\n\
         hint: pass --modality audio or --modality text",
        path.display()
    )]
    UnknownModality {
        /// The table.
        path: PathBuf,
    },
    /// A reference without a usable vector.
    #[error(
        "the reference is empty: {} in {}, none with a usable vector\n\
         hint: name sets that hold embeddings with --reference NAME=PATH",
        counted(*n_rows, "rows"),
        counted(*n_files, "files")
    )]
    EmptyReference {
        /// Files read.
        n_files: usize,
        /// Rows in them.
        n_rows: u64,
    },
    /// A benchmark without a usable vector.
    #[error(
        "the benchmark `{name}` is empty: {} in {}, none with a usable vector\n\
         hint: name sets that hold embeddings with --benchmark NAME=PATH",
        counted(*n_rows, "rows"),
        counted(*n_files, "files")
    )]
    EmptyBenchmark {
        /// Its name.
        name: String,
        /// Files read.
        n_files: usize,
        /// Rows in them.
        n_rows: u64,
    },
    /// A set of captions without rows.
    #[error(
        "there are no captions: {} without a row\nhint: name the output of `embed-text` with --text",
        counted(*n_files, "files")
    )]
    NoCaptions {
        /// Files read.
        n_files: usize,
    },
    /// A file that is not a saved reference, or a reference that cannot be used this way.
    #[error("the saved reference cannot be used: {problem}: {}", path.display())]
    SavedReference {
        /// The file.
        path: PathBuf,
        /// What is wrong, with a hint.
        problem: String,
    },
    /// Two sets would have one name.
    #[error("two sets are called `{name}`\nhint: give each set a unique name: NAME=PATH")]
    SameSet {
        /// The name.
        name: String,
    },
    /// A file of a merge is already there and is another one.
    #[error(
        "refusing to overwrite {} with {}: it is there already and is another file\n\
         hint: name an empty or new folder with --output",
        to.display(), from.display()
    )]
    WouldOverwrite {
        /// The file that is there.
        to: PathBuf,
        /// The file that should be put there.
        from: PathBuf,
    },
    /// Hard links do not work between these folders.
    #[error("cannot link {} to {}: {source}\nhint: copy instead with --mode copy", from.display(), to.display())]
    Link {
        /// The source.
        from: PathBuf,
        /// The link.
        to: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
}
