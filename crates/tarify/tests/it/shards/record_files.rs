//! Records in every form: JSON lines, CSV and Parquet, nested and one row for each question.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use audsem_core::records::{Layout, Task};
use audsem_core::run::{RunOptions, Status};
use audsem_tarify::shards::{Config, Duplicates};
use serde_json::{Value, json};

use super::world::{Outcome, World, audio_tar, caption, flac};
use audsem_core::testing::python;

fn key(number: usize) -> String {
    format!("video{number:06} (1_0-2_0)")
}

fn tar(numbers: std::ops::Range<usize>) -> Vec<u8> {
    let names: Vec<String> = numbers.map(|n| format!("video{n:06} (1.0-2.0).mp4")).collect();
    audio_tar(&names.iter().map(|name| (name.as_str(), flac(16_000, 1.0, 0.5))).collect::<Vec<_>>())
}

fn pair(number: usize) -> Value {
    json!({
        "question": format!("What is sound, number {number}?"), "thinking": "It is \"loud\",\nI think.", "answer": "A. A dog",
        "choices": { "A": "A dog", "B": "A door" },
    })
}

fn flat(clip: usize, number: usize) -> Value {
    let mut row = pair(number);
    row["file_name"] = key(clip).into();
    row
}

/// One record for each of two clips, with two pairs each.
fn nested() -> Vec<Value> {
    [1, 2].map(|clip| json!({ "file_name": key(clip), "qa_pairs": [pair(1), pair(2)] })).into()
}

/// The same with a row for each pair; the rows of a clip do not lie together.
fn rows() -> Vec<Value> {
    [flat(1, 1), flat(2, 1), flat(2, 2), flat(1, 2)].into()
}

fn jsonl(records: &[Value]) -> String {
    records.iter().map(|record| format!("{record}\n")).collect()
}

fn csv_of(records: &[Value]) -> Vec<u8> {
    let names: Vec<&String> = records[0].as_object().unwrap().keys().collect();
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&names).unwrap();
    for record in records {
        let cell = |name: &&String| match &record[name.as_str()] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        writer.write_record(names.iter().map(cell)).unwrap();
    }
    writer.into_inner().unwrap()
}

fn parquet_of(records: &[Value], path: &Path) {
    let script = "import json, sys, pyarrow as pa, pyarrow.parquet as pq\n\
        pq.write_table(pa.Table.from_pylist(json.load(sys.stdin)), sys.argv[1], row_group_size=3)";
    let mut child =
        Command::new(python()).args(["-c", script]).arg(path).stdin(std::process::Stdio::piped()).spawn().unwrap();
    serde_json::to_writer(child.stdin.take().unwrap(), records).unwrap();
    assert!(child.wait().unwrap().success());
}

fn with(world: &World, records: &Path) -> Config {
    Config { records: vec![records.to_owned()], ..world.config(Task::McQa) }
}

fn train(out: &Outcome) -> Vec<(String, Value)> {
    let samples = out.samples("train").into_iter();
    samples.map(|sample| (sample.key.clone(), serde_json::from_slice(sample.get("json").unwrap()).unwrap())).collect()
}

#[test]
fn every_form_of_the_same_records_gives_the_same_samples() {
    let world = World::new(&[tar(1..3)], &nested());
    let file = |name: &str, text: &[u8]| -> PathBuf {
        let path = world.path(name);
        fs::write(&path, text).unwrap();
        path
    };
    let mut files = vec![
        file("rows.jsonl", jsonl(&rows()).as_bytes()),
        file("rows.csv", &csv_of(&rows())),
        file("nested.csv", &csv_of(&nested())),
        file("rows.csv.zst", &zstd::encode_all(&csv_of(&rows())[..], 1).unwrap()),
    ];
    for (name, records) in [("rows.parquet", rows()), ("nested.parquet", nested())] {
        parquet_of(&records, &world.path(name));
        files.push(world.path(name));
    }
    for pairs in [Layout::Repeat, Layout::Together] {
        let config = Config { pairs, ..world.config(Task::McQa) };
        let expected = train(&world.run_with(&config, &RunOptions::new(world.path(&format!("expected-{pairs:?}")))));
        assert_eq!(expected.len(), if pairs == Layout::Repeat { 4 } else { 2 });
        for path in &files {
            let config = Config { pairs, ..with(&world, path) };
            let folder = format!("{}-{pairs:?}", path.file_name().unwrap().to_string_lossy());
            let out = world.run_with(&config, &RunOptions::new(world.path(&folder)));
            assert_eq!(train(&out), expected, "{}", path.display());
        }
    }
}

