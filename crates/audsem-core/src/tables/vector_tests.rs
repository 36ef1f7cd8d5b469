//! What tables of vectors promise: our own files, and those of other programs.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use proptest::prelude::*;

use super::*;
use crate::testing::run_python;

crate::row! {
    table "named vectors";
    /// A vector with a name.
    struct Named / NamedRef / NamedColumns / NamedBuffers {
        /// Name.
        pub key: String,
        /// Whether it is marked.
        pub marked: bool,
    }
}

fn vector(row: usize, dim: usize) -> Vec<f32> {
    (0..dim).map(|i| (row * dim + i) as f32 * 0.5 - 7.0).collect()
}

fn bytes_of(n_rows: usize, dim: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = VectorWriter::<Named, _>::new(&mut bytes, dim, &[("model", "tiny")]).unwrap();
    for row in 0..n_rows {
        let key = format!("clip {row}");
        writer.push(NamedRef { key: &key, marked: row % 3 == 0 }, &vector(row, dim)).unwrap();
    }
    assert_eq!(writer.finish().unwrap(), n_rows as u64);
    bytes
}

fn rows_of(file: &VectorFile) -> Vec<f32> {
    (0..file.n_groups()).flat_map(|i| file.group(i).unwrap()).collect()
}

#[test]
fn vectors_come_back_with_the_columns_beside_them() {
    for (n_rows, dim) in [(0, 4), (1, 1), (5, 3), (300, 512), (VECTORS_PER_GROUP + 3, 7)] {
        let bytes = bytes_of(n_rows, dim);
        let file = VectorFile::from_bytes("memory", bytes.clone()).unwrap();
        assert_eq!((file.dim(), file.n_rows(), file.value("model")), (dim, n_rows, Some("tiny")));
        assert_eq!(rows_of(&file), (0..n_rows).flat_map(|row| vector(row, dim)).collect::<Vec<_>>());
        let names = ParquetFile::<Named>::from_bytes("memory", bytes).unwrap();
        assert_eq!(names.n_groups(), file.n_groups());
        let keys: Vec<_> = names
            .groups()
            .flat_map(|group| {
                let group = group.unwrap();
                (0..group.len()).map(|i| Named::from_row(group.get(i))).collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(keys.len(), n_rows);
        assert!(keys.iter().enumerate().all(|(i, row)| row.key == format!("clip {i}") && row.marked == (i % 3 == 0)));
    }
}

/// Without this, a change of the library could send every page through the slow decoder unnoticed.
#[test]
fn our_own_pages_are_read_as_they_lie() {
    for dim in [1, 3, 8, 512] {
        let file = VectorFile::from_bytes("memory", bytes_of(700, dim)).unwrap();
        let mut blocks = Vec::new();
        file.for_each_block(0, &mut VectorScratch::default(), |first, rows| blocks.push((first, rows.len() / dim)))
            .unwrap();
        let per_page = (256 << 10) / (4 * dim + 1);
        let expected: Vec<_> =
            (0..700usize.div_ceil(per_page)).map(|i| (i * per_page, per_page.min(700 - i * per_page))).collect();
        assert_eq!(blocks, expected, "{dim}");
    }
}

#[test]
fn the_same_vectors_give_the_same_bytes() {
    assert_eq!(bytes_of(9000, 5), bytes_of(9000, 5));
}

#[test]
fn a_vector_of_another_length_is_refused() {
    let mut writer = VectorWriter::<Named, _>::new(Vec::new(), 3, &[]).unwrap();
    let error = writer.push(NamedRef { key: "a", marked: false }, &[1.0; 4]).unwrap_err().to_string();
    assert!(error.contains("4 numbers in a table of 3"), "{error}");
    assert!(VectorWriter::<Named, _>::new(Vec::new(), 0, &[]).is_err());
}

#[test]
fn tables_without_vectors_say_what_they_have() {
    let mut bytes = Vec::new();
    write_parquet(&[Named { key: "a".into(), marked: true }], &mut bytes).unwrap();
    let message = VectorFile::from_bytes("memory", bytes).err().unwrap().to_string();
    for part in ["`vec`", "`key`, `marked`", "fixed-size list of f32"] {
        assert!(message.contains(part), "{part} in {message}");
    }
    let message = ParquetFile::<Cue>::from_bytes("memory", bytes_of(2, 3)).err().unwrap().to_string();
    assert!(message.contains("`row_id`"), "{message}");
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(VectorFile::open(folder.path()), Err(TableError::Open { .. })));
    let path = folder.path().join("empty.parquet");
    std::fs::write(&path, "").unwrap();
    assert!(matches!(VectorFile::open(&path), Err(TableError::NotParquet { .. })));
}

#[test]
fn pyarrow_reads_our_vectors() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.parquet"), bytes_of(10_000, 6)).unwrap();
    let script = "
import pyarrow.parquet as pq, pyarrow as pa, numpy as np
t = pq.read_table('a.parquet')
assert t.schema.field('vec').type == pa.list_(pa.field('element', pa.float32(), False), 6), t.schema
v = np.concatenate([c.flatten().to_numpy() for c in t['vec'].chunks])
assert (v == np.arange(60000, dtype=np.float32) * 0.5 - 7).all()
print(t.num_rows, t['key'][9999], t['marked'][3], pq.read_metadata('a.parquet').metadata[b'model'].decode())";
    assert_eq!(run_python(script, folder.path()).trim(), "10000 clip 9999 True tiny");
}

