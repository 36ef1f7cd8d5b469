//! The last step: the distinct clean captions of all clips.

use std::collections::HashMap;
use std::io::Write;
use std::ops::Range;
use std::path::PathBuf;

use audsem_core::error::Error as CoreError;
use audsem_core::parallel::ordered_map;
use audsem_core::run::{ShardError, ShardOutput};
use audsem_core::tables::{
    CaptionText, CaptionTextBuffers, CaptionTextRef, Columns, GroupEncoder, ParquetFile, ParquetWriter, ROWS_PER_GROUP,
    Row, RowGroup, TableError, text_hash,
};
use foldhash::fast::FixedState;

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
    /// Position in `counts` by the hash of the text.
    positions: HashMap<u64, u32, FixedState>,
    /// All captions, one after the other.
    arena: String,
    /// Where each ends, how many clips carry it, and the first of them.
    counts: Vec<(u64, u64, u64)>,
}

impl Texts {
    fn add(&mut self, text: &str, hash: u64, row_id: u64) {
        let next = u32::try_from(self.counts.len()).expect("fewer than 2^32 distinct captions of 50 characters");
        let position = *self.positions.entry(hash).or_insert(next);
        if position == next {
            self.arena.push_str(text);
            self.counts.push((self.arena.len() as u64, 0, row_id));
        }
        self.counts[position as usize].1 += 1;
    }

    fn rows(&self, range: Range<usize>) -> impl Iterator<Item = CaptionTextRef<'_>> {
        let offset = |to: u64| usize::try_from(to).expect("an offset into a string in memory");
        let mut from = range.start.checked_sub(1).map_or(0, |before| offset(self.counts[before].0));
        self.counts[range].iter().map(move |&(to, n_clips, first_row_id)| {
            let to = offset(to);
            let clean_text = &self.arena[from..to];
            from = to;
            CaptionTextRef { clean_text, n_clips, first_row_id }
        })
    }
}

/// Writes `texts.parquet` and `texts.txt` from the clip tables, in their order.
///
/// # Errors
/// A clip table cannot be read or the output cannot be written.
pub(super) fn run(clips: &[PathBuf], out: &mut ShardOutput) -> Result<(), ShardError> {
    let mut texts = Texts::default();
    let mut n_clips = 0;
    for path in clips {
        let table = ParquetFile::<ClipText>::open(path).map_err(ShardError::input)?;
        let hashed = |group| -> Result<(ClipTextColumns, Vec<u64>), TableError> {
            let columns = table.group(group)?;
            let hashes = columns.clean_text.iter().map(text_hash).collect();
            Ok((columns, hashes))
        };
        let threads = out.inner_workers();
        ordered_map(0..table.n_groups(), threads, 2 * threads, hashed, |read| -> Result<(), ShardError> {
            let (columns, hashes) = read.map_err(ShardError::input)?;
            for (i, hash) in hashes.into_iter().enumerate() {
                let ClipTextRef { clean_text, row_id } = columns.get(i);
                texts.add(clean_text, hash, row_id);
            }
            n_clips += columns.len() as u64;
            Ok(())
        })?;
    }
    let n_texts = texts.counts.len() as u64;
    out.read(n_clips);
    write(&texts, out)?;
    // Every clip goes out, in the row of its text.
    out.keep(n_clips);
    out.count("texts", n_texts);
    Ok(())
}

/// Some captions, encoded for both files.
struct Encoded {
    group: RowGroup<CaptionText>,
    lines: String,
}

fn encode(texts: &Texts, range: Range<usize>, encoder: &GroupEncoder<CaptionText>) -> Result<Encoded, TableError> {
    let (mut rows, mut lines) = (CaptionTextBuffers::default(), String::new());
    for row in texts.rows(range) {
        lines.push_str(row.clean_text);
        lines.push('\n');
        CaptionText::push(&mut rows, row);
    }
    Ok(Encoded { group: encoder.encode(&mut rows)?, lines })
}

fn write(texts: &Texts, out: &mut ShardOutput) -> Result<(), ShardError> {
    let mut table = out.create("texts.parquet")?;
    let mut list = out.create("texts.txt")?;
    let mut writer = ParquetWriter::<CaptionText, _>::new(&mut table).map_err(ShardError::fatal)?;
    let encoder = GroupEncoder::new().map_err(ShardError::fatal)?;
    let n_texts = texts.counts.len();
    let ranges = (0..n_texts).step_by(ROWS_PER_GROUP).map(|from| from..n_texts.min(from + ROWS_PER_GROUP));
    let threads = out.inner_workers();
    ordered_map(
        ranges,
        threads,
        2 * threads,
        |range| encode(texts, range, &encoder),
        |encoded| -> Result<(), ShardError> {
            let Encoded { group, lines } = encoded.map_err(ShardError::fatal)?;
            writer.write_group(group).map_err(ShardError::fatal)?;
            Ok(list.write_all(lines.as_bytes()).map_err(CoreError::write(list.path()))?)
        },
    )?;
    writer.finish().map_err(ShardError::fatal)?;
    out.close(table)?;
    Ok(out.close(list)?)
}