#[test]
fn lines_that_cannot_be_read_are_rejects_with_their_number() {
    let mut text = b"file_name,caption,thinking\n".to_vec();
    let line = |n: usize, caption: &str| format!("{},{caption},It sounds like this.\n", key(n)).into_bytes();
    text.extend(line(1, "\"A dog, which\nbarks.\""));
    text.extend(b"one,two\n");
    text.extend(line(2, "caf\u{e9} noise").into_iter().filter(|byte| *byte != 0xc3));
    text.extend(line(3, "A door is slammed."));
    text.extend(line(4, ""));
    let world = World::with_text(&[tar(1..5)], "");
    let path = world.path("r.csv");
    fs::write(&path, text).unwrap();
    let out = world.run(&Config { records: vec![path], ..world.config(Task::Caption) });
    assert_eq!(out.keys("train"), [key(1), key(3)]);
    assert_eq!(out.json(&key(1))["caption"], "A dog, which barks.");
    assert_eq!(out.reasons("r.csv:4"), ["bad_row"]);
    assert_eq!(out.reasons("r.csv:5"), ["bad_row"]);
    assert_eq!(out.reasons(&key(4)), ["missing_field", "no_record"]);
}

#[test]
fn python_json_is_read() {
    let text = format!(
        "\u{feff}{{\"file_name\": \"{}\", \"caption\": \"A dog barks \\ud83d twice.\", \"thinking\": \"It sounds so to me.\", \"score\": NaN}}\n\
         {{\"file_name\": \"{}\", \"caption\": \"A door is slammed.\", \"thinking\": \"It sounds so to me.\", \"id\": 123456789012345678901234567890}}\n",
        key(1),
        key(2)
    );
    let world = World::with_text(&[tar(1..3)], &text);
    let out = world.run(&world.config(Task::Caption));
    assert_eq!(out.keys("train"), [key(1), key(2)]);
    assert_eq!(out.json(&key(1))["score"], Value::Null);
    assert_eq!(out.json(&key(2))["id"], "123456789012345678901234567890");
    assert_eq!(out.summary.step("records").unwrap().counts["repaired_json"], 2);
}

#[test]
fn the_first_or_the_last_record_of_a_clip_counts() {
    let texts = ["A dog barks twice.", "A cat is heard here.", "A door is slammed."];
    let records: Vec<Value> = texts.iter().map(|text| caption(&key(1), text)).collect();
    let world = World::new(&[tar(1..2)], &records);
    for (duplicates, expected) in [(Duplicates::First, texts[0]), (Duplicates::Last, texts[2])] {
        let config = Config { duplicates, ..world.config(Task::Caption) };
        let out = world.run_with(&config, &RunOptions::new(world.path(&format!("{duplicates:?}"))));
        assert_eq!(out.json(&key(1))["caption"], expected);
        assert_eq!(out.reasons(&key(1)), ["duplicate_record", "duplicate_record"]);
    }
}

#[test]
fn a_question_that_comes_twice_is_asked_once() {
    let mut again = flat(1, 1);
    again["answer"] = "B".into();
    let world = World::with_text(&[tar(1..2)], &jsonl(&[flat(1, 1), flat(1, 2), again]));
    for (duplicates, expected) in
        [(Duplicates::First, ["A. A dog", "A. A dog"]), (Duplicates::Last, ["A. A dog", "B. A door"])]
    {
        let config = Config { duplicates, ..world.config(Task::McQa) };
        let out = world.run_with(&config, &RunOptions::new(world.path(&format!("{duplicates:?}"))));
        let answers: Vec<_> = train(&out).into_iter().map(|(_, json)| json["answer"].clone()).collect();
        assert_eq!(answers, expected, "{duplicates:?}");
        assert_eq!(out.reasons(&key(1)), ["duplicate_record"]);
    }
}

/// Twelve captions in row groups of three, of which the second is damaged.
fn damaged_parquet(path: &Path) {
    let records: Vec<Value> = (0..12).map(|n| caption(&key(n), &format!("A dog barks {n} times."))).collect();
    parquet_of(&records, path);
    let script = "import sys, pyarrow.parquet as pq\n\
        column = pq.ParquetFile(sys.argv[1]).metadata.row_group(1).column(0)\n\
        file = open(sys.argv[1], 'r+b')\n\
        file.seek(column.dictionary_page_offset or column.data_page_offset)\n\
        file.write(b'\\xff' * 16)";
    assert!(Command::new(python()).args(["-c", script]).arg(path).status().unwrap().success());
}