#[test]
fn vectors_of_pyarrow_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let script = "
import pyarrow.parquet as pq, pyarrow as pa, numpy as np
v = (np.arange(30000, dtype=np.float32) * 0.5 - 7).reshape(-1, 6)
rows = [r.tolist() for r in v]
types = {'list': pa.list_(pa.float32()), 'large': pa.large_list(pa.float32()), 'fixed': pa.list_(pa.float32(), 6), 'double': pa.list_(pa.float64())}
for name, type in types.items():
    t = pa.table({'vec': pa.array(rows, type)})
    pq.write_table(t, f'{name}-default.parquet')
    pq.write_table(t, f'{name}-plain.parquet', compression='none', use_dictionary=False, data_page_size=1000)
    pq.write_table(t, f'{name}-v2.parquet', compression='zstd', use_dictionary=False, data_page_version='2.0', row_group_size=999)
pq.write_table(pa.table({'vec': pa.array([[1.5, 2.5], None, [None, 4.5]], pa.list_(pa.float32()))}), 'absent.parquet')
pq.write_table(pa.table({'vec': pa.array([None, None], pa.list_(pa.float32()))}), 'none.parquet')
pq.write_table(pa.table({'vec': pa.array([[], [9.0], [1.0, 2.0], [3.0, 4.0, 5.0], None, [4.0, 5.0]], pa.list_(pa.float32()))}), 'ragged.parquet')
pq.write_table(pa.table({'vec': pa.array([[], []], pa.list_(pa.float32()))}), 'empty.parquet')
pq.write_table(pa.table({'vec': pa.array([[1], [3]], pa.list_(pa.int32()))}), 'integers.parquet')";
    let _ = run_python(script, folder.path());
    let expected: Vec<f32> = (0..5000).flat_map(|row| vector(row, 6)).collect();
    for kind in ["list", "large", "fixed", "double"] {
        for how in ["default", "plain", "v2"] {
            let file = VectorFile::open(&folder.path().join(format!("{kind}-{how}.parquet"))).unwrap();
            assert_eq!((file.dim(), file.n_rows()), (6, 5000), "{kind} {how}");
            assert_eq!(rows_of(&file), expected, "{kind} {how}");
        }
    }
    let open = |name: &str| VectorFile::open(&folder.path().join(name));
    let absent = open("absent.parquet").unwrap();
    assert_eq!(absent.dim(), 2);
    let rows = rows_of(&absent);
    assert_eq!(rows.iter().map(|x| x.is_nan()).collect::<Vec<_>>(), [false, false, true, true, true, false]);
    let none = open("none.parquet").unwrap();
    assert_eq!((none.dim(), none.n_rows(), rows_of(&none)), (0, 2, vec![]));
    // Vectors without a number, and those of another length than most, cost their own rows.
    let ragged = open("ragged.parquet").unwrap();
    assert_eq!((ragged.dim(), ragged.n_rows()), (2, 6));
    let rows = rows_of(&ragged);
    let usable: Vec<_> = rows.chunks(2).enumerate().filter(|(_, row)| !row[0].is_nan()).collect();
    assert_eq!(usable, [(2, &[1.0, 2.0][..]), (5, &[4.0, 5.0])]);
    let masked = open("ragged.parquet").unwrap().masking([(0, 5)].into());
    assert_eq!(rows_of(&masked).iter().filter(|x| !x.is_nan()).count(), 2);
    assert_eq!(open("empty.parquet").unwrap().dim(), 0);
    assert!(matches!(open("integers.parquet"), Err(TableError::WrongType { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn damaged_bytes_never_panic(at in 0.0..1.0f64, byte in any::<u8>(), keep in 0.5..1.0f64, cut in any::<bool>()) {
        let mut bytes = SMALL.with(Clone::clone);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a small length")]
        let share = |of: f64, len: usize| (len as f64 * of) as usize;
        let at = share(at, bytes.len());
        bytes[at] = byte;
        if cut {
            bytes.truncate(share(keep, bytes.len()));
        }
        if let Ok(file) = VectorFile::from_bytes("memory", bytes) {
            for i in 0..file.n_groups() {
                let _ = file.group(i);
            }
        }
    }
}

thread_local! {
    static SMALL: Vec<u8> = bytes_of(40, 5);
}
