//! What the tables promise, on rows, on foreign files and on damaged bytes.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::json::MAX_RECORD_BYTES;

crate::row! {
    table "cue texts";
    /// Two columns of a cue.
    struct CueText / CueTextRef / CueTextColumns / CueTextBuffers {
        /// The caption.
        pub text: String,
        /// Number of the cue.
        pub row_id: u64,
    }
}

crate::row! {
    table "wide cues";
    /// A cue as another program may write it.
    struct WideCue / WideCueRef / WideCueColumns / WideCueBuffers {
        /// Wider than ours has to be, and absent at times.
        pub row_id: Option<u32>,
        /// Wider than ours.
        pub start_ms: u64,
        /// A number where a text should be.
        pub text: f32,
    }
}

crate::row! {
    table "narrow starts";
    /// One column that is narrower than in the file.
    struct Narrow / NarrowRef / NarrowColumns / NarrowBuffers {
        /// Start.
        pub start_ms: u32,
    }
}

fn cues(n: u64) -> Vec<Cue> {
    (0..n)
        .map(|row_id| Cue {
            row_id,
            video_id: format!("video{:06}", row_id / 7),
            start_ms: row_id as u32 * 10,
            dur_ms: 1000,
            text: format!("[caption number {row_id} that is too long for an inlined view]"),
        })
        .collect()
}

