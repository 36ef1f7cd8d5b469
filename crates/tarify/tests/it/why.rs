//! `why`: the way of a clip through run folders.

use std::path::Path;

use audsem_core::clip_id::ClipId;
use audsem_core::reason::Reason as _;
use audsem_core::run::{LeftOut, Run, RunConfig, RunOptions, RunSpec, Shard, ShardOutput, Step, spread};
use audsem_core::tables::{ClipRow, Cue, Row, text_hash, write_parquet};
use serde_json::{Value, json};

use crate::workbench::{Bench, made, tar_of};

audsem_core::reasons! {
    enum Why {
        TooShort = "too_short": "the cue is shorter than the minimum duration" => "--min-duration" ["/duration/min_s"],
        TooFewWords = "too_few_words": "the caption has fewer words than the minimum" => "--min-words" ["/settings/min_words"],
        Speech = "not_bracketed": "the text does not begin with an opening and end with a closing bracket",
        Gone = "gone": "the video does not exist any more",
    }
}

/// Declares the configuration of a command of another binary, whose run folders are made here as it makes them.
macro_rules! command {
    ($name:ident, $command:literal, $config:tt) => {
        struct $name;
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serde_json::to_value(json!($config)).unwrap().serialize(serializer)
            }
        }
        impl RunConfig for $name {
            const TOOL: &'static str = "audsem-filtering";
            const COMMAND: &'static str = $command;
        }
    };
}

command!(Extract, "extract", { "duration": { "min_s": 1.0, "max_s": 10.0 } });
command!(Combine, "combine", { "settings": { "min_words": 2 } });
command!(Download, "download", {});

fn folder<C: RunConfig>(folder: &Path, config: &C, shard: &str, work: impl Fn(&mut ShardOutput) + Sync) {
    let mut run = Run::open(&RunOptions::new(folder), RunSpec::new(config)).unwrap();
    let step = Step { name: "part", unit: "cues", physical: "MB" };
    run.must_keep(step).explain(Why::ALL);
    let plan = [Shard { name: shard.to_owned(), fingerprint: "input".into(), work: () }];
    run.execute(step, &plan, |(), out| {
        work(out);
        Ok(())
    })
    .unwrap();
    run.finish().unwrap();
}

fn table<R: Row>(rows: &[R], out: &mut ShardOutput) {
    let mut file = out.create(out.file_of("part", "parquet")).unwrap();
    write_parquet(rows, &mut file).unwrap();
    out.close(file).unwrap();
    out.file_kept(rows.len() as u64);
}

