//! `extract` on files, through the library and through the binary.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use audsem_core::run::{RejectDetail, RunOptions, Stats, Summary};
use audsem_core::tables::{Cue, read_parquet};
use audsem_core::testing::tree;
use audsem_core::{run::Status, tar::ShardOptions, tar::ShardWriter};
use audsem_filtering::extract::config::{Config, ExtractCompat};
use audsem_filtering::extract::run;
use serde_json::{Value, json};

fn cue(text: &str, start: &str, dur: &str) -> Value {
    json!({"-start": start, "-dur": dur, "t": text})
}

fn video(id: &str, lang: &str, cues: &[Value]) -> String {
    let tracks = json!([{"lang": lang, "subtitles": {"transcript": {"text": cues}}}]);
    json!({"video": {"videoid": id}, "captions": tracks}).to_string()
}

/// A dump of `n` videos: sounds, speech, other languages, and now and then damage.
fn dump(n: usize) -> String {
    let mut text = String::new();
    for i in 0..n {
        let id = format!("video{i:06}");
        let sounds = [
            cue(&format!("[rain {i}]"), &format!("{i}.25"), "2.5"),
            cue("well (really)", "7", "2"),
            cue("(♪)", "9", "2"),
            json!({"-start": "1", "-dur": "1"}),
        ];
        text += &match i % 7 {
            0 => video(&id, "en", &sounds),
            1 => format!("{:#}", serde_json::from_str::<Value>(&video(&id, "en", &sounds)).unwrap()),
            2 => video(&id, "de", &sounds),
            6 if i % 2 == 0 => video(&id, "en", &sounds)[..50 + i % 40].to_owned(),
            _ => video(&id, "en", &[cue("so it goes", "1", "2"), cue("and on", "3", "2")]),
        };
        text.push('\n');
    }
    text
}

fn write(path: &Path, bytes: impl AsRef<[u8]>) -> PathBuf {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = fs::File::options().create(true).write(true).truncate(true).open(path).unwrap();
    file.write_all(bytes.as_ref()).unwrap();
    path.to_owned()
}

fn rows(output: &Path) -> Vec<Cue> {
    let mut parts: Vec<PathBuf> = fs::read_dir(output).unwrap().map(|entry| entry.unwrap().path()).collect();
    parts.retain(|path| path.extension().is_some_and(|extension| extension == "parquet"));
    parts.sort();
    parts.iter().flat_map(|part| read_parquet::<Cue>(part).unwrap()).collect()
}

/// Cues without their numbers, which depend on how the input is cut.
fn texts(output: &Path) -> Vec<(String, u32, u32, String)> {
    rows(output).into_iter().map(|cue| (cue.video_id, cue.start_ms, cue.dur_ms, cue.text)).collect()
}

fn part(summary: &Summary) -> &Stats {
    summary.step("part").unwrap()
}

