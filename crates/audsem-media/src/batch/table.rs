//! Tables with one row for each clip.

use audsem_core::run::OutputFile;
use audsem_core::tables::{ParquetWriter, Row, TableError};

use super::{ClipError, ClipIdentity};

/// What begins the table of each shard.
pub trait ClipTables<Output>: Sync {
    /// Begins the table of one shard in `file`; [`row_table`] makes one of typed rows.
    ///
    /// # Errors
    /// Its first bytes cannot be written.
    fn table<'f>(&'f self, file: &'f mut OutputFile) -> Result<Box<dyn ClipTable<Output> + 'f>, TableError>;
}

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

/// What each of several networks gave for a clip, in their order; at least one gave something.
pub type JointOutput<O> = Vec<Result<O, ClipError>>;

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

/// The tables of a single network as those of a list of one.
pub(super) struct OfOne<'a, O>(pub &'a dyn ClipTables<O>);

struct OneTable<'f, O>(Box<dyn ClipTable<O> + 'f>);

impl<O> ClipTables<JointOutput<O>> for OfOne<'_, O>
where
    O: 'static,
{
    fn table<'f>(&'f self, file: &'f mut OutputFile) -> Result<Box<dyn ClipTable<JointOutput<O>> + 'f>, TableError> {
        Ok(Box::new(OneTable(self.0.table(file)?)))
    }
}

impl<O> ClipTable<JointOutput<O>> for OneTable<'_, O> {
    fn push(&mut self, clip: &ClipIdentity, outputs: JointOutput<O>) -> Result<(), TableError> {
        outputs.into_iter().flatten().try_for_each(|output| self.0.push(clip, output))
    }

    fn finish(self: Box<Self>) -> Result<(), TableError> {
        self.0.finish()
    }
}
