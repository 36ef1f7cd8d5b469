//! Sounds and pictures inside a Parquet file, as the library `datasets` writes them: a struct of the file's `bytes` and its
//! `path`, which may stand inside further structs.

use std::path::Path;

use polars::prelude::ArrowDataType;
use polars_arrow::array::{Array, BinaryViewArray, StructArray, Utf8ViewArray};

use super::TableError;
use super::cell::ArrowArray;
use super::column_chunks::ColumnChunks;

/// Maximum nesting of structs around a file.
const MAX_DEPTH: usize = 4;

/// A column of files.
pub struct MediaRows {
    chunks: ColumnChunks,
    column: String,
    /// Numbers of the fields on the way from the column to the struct of the file.
    way: Vec<usize>,
}

/// A file that a row holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaFile<'a> {
    /// The bytes of the file.
    pub bytes: &'a [u8],
    /// The name it had, often without a folder.
    pub path: Option<&'a str>,
}

impl MediaRows {
    /// The columns of a table that hold files, in its order.
    ///
    /// # Errors
    /// The file cannot be opened or is no Parquet file.
    pub fn columns(path: &Path) -> Result<Vec<String>, TableError> {
        let chunks = ColumnChunks::open(path)?;
        let holds = chunks.schema.iter().filter(|(_, field)| way_to_file(&field.dtype, MAX_DEPTH).is_some());
        Ok(holds.map(|(name, _)| name.to_string()).collect())
    }

    /// Finds the files in a column; `None` if the table has no such column, or it holds no files. Of several structs of
    /// files in one column the first counts.
    ///
    /// # Errors
    /// The file cannot be opened or is no Parquet file.
    pub fn open(path: &Path, column: &str) -> Result<Option<Self>, TableError> {
        let chunks = ColumnChunks::open(path)?;
        let way = chunks.schema.get(column).and_then(|field| way_to_file(&field.dtype, MAX_DEPTH));
        Ok(way.map(|way| Self { chunks, column: column.to_owned(), way }))
    }

    /// Number of row groups.
    #[must_use]
    pub fn n_groups(&self) -> usize {
        self.chunks.n_groups()
    }

    /// The files of row group `i`, in memory; panics beyond the last.
    ///
    /// # Errors
    /// The data is damaged.
    pub fn group(&self, i: usize) -> Result<MediaGroup, TableError> {
        let array = self.chunks.array(i, &self.column)?;
        let group = MediaGroup { array, way: self.way.clone() };
        match group.is_readable() {
            true => Ok(group),
            false => {
                Err(self.chunks.damaged(format!("column `{}` has no bytes where its schema says so", self.column)))
            }
        }
    }
}

/// The files of a row group.
pub struct MediaGroup {
    array: ArrowArray,
    way: Vec<usize>,
}

impl MediaGroup {
    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.array.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.array.len() == 0
    }

    /// The file of row `i`, counted within the group; `None` where it is absent. Panics beyond the last.
    #[must_use]
    pub fn file(&self, i: usize) -> Option<MediaFile<'_>> {
        let mut found = structs(self.array.as_ref())?;
        for field in &self.way {
            if found.is_null(i) {
                return None;
            }
            found = structs(found.values().get(*field)?.as_ref())?;
        }
        let bytes = bytes_of(found).filter(|bytes| !found.is_null(i) && !bytes.is_null(i))?;
        let path = field(found, "path").and_then(|paths| paths.as_any().downcast_ref::<Utf8ViewArray>());
        let path = path.filter(|paths| !paths.is_null(i)).map(|paths| paths.value(i));
        Some(MediaFile { bytes: bytes.value(i), path })
    }

    fn is_readable(&self) -> bool {
        let step =
            |found: Option<&'_ StructArray>, n: &usize| -> Option<ArrowArray> { found?.values().get(*n).cloned() };
        let mut array = Some(self.array.clone());
        for n in &self.way {
            array = array.and_then(|array| step(structs(array.as_ref()), n));
        }
        array.is_some_and(|array| structs(array.as_ref()).is_some_and(|found| bytes_of(found).is_some()))
    }
}

