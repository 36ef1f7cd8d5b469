//! The index of a reference: its unit vectors, as tables of embeddings.

use audsem_core::run::{ShardError, ShardOutput};
use audsem_core::tables::{Columns as _, EmbeddingKey, EmbeddingKeyRef, VectorScratch, VectorWriter};

use crate::rejects::BadRows;
use crate::sets::{EmbeddingFile, MODEL_KEY};
use crate::vector_math::push_unit;

/// Writes the unit vectors of a table to `index-NAME.parquet`.
pub(super) fn write(file: &EmbeddingFile, out: &mut ShardOutput) -> Result<(), ShardError> {
    let vectors = file.vectors().map_err(ShardError::fatal)?;
    let keys = file.keys().map_err(ShardError::fatal)?;
    let model: Vec<(&str, &str)> = file.model.iter().map(|model| (MODEL_KEY, model.as_str())).collect();
    let mut table = out.create(format!("index-{}.parquet", out.name()))?;
    let mut writer =
        VectorWriter::<EmbeddingKey, _>::new(&mut table, file.dim.max(1), &model).map_err(ShardError::fatal)?;
    for group in 0..vectors.n_groups() {
        let keys = keys.group(group).map_err(ShardError::fatal)?;
        let (mut bad, mut unit, mut failed) = (BadRows::new(group), Vec::new(), None);
        vectors
            .for_each_block(group, &mut VectorScratch::default(), |first, rows| {
                for (i, x) in rows.chunks_exact(file.dim).enumerate() {
                    unit.clear();
                    let row = first + i;
                    match push_unit(x, &mut unit) {
                        Err(fault) => bad.add(row, fault),
                        Ok(()) => {
                            let written = writer.push(EmbeddingKeyRef { key: keys.key.get(row) }, &unit);
                            failed = failed.take().or(written.err());
                        }
                    }
                }
            })
            .map_err(ShardError::fatal)?;
        if let Some(error) = failed {
            return Err(ShardError::fatal(error));
        }
        let n_rows = keys.len() as u64;
        out.file_kept(n_rows - bad.len() as u64);
        out.work(n_rows as f64 * file.dim as f64 * 4e-6);
        bad.file(file, out)?;
    }
    writer.finish().map_err(ShardError::fatal)?;
    Ok(out.close(table)?)
}
