//! `index`: places, digests, rejects, damaged shards, resuming.

use audsem_core::testing::{Bench, kill_and_resume, kills, tree};
use audsem_media::audio::Decoder;
use audsem_training::manifest::{Manifest, ShardFiles, read_example};
use serde_json::json;

use crate::shards::{json_of, shard, shard_of, tone};

fn bench() -> Bench {
    Bench::new(env!("CARGO_BIN_EXE_audsem-training"))
}

fn manifest(bench: &Bench, folder: &str) -> Manifest {
    let mut manifest = Manifest::open(&bench.path(folder)).unwrap();
    // The binary was called in the folder of the bench.
    for row in &mut manifest.rows {
        row.tar = bench.path(&row.tar).to_str().unwrap().to_owned();
    }
    manifest
}

#[test]
fn every_example_is_read_alone_from_its_place() {
    let bench = bench();
    let (first, second) = (tone(300.0, 8000, 16_000), tone(500.0, 22_050, 44_100));
    let pairs = json!({ "qa_pairs": [
        { "question": "a?", "thinking": "t", "answer": "A. a", "difficulty": 0.25 },
        { "question": "b?", "thinking": "t", "answer": "B. b", "difficulty": 2 },
    ] });
    let pairs = pairs.to_string();
    bench.write(
        "in/0000.tar",
        shard(&[("V (1_0-3_5)_qa_3", &[("flac", &first), ("json", &json_of(" q? ", "t", "é"))])]),
    );
    bench.write("in/0001.tar", shard(&[("W (0_0-0_5)", &[("json", pairs.as_bytes()), ("flac", &second)])]));
    let called = bench.call("index -i in -o out").ended(0);
    assert_eq!(called.summary()["results"]["examples"], 3);
    let Manifest { rows, summary } = manifest(&bench, "out");
    assert_eq!((summary.examples, summary.clips, summary.videos), (3, 2, 2));
    assert_eq!(summary.shards.into_iter().collect::<Vec<_>>(), [("in/0000.tar".into(), 1), ("in/0001.tar".into(), 2)]);
    let clips: Vec<_> = rows.iter().map(|row| (row.clip.as_str(), row.pair, row.duration_ms)).collect();
    assert_eq!(
        clips,
        [("V (1_0-3_5)", None, Some(500)), ("W (0_0-0_5)", Some(0), Some(500)), ("W (0_0-0_5)", Some(1), Some(500))]
    );
    assert_eq!((rows[2].numbers[0].name.as_str(), rows[2].numbers[0].value), ("difficulty", 2.0));
    let files = ShardFiles::default();
    // In an order that is not that of the shards.
    for (number, question, answer, frames) in
        [(2, "b?", "B. b", 22_050), (0, "q?", "é", 8000), (1, "a?", "A. a", 22_050)]
    {
        let row = &rows[number];
        let bytes = files.read(row).unwrap();
        let text = read_example(&bytes.json, row.pair).unwrap();
        assert_eq!((text.question.as_str(), text.answer.as_str()), (question, answer));
        assert_eq!(Decoder::new().decode_bytes(&bytes.sound, Some(&row.audio_suffix)).unwrap().frames(), frames);
        assert_eq!(row.text_bytes as usize, question.len() + answer.len() + 1);
    }
}

#[test]
fn a_shard_that_has_changed_is_not_read_by_an_old_manifest() {
    let bench = bench();
    let sound = tone(300.0, 2000, 16_000);
    let with = |answer: &str| shard(&[("a", &[("flac", &sound), ("json", &json_of("q", "t", answer))])]);
    bench.write("in/0.tar", with("one"));
    bench.call("index -i in -o out").ended(0);
    let row = manifest(&bench, "out").rows.remove(0);
    bench.write("in/0.tar", with("two"));
    let error = ShardFiles::default().read(&row).unwrap_err().to_string();
    assert!(error.contains("has changed") && error.contains("--fresh"), "{error}");
    bench.write("in/0.tar", &with("one")[..1024]);
    assert!(ShardFiles::default().read(&row).unwrap_err().to_string().contains("beyond its end"));
}

