//! Rows that cannot be read cost themselves alone.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

crate::row! {
    table "loose cues";
    /// A cue as another program may write it.
    struct Loose / LooseRef / LooseColumns / LooseBuffers {
        /// A caption, or none.
        pub text: Option<String>,
        /// A time that may not fit ours.
        pub start_ms: Option<i64>,
        /// Lists that may lack values.
        pub names: Option<Vec<Option<String>>>,
    }
}

crate::row! {
    table "strict cues";
    /// A cue as it is read.
    struct Strict / StrictRef / StrictColumns / StrictBuffers {
        /// The caption.
        pub text: String,
        /// Its time.
        pub start_ms: u32,
        /// Names.
        pub names: Vec<String>,
    }
}

fn loose(text: Option<&str>, start_ms: Option<i64>, names: Option<&[Option<&str>]>) -> Loose {
    let names = names.map(|names| names.iter().map(|name| name.map(str::to_owned)).collect());
    Loose { text: text.map(str::to_owned), start_ms, names }
}

fn strict(row: &Loose) -> Option<Strict> {
    Some(Strict {
        text: row.text.clone()?,
        start_ms: row.start_ms?.try_into().ok()?,
        names: row.names.clone()?.into_iter().collect::<Option<_>>()?,
    })
}

fn file(rows: &[Loose]) -> ParquetFile<Strict> {
    let mut bytes = Vec::new();
    write_parquet(rows, &mut bytes).unwrap();
    ParquetFile::from_bytes("memory", bytes).unwrap()
}

#[test]
fn one_bad_row_is_named_and_the_others_are_read() {
    let names: Option<&[Option<&str>]> = Some(&[Some("x"), Some("y")]);
    let rows = [
        loose(Some("a"), Some(1), names),
        loose(None, Some(2), names),
        loose(Some("c"), Some(-3), Some(&[])),
        loose(Some("d"), Some(4), Some(&[])),
        loose(Some("e"), None, None),
        loose(Some("f"), Some(1 << 40), names),
        loose(Some("g"), Some(7), Some(&[Some("x"), None])),
        loose(Some("h"), Some(8), names),
    ];
    let file = file(&rows);
    assert!(file.group(0).is_err(), "a table of ours has no such rows");
    let usable = file.usable(0).unwrap();
    let found: Vec<_> = usable.iter().map(|(row, read)| (row, read.ok().map(Strict::from_row))).collect();
    assert_eq!(found, rows.iter().map(strict).enumerate().collect::<Vec<_>>());
    assert_eq!((0..usable.columns.len()).map(|i| usable.number(i)).collect::<Vec<_>>(), [0, 3, 7]);
    let why: Vec<String> = usable.bad.iter().map(|bad| format!("{}: {bad}", bad.row)).collect();
    assert_eq!(why[0], "1: column `text`: the value is absent");
    assert_eq!(why[2], "4: column `start_ms`: the value is absent");
    assert!(why[1].contains("2: column `start_ms`: not every value fits u32"), "{why:?}");
    assert!(why[4].contains("6: column `names`"), "{why:?}");
}

#[test]
fn whole_tables_and_tables_without_a_usable_row_are_read_too() {
    let good: Vec<Loose> = (0..100).map(|i| loose(Some("a"), Some(i), Some(&[]))).collect();
    let usable = file(&good).usable(0).unwrap();
    assert_eq!((usable.columns.len(), usable.bad.len(), usable.number(99)), (100, 0, 99));
    let bad: Vec<Loose> = (0..100).map(|i| loose(Some("a"), Some(-1 - i), Some(&[]))).collect();
    let usable = file(&bad).usable(0).unwrap();
    assert_eq!((usable.columns.len(), usable.bad.len(), usable.n_rows()), (0, 100, 100));
    // A column of another type is the same in every row.
    let texts = ParquetFile::<Strict>::from_bytes("memory", {
        let mut bytes = Vec::new();
        write_parquet(&[Cue { row_id: 0, video_id: "v".into(), start_ms: 0, dur_ms: 1, text: "x".into() }], &mut bytes)
            .unwrap();
        bytes
    });
    assert!(matches!(texts.err(), Some(TableError::MissingColumn { column: "names", .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn exactly_the_rows_that_fit_are_read(rows in prop::collection::vec(
        (
            prop::option::weighted(0.9, "[a-z]{0,3}"),
            prop::option::weighted(0.9, prop_oneof![9 => 0i64..100, 1 => any::<i64>()]),
            prop::option::weighted(0.9, prop::collection::vec(prop::option::weighted(0.95, "[a-z]{0,3}"), 0..3)),
        ), 1..60))
    {
        let rows: Vec<Loose> =
            rows.into_iter().map(|(text, start_ms, names)| Loose { text, start_ms, names }).collect();
        let usable = file(&rows).usable(0).unwrap();
        let found: Vec<_> = usable.iter().map(|(_, read)| read.ok().map(Strict::from_row)).collect();
        prop_assert_eq!(found, rows.iter().map(strict).collect::<Vec<_>>());
    }
}
