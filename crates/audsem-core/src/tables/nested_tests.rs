//! Lists, structs and every number type: round trips, files of other libraries, foreign bytes.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::testing::run_python;

crate::row! {
    /// How sure a network is of a label.
    struct Tag / TagRef / TagColumns / TagBuffers {
        /// The label.
        pub label: String,
        /// Its probability.
        pub prob: f32,
    }
}

crate::row! {
    table "tagged clips";
    /// What networks say of a clip.
    struct Tagged / TaggedRef / TaggedColumns / TaggedBuffers {
        /// The clip.
        pub key: String,
        /// An animal.
        pub kind: Option<String>,
        /// A score.
        pub score: Option<f32>,
        /// A small number.
        pub number: i32,
        /// A large number.
        pub total: i64,
        /// A precise number.
        pub weight: f64,
        /// Whether it is music.
        pub is_music: bool,
        /// Names, some of them absent.
        pub names: Option<Vec<Option<String>>>,
        /// Labels.
        pub tags: Vec<Tag>,
        /// The best label.
        pub best: Option<Tag>,
    }
}

/// Row `i` of `fixtures/tables`, as `fixtures/regen/tables.py` makes it.
fn expected(i: i64) -> Tagged {
    let tag = |label: i64, quarters: i64| Tag { label: format!("label {label}"), prob: quarters as f32 / 4.0 };
    let name = |j: i64| (j != 1).then(|| format!("name {i} {j}"));
    Tagged {
        key: format!("clip {i:05}"),
        kind: (i % 7 != 0).then(|| ["dog", "cat", "owl"][i as usize % 3].to_owned()),
        score: (i % 5 != 0).then_some((i % 16) as f32 / 8.0),
        number: i32::try_from(i).unwrap() - 150,
        total: (i - 150) * 1_000_000_000_000,
        weight: i as f64 / 3.0,
        is_music: i % 2 == 0,
        names: (i % 11 != 0).then(|| (0..i % 4).map(name).collect()),
        tags: (0..i % 3).map(|j| tag(j, j)).collect(),
        best: (i % 6 != 0).then(|| tag(i % 2, i % 4)),
    }
}

/// Row `i` as JSON.
fn expected_json(i: i64) -> Value {
    let row = expected(i);
    let tag = |tag: &Tag| json!({ "label": tag.label, "prob": tag.prob });
    json!({
        "key": row.key, "kind": row.kind, "score": row.score, "number": row.number, "total": row.total,
        "weight": row.weight, "is_music": row.is_music, "names": row.names,
        "tags": row.tags.iter().map(tag).collect::<Vec<_>>(), "best": row.best.as_ref().map(tag),
    })
}

fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/tables");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 7, "{files:?}");
    files
}

#[test]
fn tables_of_pyarrow_pandas_polars_and_datasets_are_read() {
    for file in fixtures() {
        let rows = read_parquet::<Tagged>(&file).unwrap();
        assert_eq!(rows.len(), 300, "{}", file.display());
        for (i, row) in (0..).zip(rows) {
            assert_eq!(row, expected(i), "{}", file.display());
        }
    }
}

fn rows_as_json(group: &JsonGroup) -> Vec<serde_json::Map<String, Value>> {
    let rows = group.reader();
    (0..group.len()).map(|i| rows.row(i)).collect()
}

#[test]
fn the_same_tables_are_read_as_json() {
    for file in fixtures() {
        let table = JsonRows::open(&file).unwrap();
        assert!(table.columns_without_json().is_empty());
        let rows: Vec<_> = table.groups().map(Result::unwrap).flat_map(|group| rows_as_json(&group)).collect();
        assert_eq!((rows.len(), table.n_rows()), (300, 300));
        for (i, row) in (0..).zip(rows) {
            assert_eq!(Value::Object(row), expected_json(i), "{}", file.display());
        }
    }
}

fn bytes_of(rows: &[Tagged]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_parquet(rows, &mut bytes).unwrap();
    bytes
}

fn rows_of<R: Row>(bytes: Vec<u8>) -> Result<Vec<R>, TableError> {
    let file = ParquetFile::<R>::from_bytes("memory", bytes)?;
    let mut rows = Vec::new();
    for columns in file.groups() {
        let columns = columns?;
        rows.extend((0..columns.len()).map(|i| R::from_row(columns.get(i))));
    }
    Ok(rows)
}

#[test]
fn what_we_write_pyarrow_reads_alike() {
    let rows: Vec<Tagged> = (0..300).map(expected).collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ours.parquet");
    std::fs::write(&path, bytes_of(&rows)).unwrap();
    let script = "import json, pandas, pyarrow.parquet as pq
frame = pandas.read_parquet('ours.parquet')
assert frame['tags'][2][1]['label'] == 'label 1', frame['tags'][2]
print(json.dumps(pq.read_table('ours.parquet').to_pylist()))";
    let read: Vec<Value> = serde_json::from_str(&run_python(script, folder.path())).unwrap();
    // Both sides through text: numbers are read from it to the last digit but one.
    let through_text = |row: Value| serde_json::from_str::<Value>(&row.to_string()).unwrap();
    assert_eq!(read, (0..300).map(expected_json).map(through_text).collect::<Vec<_>>());
}

#[test]
fn nested_groups_encoded_apart_give_the_same_rows() {
    let rows: Vec<Tagged> = (0..40).map(expected).collect();
    let encoder = GroupEncoder::<Tagged>::new().unwrap();
    let mut bytes = Vec::new();
    let mut writer = ParquetWriter::<Tagged, _>::new(&mut bytes).unwrap();
    writer.push(rows[0].as_row()).unwrap();
    for part in [&rows[1..25], &rows[25..]] {
        let mut buffers = TaggedBuffers::default();
        part.iter().for_each(|row| <Tagged as Row>::push(&mut buffers, row.as_row()));
        writer.write_group(encoder.encode(&mut buffers).unwrap()).unwrap();
    }
    assert_eq!(writer.finish().unwrap(), 40);
    assert_eq!(rows_of::<Tagged>(bytes).unwrap(), rows);
}

