//! `pack`.

use std::fs;

use audsem_core::tables::{ClipRow, write_parquet};
use serde_json::{Value, json};

use crate::workbench::{Bench, Samples, clip, samples, silent_film, sound_only, streams, surround, webm};

const TABLE: &str = "video_id,start,duration,text\n\
    aaaaaaaaaaa,1.1,2.2,door slams\n\
    bbbbbbbbbbb,4.0,2.0,\"dog barks, far away\"\n\
    ccccccccccc,0.0,1.0,rain\n\
    ddddddddddd,5.0,1.5,thunder\n\
    eeeeeeeeeee,7.0,1.0,wind\n";

const SMALL: &str = "--height 64 --preset ultrafast";

fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("clips/aaaaaaaaaaa (1.1-3.3000000000000003).mp4", clip());
    bench.write("clips/bbbbbbbbbbb (4.0-6.0).mp4", clip());
    bench.write("clips/ddddddddddd (5.0-6.5).mp4", clip());
    bench.write("table.csv", TABLE);
    bench
}

#[test]
fn clips_become_720p_at_25_frames_with_their_metadata() {
    let bench = Bench::new();
    bench.write("clips/aaaaaaaaaaa (1.1-3.3).mp4", clip());
    bench.write("table.csv", TABLE);
    let called = bench.call("pack -i clips --table table.csv -o out --preset ultrafast").ended(0);
    assert_eq!(called.step("part")["kept"], 1);
    let samples = samples(&bench.path("out/00000.tar"));
    let [(key, members)] = &samples[..] else { panic!("{samples:?}") };
    assert_eq!(key, "aaaaaaaaaaa (1_1-3_3)");
    let [(video, mp4), (text, metadata)] = &members[..] else { panic!("{members:?}") };
    assert_eq!((video.as_str(), text.as_str()), ("mp4", "json"));
    let streams = streams(mp4);
    for part in [
        "codec_name=h264",
        "width=1080",
        "height=720",
        "avg_frame_rate=25/1",
        "codec_name=flac",
        "sample_rate=32000",
        "channels=1",
    ] {
        assert!(streams.contains(part), "{part} is not in\n{streams}");
    }
    let expected = json!({
        "video_id": "aaaaaaaaaaa", "start": 1.1, "duration": 2.2, "text": "door slams", "end": 3.3,
        "original_filename": "aaaaaaaaaaa (1.1-3.3).mp4", "key": "aaaaaaaaaaa (1_1-3_3)",
    });
    assert_eq!(serde_json::from_slice::<Value>(metadata).unwrap(), expected);
    assert_eq!(bench.json("out/sizes.json"), json!({ "00000.tar": 1 }));
}

#[test]
fn the_text_of_a_combine_table_is_the_clean_one() {
    let bench = Bench::new();
    bench.write("clips/aaaaaaaaaaa (1.1-3.3).mp4", b"video");
    let row = ClipRow {
        row_id: 7,
        key: None,
        video_id: "aaaaaaaaaaa".to_owned(),
        start_ms: 1100,
        end_ms: 3300,
        text: "[DOOR slams]".to_owned(),
        clean_text: "door slams".to_owned(),
        text_hash: 0,
        bert_prob: None,
        llm_yes_prob: None,
    };
    let backwards = ClipRow { start_ms: 9000, row_id: 8, ..row.clone() };
    let mut table = Vec::new();
    write_parquet::<ClipRow>(&[row, backwards], &mut table).unwrap();
    bench.write("combine/part-00000.parquet", table);
    let called = bench.call("pack -i clips --table combine -o out --copy --max-fail-rate 1").ended(0);
    let json: Value = serde_json::from_slice(&samples(&bench.path("out/00000.tar"))[0].1[1].1).unwrap();
    let expected = json!({
        "video_id": "aaaaaaaaaaa", "start": 1.1, "duration": 2.2, "text": "door slams", "end": 3.3,
        "original_text": "[DOOR slams]", "row_id": 7, "start_ms": 1100, "end_ms": 3300,
        "text_hash": 0, "bert_prob": null, "llm_yes_prob": null,
        "original_filename": "aaaaaaaaaaa (1.1-3.3).mp4", "key": "aaaaaaaaaaa (1_1-3_3)",
    });
    assert_eq!(json, expected);
    assert_eq!(called.step("table")["kept"], 1);
    let bad = ("part-00000.parquet:2".to_owned(), "bad_table_row".to_owned());
    assert_eq!(bench.rejects("out/rejects-table-00000.jsonl"), [bad]);
}