/// Three clips of a video: one reaches the shards, one word is too little, and one caption is too short. Another video is gone.
fn pipeline() -> Bench {
    let bench = Bench::new();
    let cue = |row_id, start_ms, dur_ms, text: &str| Cue {
        row_id,
        video_id: "dQw4w9WgXcQ".to_owned(),
        start_ms,
        dur_ms,
        text: text.to_owned(),
    };
    folder(&bench.path("runs/cues"), &Extract, "00000", |out| {
        table(
            &[cue(0, 1000, 1500, "[rain falls]"), cue(1, 5000, 2000, "[laughs]"), cue(2, 60_000, 2000, "[wind blows]")],
            out,
        );
        out.file_left_out("dQw4w9WgXcQ@9", LeftOut::drop(Why::TooShort, "0.5 s: [beep]"));
        out.file_many("dQw4w9WgXcQ", LeftOut::drop(Why::Speech, ""), 57);
    });
    let clip = |row_id, start_ms, end_ms, text: &str, clean_text: &str| ClipRow {
        row_id,
        key: ClipId::new("dQw4w9WgXcQ", start_ms, end_ms).ok().map(|clip| clip.tar_key()),
        video_id: "dQw4w9WgXcQ".to_owned(),
        start_ms,
        end_ms,
        text: text.to_owned(),
        clean_text: clean_text.to_owned(),
        text_hash: text_hash(text),
        bert_prob: Some(0.91),
        llm_yes_prob: None,
    };
    folder(&bench.path("runs/table"), &Combine, "00000", |out| {
        table(
            &[clip(0, 1000, 2500, "[rain falls]", "rain falls"), clip(2, 60_000, 62_000, "[wind blows]", "wind blows")],
            out,
        );
        out.file_left_out("dQw4w9WgXcQ (5.0-7.0)", LeftOut::drop(Why::TooFewWords, "rule 11: laughs"));
    });
    folder(&bench.path("runs/media"), &Download, &spread("dQw4w9WgXcQ"), |out| {
        out.write_file(out.file_in("clips", "dQw4w9WgXcQ (1.0-2.5).flac"), b"fLaC").unwrap();
        out.write_file(out.file_in("clips", "dQw4w9WgXcQ (60.0-62.0).flac"), b"fLaC").unwrap();
        out.file_kept(2);
        out.file_left_out("goneVideo_1", LeftOut::drop(Why::Gone, "Video unavailable"));
    });
    let sound = made("-f lavfi -i sine=f=440:d=1.5 -ar 48000", "flac");
    let json = br#"{"caption": "rain falls"}"#;
    bench.write(
        "clips/0.tar",
        tar_of(&[
            ("dQw4w9WgXcQ (1_0-2_5).flac", &sound),
            ("dQw4w9WgXcQ (1_0-2_5).json", json),
            ("dQw4w9WgXcQ (60_0-62_0).flac", &sound),
            ("dQw4w9WgXcQ (60_0-62_0).json", json),
        ]),
    );
    bench.write("unwanted.txt", "dQw4w9WgXcQ (60.0-62.0)\n");
    bench
        .call("shards --table runs/table --input clips --exclude unwanted.txt --num-valid 0 --output runs/shards")
        .ended(0);
    bench
}

/// Folder, outcome and reason of each finding.
fn way(bench: &Bench, key: &str) -> Vec<(String, String)> {
    let mut command = bench.command("why --json");
    let output = command.arg(key).arg("runs").output().unwrap();
    assert!(output.status.success(), "{key}: {}", String::from_utf8_lossy(&output.stderr));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut way = Vec::new();
    for step in answer["steps"].as_array().unwrap() {
        let folder = step["folder"].as_str().unwrap().replace("runs/", "");
        for found in step["found"].as_array().unwrap() {
            let told = found["line"]["reason"].as_str().or(found["outcome"].as_str()).unwrap();
            way.push((folder.clone(), told.to_owned()));
        }
    }
    way
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(folder, told)| ((*folder).to_owned(), (*told).to_owned())).collect()
}

fn said(bench: &Bench, key: &str) -> String {
    let output = bench.command("why").arg(key).arg("runs").output().unwrap();
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
}

#[test]
fn every_spelling_of_a_clip_gives_its_way_in_the_order_of_the_pipeline() {
    let bench = pipeline();
    let passed = pairs(&[("cues", "kept"), ("table", "kept"), ("media", "kept"), ("shards", "kept")]);
    for key in [
        "dQw4w9WgXcQ (1.0-2.5)",
        "dQw4w9WgXcQ (1_0-2_5)",
        "train/dQw4w9WgXcQ (1_0-2_5).flac",
        "clips/4f/dQw4w9WgXcQ (1.0-2.5).mp4",
        "dQw4w9WgXcQ@1",
    ] {
        let mut found = way(&bench, key);
        found.dedup();
        assert_eq!(found, passed, "{key}");
    }
    let text = said(&bench, "dQw4w9WgXcQ (1.0-2.5)");
    assert!(text.starts_with("dQw4w9WgXcQ (1_0-2_5): 1.5 s of video dQw4w9WgXcQ, from 1 s to 2.5 s\n"), "{text}");
    assert!(text.contains("audsem-filtering combine: runs/table\n  passed, in part-00000.parquet: "), "{text}");
    assert!(text.contains("bert_prob 0.91"), "{text}");
    assert!(text.ends_with("last found in the output of `audsem-tarify shards`: runs/shards\n"), "{text}");
}