fn config(input: &Path) -> Config {
    Config::new(vec![input.to_owned()])
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn the_cues_are_the_same_however_the_input_is_cut_or_packed() {
    let folder = tempfile::tempdir().unwrap();
    let text = dump(300);
    let plain = write(&folder.path().join("dump.json"), &text);
    let whole = folder.path().join("whole");
    let expected = part(&run(&config(&plain), &RunOptions::new(&whole)).unwrap()).clone();
    assert_eq!(texts(&whole).len(), 86);
    assert_eq!((expected.kept, expected.counts["objects_corrupt"]), (86, 21));
    assert_eq!(expected.read, expected.kept + expected.n_dropped() + expected.n_failed());
    let gz = write(&folder.path().join("dump.gz"), gzip(text.as_bytes()));
    let zst = write(&folder.path().join("dump.zst"), zstd::encode_all(text.as_bytes(), 1).unwrap());
    for (input, shard_bytes) in [(&plain, 1_000), (&plain, 4_567), (&gz, 1 << 20), (&zst, 1 << 20)] {
        let mut trees = Vec::new();
        for workers in [1, 3] {
            let output = folder.path().join(format!("{}-{shard_bytes}-{workers}", input.display().to_string().len()));
            let options = RunOptions { workers, ..RunOptions::new(&output) };
            let summary = run(&Config { shard_bytes, ..config(input) }, &options).unwrap();
            assert_eq!(texts(&output), texts(&whole));
            assert_eq!(part(&summary).counts, expected.counts);
            assert_eq!(part(&summary).dropped, expected.dropped);
            trees.push(tree(&output).unwrap());
            fs::remove_dir_all(&output).unwrap();
        }
        assert_eq!(trees[0], trees[1], "{} in shards of {shard_bytes}", input.display());
    }
}

#[test]
fn row_ids_tell_shard_and_row() {
    let folder = tempfile::tempdir().unwrap();
    let plain = write(&folder.path().join("dump.json"), dump(60));
    let output = folder.path().join("out");
    run(&Config { shard_bytes: 3_000, ..config(&plain) }, &RunOptions::new(&output)).unwrap();
    let ids: Vec<u64> = rows(&output).iter().map(|cue| cue.row_id).collect();
    assert!(ids.windows(2).all(|two| two[1] == two[0] + 1 || two[1] & 0xffff_ffff == 0));
    assert!(ids.last().unwrap() >> 32 > 1);
}

#[test]
fn everything_is_counted_on_demand() {
    let folder = tempfile::tempdir().unwrap();
    let plain = write(&folder.path().join("dump.json"), dump(70));
    let some = run(&config(&plain), &RunOptions::new(folder.path().join("some"))).unwrap();
    let counting = Config { count_all: true, ..config(&plain) };
    let all = run(&counting, &RunOptions::new(folder.path().join("all"))).unwrap();
    assert_eq!(part(&some).kept, part(&all).kept);
    assert_eq!(part(&all).counts.get("videos_skipped_unparsed"), None);
    let unparsed = part(&some).counts["videos_skipped_unparsed"];
    assert_eq!(part(&all).dropped["not_bracketed"], part(&some).dropped["not_bracketed"] + 2 * unparsed);
    // Every cue that was not kept is on file: the lines stand for as many as are counted, reason by reason.
    let mut on_file = std::collections::BTreeMap::new();
    for line in fs::read_to_string(folder.path().join("all/rejects-00000.jsonl")).unwrap().lines() {
        let line: RejectDetail = serde_json::from_str(line).unwrap();
        *on_file.entry(line.reason).or_default() += line.records;
    }
    let counted = part(&all).dropped.iter().chain(&part(&all).failed);
    assert_eq!(on_file, counted.map(|(reason, n)| (reason.clone(), *n)).collect());
    // On demand each has a line of its own.
    let output = folder.path().join("listed");
    let options = RunOptions { all_rejects: true, ..RunOptions::new(&output) };
    let listed = run(&counting, &options).unwrap();
    let lines = fs::read_to_string(output.join("rejects-00000.jsonl")).unwrap().lines().count() as u64;
    assert_eq!(lines, part(&listed).n_dropped() + part(&listed).n_failed());
    assert_eq!(part(&listed).dropped, part(&all).dropped);
}

#[test]
fn a_limit_ends_reading() {
    let folder = tempfile::tempdir().unwrap();
    let plain = write(&folder.path().join("dump.json"), dump(300));
    let mut read = Vec::new();
    for (name, shard_bytes, workers) in [("a", 1 << 20, 1), ("b", 500, 1), ("c", 500, 3)] {
        let options = RunOptions { limit: Some(50), workers, ..RunOptions::new(folder.path().join(name)) };
        let summary = run(&Config { shard_bytes, ..config(&plain) }, &options).unwrap();
        read.push((part(&summary).read, part(&summary).kept));
    }
    assert!(read[0].0 >= 50 && read[0].0 < 60, "{read:?}");
    assert!(read.iter().all(|&counts| counts == read[0]), "{read:?}");
}

const VTT: &str = "WEBVTT\n\n00:01.000 --> 00:03.000\n[door slams]\n\n00:04.000 --> 00:05.500\nhello\n";
const SRT: &str = "1\n00:00:02,000 --> 00:00:04,000\n(wind)\n";

#[test]
fn subtitle_files_are_read_from_folders_and_tars() {
    let folder = tempfile::tempdir().unwrap();
    let subs = folder.path().join("subs");
    write(&subs.join("aaaaaaaaaaa.en.vtt"), VTT);
    write(&subs.join("aaaaaaaaaaa.en.srt"), SRT); // the same track once more, less exact
    write(&subs.join("more/A title [bbbbbbbbbbb].en.srt.gz"), gzip(SRT.as_bytes()));
    write(&subs.join("ccccccccccc.de.vtt"), VTT);
    write(&subs.join("more/B [eeeeeeeeeee].en-GB.srt"), SRT);
    write(&subs.join("ddddddddddd.info.json"), "{}");
    // The records of the run that made the folder are not dumps.
    write(&subs.join("run.json"), "{}");
    write(&subs.join("stats.json"), "{}");
    let output = folder.path().join("out");
    let summary = run(&config(&subs), &RunOptions::new(&output)).unwrap();
    let expected = [
        ("aaaaaaaaaaa".to_owned(), 1_000, 2_000, "[door slams]".to_owned()),
        ("bbbbbbbbbbb".to_owned(), 2_000, 2_000, "(wind)".to_owned()),
        ("eeeeeeeeeee".to_owned(), 2_000, 2_000, "(wind)".to_owned()),
    ];
    assert_eq!(texts(&output), expected);
    assert_eq!(part(&summary).counts["tracks_other_language"], 1);
    assert_eq!(summary.results.values().next(), Some(&json!(1)));

    let mut tar = ShardWriter::new(Vec::new(), ShardOptions::default());
    tar.write_sample("aaaaaaaaaaa", &[("en.vtt", VTT.as_bytes()), ("jpg", b"picture")]).unwrap();
    tar.write_sample("bbbbbbbbbbb", &[("en.srt", SRT.as_bytes())]).unwrap();
    tar.write_sample("eeeeeeeeeee", &[("en-gb.srt", SRT.as_bytes())]).unwrap();
    let (bytes, _) = tar.finish().unwrap();
    let whole = write(&folder.path().join("whole.tar"), &bytes);
    let output = folder.path().join("tar");
    run(&config(&whole), &RunOptions::new(&output)).unwrap();
    assert_eq!(texts(&output), expected);

    // A broken tar fails its shard: it is not known how much was lost after the damage.
    let packed = gzip(&bytes);
    let cut = write(&folder.path().join("cut.tar.gz"), &packed[..packed.len() - 20]);
    let output = folder.path().join("cut");
    let summary = run(&config(&cut), &RunOptions::new(&output)).unwrap();
    assert_eq!((summary.status, summary.exit_code()), (Status::OverFailLimit, 1));
    assert!(summary.failed_shards[0].error.contains("cut.tar.gz"), "{:?}", summary.failed_shards);
    assert!(rows(&output).is_empty());
}

#[test]
fn a_file_of_no_use_does_not_hide_the_same_track_in_another_format() {
    let folder = tempfile::tempdir().unwrap();
    let subs = folder.path().join("subs");
    let cut = "<timedtext format=\"3\"><body><p t=\"9000\" d=\"2000\">[cut]</p>";
    write(&subs.join("aaaaaaaaaaa.en.json3"), "{\"events\": []}");
    write(&subs.join("aaaaaaaaaaa.en.vtt"), VTT);
    write(&subs.join("bbbbbbbbbbb.en.json3"), "");
    write(&subs.join("bbbbbbbbbbb.en.srt"), SRT);
    write(&subs.join("ccccccccccc.en.srv3"), cut);
    write(&subs.join("ccccccccccc.en.srt.gz"), gzip(SRT.as_bytes()));
    write(&subs.join("ddddddddddd.en.srv3"), cut);
    write(&subs.join("ddddddddddd.en.vtt"), "WEBVTT\n");
    write(&subs.join("eeeeeeeeeee.en.srt.gz"), &gzip(SRT.as_bytes())[..30]);
    write(&subs.join("eeeeeeeeeee.en.ass"), "[Script Info]\nDialogue: 0,0:00:02.00,0:00:04.00,,,0,0,0,,(rain)\n");
    write(&subs.join("fffffffffff.en.smi"), "<SAMI><BODY>");
    let output = folder.path().join("out");
    let options = RunOptions { max_fail_rate: 1.0, ..RunOptions::new(&output) };
    let summary = run(&config(&subs), &options).unwrap();
    let expected = [
        ("aaaaaaaaaaa".to_owned(), 1_000, 2_000, "[door slams]".to_owned()),
        ("bbbbbbbbbbb".to_owned(), 2_000, 2_000, "(wind)".to_owned()),
        ("ccccccccccc".to_owned(), 2_000, 2_000, "(wind)".to_owned()),
        ("ddddddddddd".to_owned(), 9_000, 2_000, "[cut]".to_owned()),
        ("eeeeeeeeeee".to_owned(), 2_000, 2_000, "(rain)".to_owned()),
    ];
    assert_eq!(texts(&output), expected);
    assert_eq!(part(&summary).counts["tracks_in_other_format"], 4);
    assert_eq!(part(&summary).failed["malformed_file"], 1, "the file that is cut, of which there is no better one");
    assert_eq!(
        part(&summary).failed["malformed_file"] + part(&summary).failed["unread_format"],
        part(&summary).n_failed()
    );
    // What lies behind the best format is an input, too: a change of it is noticed.
    write(&subs.join("bbbbbbbbbbb.en.srt"), SRT.replace("wind", "hail"));
    assert!(run(&config(&subs), &options).is_err());
}

#[test]
fn of_two_tracks_that_say_the_same_one_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let subs = folder.path().join("subs");
    let other = VTT.replace("door slams", "Door slams!").replace("00:01.000", "00:01.040")
        + "\n00:09.000 --> 00:11.000\n[colour]\n";
    write(&subs.join("aaaaaaaaaaa.en.vtt"), VTT);
    write(&subs.join("aaaaaaaaaaa.en-GB.vtt"), &other);
    write(&subs.join("bbbbbbbbbbb.en.vtt"), VTT);
    let output = folder.path().join("out");
    let summary = run(&config(&subs), &RunOptions::new(&output)).unwrap();
    let expected = [
        ("aaaaaaaaaaa".to_owned(), 1_040, 1_960, "[Door slams!]".to_owned()),
        ("aaaaaaaaaaa".to_owned(), 9_000, 2_000, "[colour]".to_owned()),
        ("bbbbbbbbbbb".to_owned(), 1_000, 2_000, "[door slams]".to_owned()),
    ];
    assert_eq!(texts(&output), expected);
    assert_eq!((part(&summary).dropped["twin_track"], part(&summary).kept), (1, 3));

    // The same in a tar, in two formats, and in a dump.
    let mut tar = ShardWriter::new(Vec::new(), ShardOptions::default());
    tar.write_sample("aaaaaaaaaaa", &[("en.vtt", VTT.as_bytes()), ("en.webvtt", VTT.as_bytes())]).unwrap();
    let whole = write(&folder.path().join("whole.tar"), tar.finish().unwrap().0);
    let summary = run(&config(&whole), &RunOptions::new(folder.path().join("tar"))).unwrap();
    assert_eq!((part(&summary).dropped["twin_track"], part(&summary).kept), (1, 1));
    let tracks = ["en", "en-GB", "de"].map(|lang| {
        json!({"lang": lang, "subtitles": {"transcript": {"text": [cue("<i>[rain]</i>", "1", "2"), cue(lang, "5", "2")]}}})
    });
    let dump = json!({"video": {"videoid": "a"}, "captions": tracks}).to_string();
    let dump = write(&folder.path().join("dump.json"), dump);
    let both = Config { languages: "en,en-GB".parse().unwrap(), ..config(&dump) };
    let output = folder.path().join("of-dump");
    let summary = run(&both, &RunOptions::new(&output)).unwrap();
    assert_eq!((part(&summary).dropped["twin_track"], part(&summary).dropped["not_bracketed"]), (1, 2));
    assert_eq!(texts(&output), [("a".to_owned(), 1_000, 2_000, "[rain]".to_owned())]);
}

