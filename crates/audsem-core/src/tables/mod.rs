//! Parquet and CSV tables: one declaration per row type, typed columns in and out.
//!
//! A row type is declared once, with [`row!`](crate::row), and that declaration is the schema: the
//! writer, the reader, the checks on a foreign file and `docs/formats.md` all come from it.
//! No other module touches the Parquet library.
//!
//! ```
//! use audsem_core::tables::{Cue, CueRef, ParquetFile, ParquetWriter};
//!
//! let mut bytes = Vec::new();
//! let mut writer = ParquetWriter::<Cue, _>::new(&mut bytes)?;
//! writer.push(CueRef { row_id: 0, video_id: "dQw4w9WgXcQ", start_ms: 1500, dur_ms: 2250, text: "[door slams]" })?;
//! writer.finish()?;
//!
//! let file = ParquetFile::<Cue>::from_bytes("memory", bytes)?;
//! let cues = file.group(0)?;
//! assert_eq!(cues.text.get(0), "[door slams]");
//! assert_eq!(cues.start_ms[0], 1500);
//! # Ok::<(), audsem_core::tables::TableError>(())
//! ```

mod arrow_write;
mod cell;
mod column_chunks;
mod csv;
mod csv_lines;
mod embedding_rows;
mod error;
mod frame;
mod json_rows;
mod key_column;
mod kind;
mod lists;
mod markdown;
mod media_rows;
mod numbers;
mod parquet_read;
mod parquet_write;
mod parts;
mod row;
mod rows;
mod structs;
mod usable_rows;
mod vector_pages;
mod vector_read;
mod vector_write;

#[doc(hidden)]
pub use cell::{ArrowArray, Misfit};
pub use cell::{Cell, StrBuffer, StrColumn};
pub use csv::{CsvCues, CsvFault};
pub use csv_lines::csv_lines;
pub use embedding_rows::*;
pub use error::TableError;
pub use frame::{BadColumn, Frame};
pub use json_rows::{JsonGroup, JsonReader, JsonRows};
pub use key_column::KeyFile;
pub use kind::ColumnKind;
pub use lists::{ListBuffer, ListColumn, ListRef};
pub use markdown::{schema_markdown, schema_markdown_with_vector};
pub use media_rows::{MediaFile, MediaGroup, MediaRows};
pub use parquet_read::{ParquetFile, ParquetRows, read_parquet};
pub use parquet_write::{GroupEncoder, ParquetWriter, ROWS_PER_GROUP, RowGroup, write_parquet};
pub use parts::{is_csv, parts, tables_under};
pub use row::{ColumnSpec, Columns, Row};
pub use rows::*;
pub use structs::{StructBuffer, StructColumn};
pub use usable_rows::{BadRow, UsableRows};
pub use vector_read::{VECTOR_COLUMN, VectorFile, VectorScratch};
pub use vector_write::{VECTORS_PER_GROUP, VectorWriter};

/// The identity of a text across tables: XXH3 (64 bits, seed 0) of its UTF-8 bytes.
///
/// Label tables are joined to captions on it. Two texts out of 10⁸ share a hash with probability
/// 3·10⁻⁴; label tables carry the text too, so a collision can be found.
pub fn text_hash(text: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(text.as_bytes())
}

#[cfg(test)]
mod nested_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod usable_tests;
#[cfg(test)]
mod vector_tests;
