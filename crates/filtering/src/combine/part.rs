//! The main step: one table of cues to one table of clips.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use audsem_core::input::open_plain;
use audsem_core::parallel::ordered_map;
use audsem_core::run::{LeftOut, RejectBatch, ShardError, ShardOutput};
use audsem_core::tables::{
    ClipRow, Columns, CsvCues, CsvFault, Cue, GroupEncoder, ParquetFile, ParquetWriter, ROWS_PER_GROUP, Row, RowGroup,
    TableError, is_csv,
};

use super::judge::{BatchBuffers, Judge};
use super::reason::RowFault;
use super::verdicts::VerdictCache;

/// One table of cues.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// The table, Parquet or CSV.
    pub(super) path: PathBuf,
    /// Maximum number of rows read.
    pub(super) limit: u64,
}

/// Some rows, judged and encoded.
struct Done {
    group: Option<RowGroup<ClipRow>>,
    n_read: u64,
    rejects: RejectBatch,
}

/// Turns the cues of a part into clips: `part-NAME.parquet`.
///
/// # Errors
/// [`ShardError::Input`] when the table cannot be read, else what keeps the output from being written.
pub(super) fn run(judge: &Judge, cache: &VerdictCache, part: &Part, out: &mut ShardOutput) -> Result<(), ShardError> {
    let worker = Worker {
        judge,
        cache,
        encoder: GroupEncoder::new().map_err(ShardError::fatal)?,
        buffers: Mutex::default(),
        blank: out.reject_batch(),
        batches: Mutex::default(),
    };
    let mut file = out.create(format!("part-{}.parquet", out.name()))?;
    let mut writer = ParquetWriter::<ClipRow, _>::new(&mut file).map_err(ShardError::fatal)?;
    let threads = out.inner_workers();
    let mut take = |out: &mut ShardOutput, done: Result<Done, ShardError>| -> Result<(), ShardError> {
        let mut done = done?;
        out.announce(done.n_read);
        if let Some(group) = done.group {
            writer.write_group(group).map_err(ShardError::fatal)?;
        }
        out.file_batch(&mut done.rejects)?;
        give_back(&worker.batches, done.rejects);
        Ok(())
    };
    if is_csv(&part.path) {
        let chunks = csv_chunks(&part.path, part.limit).map_err(ShardError::input)?;
        ordered_map(chunks, threads, 2 * threads, |chunk| worker.csv(chunk), |done| take(out, done))?;
    } else {
        let table = ParquetFile::<Cue>::open(&part.path).map_err(ShardError::input)?;
        let groups = groups_within(&table, part.limit);
        if threads == 1 {
            // A single thread writes rejects immediately, not at the end of a row group.
            for group in groups {
                let done = worker.group(&table, group, &mut |rejects| Ok(out.file_batch(rejects)?));
                take(out, done)?;
            }
        } else {
            let map = |group| worker.group(&table, group, &mut |_| Ok(()));
            ordered_map(groups, threads, 2 * threads, map, |done| take(out, done))?;
        }
    }
    writer.finish().map_err(ShardError::fatal)?;
    out.close(file)?;
    Ok(())
}

/// A row group, as far as it is read.
#[derive(Clone, Copy)]
struct Group {
    number: usize,
    n_rows: usize,
    /// The number in the table of its first row.
    first_row: usize,
}

/// The row groups that lie within the first `limit` rows.
fn groups_within(table: &ParquetFile<Cue>, limit: u64) -> Vec<Group> {
    let mut left = usize::try_from(limit).unwrap_or(usize::MAX);
    let (mut groups, mut first_row) = (Vec::new(), 0);
    for number in 0..table.n_groups() {
        let n_rows = table.n_rows_in(number).min(left);
        left -= n_rows;
        if n_rows > 0 {
            groups.push(Group { number, n_rows, first_row });
        }
        first_row += n_rows;
    }
    groups
}

type CsvRow = Result<Cue, CsvFault>;