#[test]
fn a_stream_cut_short_keeps_what_came_before() {
    let folder = tempfile::tempdir().unwrap();
    let text = dump(300);
    let zst = zstd::encode_all(text.as_bytes(), 1).unwrap();
    for (name, bytes) in [("dump.gz", gzip(text.as_bytes())), ("dump.zst", zst)] {
        let input = write(&folder.path().join(name), &bytes[..bytes.len() * 3 / 4]);
        let output = folder.path().join(format!("{name}-out"));
        let summary = run(&config(&input), &RunOptions::new(&output)).unwrap();
        assert_eq!(part(&summary).failed["broken_input"], 1, "{name}");
        assert_eq!(summary.exit_code(), 1, "it is not known how much was lost");
        // zstd gives out whole blocks only, and this text is one block.
        assert!(name == "dump.zst" || texts(&output).len() > 40, "{name}");
        assert!(name == "dump.zst" || summary.status == Status::BrokenInput, "{name}");
    }
}

#[test]
fn the_reference_files_come_out_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let text = [
        video(
            "vid1",
            "en",
            &[
                cue("[door slams shut]", "0.5", "2.25"),
                cue("He said (coughs) ok", "3", "2"),
                cue("[man says \"hey\" loudly]", "28", "1.5"),
                cue("[dog barks, cat hisses]", "10", "10"),
            ],
        ),
        "{\"cut\":".to_owned(),
        video("vid2", "en", &[cue("[swallowed]", "1", "2")]),
    ]
    .join("\n");
    let input = write(&folder.path().join("dump.json"), text);
    let output = folder.path().join("out");
    let compat = Config { compat: ExtractCompat::Reference, shard_bytes: 10, ..config(&input) };
    let summary = run(&compat, &RunOptions::new(&output)).unwrap();
    let read = |name: &str| fs::read_to_string(output.join(name)).unwrap();
    assert_eq!(
        read("captions-00000.csv"),
        "video_id,start,duration,text\nvid1,0.5,2.25,[door slams shut]\nvid1,3,2,He said (coughs) ok\n\
         vid1,28,1.5,[man says \"\"hey\"\" loudly]\nvid1,10,10,\"[dog barks, cat hisses]\"\n"
    );
    assert_eq!(
        read("part-00000.csv"),
        "video_id,start,duration,text\nvid1,0.5,2.25,[door slams shut]\n\
         vid1,28.0,1.5,\"[man says \"\"\"\"hey\"\"\"\" loudly]\"\nvid1,10.0,10.0,\"[dog barks, cat hisses]\"\n"
    );
    assert_eq!(
        read("metadata-00000.csv"),
        "count_files,count_lines_with_subtitles,count_lines_with_sdh_subtitles\n1,4,4\n"
    );
    assert_eq!((part(&summary).kept, part(&summary).failed["corrupt_object"]), (3, 1));
}

