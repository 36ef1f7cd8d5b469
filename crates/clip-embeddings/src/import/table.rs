//! One table of another program, and what becomes of its rows.

use std::path::PathBuf;

use audsem_core::clips::{ClipDrop, ClipFault, parse_clip};
use audsem_core::run::{FileFingerprint, Fingerprint, LeftOut, Reads, ShardError, ShardOutput};
use audsem_core::tables::{
    EmbeddingKey, EmbeddingKeyRef, KeyFile, TableError, VectorFile, VectorScratch, VectorWriter, text_hash,
};

use super::Config;
use crate::error::Error;
use crate::model_tag::ModelTag;
use crate::reason::Fault;
use crate::repeats::Repeats;
use crate::sets::{MODALITY_KEY, MODEL_KEY, Modality};
use crate::vector_math::push_unit;

/// A table of keys and vectors that any program may have written.
pub(super) struct ForeignTable {
    pub(super) path: PathBuf,
    /// Hash of its name and its content.
    pub(super) fingerprint: Reads,
    /// Numbers in most of its vectors; 0 if there is none.
    pub(super) dim: usize,
    keys: KeyFile,
    vectors: VectorFile,
}

impl ForeignTable {
    pub(super) fn open(path: PathBuf, config: &Config) -> Result<Self, Error> {
        let keys = KeyFile::open(&path, &config.key_column)?;
        let vectors = VectorFile::open_column(&path, &config.vector_column)?;
        if let Some(found) = vectors.value(MODEL_KEY)
            && !ModelTag::parse(found).agrees_with(&ModelTag::parse(&config.model_name))
        {
            let (expected, found) = (config.model_name.clone(), found.to_owned());
            return Err(Error::OtherModel { path, expected, found });
        }
        if let Some(found) = Modality::of(&path, &vectors).filter(|found| *found != config.modality) {
            return Err(Error::OtherModality { path, expected: config.modality.name(), found: found.name() });
        }
        let fingerprint = Fingerprint::new().with(name_of(&path)).with_file(&FileFingerprint::of_output(&path)?);
        Ok(Self { fingerprint: fingerprint.finish(), dim: vectors.dim(), keys, vectors, path })
    }

    pub(super) fn n_rows(&self) -> u64 {
        self.vectors.n_rows() as u64
    }

    pub(super) fn n_groups(&self) -> usize {
        self.vectors.n_groups()
    }

    /// Hashes of the keys of a row group, where there are any.
    ///
    /// # Errors
    /// The table is damaged.
    pub(super) fn key_hashes(&self, group: usize) -> Result<Vec<Option<u64>>, TableError> {
        Ok(self.keys(group)?.into_iter().map(|key| key.map(|key| text_hash(&key))).collect())
    }

    /// The keys of a row group; none where a row has no name.
    fn keys(&self, group: usize) -> Result<Vec<Option<String>>, TableError> {
        let named = |key: Option<String>| key.as_deref().map(str::trim).filter(|key| !key.is_empty()).map(own_key);
        Ok(self.keys.group(group)?.into_iter().map(named).collect())
    }
}

/// The key of a row: where it names a clip that clip's tar key, as in lists, else as it stands.
fn own_key(key: &str) -> String {
    parse_clip(key).map_or_else(|_| key.to_owned(), |clip| clip.tar_key())
}

fn name_of(path: &std::path::Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// What to do with one table.
pub(super) struct Import<'a> {
    pub(super) table: &'a ForeignTable,
    pub(super) config: &'a Config,
    /// Numbers in every vector of the run.
    pub(super) dim: usize,
    /// Rows of all tables that repeat a key.
    pub(super) repeats: &'a Repeats,
    /// Number of the table's first row among all.
    pub(super) first_row: u64,
    /// Rows to import from the beginning.
    pub(super) limit: u64,
}

impl Import<'_> {
    /// Writes the table.
    ///
    /// # Errors
    /// The table is damaged, or the output cannot be written.
    pub(super) fn write(&self, out: &mut ShardOutput) -> Result<(), ShardError> {
        let mut file = out.create(format!("part-{}.parquet", out.name()))?;
        let metadata = [(MODEL_KEY, self.config.model_name.as_str()), (MODALITY_KEY, self.config.modality.name())];
        let mut writer =
            VectorWriter::<EmbeddingKey, _>::new(&mut file, self.dim, &metadata).map_err(ShardError::fatal)?;
        let mut first_row = 0;
        for group in 0..self.table.n_groups() {
            let n_rows = self.table.vectors.n_rows_in(group) as u64;
            let wanted = n_rows.min(self.limit - first_row.min(self.limit));
            if wanted > 0 {
                self.write_group(group, first_row, wanted as usize, &mut writer, out)?;
            }
            first_row += n_rows;
        }
        writer.finish().map_err(ShardError::fatal)?;
        Ok(out.close(file)?)
    }

    /// Writes the first rows of a row group, which begins with row `first_row` of the table.
    fn write_group<W: std::io::Write>(
        &self,
        group: usize,
        first_row: u64,
        n_rows: usize,
        writer: &mut VectorWriter<EmbeddingKey, W>,
        out: &mut ShardOutput,
    ) -> Result<(), ShardError> {
        let keys = self.table.keys(group).map_err(ShardError::input)?;
        out.announce(n_rows as u64);
        out.work(n_rows as f64 * self.dim as f64 * 4e-6);
        if self.table.dim == 0 {
            // No vector has a number, so there are no blocks.
            let nothing = vec![f32::NAN; self.dim];
            return (0..n_rows).try_for_each(|row| self.write_row(&keys, first_row, row, &nothing, writer, out));
        }
        let mut written = Ok(());
        let read = self.table.vectors.for_each_block(group, &mut VectorScratch::default(), |first, rows| {
            let rows = rows.chunks_exact(self.dim).enumerate().map(|(i, x)| (first + i, x));
            for (row, x) in rows.take_while(|(row, _)| *row < n_rows) {
                if written.is_ok() {
                    written = self.write_row(&keys, first_row, row, x, writer, out);
                }
            }
        });
        read.map_err(ShardError::input)?;
        written
    }

    /// Writes row `row` of a row group, or says why it is left out.
    fn write_row<W: std::io::Write>(
        &self,
        keys: &[Option<String>],
        first_row: u64,
        row: usize,
        vector: &[f32],
        writer: &mut VectorWriter<EmbeddingKey, W>,
        out: &mut ShardOutput,
    ) -> Result<(), ShardError> {
        let in_table = first_row + row as u64;
        let place = format!("{}, row {in_table}", name_of(&self.table.path));
        let Some(key) = keys.get(row).and_then(Option::as_deref) else {
            out.file_left_out(&place, LeftOut::fail(ClipFault::NoKey, &place));
            return Ok(());
        };
        let mut unit = Vec::with_capacity(vector.len());
        let usable = if self.repeats.contains(self.first_row + in_table) {
            Err(LeftOut::drop(ClipDrop::RepeatedKey, place))
        } else {
            push_unit(vector, &mut unit).map_err(|fault: Fault| LeftOut::fail(fault, place))
        };
        match out.file(key, usable) {
            Some(()) => writer.push(EmbeddingKeyRef { key }, &unit).map_err(ShardError::fatal),
            None => Ok(()),
        }
    }
}
