//! A run that keeps nothing ends with exit code 1 and says first why; lost records count step by step.

use std::fmt::Write as _;

use audsem_core::tar::{ShardOptions, ShardWriter};
use audsem_core::testing::Bench;
use serde_json::json;

fn bench() -> Bench {
    Bench::new(env!("CARGO_BIN_EXE_audsem-filtering"))
}

#[track_caller]
fn check(bench: &Bench, arguments: &str, expected: &str) {
    let called = bench.call(arguments).ended(1);
    let errors: Vec<&str> = called.stderr.lines().skip_while(|line| !line.starts_with("error: ")).collect();
    assert!(errors.join("\n").starts_with(&format!("error: {expected}")), "{expected}\n{}", called.stderr);
    assert_eq!(called.summary()["status"], "empty");
}

const CUES: &str = "video_id,start,duration,text\nv,1,2,[he laughs]\nv,3,2,[she sings]\nw,1,2,[cow moos]\n";

#[test]
fn no_cue_is_short_enough() {
    let bench = bench();
    let cue = |start: &str| json!({"-start": start, "-dur": "30", "t": "[rain]"});
    let tracks = json!([{"lang": "en", "subtitles": {"transcript": {"text": [cue("1"), cue("40")]}}}]);
    bench.write("dump.json", json!({"video": {"videoid": "v"}, "captions": tracks}).to_string());
    for dry_run in ["--dry-run", ""] {
        check(
            &bench,
            &format!("extract -i dump.json -o out {dry_run}"),
            "none of 2 cues was kept; 2 are left out as `too_long`: the cue is longer than the maximum duration\n  \
             hint: --max-duration changes that",
        );
    }
}

#[test]
fn no_caption_passes_the_rules() {
    let bench = bench();
    bench.write("cues.csv", CUES);
    let arguments = "combine -i cues.csv --policy none --min-words 2 -o out";
    check(
        &bench,
        &format!("{arguments} --max-chars 3 --min-chars 1"),
        "none of 3 cues was kept; 3 are left out as `too_long`: the caption has more characters than the maximum\n  \
         hint: --max-chars changes that",
    );
    bench.write("empty.csv", "video_id,start,duration,text\n");
    check(&bench, "combine -i empty.csv --policy none -o nothing", "nothing was read: the input holds no cues");
}

#[test]
fn no_clip_has_a_row() {
    let bench = bench();
    bench.write("media/v (9.0-11.0).flac", "not looked at");
    bench.write("cues.csv", CUES);
    bench.call("combine -i cues.csv --policy none -o table").ended(0);
    check(
        &bench,
        "clips -i media --table table -o out --no-ffmpeg",
        "the only clip was not kept: it is left out as `no_clip_row`: no row of the clip table has this video and start\n  \
         hint: --table changes that",
    );
}

#[test]
fn no_video_is_listed() {
    let bench = bench();
    bench.write("ids.txt", "# none yet\n");
    check(&bench, "fetch-captions -i ids.txt -o out --dry-run", "nothing was read: the input holds no videos");
}

#[test]
fn lost_lines_are_not_fewer_because_the_kept_ones_are_read_again() {
    let bench = bench();
    let mut cues = "video_id,start,duration,text\n".to_owned();
    for i in 0..100 {
        let start = if i % 100 < 15 { "never".to_owned() } else { i.to_string() };
        writeln!(cues, "v,{start},2,[door slams {i}]").unwrap();
    }
    bench.write("cues.csv", cues);
    // 15 of 100 are lost; of all that both steps read, it is 15 of 185.
    let called = bench.call("combine -i cues.csv --policy none -o out").ended(1);
    assert_eq!(called.summary()["status"], "over_fail_limit");
    called.says("error: 15 of 100 records failed, more than --max-fail-rate 0.1");
    bench.call("combine -i cues.csv --policy none -o out --max-fail-rate 0.15").ended(0);
}