fn structs(array: &dyn Array) -> Option<&StructArray> {
    array.as_any().downcast_ref()
}

fn field<'a>(of: &'a StructArray, name: &str) -> Option<&'a dyn Array> {
    let n = of.fields().iter().position(|field| field.name.as_str() == name)?;
    of.values().get(n).map(AsRef::as_ref)
}

fn bytes_of(of: &StructArray) -> Option<&BinaryViewArray> {
    field(of, "bytes")?.as_any().downcast_ref()
}

/// The fields on the way from a type to a struct with `bytes`.
fn way_to_file(found: &ArrowDataType, depth: usize) -> Option<Vec<usize>> {
    let ArrowDataType::Struct(fields) = found else { return None };
    let is_bytes = |dtype: &ArrowDataType| {
        matches!(dtype, ArrowDataType::Binary | ArrowDataType::LargeBinary | ArrowDataType::BinaryView)
    };
    if fields.iter().any(|field| field.name.as_str() == "bytes" && is_bytes(&field.dtype)) {
        return Some(Vec::new());
    }
    let inner = |(n, dtype)| Some([vec![n], way_to_file(dtype, depth.checked_sub(1)?)?].concat());
    fields.iter().map(|field| &field.dtype).enumerate().find_map(inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::tables::JsonRows;
    use crate::testing::run_python;

    /// Two row groups of files in a flat column and in a nested one, beside texts, as pyarrow writes them.
    const SCRIPT: &str = r"
import pyarrow as pa, pyarrow.parquet as pq

file = pa.struct([('bytes', pa.binary()), ('path', pa.string())])
both = pa.struct([('text', pa.string()), ('audio', file)])
rows = {
    'context': pa.array([{'bytes': b'one', 'path': 'a.wav'}, None, {'bytes': None, 'path': 'b.wav'}], file),
    'answer': pa.array([{'text': 'x', 'audio': {'bytes': b'1', 'path': None}}, {'text': 'y', 'audio': None}, None], both),
    'raw': pa.array([b'1', b'2', b'3']),
}
pq.write_table(pa.table(rows), 'x.parquet', row_group_size=2)
";

    #[test]
    fn files_inside_tables_are_found_and_texts_beside_them_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        let _ = run_python(SCRIPT, folder.path());
        let files = |column: &str| {
            let rows = MediaRows::open(&path, column).unwrap().unwrap();
            let groups: Vec<MediaGroup> = (0..rows.n_groups()).map(|i| rows.group(i).unwrap()).collect();
            let own = |file: MediaFile<'_>| (file.bytes.to_vec(), file.path.map(str::to_owned));
            let all = groups.iter().flat_map(|group| (0..group.len()).map(move |i| group.file(i).map(own)));
            all.collect::<Vec<_>>()
        };
        assert_eq!(files("context"), [Some((b"one".to_vec(), Some("a.wav".to_owned()))), None, None]);
        assert_eq!(files("answer"), [Some((b"1".to_vec(), None)), None, None]);
        assert_eq!(MediaRows::columns(&path).unwrap(), ["context", "answer"]);
        for absent in ["raw", "none"] {
            assert!(MediaRows::open(&path, absent).unwrap().is_none(), "{absent}");
        }
        let rows = JsonRows::open(&path).unwrap();
        assert_eq!(rows.columns_without_json(), ["context.bytes", "answer.audio.bytes", "raw"]);
        let group = rows.group(0).unwrap();
        let row = serde_json::Value::from(group.reader().row(0));
        assert_eq!(
            row,
            json!({ "context": { "path": "a.wav" }, "answer": { "text": "x", "audio": { "path": null } } })
        );
    }
}
