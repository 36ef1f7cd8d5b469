//! Flags of `import-embeddings`.

use std::path::PathBuf;

use audsem_core::cli::RunArgs;
use audsem_core::tables::VECTOR_COLUMN;
use clap::Args;

use crate::import::{Config, KEY_COLUMN};
use crate::sets::Modality;

/// Flags of `import-embeddings`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Parquet files of keys and vectors, or folders of them; if a key is repeated, its first row counts
    #[arg(short, long, value_name = "PATH", required = true, num_args = 1..)]
    pub input: Vec<PathBuf>,
    /// Column of keys: texts or whole numbers
    #[arg(long, value_name = "NAME", default_value = KEY_COLUMN)]
    pub key_column: String,
    /// Column of vectors: lists of f16, f32 or f64, of any kind
    #[arg(long, value_name = "NAME", default_value = VECTOR_COLUMN)]
    pub vector_column: String,
    /// What the vectors are of
    #[arg(long, value_enum)]
    pub modality: Modality,
    /// Name of the model that made them; only embeddings of one name are compared, so give those of sounds, captions,
    /// references and benchmarks the same
    #[arg(long, value_name = "NAME")]
    pub model_name: String,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub run: RunArgs,
}

impl ImportArgs {
    /// What the flags ask for.
    pub fn config(&self) -> Config {
        Config {
            inputs: self.input.clone(),
            key_column: self.key_column.clone(),
            vector_column: self.vector_column.clone(),
            modality: self.modality,
            model_name: self.model_name.clone(),
        }
    }
}
