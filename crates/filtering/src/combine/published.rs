//! `--compat reference`: the last file of the published scripts.

use std::path::PathBuf;

use audsem_core::run::{ShardError, ShardOutput};
use audsem_core::tables::{CaptionText, Columns, ParquetFile};

/// Its name, as published.
pub(super) const NAME: &str = "merged_bert_thatisin_mixtral_captions_nodupe.csv";

/// Writes the distinct captions of `texts.parquet` as one column of CSV. Where the scripts leave the order open,
/// it is that of first occurrence. Fields are quoted where they hold a comma or a quote, lines end in `\n`: so do
/// the writer of polars and, told that line end, Python's.
///
/// # Errors
/// The table cannot be read or the output cannot be written.
pub(super) fn run(texts: &[PathBuf], out: &mut ShardOutput) -> Result<(), ShardError> {
    let mut file = out.create(NAME)?;
    let mut lines = csv::Writer::from_writer(&mut file);
    lines.write_record(["text"]).map_err(ShardError::fatal)?;
    for path in texts {
        let table = ParquetFile::<CaptionText>::open(path).map_err(ShardError::input)?;
        for group in table.groups() {
            let group = group.map_err(ShardError::input)?;
            for i in 0..group.len() {
                lines.write_record([group.get(i).clean_text]).map_err(ShardError::fatal)?;
            }
            out.read(group.len() as u64);
            out.keep(group.len() as u64);
        }
    }
    lines.flush().map_err(ShardError::fatal)?;
    drop(lines);
    Ok(out.close(file)?)
}