#[test]
fn rows_of_a_damaged_part_of_a_table_are_rejects_and_the_others_are_used() {
    let world = World::with_text(&[tar(0..12)], "");
    let path = world.path("r.parquet");
    damaged_parquet(&path);
    let options = RunOptions { max_fail_rate: 0.3, ..RunOptions::new(world.path("out")) };
    let config = Config { records: vec![path], ..world.config(Task::Caption) };
    let out = world.run_with(&config, &options);
    assert_eq!(out.keys("train"), (0..3).chain(6..12).map(key).collect::<Vec<_>>());
    assert_eq!(out.summary.step("records").unwrap().failed["damaged_rows"], 3);
    assert_eq!(out.summary.status, Status::Done);
    let lines = out.reject_lines();
    let line = lines.iter().find(|line| line["reason"] == "damaged_rows").unwrap();
    assert_eq!((&line["key"], &line["records"]), (&json!("r.parquet:4"), &json!(3)));
    assert!(line["detail"].as_str().unwrap().starts_with("rows 4 to 6: "), "{line}");
    // The last record counts, and it is numbered as before.
    let options = RunOptions { output: world.path("last"), ..options };
    let out = world.run_with(&Config { duplicates: Duplicates::Last, ..config.clone() }, &options);
    assert_eq!(out.samples("train").len(), 9);
    let strict = RunOptions { max_fail_rate: 0.1, ..RunOptions::new(world.path("strict")) };
    assert_eq!(world.run_with(&config, &strict).summary.status, Status::OverFailLimit);
}

#[test]
fn records_before_a_break_are_used_and_the_run_says_that_some_are_lost() {
    let text: String = (0..8000).map(|n| format!("{}\n", caption(&key(n % 8), &format!("A dog {n} barks.")))).collect();
    let table = csv_of(&(0..8000).map(|n| caption(&key(n % 8), &format!("A dog {n} barks."))).collect::<Vec<_>>());
    let world = World::with_text(&[tar(0..8)], "");
    for (name, text) in [("a.jsonl", text.as_bytes()), ("a.csv", &table)] {
        let compressed = [("gz", gzip(text)), ("zst", zstd::encode_all(text, 3).unwrap())];
        for (ending, mut bytes) in compressed {
            bytes.truncate(bytes.len() - 500);
            let path = world.path(&format!("{name}.{ending}"));
            fs::write(&path, bytes).unwrap();
            let options = RunOptions::new(world.path(&format!("{name}-{ending}")));
            let config = Config { records: vec![path, world.records().to_owned()], ..world.config(Task::Caption) };
            fs::write(world.records(), format!("{}\n", caption(&key(7), "A cat is heard."))).unwrap();
            let out = world.run_with(&config, &options);
            assert_eq!(out.summary.status, Status::BrokenInput, "{name}.{ending}");
            assert_eq!(out.summary.exit_code(), 1);
            assert_eq!(out.samples("train").len(), 8);
            let lines = out.reject_lines();
            let broken: Vec<_> = lines.iter().filter(|line| line["reason"] == "broken_off").collect();
            assert_eq!(broken.len(), 1, "{name}.{ending}");
            let place = broken[0]["key"].as_str().unwrap();
            let line: u64 = place.strip_prefix(&format!("{name}.{ending}:")).unwrap().parse().unwrap();
            let read = out.summary.step("records").unwrap().counts["lines"];
            let before = line - if name == "a.csv" { 2 } else { 1 };
            assert_eq!(read, before + 2, "{place}: the lines before, the break, and the other file");
            assert!((1000..8000).contains(&line), "{place}");
        }
    }
}

/// Some kilobytes can stand for a record of any size.
#[test]
fn a_record_of_any_size_is_a_reject() {
    let world = World::with_text(&[tar(0..3)], "");
    let bomb = |parts: [&[u8]; 3]| {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        std::io::Write::write_all(&mut encoder, parts[0]).unwrap();
        std::io::copy(&mut std::io::Read::take(std::io::repeat(parts[1][0]), 300 << 20), &mut encoder).unwrap();
        std::io::Write::write_all(&mut encoder, parts[2]).unwrap();
        encoder.finish().unwrap()
    };
    let record = |n: usize| caption(&key(n), "A dog barks.");
    let json =
        bomb([format!("{}\n{{\"file_name\": \"", record(0)).as_bytes(), b"x", format!("\n{}\n", record(2)).as_bytes()]);
    let csv = bomb([format!("{}\"", String::from_utf8(csv_of(&[record(0)])).unwrap()).as_bytes(), b"\n", b"\"\n"]);
    for (name, bytes, keys, reason, status) in [
        ("a.jsonl.zst", json, vec![key(0), key(2)], "line_too_long", Status::Done),
        ("a.csv.zst", csv, vec![key(0)], "broken_off", Status::BrokenInput),
    ] {
        assert!(bytes.len() < 1 << 20);
        let path = world.path(name);
        fs::write(&path, bytes).unwrap();
        let config = Config { records: vec![path], ..world.config(Task::Caption) };
        let out = world.run_with(&config, &RunOptions::new(world.path(&format!("out-{name}"))));
        assert_eq!(out.keys("train"), keys);
        assert_eq!(out.summary.step("records").unwrap().failed[reason], 1, "{name}");
        assert_eq!(out.summary.status, status);
    }
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut encoder, text).unwrap();
    encoder.finish().unwrap()
}
