//! `score`: compares embeddings with a reference: the mean dissimilarity, and with `--score knn` the nearest neighbours.
//!
//! Every key of a set gets one score; what to leave out is decided where scores are read. `reference.json` in
//! the output folder is the mean direction the scores are made with.

mod group;

use std::path::PathBuf;

use crate::tables::Score;
use audsem_core::parallel::ordered_map;
use audsem_core::run::{
    Fingerprint, Reads, Run, RunConfig, RunOptions, RunSpec, Shard, ShardError, ShardOutput, Step, Summary,
};
use audsem_core::tables::ParquetWriter;
use serde::Serialize;

use crate::error::Error;
use crate::nearest::VectorIndex;
use crate::reason::{DropReason, Fault};
use crate::reference::{FileSums, SavedReference, index_files, mean_of, save, sum_files};
use crate::repeats::Repeats;
use crate::sets::{Comparable, EmbeddingFile, Modality, RowNumbers, SetPath, list_files};
use group::Scorer;

/// What is scored against what.
#[derive(Debug, Clone, Serialize)]
pub struct Config {
    /// Sets that get scores.
    pub inputs: Vec<SetPath>,
    /// What they are compared with: sets of embeddings, or references saved by `reference build`.
    pub references: Vec<SetPath>,
    /// What the inputs are of; `None` to see it from their columns.
    pub modality: Option<Modality>,
    /// Batch size of the weighting that means of batches have; `None` is the exact mean.
    pub compat_batch: Option<u64>,
    /// Also look for this many nearest reference vectors.
    pub top_k: Option<usize>,
}

/// What decides the content of the output.
#[derive(Serialize)]
struct ScoreRun<'a> {
    #[serde(flatten)]
    config: &'a Config,
    /// The model of the embeddings, as far as it is known.
    model: Option<&'a str>,
}

impl RunConfig for ScoreRun<'_> {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "score";
}

/// The inputs of scoring.
struct Reference {
    saved: SavedReference,
    fingerprint: Reads,
    index: Option<VectorIndex>,
}

/// References as the command line names them, sorted by kind.
struct Named {
    saved: Vec<(PathBuf, SavedReference)>,
    /// Tables to sum, and to search in.
    tables: Vec<EmbeddingFile>,
    /// Tables to search in only.
    indexes: Vec<EmbeddingFile>,
}

/// Scores the inputs.
///
/// # Errors
/// A set cannot be read or compared, the reference is empty, and what [`Run::open`] and
/// [`Run::execute`] give.
pub fn run(config: &Config, options: &RunOptions) -> Result<Summary, Error> {
    let inputs = list_files(&config.inputs)?;
    let named = named_references(config)?;
    let mut comparable = Comparable::of(named.tables.iter().chain(&named.indexes).chain(&inputs))?;
    for (path, saved) in &named.saved {
        comparable.add(path, saved.dim, saved.model.as_deref())?;
    }
    for file in &inputs {
        modality_of(file, config)?;
    }
    named.check_rows()?;
    let hashed = ScoreRun { config, model: comparable.model.as_deref() };
    let spec = RunSpec::new(&hashed);
    let mut run = Run::open(options, spec)?;
    let mut count = None;
    if let Some(reference) = reference(&mut run, config, named, &comparable)? {
        count = Some((reference.saved.count, reference.saved.norm()));
        score(&mut run, config, &inputs, &reference)?;
    }
    let summary = run.finish()?;
    Ok(match count {
        Some((count, norm)) => summary.with_result("reference_vectors", count).with_result("norm_of_mean", norm),
        None => summary,
    })
}

impl Named {
    /// Refuses tables without a row before anything is written; vectors that cannot be used show later.
    fn check_rows(&self) -> Result<(), Error> {
        let n_rows: u64 = self.tables.iter().map(|file| file.n_rows).sum();
        if n_rows == 0 && self.saved.is_empty() {
            return Err(Error::EmptyReference { n_files: self.tables.len(), n_rows });
        }
        Ok(())
    }
}

fn named_references(config: &Config) -> Result<Named, Error> {
    let (mut saved, mut tables, mut indexes) = (Vec::new(), Vec::new(), Vec::new());
    for set in &config.references {
        if !SavedReference::is_at(&set.path)? {
            tables.push(set.clone());
            continue;
        }
        let (path, reference) = SavedReference::open(&set.path)?;
        if config.compat_batch.is_some() {
            let problem = "--compat-batch weights tables, but a saved reference has its weights already\n\
                           hint: name the tables, or give --compat-batch to `reference build`";
            return Err(Error::SavedReference { path, problem: problem.to_owned() });
        }
        if config.top_k.is_some() {
            let folder = path.parent().unwrap_or(&path);
            let files = index_files(folder).map_err(|_| Error::SavedReference {
                path: path.clone(),
                problem: "it has no index of its vectors, which nearest neighbours need\n\
                          hint: build it with `reference build --index`"
                    .to_owned(),
            })?;
            indexes.extend(
                files.into_iter().map(|path| SetPath { name: format!("{}/{}", set.name, path.display()), path }),
            );
        }
        saved.push((path, reference));
    }
    Ok(Named { saved, tables: list_files(&tables)?, indexes: list_files(&indexes)? })
}