#[test]
fn a_row_type_may_want_less_than_a_struct_has() {
    crate::row! {
        /// A label alone, and something that is not there.
        struct Label / LabelRef / LabelColumns / LabelBuffers {
            /// The label.
            pub label: String,
            /// Absent in the file.
            pub source: Option<String>,
        }
    }
    crate::row! {
        table "labelled clips";
        /// The labels of a clip.
        struct Labelled / LabelledRef / LabelledColumns / LabelledBuffers {
            /// Labels.
            pub tags: Vec<Label>,
        }
    }
    let rows = rows_of::<Labelled>(bytes_of(&[expected(2)])).unwrap();
    let label = |label: &str| Label { label: label.into(), source: None };
    assert_eq!(rows, [Labelled { tags: vec![label("label 0"), label("label 1")] }]);
}

#[test]
fn nested_columns_of_another_type_or_with_gaps_say_so() {
    crate::row! {
        table "named clips";
        /// Names without gaps.
        struct Names / NamesRef / NamesColumns / NamesBuffers {
            /// The names.
            pub names: Option<Vec<String>>,
        }
    }
    crate::row! {
        table "numbered clips";
        /// Numbers for names.
        struct Numbers / NumbersRef / NumbersColumns / NumbersBuffers {
            /// The names.
            pub names: Vec<i64>,
        }
    }
    let bytes = bytes_of(&(0..4).map(expected).collect::<Vec<_>>());
    let message = rows_of::<Names>(bytes.clone()).unwrap_err().to_string();
    assert!(message.contains("column `names`") && message.contains("2 of 6 values are absent"), "{message}");
    let message = rows_of::<Numbers>(bytes).unwrap_err().to_string();
    assert!(message.contains("holds list<string>, not list<i64>"), "{message}");
}

#[test]
fn schemas_of_nested_columns_name_their_fields() {
    let markdown = schema_markdown::<Tagged>();
    for line in [
        "| `names` | list<string> | may be | Names, some of them absent. |",
        "| `tags` | list<struct<label: string, prob: f32>> | never | Labels. |",
        "| `tags[].prob` | f32 | never | Its probability. |",
        "| `best.label` | string | never | The label. |",
    ] {
        assert!(markdown.contains(line), "{line} in {markdown}");
    }
}

fn any_tag() -> impl Strategy<Value = Tag> {
    (any::<String>(), any::<f32>().prop_filter("comparable", |prob| !prob.is_nan()))
        .prop_map(|(label, prob)| Tag { label, prob })
}

fn any_row() -> impl Strategy<Value = Tagged> {
    let text = any::<String>();
    let names = prop::collection::vec(prop::option::of(text), 0..4);
    let plain = (text, prop::option::of(text), prop::option::of(-1f32..1.0), any::<i32>(), any::<i64>());
    let nested =
        (prop::option::of(names), prop::collection::vec(any_tag(), 0..4), prop::option::of(any_tag()), any::<bool>());
    (plain, nested, -1e9..1e9f64).prop_map(
        |((key, kind, score, number, total), (names, tags, best, is_music), weight)| Tagged {
            key,
            kind,
            score,
            number,
            total,
            weight,
            is_music,
            names,
            tags,
            best,
        },
    )
}

// The decoder allocates memory for the values that a page states before it looks at them: -50 as an unsigned number would
// end the process.
#[test]
fn pages_with_impossible_numbers_of_values_are_refused() {
    let bytes = bytes_of(&(0..50).map(expected).collect::<Vec<_>>());
    // The header of a data page in the compact protocol of Thrift: its field 5 is a structure whose field 1, a number of 32 bits,
    // is the number of values; signs are in the lowest bit.
    let header = [0x2c, 0x15, 50 << 1];
    let pages: Vec<usize> = (0..bytes.len() - 2).filter(|at| bytes[*at..].starts_with(&header)).collect();
    assert!(pages.len() >= 7, "each flat column has a page of 50 values: {pages:?}");
    for at in pages {
        for (number, n_values) in
            [((50 << 1) - 1, "a page of 18,446,744,073,709,551,566 values"), (51 << 1, "a page of 51 values")]
        {
            let mut damaged = bytes.clone();
            damaged[at + 2] = number;
            let error = rows_of::<Tagged>(damaged).unwrap_err().to_string();
            assert!(error.contains(n_values), "{error}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn nested_rows_survive_parquet(rows in prop::collection::vec(any_row(), 0..12)) {
        prop_assert_eq!(rows_of::<Tagged>(bytes_of(&rows)).unwrap(), rows);
    }

    // Damage anywhere: rows, or an error, and never a panic or room for more than a file can hold.
    #[test]
    fn damaged_bytes_are_read_or_refused(
        file in 0..8usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..6),
    ) {
        let mut bytes = match fixtures().get(file) {
            Some(path) => std::fs::read(path).unwrap(),
            None => bytes_of(&(0..50).map(expected).collect::<Vec<_>>()),
        };
        for (at, value, in_footer) in changes {
            let from = if in_footer { bytes.len() - 1500 } else { 0 };
            let at = from + at.index(bytes.len() - from);
            bytes[at] = value;
        }
        let _ = rows_of::<Tagged>(bytes.clone());
        if let Ok(table) = JsonRows::from_bytes("memory", bytes) {
            for group in table.groups().flatten() {
                rows_as_json(&group);
            }
        }
    }
}
