//! How well clips match their own captions: the cosine of two embeddings with one key.

use std::collections::HashMap;

use crate::tables::{CaptionMatch, CaptionMatchRef};
use audsem_core::clips::ClipDrop;
use audsem_core::run::{
    Fingerprint, LeftOut, Run, RunConfig, RunOptions, RunSpec, Shard, ShardError, ShardOutput, Step, Summary,
};
use audsem_core::tables::{Columns as _, ParquetFile, ParquetWriter, TableError, VectorFile, text_hash};
use serde::Serialize;

use crate::error::Error;
use crate::reason::{DropReason, Fault};
use crate::repeats::Repeats;
use crate::sets::{Comparable, EmbeddingFile, Modality, RowNumbers, SetPath, list_files};
use crate::unit_rows::UnitRows;
use crate::vector_math::{cosine, dot, scale};

/// What is matched with what.
#[derive(Debug, Clone, Serialize)]
pub struct Config {
    /// Embeddings of clips.
    pub audio: Vec<SetPath>,
    /// Embeddings of captions.
    pub text: Vec<SetPath>,
}

/// What decides the content of the output.
#[derive(Serialize)]
struct MatchRun<'a> {
    #[serde(flatten)]
    config: &'a Config,
    /// The model of the embeddings, as far as it is known.
    model: Option<&'a str>,
}

impl RunConfig for MatchRun<'_> {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "match";
}

/// One table of clips.
struct Clips<'a> {
    file: &'a EmbeddingFile,
    /// Rows of all tables of clips that repeat a key.
    repeats: &'a Repeats,
    /// Number of its first row among those.
    first_row: u64,
}

/// Where a caption is: table, row group, row in the group.
type Place = (u32, u32, u32);

/// The captions: where each key is, 32 bytes a caption, and the tables behind that.
struct Captions {
    places: HashMap<u64, Place, foldhash::fast::FixedState>,
    tables: Vec<(VectorFile, Option<ParquetFile<CaptionText>>)>,
    /// Captions whose key an earlier one has.
    repeated: u64,
}

audsem_core::row! {
    table "captions";
    /// The text of a caption, which the table of its vector may have.
    struct CaptionText / CaptionTextRef / CaptionTextColumns / CaptionTextBuffers {
        /// The caption.
        pub text: Option<String>,
    }
}

/// One row group of captions.
struct Loaded {
    texts: Option<CaptionTextColumns>,
    vectors: Vec<f32>,
}

/// Matches clips with captions.
///
/// # Errors
/// A set cannot be read or compared or is of the other modality, and what [`Run::open`] and
/// [`Run::execute`] give.
pub fn run(config: &Config, options: &RunOptions) -> Result<Summary, Error> {
    let (audio, text) = (list_files(&config.audio)?, list_files(&config.text)?);
    for (files, expected) in [(&audio, Modality::Audio), (&text, Modality::Text)] {
        for file in files {
            match file.modality {
                Some(found) if found != expected => {
                    let (expected, found) = (expected.name(), found.name());
                    return Err(Error::OtherModality { path: file.path.clone(), expected, found });
                }
                _ => {}
            }
        }
    }
    let comparable = Comparable::of(audio.iter().chain(&text))?;
    if text.iter().all(|file| file.n_rows == 0) {
        return Err(Error::NoCaptions { n_files: text.len() });
    }
    let hashed = MatchRun { config, model: comparable.model.as_deref() };
    let spec = RunSpec::new(&hashed);
    let mut run = Run::open(options, spec)?;
    let captions = Captions::of(&text)?;
    let all_text = text.iter().fold(Fingerprint::new(), |all, file| all.with(&file.fingerprint)).finish();
    let (repeats, numbers) = (Repeats::of(&audio, options.workers)?, RowNumbers::of(&audio));
    let plan: Vec<Shard<Clips<'_>>> = audio
        .iter()
        .enumerate()
        .map(|(i, file)| {
            let fingerprint = Fingerprint::new().with(&file.fingerprint).with(&all_text);
            Shard {
                name: format!("{i:05}"),
                fingerprint: repeats.mark_file(fingerprint, &numbers, i).finish(),
                work: Clips { file, repeats: &repeats, first_row: numbers.start(i) },
            }
        })
        .collect();
    let step = Step { name: "part", unit: "clips", physical: "MB" };
    run.must_keep(step).explain(Fault::ALL).explain(DropReason::ALL);
    run.execute(step, &plan, |clips, out| match_file(clips, &captions, out))?;
    Ok(run.finish()?.with_result("captions", captions.places.len()).with_result("repeated_captions", captions.repeated))
}