#[test]
fn inputs_that_cannot_be_read_are_refused_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let empty_folder = folder.path().join("nothing");
    fs::create_dir(&empty_folder).unwrap();
    for input in [empty_folder, folder.path().join("absent.json")] {
        let error = run(&config(&input), &RunOptions::new(folder.path().join("out"))).unwrap_err();
        assert!(error.to_string().contains(input.to_str().unwrap()), "{error}");
    }
    let empty = write(&folder.path().join("empty.json"), "");
    let output = folder.path().join("empty");
    let summary = run(&config(&empty), &RunOptions::new(&output)).unwrap();
    assert_eq!((part(&summary).read, rows(&output).len(), summary.status), (0, 0, Status::Empty));
    let strange = Config {
        duration: audsem_filtering::extract::rules::DurationLimits { min_s: 3.0, max_s: 2.0 },
        ..config(&empty)
    };
    assert!(run(&strange, &RunOptions::new(&output)).unwrap_err().to_string().contains("--min-duration"));
}

#[test]
fn a_run_refused_while_it_plans_does_not_block_the_right_one() {
    let folder = tempfile::tempdir().unwrap();
    let input = write(&folder.path().join("a.en.vtt"), "WEBVTT\n\n00:01.000 --> 00:03.000\n[dog barks]\n");
    let options = RunOptions::new(folder.path().join("out"));
    let wrong = Config { compat: ExtractCompat::Reference, ..config(&input) };
    assert!(run(&wrong, &options).unwrap_err().to_string().contains("JSON dumps only"));
    assert_eq!(part(&run(&config(&input), &options).unwrap()).kept, 1);
}