/// The rows of a CSV table in pieces of a row group.
fn csv_chunks(path: &Path, limit: u64) -> Result<impl Iterator<Item = Vec<CsvRow>> + Send, TableError> {
    let file = open_plain(path).map_err(|source| TableError::Open { path: path.to_owned(), source })?;
    let mut rows = CsvCues::new(&path.display().to_string(), file)?.take(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(std::iter::from_fn(move || {
        let chunk: Vec<_> = rows.by_ref().take(ROWS_PER_GROUP).collect();
        (!chunk.is_empty()).then_some(chunk)
    }))
}

struct Worker<'a> {
    judge: &'a Judge,
    cache: &'a VerdictCache,
    encoder: GroupEncoder<ClipRow>,
    buffers: Mutex<Vec<BatchBuffers<'a>>>,
    blank: RejectBatch,
    /// Pool of written batches, whose memory (some ten megabytes each) is reused.
    batches: Mutex<Vec<RejectBatch>>,
}

/// Takes one value from a pool that threads share.
fn borrow<T>(shared: &Mutex<Vec<T>>) -> Option<T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner).pop()
}

fn give_back<T>(shared: &Mutex<Vec<T>>, value: T) {
    shared.lock().unwrap_or_else(PoisonError::into_inner).push(value);
}

impl Worker<'_> {
    fn group(
        &self,
        table: &ParquetFile<Cue>,
        group: Group,
        file: &mut dyn FnMut(&mut RejectBatch) -> Result<(), ShardError>,
    ) -> Result<Done, ShardError> {
        let Group { number, n_rows, first_row } = group;
        let cues = table.usable(number).map_err(ShardError::input)?;
        let mut rejects = self.batch();
        let bad = cues.bad.iter().take_while(|bad| bad.row < n_rows);
        let n_bad = bad
            .map(|bad| {
                rejects
                    .file_left_out(format_args!("row {}", first_row + bad.row), LeftOut::fail(RowFault::BadLine, bad))
            })
            .count();
        self.rows(|i| cues.columns.get(i), n_rows - n_bad, n_rows as u64, rejects, file)
    }

    fn csv(&self, rows: Vec<CsvRow>) -> Result<Done, ShardError> {
        let n_read = rows.len() as u64;
        let mut rejects = self.batch();
        if let Some(stopped) = rows.iter().find_map(|row| row.as_ref().err().filter(|fault| fault.ends_reading())) {
            return Err(ShardError::input(stopped));
        }
        let good = rows.into_iter().filter_map(|row| {
            let file = |fault: CsvFault| {
                rejects.file_left_out(format_args!("line {}", fault.line()), LeftOut::fail(RowFault::BadLine, &fault))
            };
            row.map_err(file).ok()
        });
        let good: Vec<Cue> = good.collect();
        self.rows(|i| good[i].as_row(), good.len(), n_read, rejects, &mut |_| Ok(()))
    }

    fn batch(&self) -> RejectBatch {
        borrow(&self.batches).unwrap_or_else(|| self.blank.clone())
    }

    fn rows<'a>(
        &self,
        row: impl Fn(usize) -> <Cue as Row>::Ref<'a>,
        n_rows: usize,
        n_read: u64,
        rejects: RejectBatch,
        file: &mut dyn FnMut(&mut RejectBatch) -> Result<(), ShardError>,
    ) -> Result<Done, ShardError> {
        let mut buffers = borrow(&self.buffers).unwrap_or_else(|| BatchBuffers::new(self.cache));
        let judged = self.judge.rows(&mut buffers, row, n_rows, rejects, file);
        give_back(&self.buffers, buffers);
        let mut judged = judged?;
        let encode = |clips| self.encoder.encode(clips).map_err(ShardError::input);
        let group = if judged.n_kept > 0 { Some(encode(&mut judged.clips)?) } else { None };
        judged.rejects.file_kept(judged.n_kept);
        Ok(Done { group, n_read, rejects: judged.rejects })
    }
}

/// Number of records of a CSV table, bad ones included.
///
/// # Errors
/// The table cannot be opened or is not a cue table.
pub(super) fn count_csv(path: &Path) -> Result<u64, TableError> {
    Ok(csv_chunks(path, u64::MAX)?.map(|chunk| chunk.len() as u64).sum())
}