#[test]
fn rows_of_the_table_that_cannot_be_used_are_on_file() {
    let bench = bench();
    let more = "aaaaaaaaaaa,soon,1.0,x\n,1.0,1.0,x\nzzz,never,1.0,of no clip here\n";
    bench.write("table.csv", format!("{TABLE}{more}"));
    let called = bench.call("pack -i clips --table table.csv -o out --copy --max-fail-rate 0.5").ended(0);
    let row = |line: u32| (format!("table.csv:{line}"), "bad_table_row".to_owned());
    assert_eq!(bench.rejects("out/rejects-table-00000.jsonl"), [row(7), row(8)]);
    let step = called.step("table");
    assert_eq!((&step["in"], &step["kept"]), (&json!(5), &json!(3)), "rows of videos without clips do not count");
}

#[test]
fn the_output_of_download_is_taken_as_it_is() {
    let bench = bench();
    bench.call("pack -i clips --table table.csv -o one --copy").ended(0);
    for clip in fs::read_dir(bench.path("clips")).unwrap() {
        let clip = clip.unwrap();
        let name = clip.file_name().into_string().unwrap();
        // As `download` spreads them, and as earlier versions did not.
        let place = if name.starts_with('b') { "4f/" } else { "" };
        bench.write(&format!("download/clips/{place}{name}"), fs::read(clip.path()).unwrap());
    }
    bench.write("download/run.json", "{}");
    bench.write("download/part-00000.parquet", "");
    bench.call("pack -i download --table table.csv -o two --copy").ended(0);
    assert_eq!(bench.tree("one"), bench.tree("two"));
    fs::remove_dir_all(bench.path("download/clips")).unwrap();
    bench.call("pack -i download --table table.csv -o three --copy").ended(2).says("or the output of `download`");
}

#[test]
fn clips_of_several_folders_are_packed_as_if_they_lay_in_one() {
    let bench = bench();
    bench.call("pack -i clips --table table.csv -o one --copy --per-shard 2").ended(0);
    for name in ["aaaaaaaaaaa (1.1-3.3000000000000003).mp4", "ddddddddddd (5.0-6.5).mp4"] {
        bench.write(&format!("first/{name}"), fs::read(bench.path(&format!("clips/{name}"))).unwrap());
    }
    let (b, d) = ("bbbbbbbbbbb (4.0-6.0).mp4", "ddddddddddd (5.0-6.5).mp4");
    bench.write(&format!("second/clips/4f/{b}"), fs::read(bench.path(&format!("clips/{b}"))).unwrap());
    bench.write("second/run.json", "{}");
    bench.call("pack -i first second --table table.csv -o two --copy --per-shard 2").ended(0);
    assert_eq!(bench.tree("one"), bench.tree("two"));

    // Of a clip that two have the one of the folder named first counts.
    let other = webm();
    bench.write(&format!("second/clips/{d}"), &other);
    let three = bench.call("pack -i first -i second --table table.csv -o three --copy").ended(0);
    assert_eq!(samples(&bench.path("three/00000.tar")), samples_of(&bench, "one"));
    assert_eq!(three.step("part")["dropped"]["duplicate_key"], 1);
    let reject = bench.json("three/rejects-00000.jsonl");
    assert_eq!((&reject["key"], &reject["detail"]), (&json!(d), &json!(format!("first/{d}"))));
    bench.call("pack -i second first --table table.csv -o four --copy").ended(0);
    assert!(samples(&bench.path("four/00000.tar"))[2].1[0].1 == other);
    // Also where the name of the other comes first in the alphabet.
    fs::remove_file(bench.path(&format!("second/clips/{d}"))).unwrap();
    bench.write("second/clips/aaaaaaaaaaa (1.1-3.3).mp4", &other);
    bench.call("pack -i first second --table table.csv -o five --copy").ended(0);
    assert_eq!(samples(&bench.path("five/00000.tar")), samples_of(&bench, "one"));
    bench.write("empty/notes.txt", "no media here");
    bench.call("pack -i first empty --table table.csv -o no").ended(2).says("no video in this folder: empty");
}