#[test]
fn a_dry_run_counts_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let plain = write(&folder.path().join("dump.json"), dump(70));
    let output = folder.path().join("out");
    let options = RunOptions { dry_run: true, ..RunOptions::new(&output) };
    let summary = run(&config(&plain), &options).unwrap();
    assert_eq!(part(&summary).kept, 20);
    assert!(!output.exists() || fs::read_dir(&output).unwrap().next().is_none());
}

fn binary() -> Command {
    Command::new(env!("CARGO_BIN_EXE_audsem-filtering"))
}

#[test]
fn the_binary_writes_a_run_folder_and_a_summary() {
    let folder = tempfile::tempdir().unwrap();
    let plain = write(&folder.path().join("dump.json"), dump(70));
    let output = folder.path().join("out");
    let run =
        || binary().args(["extract", "--json", "--input"]).arg(&plain).arg("--output").arg(&output).output().unwrap();
    let first = run();
    assert_eq!(first.status.code(), Some(0), "{}", String::from_utf8_lossy(&first.stderr));
    let summary: Value = serde_json::from_slice(&first.stdout).unwrap();
    assert_eq!(summary["status"], "done");
    let names: Vec<PathBuf> = tree(&output).unwrap().into_keys().collect();
    let expected = ["part-00000.done.json", "part-00000.parquet", "rejects-00000.jsonl", "run.json", "stats.json"];
    assert_eq!(names, expected.map(PathBuf::from));
    let before = tree(&output).unwrap();
    assert_eq!(run().status.code(), Some(0));
    assert_eq!(tree(&output).unwrap(), before);
    let other =
        binary().args(["extract", "--languages", "en*", "-i"]).arg(&plain).arg("-o").arg(&output).output().unwrap();
    assert_eq!(other.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&other.stderr).contains("languages"));
}