#[test]
fn what_left_a_clip_out_is_told_with_value_limit_and_flag() {
    let bench = pipeline();
    assert_eq!(way(&bench, "dQw4w9WgXcQ (5.0-7.0)"), pairs(&[("cues", "kept"), ("table", "too_few_words")]));
    let text = said(&bench, "dQw4w9WgXcQ (5.0-7.0)");
    for part in [
        "left out (dropped), too_few_words: the caption has fewer words than the minimum\n",
        "    value: rule 11: laughs\n    limit: 2 (--min-words)\n",
        "audsem-filtering download: runs/media: nothing about it\n",
        "\nleft out by `audsem-filtering combine` as `too_few_words`; --min-words changes that\n",
    ] {
        assert!(text.contains(part), "{part:?}: {text}");
    }
    // The times of `extract` are those of the cue alone.
    assert_eq!(way(&bench, "dQw4w9WgXcQ (9.0-9.5)"), pairs(&[("cues", "too_short")]));
    assert!(said(&bench, "dQw4w9WgXcQ@9.0").contains("    value: 0.5 s: [beep]\n    limit: 1 (--min-duration)\n"));
    // A real command: the list of clips to leave out.
    let excluded = way(&bench, "dQw4w9WgXcQ (60_0-62_0)");
    assert!(excluded.contains(&("shards".to_owned(), "excluded".to_owned())), "{excluded:?}");
    assert!(said(&bench, "dQw4w9WgXcQ (60_0-62_0)").contains("    flag:  --exclude\n"));
}

#[test]
fn a_video_has_the_way_of_all_its_clips() {
    let bench = pipeline();
    for key in ["dQw4w9WgXcQ", "in/Title [dQw4w9WgXcQ].mkv", "dQw4w9WgXcQ.en.vtt"] {
        let reasons: Vec<String> = way(&bench, key).into_iter().map(|(_, told)| told).collect();
        for reason in ["kept", "too_short", "not_bracketed", "too_few_words", "excluded"] {
            assert!(reasons.iter().any(|told| told == reason), "{key}: {reason} is not in {reasons:?}");
        }
    }
    assert!(
        said(&bench, "dQw4w9WgXcQ").contains("left out (dropped), not_bracketed (57 records): the text does not begin")
    );
    assert_eq!(way(&bench, "goneVideo_1"), pairs(&[("media", "gone")]));
    assert_eq!(way(&bench, "goneVideo_1 (1.0-2.0)"), pairs(&[("media", "gone")]));
}

#[test]
fn what_is_nowhere_is_told_with_what_may_have_been_meant() {
    let bench = pipeline();
    for (key, meant) in [
        ("dqw4w9wgxcq (1.0-2.5)", "did you mean `dQw4w9WgXcQ (1_0-2_5)`"),
        ("dQw4w9WgXcQ (1.0-2.6)", "did you mean `dQw4w9WgXcQ (1_0-2_5)`"),
        ("dQw4w9WgXc", "did you mean `dQw4w9WgXcQ`"),
        ("another", "give the key of a clip, the id of a video"),
    ] {
        let output = bench.command("why").arg(key).arg("runs").output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{text}");
        assert!(text.contains("found in none of 4 run folders") && text.contains(meant), "{key}: {text}");
    }
    bench.write("empty/notes.txt", "nothing");
    bench.call("why V empty").ended(2).says("there is no run folder at this path, nor below it");
}

#[test]
fn folders_of_a_run_that_has_not_ended_are_read_too() {
    let bench = pipeline();
    std::fs::remove_file(bench.path("runs/table/stats.json")).unwrap();
    let text = said(&bench, "dQw4w9WgXcQ (5.0-7.0)");
    assert!(text.contains("audsem-filtering combine: runs/table (its run has not ended)\n"), "{text}");
    assert!(text.contains("left out (dropped), too_few_words\n    value: rule 11: laughs\n"), "{text}");
    assert_eq!(Why::TooFewWords.limit(), Some("/settings/min_words"));
}