#[test]
fn media_where_captions_should_be_are_sent_to_the_command_that_takes_them() {
    let bench = bench();
    bench.write("media/night.mp4", "not looked at");
    for (input, expected) in [
        ("media", "hint: it holds media, such as night.mp4;"),
        ("media/night.mp4", "this is a video or a sound, and no captions: media/night.mp4"),
    ] {
        let called = bench.call(&format!("extract -i {input} -o out")).ended(2);
        called.says(expected);
        called.says("media go to `audsem-filtering download --source`");
    }
    // Whole videos to `clips`, whose names are no clips.
    let table = "combine -i cues.csv -o table --policy none";
    bench.write("cues.csv", CUES);
    bench.call(table).ended(0);
    let called = bench.call("clips -i media --table table -o clips").ended(1);
    called.says("1 of them as `bad_name`: the file name does not tell video, start and end");
    called.says("whole videos are cut with `audsem-filtering download --source` first");
}

#[test]
fn languages_that_are_not_there_are_told_with_those_that_are() {
    let bench = bench();
    let cue = "WEBVTT\n\n00:01.000 --> 00:03.000\n[rain]\n";
    for name in ["in/a.en.vtt", "in/b.en.vtt", "in/c.fr.vtt", "in/d.vtt"] {
        bench.write(name, cue);
    }
    for languages in ["german", "de", "english"] {
        let called = bench.call(&format!("extract -i in -o {languages} --languages {languages}")).ended(0);
        called.says(&format!(
            "no subtitle file is in {languages} (--languages); there are en (2), fr (1); files that name no language are read",
        ));
    }
    let quiet = bench.call("extract -i in -o french --languages fr").ended(0);
    assert!(!quiet.stderr.contains("(--languages)"), "{}", quiet.stderr);

    // Those of a dump and of a tar show while they are read.
    let track = |lang| json!({"lang": lang, "subtitles": {"transcript": {"text": [{"-start": "1", "-dur": "2", "t": "[rain]"}]}}});
    let videos: Vec<String> = [["fr", "en-GB"], ["fr", "es"]]
        .iter()
        .map(|langs| json!({"video": {"videoid": langs[1]}, "captions": langs.map(track)}).to_string())
        .collect();
    bench.write("dump.json", videos.join("\n"));
    let mut tar = ShardWriter::new(Vec::new(), ShardOptions::default());
    tar.write_sample("a", &[("fr.vtt", cue.as_bytes())]).unwrap();
    bench.write("captions.tar", tar.finish().unwrap().0);
    let none = "no caption is in a language that is asked for (--languages); there are tracks in";
    for (input, found) in [
        ("dump.json", "fr (2), en-GB (1), es (1)"),
        ("dump.json --compat reference", "fr (2), en-GB (1), es (1)"),
        ("captions.tar", "fr (1)"),
    ] {
        let output = found.len() + input.len();
        let called = bench.call(&format!("extract -i {input} -o {output} --languages english")).ended(1);
        called.says(&format!("{none} {found}\n"));
    }
    // Variants of English are read unless `en` alone is asked for.
    bench.write("british/a.en-GB.vtt", cue);
    let quiet = bench.call("extract -i british -o british-out").ended(0);
    assert!(!quiet.stderr.contains("(--languages)"), "{}", quiet.stderr);
    let quiet = bench.call("extract -i dump.json -o spanish --languages es").ended(0);
    assert!(!quiet.stderr.contains("(--languages)"), "{}", quiet.stderr);
}

#[test]
fn a_run_that_went_well_says_what_reads_its_output() {
    let bench = bench();
    bench.write("cues.csv", format!("video_id,start,duration,text\n{}", "v,1,2,[cow moos]\n".repeat(1200)));
    let run = |flags: &str| {
        let arguments = format!("combine -i cues.csv -o table --policy none {flags}");
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_audsem-filtering"))
            .args(arguments.split_whitespace())
            .current_dir(bench.path(""))
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    };
    assert!(!run("--dry-run").contains("next: "), "nothing was written");
    let told = run("");
    assert!(told.contains("next: audsem-filtering download --input table "), "{told}");
    assert!(told.contains("\n  1,200 cues in, 1,200 kept; ") && !told.contains("texts: "), "{told}");
    assert!(run("-v").contains("\n  texts: 1,200 in, 1,200 kept; "), "what keeps the books is told on demand");
    // What programs read is the same on standard output and in the folder.
    let summary = bench.call("combine -i cues.csv -o table --policy none").ended(0).summary();
    let stats = bench.json("table/stats.json");
    assert_eq!((&summary["steps"], &summary["failed_shards"]), (&stats["steps"], &stats["failed_shards"]));
    assert_eq!(stats["steps"]["part"]["kept"], 1200);
}