/// The samples of all tars of a folder.
fn samples_of(bench: &Bench, folder: &str) -> Samples {
    let mut tars: Vec<_> = fs::read_dir(bench.path(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    tars.retain(|path| path.extension().is_some_and(|extension| extension == "tar"));
    tars.sort();
    tars.iter().flat_map(|tar| samples(tar)).collect()
}

#[test]
fn t23_bytes_do_not_depend_on_workers_or_on_being_interrupted() {
    let bench = bench();
    for name in ["e (8.0-9.0)", "eeeeeeeeeee (7.0-8.0)"] {
        bench.write(&format!("clips/{name}.mp4"), clip());
    }
    bench.call(&format!("pack -i clips --table table.csv -o one --per-shard 2 --workers 1 {SMALL}")).ended(0);
    bench.call(&format!("pack -i clips --table table.csv -o two --per-shard 2 --workers 2 {SMALL}")).ended(0);
    assert_eq!(bench.tree("one"), bench.tree("two"));
    assert_eq!(bench.json("one/sizes.json"), json!({ "00000.tar": 2, "00001.tar": 1, "00002.tar": 1 }));

    // Half of it, then the rest; what was done is not done again.
    bench.call(&format!("pack -i clips --table table.csv -o parts --per-shard 2 --shard 0/2 {SMALL}")).ended(0);
    assert!(!bench.path("parts/00001.tar").exists() && !bench.path("parts/sizes.json").exists());
    let before = fs::metadata(bench.path("parts/00000.tar")).unwrap().modified().unwrap();
    bench.call(&format!("pack -i clips --table table.csv -o parts --per-shard 2 {SMALL}")).ended(0);
    assert_eq!(fs::metadata(bench.path("parts/00000.tar")).unwrap().modified().unwrap(), before);
    assert_eq!(bench.tree("one"), bench.tree("parts"));
}

#[test]
fn every_clip_is_packed_or_on_file_with_a_reason() {
    let bench = bench();
    bench.write("clips/aaaaaaaaaaa (1.1-3.3).webm", webm());
    bench.write("clips/bbbbbbbbbbb (9.0-9.5).mp4", clip());
    bench.write("clips/ccccccccccc (0.0-1.0).mp4", silent_film());
    bench.write("clips/ddddddddddd (5.0-7.0).mp4", sound_only());
    bench.write("clips/eeeeeeeeeee (7.0-8.0).mp4", b"not a video");
    bench.write("clips/eeeeeeeeeee (7.0-NA).mp4", clip());
    bench.write("clips/notes.txt", "hello");
    bench.write("clips/holiday.mp4", clip());
    let called = bench.call(&format!("pack -i clips --table table.csv -o out --max-fail-rate 0.5 {SMALL}")).ended(0);
    let reject = |key: &str, reason: &str| (key.to_owned(), reason.to_owned());
    let expected = [
        reject("aaaaaaaaaaa (1.1-3.3000000000000003).mp4", "duplicate_key"),
        reject("bbbbbbbbbbb (9.0-9.5).mp4", "no_metadata"),
        reject("ccccccccccc (0.0-1.0).mp4", "no_audio"),
        reject("ddddddddddd (5.0-7.0).mp4", "no_video"),
        reject("eeeeeeeeeee (7.0-8.0).mp4", "undecodable"),
        reject("eeeeeeeeeee (7.0-NA).mp4", "bad_name"),
        reject("holiday.mp4", "bad_name"),
    ];
    assert_eq!(bench.rejects("out/rejects-00000.jsonl"), expected);
    let names = ["aaaaaaaaaaa (1_1-3_3)", "bbbbbbbbbbb (4_0-6_0)", "ddddddddddd (5_0-6_5)"];
    let expected: Vec<String> = names.iter().flat_map(|name| [format!("{name}.mp4"), format!("{name}.json")]).collect();
    assert_eq!(bench.names("out/00000.tar"), expected);
    let summary = called.summary();
    assert_eq!(called.step("part")["in"], 10);
    assert_eq!(summary["results"]["other_files"], 1);
}

#[test]
fn t25_a_tar_without_samples_is_not_made() {
    let bench = bench();
    bench.write("clips/bbbbbbbbbbb (4.0-6.0).mp4", b"broken");
    bench.call(&format!("pack -i clips --table table.csv -o out --per-shard 1 --max-fail-rate 1 {SMALL}")).ended(0);
    assert_eq!(bench.json("out/sizes.json"), json!({ "00000.tar": 1, "00002.tar": 1 }));
    assert!(!bench.path("out/00001.tar").exists());
}

#[test]
fn copy_packs_the_bytes_as_they_are() {
    let bench = bench();
    let webm = webm();
    bench.write("clips/ccccccccccc (0.0-1.0).webm", &webm);
    bench.call("pack -i clips --table table.csv -o out --copy --mtime 5").ended(0);
    let samples = samples(&bench.path("out/00000.tar"));
    assert_eq!(samples[0].1[0], ("mp4".to_owned(), clip().to_vec()));
    assert_eq!(samples[2].1[0], ("webm".to_owned(), webm));
}

#[test]
fn surround_sound_becomes_mono() {
    let bench = Bench::new();
    bench.write("clips/aaaaaaaaaaa (1.1-3.3).mp4", surround());
    bench.write("table.csv", TABLE);
    bench.call(&format!("pack -i clips --table table.csv -o out --audio-codec aac {SMALL}")).ended(0);
    let streams = streams(&samples(&bench.path("out/00000.tar"))[0].1[0].1);
    assert!(streams.contains("codec_name=aac") && streams.contains("channels=1"), "{streams}");
}

#[test]
fn a_dry_run_counts_without_media_or_output() {
    let bench = bench();
    bench.write("clips/holiday.mp4", clip());
    let called = bench
        .call_with("pack -i clips --table table.csv -o out --dry-run", |command| _ = command.env("PATH", "/nowhere"))
        .ended(0);
    let step = called.step("part");
    assert_eq!((&step["in"], &step["kept"]), (&json!(4), &json!(3)));
    assert!(!bench.path("out").exists());
}

#[test]
fn limit_takes_the_first_clips() {
    let bench = bench();
    bench.call("pack -i clips --table table.csv -o out --copy --limit 1").ended(0);
    assert_eq!(bench.json("out/sizes.json"), json!({ "00000.tar": 1 }));
}

#[test]
fn what_cannot_be_packed_is_said_clearly() {
    let bench = bench();
    let check = |arguments: &str, part: &str| bench.call(arguments).ended(2).says(part);
    bench.write("empty/notes.txt", "no media here");
    bench.write("bad.csv", "id,text\n1,x\n");
    check("pack -i empty --table table.csv -o out", "no video in this folder: empty");
    check("pack -i table.csv --table table.csv -o out", "this is a file");
    check("pack -i none --table table.csv -o out", "none");
    check("pack -i clips --table none.csv -o out", "none.csv");
    check("pack -i clips --table bad.csv -o out", "its columns are id, text");
    check("pack -i clips --table table.csv -o table.csv --copy", "table.csv");
    bench
        .call_with("pack -i clips --table table.csv -o out", |command| _ = command.env("PATH", "/nowhere"))
        .ended(2)
        .says("ffmpeg was not found");
    check("pack -i clips --table table.csv -o out --ffmpeg /bin/false", "ffmpeg failed");
}

#[test]
fn t27_a_codec_that_this_ffmpeg_lacks_is_found_before_the_work() {
    let bench = bench();
    bench.write(
        "ffmpeg",
        "#!/bin/sh\ncase \"$*\" in *-version*) echo ffmpeg version 4.2.2;; *pcm_s16le*) echo codec not currently supported in container >&2; exit 1;; *) exec ffmpeg \"$@\";; esac\n",
    );
    let path = bench.path("ffmpeg");
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let called = bench.call("pack -i clips --table table.csv -o out --audio-codec pcm --ffmpeg ./ffmpeg").ended(2);
    called.says("cannot write H.264 with pcm sound");
    called.says("codec not currently supported in container");
    called.says("hint: choose another --audio-codec");
    assert!(!bench.path("out").exists());
}

#[test]
fn every_column_of_a_parquet_table_is_packed() {
    let bench = Bench::new();
    bench.write("clips/aaaaaaaaaaa (1.1-3.3).mp4", b"video");
    let script = "import datetime, sys, pyarrow as pa, pyarrow.parquet as pq\n\
        pq.write_table(pa.table({\n\
        'video_id': pa.array(['aaaaaaaaaaa']).dictionary_encode(), 'start': [1.1], 'end': [3.3], 'text': ['door slams'],\n\
        'tags': [[{'label': 'door', 'prob': 0.5}, {'label': None, 'prob': 0.25}]], 'words': [['a', None]],\n\
        'scene': [{'place': 'hall', 'sizes': [1, 2]}], 'seen': [datetime.date(2024, 2, 29)], 'note': pa.array([None], pa.string()),\n\
        'counts': pa.array([[('dog', 2)]], pa.map_(pa.string(), pa.int32())), 'sound': [b'RIFF'], 'big': [2**62],\n\
        }), sys.argv[1])";
    let table = bench.path("table.parquet");
    let done =
        std::process::Command::new(audsem_core::testing::python()).args(["-c", script]).arg(&table).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let called = bench.call("pack -i clips --table table.parquet -o out --copy").ended(0);
    let json: Value = serde_json::from_slice(&samples(&bench.path("out/00000.tar"))[0].1[1].1).unwrap();
    let expected = json!({
        "video_id": "aaaaaaaaaaa", "start": 1.1, "end": 3.3, "duration": 2.2, "text": "door slams",
        "tags": [{ "label": "door", "prob": 0.5 }, { "label": null, "prob": 0.25 }], "words": ["a", null],
        "scene": { "place": "hall", "sizes": [1, 2] }, "seen": "2024-02-29", "note": null, "counts": [{ "key": "dog", "value": 2 }],
        "big": 1_u64 << 62,
        "original_filename": "aaaaaaaaaaa (1.1-3.3).mp4", "key": "aaaaaaaaaaa (1_1-3_3)",
    });
    assert_eq!(json, expected);
    assert_eq!(called.summary()["results"]["columns_not_packed"], json!(["sound"]));
}