/// Sums what is to be summed and opens what is to be searched; `None` when interrupted.
fn reference(
    run: &mut Run,
    config: &Config,
    named: Named,
    comparable: &Comparable,
) -> Result<Option<Reference>, Error> {
    let Named { mut saved, tables, indexes } = named;
    let mut sums: Vec<FileSums> = Vec::new();
    if !tables.is_empty() {
        let Some(summed) = sum_files(run, "reference", &tables, comparable.dim, config.compat_batch)? else {
            return Ok(None);
        };
        saved.push((PathBuf::new(), mean_of(&summed, &tables, comparable, config.compat_batch)?));
        sums = summed;
    }
    let saved = SavedReference::together(saved)?;
    save(run, &saved, &sums)?;
    let searched: Vec<EmbeddingFile> = tables.into_iter().chain(indexes).collect();
    let mut fingerprint = Fingerprint::new();
    for value in &saved.mean {
        fingerprint = fingerprint.with(value.to_le_bytes());
    }
    if config.top_k.is_some() {
        fingerprint = searched.iter().fold(fingerprint, |all, file| all.with(&file.fingerprint));
    }
    let index = match config.top_k {
        Some(_) => Some(VectorIndex::open(&searched, comparable.dim)?),
        None => None,
    };
    Ok(Some(Reference { saved, fingerprint: fingerprint.finish(), index }))
}

fn modality_of(file: &EmbeddingFile, config: &Config) -> Result<Modality, Error> {
    match (file.modality, config.modality) {
        (Some(found), Some(expected)) if found != expected => {
            Err(Error::OtherModality { path: file.path.clone(), expected: expected.name(), found: found.name() })
        }
        (Some(modality), _) | (None, Some(modality)) => Ok(modality),
        (None, None) => Err(Error::UnknownModality { path: file.path.clone() }),
    }
}

fn score(run: &mut Run, config: &Config, inputs: &[EmbeddingFile], reference: &Reference) -> Result<(), Error> {
    let mut left = run.options().limit.unwrap_or(u64::MAX);
    let (repeats, numbers) = (Repeats::of(inputs, run.options().workers)?, RowNumbers::of(inputs));
    let mut plan = Vec::new();
    for (i, file) in inputs.iter().enumerate() {
        let scorer = Scorer {
            file,
            modality: modality_of(file, config)?,
            mean: &reference.saved.mean,
            index: reference.index.as_ref().zip(config.top_k),
            limit: left,
            repeats: &repeats,
            first_row: numbers.start(i),
        };
        left = left.saturating_sub(file.n_rows);
        let fingerprint = Fingerprint::new().with(&file.fingerprint).with(&reference.fingerprint);
        let fingerprint = repeats.mark_file(fingerprint, &numbers, i).finish();
        plan.push(Shard { name: format!("{i:05}"), fingerprint, work: scorer });
        if left == 0 {
            break;
        }
    }
    let step = Step { name: "part", unit: "vectors", physical: "MB" };
    run.must_keep(step).explain(Fault::ALL).explain(DropReason::ALL);
    run.execute(step, &plan, score_file)?;
    Ok(())
}

fn score_file(scorer: &Scorer<'_>, out: &mut ShardOutput) -> Result<(), ShardError> {
    let opened = scorer.open().map_err(ShardError::input)?;
    let mut table = out.create(format!("part-{}.parquet", out.name()))?;
    let mut writer = ParquetWriter::<Score, _>::new(&mut table).map_err(ShardError::fatal)?;
    let threads = out.inner_workers();
    ordered_map(
        opened.groups(),
        threads,
        2 * threads,
        |group| opened.score(group),
        |scored| {
            let scored = scored.map_err(ShardError::input)?;
            out.announce(scored.n_rows as u64);
            out.file_kept(scored.rows.len() as u64);
            out.work(scored.n_rows as f64 * scorer.mean.len() as f64 * 4e-6);
            if !scored.rows.is_empty() {
                writer.write_group(scored.rows).map_err(ShardError::fatal)?;
            }
            scored.bad.file(scorer.file, out)
        },
    )?;
    writer.finish().map_err(ShardError::fatal)?;
    Ok(out.close(table)?)
}
