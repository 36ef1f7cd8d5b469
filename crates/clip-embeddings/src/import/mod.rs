//! `import-embeddings`: vectors that any other program has made, as tables that every command here reads.
//!
//! Each Parquet file of keys and vectors becomes one table. Vectors get the length 1, keys the spelling that they have
//! everywhere, and the table says which model made it and of what. Of rows with one key the first counts.

mod table;

use std::path::PathBuf;

use audsem_core::clips::{ClipDrop, ClipFault};
use audsem_core::error::Error as CoreError;
use audsem_core::run::{Fingerprint, Run, RunConfig, RunOptions, RunSpec, Shard, Step, Summary};
use audsem_core::tables::{is_csv, tables_under};
use serde::Serialize;

use crate::error::Error;
use crate::reason::Fault;
use crate::repeats::Repeats;
use crate::sets::{Comparable, Modality, RowNumbers};
use table::{ForeignTable, Import};

/// The column of keys where none is named.
pub const KEY_COLUMN: &str = "key";

/// What is imported.
#[derive(Debug, Clone)]
pub struct Config {
    /// Parquet files, or folders of them.
    pub inputs: Vec<PathBuf>,
    /// The column of keys.
    pub key_column: String,
    /// The column of vectors.
    pub vector_column: String,
    /// What the vectors are of.
    pub modality: Modality,
    /// What the model is called that made them. Tables are compared where it is the same.
    pub model_name: String,
}

/// What decides the content of the output.
#[derive(Serialize)]
struct HashedConfig<'a> {
    key_column: &'a str,
    vector_column: &'a str,
    modality: Modality,
    model_name: &'a str,
}

impl RunConfig for HashedConfig<'_> {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "import-embeddings";
}

/// Imports every table of the inputs.
///
/// # Errors
/// A table cannot be read, lacks a column, says that another model made it or that it is of something else, or has vectors of
/// another length than those before it; and what [`Run::open`] and [`Run::execute`] give.
pub fn run(config: &Config, options: &RunOptions) -> Result<Summary, Error> {
    let tables = open(config)?;
    let dim = common_length(config, &tables)?;
    let Config { key_column, vector_column, modality, model_name, .. } = config;
    let record = HashedConfig { key_column, vector_column, modality: *modality, model_name };
    let mut run = Run::open(options, RunSpec::new(&record))?;
    let numbers = RowNumbers::of_counts(tables.iter().map(ForeignTable::n_rows));
    let mut repeats = Repeats::default();
    let groups = tables.iter().flat_map(|table| (0..table.n_groups()).map(move |group| (table, group)));
    repeats.add_set(0, groups, options.workers, |(table, group)| table.key_hashes(group))?;
    let mut left = options.limit.unwrap_or(u64::MAX);
    let mut plan = Vec::new();
    for (i, table) in tables.iter().enumerate() {
        let import = Import { table, config, dim, repeats: &repeats, first_row: numbers.start(i), limit: left };
        left = left.saturating_sub(table.n_rows());
        let fingerprint = repeats.mark_file(Fingerprint::new().with(&table.fingerprint), &numbers, i).finish();
        plan.push(Shard { name: format!("{i:05}"), fingerprint, work: import });
        if left == 0 {
            break;
        }
    }
    let step = Step { name: "part", unit: "vectors", physical: "MB" };
    run.must_keep(step).explain(Fault::ALL).explain(ClipFault::ALL).explain(ClipDrop::ALL);
    run.execute(step, &plan, Import::write)?;
    Ok(run.finish()?.with_result("tables", tables.len()).with_result("dimensions", dim))
}

fn open(config: &Config) -> Result<Vec<ForeignTable>, Error> {
    if config.model_name.trim().is_empty() {
        let problem = "the name is empty\nhint: name the model that made the vectors; tables are compared only where it is the same";
        return Err(CoreError::Config { what: "--model-name".to_owned(), problem: problem.to_owned() }.into());
    }
    let mut tables = Vec::new();
    for input in &config.inputs {
        for path in tables_under(input)? {
            if is_csv(&path) {
                let problem = "vectors are imported from Parquet only\nhint: docs/formats.md describes how to convert other formats";
                return Err(CoreError::input(&path, problem).into());
            }
            tables.push(ForeignTable::open(path, config)?);
        }
    }
    Ok(tables)
}

/// Numbers in every vector.
fn common_length(config: &Config, tables: &[ForeignTable]) -> Result<usize, Error> {
    let mut comparable = Comparable::default();
    for table in tables {
        comparable.add(&table.path, table.dim, Some(&config.model_name))?;
    }
    match tables.first() {
        Some(first) if comparable.dim == 0 => {
            let problem = format!("no row of column `{}` has a number", config.vector_column);
            Err(CoreError::input(&first.path, problem).into())
        }
        _ => Ok(comparable.dim),
    }
}