impl Captions {
    /// Reads all keys. Of captions with one key the first counts.
    fn of(files: &[EmbeddingFile]) -> Result<Self, Error> {
        let mut captions = Self { places: HashMap::default(), tables: Vec::new(), repeated: 0 };
        let number = |n: usize| u32::try_from(n).expect("row groups and tables are fewer than 2^32");
        for (table, file) in files.iter().enumerate() {
            let keys = file.keys()?;
            for group in 0..keys.n_groups() {
                let keys = keys.group(group)?.key;
                for (row, key) in (0..keys.len()).filter_map(|row| Some((row, keys.get_opt(row)?))) {
                    let place = (number(table), number(group), number(row));
                    let first = *captions.places.entry(text_hash(key)).or_insert(place);
                    captions.repeated += u64::from(first != place);
                }
            }
            let texts = match ParquetFile::open(&file.path) {
                Ok(texts) => Some(texts),
                Err(TableError::MissingColumn { .. }) => None,
                Err(error) => return Err(error.into()),
            };
            captions.tables.push((file.vectors()?, texts));
        }
        Ok(captions)
    }

    fn load(&self, table: u32, group: u32) -> Result<Loaded, TableError> {
        let (vectors, texts) = &self.tables[table as usize];
        let texts = texts.as_ref().map(|texts| texts.group(group as usize)).transpose()?;
        Ok(Loaded { texts, vectors: vectors.group(group as usize)? })
    }
}

impl Loaded {
    /// The caption of a row; empty where the table has none.
    fn text(&self, row: usize) -> &str {
        self.texts.as_ref().map_or("", |texts| texts.text.get(row))
    }
}

/// A clip of a row group and its caption.
struct Pair {
    /// Which of the group's usable rows.
    clip: usize,
    place: Place,
}

fn match_file(clips: &Clips<'_>, captions: &Captions, out: &mut ShardOutput) -> Result<(), ShardError> {
    let file = clips.file;
    let vectors = file.vectors().map_err(ShardError::input)?;
    let keys = file.keys().map_err(ShardError::input)?;
    let mut table = out.create(format!("part-{}.parquet", out.name()))?;
    let mut writer = ParquetWriter::<CaptionMatch, _>::new(&mut table).map_err(ShardError::fatal)?;
    let mut first_row = clips.first_row;
    for group in 0..vectors.n_groups() {
        let keys = keys.group(group).map_err(ShardError::input)?;
        let unit = UnitRows::read(&vectors, group).map_err(ShardError::input)?;
        out.announce(keys.len() as u64);
        out.work(keys.len() as f64 * vectors.dim() as f64 * 4e-6);
        unit.bad.file(file, out)?;
        let mut pairs = Vec::new();
        for (clip, row) in unit.rows.iter().enumerate() {
            let key = keys.key.get(*row);
            match captions.places.get(&text_hash(key)) {
                _ if clips.repeats.contains(first_row + *row as u64) => {
                    out.file_left_out(key, LeftOut::drop(ClipDrop::RepeatedKey, file.name()));
                }
                Some(place) => pairs.push(Pair { clip, place: *place }),
                None => out.file_left_out(key, LeftOut::drop(DropReason::NoText, file.name())),
            }
        }
        for (clip, matched) in cosines(captions, &unit, &mut pairs, vectors.dim()).map_err(ShardError::fatal)? {
            let key = keys.key.get(unit.rows[clip]);
            let outcome = matched.map_err(|fault| LeftOut::fail(fault, "the caption's vector"));
            if let Some((text, cosine)) = out.file(key, outcome) {
                let row = CaptionMatchRef { key, source: &file.set, text: &text, cosine };
                writer.push(row).map_err(ShardError::fatal)?;
            }
        }
        first_row += keys.len() as u64;
    }
    writer.finish().map_err(ShardError::fatal)?;
    Ok(out.close(table)?)
}

type Matched = (usize, Result<(String, f32), Fault>);

/// Cosines in the order of the clips. Captions are read group by group: where both sides were made of
/// the same shards, that is one group.
fn cosines(captions: &Captions, unit: &UnitRows, pairs: &mut [Pair], dim: usize) -> Result<Vec<Matched>, TableError> {
    pairs.sort_unstable_by_key(|pair| pair.place);
    let mut matched = Vec::with_capacity(pairs.len());
    for of_group in pairs.chunk_by(|a, b| (a.place.0, a.place.1) == (b.place.0, b.place.1)) {
        let (table, group, _) = of_group[0].place;
        let loaded = captions.load(table, group)?;
        for pair in of_group {
            let row = pair.place.2 as usize;
            let caption = &loaded.vectors[row * dim..][..dim];
            let clip = &unit.vectors[pair.clip * dim..][..dim];
            let cosine = scale(dot(caption, caption)).map(|factor| cosine(dot(clip, caption) * factor));
            matched.push((pair.clip, cosine.map(|cosine| (loaded.text(row).to_owned(), cosine))));
        }
    }
    matched.sort_unstable_by_key(|(clip, _)| *clip);
    Ok(matched)
}
