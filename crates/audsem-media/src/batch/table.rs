//! Tables with one row for each clip.

use audsem_core::run::OutputFile;
use audsem_core::tables::{ParquetWriter, Row, TableError};

use super::ClipIdentity;

/// The table of one shard that is being written. Rows come in the order of the clips.
pub trait ClipTable<Output> {
    /// Appends the row of a clip.
    ///
    /// # Errors
    /// It cannot be written.
    fn push(&mut self, clip: &ClipIdentity, output: Output) -> Result<(), TableError>;

    /// Writes what is left.
    ///
    /// # Errors
    /// It cannot be written.
    fn finish(self: Box<Self>) -> Result<(), TableError>;
}

/// A Parquet table of typed rows, each made by `row` from a clip and the network's output.
///
/// # Errors
/// The first bytes cannot be written.
pub fn row_table<'f, R, Output>(
    file: &'f mut OutputFile,
    row: impl Fn(&ClipIdentity, Output) -> R + 'f,
) -> Result<Box<dyn ClipTable<Output> + 'f>, TableError>
where
    R: Row + 'f,
    Output: 'f,
{
    Ok(Box::new(RowTable { writer: ParquetWriter::<R, _>::new(file)?, row }))
}

struct RowTable<'f, R: Row, F> {
    writer: ParquetWriter<R, &'f mut OutputFile>,
    row: F,
}

impl<R: Row, Output, F: Fn(&ClipIdentity, Output) -> R> ClipTable<Output> for RowTable<'_, R, F> {
    fn push(&mut self, clip: &ClipIdentity, output: Output) -> Result<(), TableError> {
        self.writer.push((self.row)(clip, output).as_row())
    }

    fn finish(self: Box<Self>) -> Result<(), TableError> {
        self.writer.finish().map(drop)
    }
}
