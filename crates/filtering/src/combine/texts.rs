//! The last step: the distinct clean captions of all clips.

use std::collections::HashMap;
use std::io::Write;
use std::ops::Range;
use std::path::PathBuf;

use crate::tables::{CaptionText, CaptionTextBuffers, CaptionTextRef};
use audsem_core::error::Error as CoreError;
use audsem_core::parallel::ordered_map;
use audsem_core::run::{OutputFile, ShardError, ShardOutput};
use audsem_core::tables::{
    Columns, GroupEncoder, ParquetFile, ParquetWriter, ROWS_PER_GROUP, Row, RowGroup, TableError, text_hash,
};
use foldhash::fast::FixedState;

use super::published;

audsem_core::row! {
    table "clips";
    /// What this step reads of a clip.
    struct ClipText / ClipTextRef / ClipTextColumns / ClipTextBuffers {
        /// The clean caption.
        pub clean_text: String,
        /// The cue it comes from.
        pub row_id: u64,
    }
}

/// Distinct captions in order of first occurrence.
#[derive(Default)]
struct Texts {
    /// Index into `distinct` by the hash of the text.
    positions: HashMap<u64, u32, FixedState>,
    /// All captions, concatenated.
    arena: String,
    distinct: Vec<Distinct>,
}

/// One distinct caption.
struct Distinct {
    hash: u64,
    /// End offset in the arena.
    to: usize,
    /// Number of clips with this caption.
    n_clips: u64,
    /// The first of those clips.
    first_row_id: u64,
}

impl Texts {
    /// Adds `n_clips` more clips with this caption.
    fn add(&mut self, text: &str, hash: u64, n_clips: u64, first_row_id: u64) {
        let next = u32::try_from(self.distinct.len()).expect("fewer than 2^32 distinct captions of 50 characters");
        let position = *self.positions.entry(hash).or_insert(next);
        if position == next {
            self.arena.push_str(text);
            self.distinct.push(Distinct { hash, to: self.arena.len(), n_clips: 0, first_row_id });
        }
        self.distinct[position as usize].n_clips += n_clips;
    }

    /// Merges the captions of later clips.
    fn append(&mut self, later: &Self) {
        for (text, Distinct { hash, n_clips, first_row_id, .. }) in later.rows(0..later.distinct.len()) {
            self.add(text, *hash, *n_clips, *first_row_id);
        }
    }

    fn rows(&self, range: Range<usize>) -> impl Iterator<Item = (&str, &Distinct)> {
        let mut from = range.start.checked_sub(1).map_or(0, |before| self.distinct[before].to);
        self.distinct[range]
            .iter()
            .map(move |distinct| (&self.arena[std::mem::replace(&mut from, distinct.to)..distinct.to], distinct))
    }

    /// The texts of one row group and its number of clips.
    fn of_group(table: &ParquetFile<ClipText>, group: usize) -> Result<(Self, u64), TableError> {
        let columns = table.group(group)?;
        let mut texts = Self::default();
        for i in 0..columns.len() {
            let ClipTextRef { clean_text, row_id } = columns.get(i);
            texts.add(clean_text, text_hash(clean_text), 1, row_id);
        }
        Ok((texts, columns.len() as u64))
    }
}

/// Writes `texts.parquet` and `texts.txt` from the clip tables, in their order; and the published CSV file, if
/// `reference` says so. Where the scripts leave its order open, it is that of first occurrence.
///
/// # Errors
/// A clip table cannot be read or the output cannot be written.
pub(super) fn run(clips: &[PathBuf], reference: bool, out: &mut ShardOutput) -> Result<(), ShardError> {
    let mut texts = Texts::default();
    let mut n_clips = 0;
    let threads = out.inner_workers();
    for path in clips {
        let table = ParquetFile::<ClipText>::open(path).map_err(ShardError::input)?;
        let read = |group| Texts::of_group(&table, group);
        ordered_map(0..table.n_groups(), threads, 2 * threads, read, |read| -> Result<(), ShardError> {
            let (of_group, n) = read.map_err(ShardError::input)?;
            texts.append(&of_group);
            n_clips += n;
            Ok(())
        })?;
    }
    Files::create(reference, out)?.write(&texts, out)?;
    // Every clip counts as kept: it is part of the row of its text.
    out.file_kept(n_clips);
    out.count("texts", texts.distinct.len() as u64);
    Ok(())
}

/// The output files of this step.
struct Files {
    table: OutputFile,
    list: OutputFile,
    published: Option<OutputFile>,
}

/// A batch of captions, encoded for each file.
struct Encoded {
    group: RowGroup<CaptionText>,
    list: String,
    published: Vec<u8>,
}

impl Files {
    fn create(reference: bool, out: &ShardOutput) -> Result<Self, CoreError> {
        Ok(Self {
            table: out.create("texts.parquet")?,
            list: out.create("texts.txt")?,
            published: reference.then(|| out.create(published::NAME)).transpose()?,
        })
    }

    fn write(mut self, texts: &Texts, out: &mut ShardOutput) -> Result<(), ShardError> {
        let mut writer = ParquetWriter::<CaptionText, _>::new(&mut self.table).map_err(ShardError::fatal)?;
        let encoder = GroupEncoder::new().map_err(ShardError::fatal)?;
        let n_texts = texts.distinct.len();
        let ranges = (0..n_texts).step_by(ROWS_PER_GROUP).map(|from| from..n_texts.min(from + ROWS_PER_GROUP));
        let threads = out.inner_workers();
        let with_published = self.published.is_some();
        let append = |file: &mut OutputFile, bytes: &[u8]| file.write_all(bytes).map_err(CoreError::write(file.path()));
        if let Some(file) = &mut self.published {
            append(file, published::HEADER)?;
        }
        ordered_map(
            ranges,
            threads,
            2 * threads,
            |range| encode(texts, range, &encoder, with_published),
            |encoded| -> Result<(), ShardError> {
                let Encoded { group, list, published } = encoded.map_err(ShardError::fatal)?;
                writer.write_group(group).map_err(ShardError::fatal)?;
                append(&mut self.list, list.as_bytes())?;
                self.published.as_mut().map_or(Ok(()), |file| append(file, &published))?;
                Ok(())
            },
        )?;
        writer.finish().map_err(ShardError::fatal)?;
        [self.table, self.list].into_iter().chain(self.published).try_for_each(|file| out.close(file))?;
        Ok(())
    }
}

fn encode(
    texts: &Texts,
    range: Range<usize>,
    encoder: &GroupEncoder<CaptionText>,
    with_published: bool,
) -> Result<Encoded, TableError> {
    let (mut rows, mut list) = (CaptionTextBuffers::default(), String::new());
    for (clean_text, Distinct { n_clips, first_row_id, .. }) in texts.rows(range.clone()) {
        list.push_str(clean_text);
        list.push('\n');
        let row = CaptionTextRef { clean_text, n_clips: *n_clips, first_row_id: *first_row_id };
        CaptionText::push(&mut rows, row);
    }
    let of_range = texts.rows(range).map(|(text, _)| text);
    let published = if with_published { published::lines(of_range)? } else { Vec::new() };
    Ok(Encoded { group: encoder.encode(&mut rows)?, list, published })
}