fn bytes_of<R: Row>(rows: &[R]) -> Vec<u8> {
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

/// A file of some kilobytes can hold a text of any length.
#[test]
fn a_text_of_any_length_is_an_error_that_says_so() {
    let cue = |n: usize| Cue { row_id: 0, video_id: "v".to_owned(), start_ms: 0, dur_ms: 1, text: "x".repeat(n) };
    for (n, is_read) in [(MAX_RECORD_BYTES, true), (MAX_RECORD_BYTES + 1, false)] {
        let mut file = Vec::new();
        let mut writer = ParquetWriter::<Cue, _>::new(&mut file).unwrap();
        writer.push(cue(n).as_row()).unwrap();
        writer.finish().unwrap();
        assert!(file.len() < 1 << 20);
        let found = ParquetFile::<Cue>::from_bytes("memory", file.clone()).unwrap().group(0);
        assert_eq!(found.is_ok(), is_read);
        let rows = JsonRows::from_bytes("memory", file).unwrap();
        assert_eq!(rows.group(0).is_ok(), is_read);
        let told = found.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(is_read || told.contains("a text of 16777217 bytes"), "{told}");
    }
}

crate::row! {
    table "loudness";
    /// A number that is stored plainly.
    struct Loudness / LoudnessRef / LoudnessColumns / LoudnessBuffers {
        /// The number.
        pub level: f32,
    }
}

/// An unsigned number in seven bits a byte, as headers of pages have it; a number of theirs with a sign is twice that.
fn varint(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// The number that begins at a byte, and where it ends.
fn varint_at(bytes: &[u8], at: usize) -> (usize, usize) {
    let n = bytes[at..].iter().take_while(|byte| *byte & 0x80 != 0).count() + 1;
    (bytes[at..at + n].iter().rev().fold(0, |number, byte| number << 7 | usize::from(byte & 0x7f)), at + n)
}

/// A file of some kilobytes can state any size of a page.
#[test]
fn a_page_of_any_size_is_an_error_that_says_so() {
    const I32_FIELD: u8 = 0x15;
    let rows: Vec<Loudness> = (0..5000).map(|n| Loudness { level: (n as f32).sqrt() }).collect();
    let mut bytes = bytes_of(&rows);
    assert_eq!(rows_of::<Loudness>(bytes.clone()).unwrap(), rows);
    // Behind the four letters that begin a file: the kind of the page, its size, its size in the file.
    let begin = 7;
    let (size, middle) = varint_at(&bytes, begin);
    assert_eq!([bytes[4], bytes[6], bytes[middle]], [I32_FIELD; 3]);
    assert!(size / 2 >= 4 * rows.len(), "{size}");
    let (in_file, end) = varint_at(&bytes, middle + 1);
    // The header gets longer by as many bytes as the page loses, so that all else stays where it is.
    let header = |longer: usize| {
        let stated = 2 * (super::column_chunks::MAX_PAGE_BYTES + 1);
        [varint(stated), vec![I32_FIELD], varint(in_file - 2 * longer)].concat()
    };
    let longer = (0..10).find(|longer| header(*longer).len() == end - begin + longer).unwrap();
    bytes.splice(begin..end, header(longer));
    bytes.drain(1000..1000 + longer);
    let told = rows_of::<Loudness>(bytes).unwrap_err().to_string();
    assert!(told.contains("a page of 536870913 bytes, decompressed; at most 536870912"), "{told}");
}

#[test]
fn rows_of_several_groups_come_back_in_order() {
    let rows = cues(ROWS_PER_GROUP as u64 + 5);
    let bytes = bytes_of(&rows);
    assert_eq!(ParquetFile::<Cue>::from_bytes("memory", bytes.clone()).unwrap().n_groups(), 2);
    assert_eq!(rows_of::<Cue>(bytes).unwrap(), rows);
}

#[test]
fn an_empty_table_has_a_schema_and_no_rows() {
    let bytes = bytes_of::<ClipRow>(&[]);
    assert_eq!(ParquetFile::<ClipRow>::from_bytes("memory", bytes.clone()).unwrap().n_rows(), 0);
    assert_eq!(rows_of::<ClipRow>(bytes).unwrap(), []);
}

#[test]
fn a_narrower_row_type_reads_a_wider_table() {
    let texts = rows_of::<CueText>(bytes_of(&cues(3))).unwrap();
    assert_eq!(texts[2].row_id, 2);
    assert_eq!(texts[2].text, cues(3)[2].text);
}

#[test]
fn groups_encoded_apart_give_the_same_rows() {
    let rows = cues(10);
    let encoder = GroupEncoder::<Cue>::new().unwrap();
    let mut bytes = Vec::new();
    let mut writer = ParquetWriter::<Cue, _>::new(&mut bytes).unwrap();
    writer.push(rows[0].as_row()).unwrap();
    for half in [&rows[1..4], &rows[4..4], &rows[4..]] {
        let mut buffers = CueBuffers::default();
        half.iter().for_each(|row| <Cue as Row>::push(&mut buffers, row.as_row()));
        let group = encoder.encode(&mut buffers).unwrap();
        assert_eq!(group.len(), half.len());
        writer.write_group(group).unwrap();
    }
    assert_eq!(writer.finish().unwrap(), 10);
    assert_eq!(rows_of::<Cue>(bytes).unwrap(), rows);
}

#[test]
fn the_same_rows_give_the_same_bytes() {
    let rows = cues(20_000);
    assert_eq!(bytes_of(&rows), bytes_of(&rows));
}

#[test]
fn a_missing_column_is_named_with_those_found() {
    let message = rows_of::<Cue>(bytes_of(&[CueText { text: "[x]".into(), row_id: 1 }])).unwrap_err().to_string();
    for part in ["`video_id`", "(string)", "`memory`", "`text`, `row_id`", "cues table"] {
        assert!(message.contains(part), "{part} in {message}");
    }
}

#[test]
fn a_number_for_a_text_is_a_wrong_type() {
    let wide = WideCue { row_id: Some(1), start_ms: 5, text: 1.5 };
    let message = rows_of::<CueText>(bytes_of(&[wide])).unwrap_err().to_string();
    assert!(message.contains("column `text` of table `memory` holds f32, not string"), "{message}");
}

#[test]
fn integers_of_another_width_are_taken_when_they_fit() {
    let starts = |start_ms| rows_of::<Narrow>(bytes_of(&[WideCue { row_id: None, start_ms, text: 0.0 }]));
    assert_eq!(starts(7).unwrap(), [Narrow { start_ms: 7 }]);
    let message = starts(1 << 40).unwrap_err().to_string();
    assert!(message.contains("column `start_ms`") && message.contains("fits u32"), "{message}");
}

#[test]
fn an_absent_value_where_none_may_be_is_an_error() {
    crate::row! {
        table "ids";
        /// Ids that may be absent.
        struct Ids / IdsRef / IdsColumns / IdsBuffers {
            /// Number.
            pub row_id: Option<u64>,
            /// Caption.
            pub text: Option<String>,
        }
    }
    let rows = [Ids { row_id: Some(1), text: None }, Ids { row_id: None, text: Some("x".into()) }];
    assert_eq!(rows_of::<Ids>(bytes_of(&rows)).unwrap(), rows);
    let message = rows_of::<CueText>(bytes_of(&rows)).unwrap_err().to_string();
    assert!(message.contains("column `text` of table `memory`: 1 of 2 values is absent"), "{message}");
}

#[test]
fn files_that_are_no_parquet_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    for bytes in [&b""[..], b"video_id,start\n", b"PAR1", b"PAR1\xff\xff\xff\xffPAR1"] {
        std::fs::write(&path, bytes).unwrap();
        let error = ParquetFile::<Cue>::open(&path).err().unwrap();
        assert!(matches!(error, TableError::NotParquet { .. }), "{error}");
    }
    let error = ParquetFile::<Cue>::open(dir.path()).err().unwrap();
    assert!(error.to_string().contains("directory"), "{error}");
    let error = ParquetFile::<Cue>::open(Path::new("/nowhere/x.parquet")).err().unwrap();
    assert!(matches!(error, TableError::Open { .. }), "{error}");
}

#[test]
fn parts_of_a_finished_run_are_listed_by_number() {
    let dir = tempfile::tempdir().unwrap();
    let made: [(&str, &[u8]); 4] = [
        ("part-00002.parquet", b""),
        ("part-100000.parquet", b""),
        ("part-99999.parquet", b""),
        ("other.parquet", b""),
    ];
    for (name, _) in made {
        std::fs::write(dir.path().join(name), "").unwrap();
    }
    let names = |paths: Vec<std::path::PathBuf>| -> Vec<String> {
        paths.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
    };
    let in_order = ["part-00002.parquet", "part-99999.parquet", "part-100000.parquet"];
    assert_eq!(names(parts(dir.path(), "part").unwrap()), in_order);
    assert_eq!(tables_under(dir.path()).unwrap().len(), 4);

    std::fs::write(dir.path().join("run.json"), "{}").unwrap();
    let message = tables_under(dir.path()).unwrap_err().to_string();
    assert!(message.contains("unfinished run folder") && message.contains("hint:"), "{message}");
    std::fs::write(dir.path().join("stats.json"), r#"{"complete": false, "steps": {}}"#).unwrap();
    assert!(matches!(parts(dir.path(), "part"), Err(TableError::Folder(_))));
    let failed =
        r#"{"complete": false, "failed_shards": [{"step": "part", "shard": "7", "error": "cut"}], "steps": {}}"#;
    std::fs::write(dir.path().join("stats.json"), failed).unwrap();
    let message = parts(dir.path(), "part").unwrap_err().to_string();
    assert!(message.contains("shard part-7 failed: cut"), "{message}");
    let dir = tempfile::tempdir().unwrap();
    crate::testing::finished_run(dir.path(), &made).unwrap();
    std::fs::write(dir.path().join("part-00003.parquet"), "of an earlier plan").unwrap();
    assert_eq!(names(tables_under(dir.path()).unwrap()), in_order);
    assert!(matches!(parts(dir.path(), "final"), Err(TableError::NoParts { .. })));
    std::fs::remove_file(dir.path().join("part-99999.parquet")).unwrap();
    let message = tables_under(dir.path()).unwrap_err().to_string();
    assert!(message.contains("part-99999.parquet is missing"), "{message}");
}

fn csv(text: &str) -> Vec<Result<Cue, CsvFault>> {
    CsvCues::new("memory", text.as_bytes()).unwrap().collect()
}

#[test]
fn spans_need_no_text_and_a_name_is_csv_in_any_case() {
    let text = "video_id,start_ms,end_ms\nv,5,17\nw,9,3\n";
    let spans: Vec<_> = CsvCues::spans("memory", text.as_bytes()).unwrap().collect();
    let first = Cue { row_id: 0, video_id: "v".into(), start_ms: 5, dur_ms: 12, text: String::new() };
    assert_eq!(spans[0], Ok(first));
    assert!(matches!(spans[1], Err(CsvFault::EndBeforeStart { line: 3, .. })), "{:?}", spans[1]);
    assert!(CsvCues::new("memory", text.as_bytes()).is_err());
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("A.CSV"), text).unwrap();
    assert_eq!(tables_under(dir.path()).unwrap().len(), 1);
}

#[test]
fn csv_times_become_milliseconds() {
    let cue = |row_id, start_ms, dur_ms, text: &str| Cue {
        row_id,
        video_id: "v".into(),
        start_ms,
        dur_ms,
        text: text.into(),
    };
    let rows = csv(
        "\u{feff}video_id,start,duration,text\nv,1.1,2.2,\"[a, \"\"b\"\"]\"\nv,10,0.0005,x\nv,3.3000000000000003,1e1,\n",
    );
    assert_eq!(rows[0], Ok(cue(0, 1100, 2200, "[a, \"b\"]")));
    assert_eq!(rows[1], Ok(cue(1, 10_000, 1, "x")));
    assert_eq!(rows[2], Ok(cue(2, 3300, 10_000, "")));
    assert_eq!(csv("text,end,video_id,start\nt,4.5,v,1")[0], Ok(cue(0, 1000, 3500, "t")));
    assert_eq!(csv("row_id,video_id,start_ms,dur_ms,text\n9,v,12,34,t")[0], Ok(cue(0, 12, 34, "t")));
}

#[test]
fn csv_lines_that_make_no_cue_are_faults_and_the_rest_is_read() {
    let mut bytes = b"video_id,start,duration,text\nv,-1,1,a\nv,NaN,1,a\nv,5000000,1,a\nv,1\nv,1,2,\"\xff\"\nv,4294967,1,b\nv,1,2,ok\n".to_vec();
    bytes.extend_from_slice(b"");
    let rows: Vec<_> = CsvCues::new("memory", bytes.as_slice()).unwrap().collect();
    let faults: Vec<String> = rows.iter().filter_map(|row| row.as_ref().err().map(ToString::to_string)).collect();
    assert_eq!(rows.len(), 7);
    assert_eq!(faults.len(), 6, "{faults:?}");
    assert!(faults[0].starts_with("line 2: column `start`"), "{}", faults[0]);
    assert!(faults[4].contains("UTF-8"), "{}", faults[4]);
    assert_eq!(rows[6].as_ref().unwrap().row_id, 6);
    let ends_early = csv("video_id,start,end,text\nv,2,1,a");
    assert!(matches!(ends_early[0], Err(CsvFault::EndBeforeStart { start_ms: 2000, end_ms: 1000, .. })));
}

#[test]
fn a_quote_without_a_partner_ends_reading_with_its_line() {
    let rows = csv("video_id,start,duration,text\nv,1,2,a\nv,2,2,\"b\nv,3,2,c\nv,4,2,d\n");
    assert_eq!((rows.len(), rows[0].is_ok()), (2, true));
    let fault = rows[1].as_ref().unwrap_err();
    assert_eq!((fault.line(), fault.ends_reading()), (3, true));
    assert!(fault.to_string().contains("line 3: a quote has no partner"), "{fault}");
}

#[test]
fn a_csv_without_a_needed_column_lists_its_header() {
    let message = CsvCues::new("a.csv", &b"Caption,start\n"[..]).err().unwrap().to_string();
    assert!(
        message.contains("no column `video_id` in CSV file `a.csv`: its header names `Caption`, `start`"),
        "{message}"
    );
}

#[test]
fn docs_formats_md_is_current() {
    let fresh = [
        schema_markdown::<Cue>(),
        schema_markdown::<ClipRow>(),
        schema_markdown_with_vector::<AudioEmbedding>(),
        schema_markdown_with_vector::<TextEmbedding>(),
    ];
    crate::testing::assert_formats_part("tables of audsem-core", &fresh.concat());
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[ -~]{0,30}", any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn clip_rows_survive_parquet(values in prop::collection::vec(
        (any::<u64>(), any_text(), any::<u32>(), any_text(), prop::option::of(0f32..1.0)), 0..40))
    {
        let rows: Vec<ClipRow> = values.into_iter().map(|(row_id, text, start_ms, clean_text, bert_prob)| ClipRow {
            row_id, key: (row_id % 2 == 0).then(|| text.clone()), video_id: clean_text.chars().rev().collect(), start_ms, end_ms: start_ms, text_hash: text_hash(&text),
            text, clean_text, bert_prob, llm_yes_prob: None,
        }).collect();
        prop_assert_eq!(rows_of::<ClipRow>(bytes_of(&rows)).unwrap(), rows);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn csv_rows_survive(texts in prop::collection::vec((any_text(), any_text(), any::<u32>(), 0u32..100_000), 0..6)) {
        let mut writer = ::csv::Writer::from_writer(Vec::new());
        writer.write_record(["video_id", "start", "duration", "text"]).unwrap();
        for (video_id, text, start_ms, dur_ms) in &texts {
            let seconds = |ms: &u32| (f64::from(*ms) / 1000.0).to_string();
            writer.write_record([video_id, &seconds(start_ms), &seconds(dur_ms), text]).unwrap();
        }
        let bytes = writer.into_inner().unwrap();
        let rows: Vec<_> = CsvCues::new("memory", bytes.as_slice()).unwrap().collect();
        prop_assert_eq!(rows.len(), texts.len());
        for (row, (video_id, text, start_ms, dur_ms)) in rows.into_iter().zip(texts) {
            match row {
                Ok(row) => prop_assert_eq!((row.video_id, row.text, row.start_ms, row.dur_ms), (video_id, text, start_ms, dur_ms)),
                Err(_) => prop_assert!(start_ms.checked_add(dur_ms).is_none()),
            }
        }
    }

    #[test]
    fn foreign_bytes_as_csv_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut all = b"video_id,start,end,text\n".to_vec();
        all.extend(&bytes);
        let _ = CsvCues::new("memory", all.as_slice()).unwrap().take(1000).count();
        let _ = CsvCues::new("memory", bytes.as_slice()).map(|cues| cues.take(1000).count());
    }

    #[test]
    fn parquet_files_cut_short_are_refused(keep in 0.0..1.0f64, tail in prop::collection::vec(any::<u8>(), 0..16)) {
        let whole = WHOLE.with(Clone::clone);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a small length")]
        let keep = (whole.len() as f64 * keep) as usize;
        let mut bytes = whole[..keep].to_vec();
        prop_assume!(!tail.ends_with(b"PAR1"));
        bytes.extend(tail);
        let error = rows_of::<ClipRow>(bytes).err();
        prop_assert!(matches!(error, Some(TableError::NotParquet { .. })), "{error:?}");
    }
}

thread_local! {
    static WHOLE: Vec<u8> = {
        let rows: Vec<ClipRow> = cues(30).into_iter().map(|cue| ClipRow {
            row_id: cue.row_id, key: None, video_id: cue.video_id, start_ms: cue.start_ms, end_ms: cue.start_ms + 5,
            clean_text: cue.text.to_uppercase(), text_hash: text_hash(&cue.text), text: cue.text,
            bert_prob: Some(0.5), llm_yes_prob: None,
        }).collect();
        bytes_of(&rows)
    };
}