#[test]
fn what_cannot_be_trained_on_is_counted_with_its_reason() {
    let bench = bench();
    let (flac, good) = (tone(300.0, 2000, 16_000), json_of("q", "t", "a"));
    let not_utf8: &[u8] = b"{\"question\": \"\xff\", \"answer\": \"a\"}";
    bench.write(
        "in/0.tar",
        shard(&[
            ("good", &[("flac", &flac), ("json", &good)]),
            ("silent", &[("json", &good)]),
            ("mute", &[("flac", &flac)]),
            ("twice", &[("flac", &flac), ("wav", &flac), ("json", &good)]),
            ("empty", &[("flac", b""), ("json", &good)]),
            ("latin", &[("flac", &flac), ("json", not_utf8)]),
            ("no-object", &[("flac", &flac), ("json", b"[]")]),
            ("no-answer", &[("flac", &flac), ("json", br#"{"question": "q", "caption": "rain"}"#)]),
        ]),
    );
    bench.write("in/1.tar", shard(&[("good", &[("flac", &flac), ("json", &good)])]));
    let called = bench.call("index -i in -o out --max-fail-rate 0.8").ended(0);
    let failed =
        json!({ "no_sound": 1, "no_json": 1, "several_sounds": 1, "empty_sound": 1, "bad_json": 2, "no_answer": 1 });
    assert_eq!(called.step("scan")["failed"], failed);
    assert_eq!(called.step("part")["dropped"], json!({ "duplicate_key": 1 }));
    assert_eq!(manifest(&bench, "out").rows.len(), 1);
    let rejects = bench.rejects("out/rejects-scan-00000.jsonl");
    assert!(rejects.contains(&("0.tar: latin".to_owned(), "bad_json".to_owned())), "{rejects:?}");
    assert!(bench.details("out/rejects-scan-00000.jsonl").iter().any(|detail| detail.contains("audsem-tarify shards")));
    assert_eq!(bench.details("out/rejects-00000.jsonl"), ["in in/1.tar; first in in/0.tar"]);
    // Over the limit of failures the exit code is 1.
    bench.call("index -i in -o strict").ended(1);
}

#[test]
fn a_damaged_shard_is_used_up_to_the_damage_and_told() {
    let bench = bench();
    let whole = shard_of(&["a", "b", "c"]);
    bench.write("in/0.tar", &whole[..whole.len() - 3000]);
    bench.write("in/1.tar", shard_of(&["d"]));
    let called = bench.call("index -i in -o out --max-fail-rate 0.5").ended(1);
    called.says("tar ends early");
    assert_eq!(called.step("scan")["failed"], json!({ "corrupt_tar": 2 }));
    let keys: Vec<String> = manifest(&bench, "out").rows.into_iter().map(|row| row.key).collect();
    assert_eq!(keys, ["a", "b", "d"], "the sample that was cut is left out");
    // Only the mark of the end is absent: every sample is whole.
    bench.write("in/0.tar", &whole[..whole.len() - 1024]);
    bench.call("index -i in -o out2 --max-fail-rate 0.5").ended(1).says("tar without end marker");
    assert_eq!(manifest(&bench, "out2").rows.len(), 4);
    // A compressed one cannot be read at random places.
    bench.write("in/0.tar", zstd_frame(&whole));
    bench.call("index -i in -o out3").ended(1).says("decompress it");
    assert!(Manifest::open(&bench.path("out3")).is_err(), "a run that has not ended is not read");
}

/// A frame of one raw block, as zstd writes what it cannot compress.
fn zstd_frame(bytes: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xa0];
    frame.extend(u32::try_from(bytes.len()).unwrap().to_le_bytes());
    let blocks: Vec<&[u8]> = bytes.chunks(100_000).collect();
    for (number, block) in blocks.iter().enumerate() {
        let last = u32::from(number + 1 == blocks.len());
        let header = last | u32::try_from(block.len()).unwrap() << 3;
        frame.extend(&header.to_le_bytes()[..3]);
        frame.extend(*block);
    }
    frame
}

#[test]
fn empty_inputs_say_so() {
    let bench = bench();
    bench.write("none/x.txt", "");
    bench.call("index -i none -o out").ended(2).says("this folder holds no tar");
    bench.write("in/0.tar", shard(&[]));
    bench.call("index -i in -o out").ended(1).says("nothing was read");
}

#[test]
fn bytes_depend_neither_on_workers_nor_on_kills() {
    let bench = bench();
    let keys: Vec<String> = (0..40).map(|n| format!("V{n} (0_0-0_25)_qa_0")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    for (n, keys) in keys.chunks(8).enumerate() {
        bench.write(&format!("in/{n:04}.tar"), shard_of(keys));
    }
    bench.call("index -i in -o one --workers 1").ended(0);
    bench.call("index -i in -o two --workers 2").ended(0);
    assert_eq!(tree(&bench.path("one")).unwrap(), tree(&bench.path("two")).unwrap());
    let program = |output: &std::path::Path, workers: usize| {
        bench.command(&format!("index -i in -o {} --workers {workers} --no-progress", output.display()))
    };
    kill_and_resume(&bench.path("kills"), kills(3), program).unwrap();
}

#[test]
fn a_limit_keeps_the_first_examples() {
    let bench = bench();
    bench.write("in/0.tar", shard_of(&["a", "b"]));
    bench.write("in/1.tar", shard_of(&["c", "d"]));
    bench.call("index -i in -o out --limit 3").ended(0);
    let keys: Vec<String> = manifest(&bench, "out").rows.into_iter().map(|row| row.key).collect();
    assert_eq!(keys, ["a", "b", "c"]);
}
