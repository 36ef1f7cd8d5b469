//! The last step: the distinct clean captions of all clips.

use std::collections::HashMap;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use audsem_core::error::Error as CoreError;
use audsem_core::parallel::ordered_map;
use audsem_core::run::{ShardError, ShardOutput};
use audsem_core::tables::{CaptionText, CaptionTextRef, Columns, ParquetFile, ParquetWriter, TableError, text_hash};
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

    fn rows(&self) -> impl Iterator<Item = CaptionTextRef<'_>> {
        let mut from = 0;
        self.counts.iter().map(move |&(to, n_clips, first_row_id)| {
            let to = usize::try_from(to).expect("an offset into a string in memory");
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

fn write(texts: &Texts, out: &mut ShardOutput) -> Result<(), ShardError> {
    let mut table = out.create("texts.parquet")?;
    let mut writer = ParquetWriter::<CaptionText, _>::new(&mut table).map_err(ShardError::fatal)?;
    texts.rows().try_for_each(|row| writer.push(row)).map_err(ShardError::fatal)?;
    writer.finish().map_err(ShardError::fatal)?;
    out.close(table)?;

    let mut list = out.create("texts.txt")?;
    let path = list.path().to_owned();
    let mut lines = BufWriter::with_capacity(1 << 16, &mut list);
    let written = texts.rows().try_for_each(|row| writeln!(lines, "{}", row.clean_text)).and_then(|()| lines.flush());
    written.map_err(CoreError::write(&path))?;
    drop(lines);
    out.close(list)?;
    Ok(())
}
