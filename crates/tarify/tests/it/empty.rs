//! A run that keeps nothing ends with exit code 1 and says first why.

use crate::workbench::{Bench, tar_of};

/// What the program says first.
#[track_caller]
fn check(bench: &Bench, arguments: &str, expected: &str) {
    for dry_run in ["--dry-run", ""] {
        let called = bench.call(&format!("{arguments} {dry_run}")).ended(1);
        let errors: Vec<&str> = called.stderr.lines().skip_while(|line| !line.starts_with("error: ")).collect();
        assert!(errors.join("\n").starts_with(&format!("error: {expected}")), "{expected}\n{}", called.stderr);
        assert_eq!(called.summary()["status"], "empty");
    }
}

#[test]
fn clips_without_a_row_of_the_table() {
    let bench = Bench::new();
    bench.write("clips/V (1.0-2.0).mp4", "not looked at");
    bench.write("clips/W (1.0-2.0).mp4", "not looked at");
    bench.write("table.csv", "video_id,start,duration,text,clean_text\nV,5.0,1.0,[a],a\n");
    check(
        &bench,
        "pack -i clips --table table.csv -o out --copy",
        "none of 2 clips was kept; 2 are left out as `no_metadata`: the clip table has no row for this clip\n  \
         hint: --table changes that",
    );
}

#[test]
fn members_without_clips() {
    let bench = Bench::new();
    bench.write("in/0.tar", tar_of(&[("a.flac", b"1"), ("a.json", b"{}")]));
    check(&bench, "rename -i in -o out --unmatched drop", "none of 2 members was kept; 2 are left out as `not_a_clip`");
}

#[test]
fn samples_without_sound() {
    let bench = Bench::new();
    bench.write("in/0.tar", tar_of(&[("a.json", b"{}"), ("b.json", b"{}"), ("README", b"")]));
    check(&bench, "index -i in -o out", "none of 3 samples was kept; 2 are left out as `no_media`");
}

/// A reader of WebDataset cuts `A (1.0-2.0).flac` at its first dot, so that no sample has a sound.
#[test]
fn names_with_dots_end_with_the_command_that_mends_them() {
    let bench = Bench::new();
    bench.write("in/0.tar", tar_of(&[("A (1.0-2.0).flac", b"not looked at"), ("A (1.0-2.0).json", b"{}")]));
    bench.write("clips.csv", "video_id,start,end,text\nA,1,2,a door creaks slowly\n");
    let shards = "shards --table clips.csv --num-valid 0";
    for (command, said) in [
        (
            "index",
            "the only sample was not kept: it is left out as `no_media`: the sample has no sound or video; where names have dots before the extension, `audsem-tarify rename` mends them",
        ),
        (
            "check",
            "cut_name: the name has a dot before its extension, which cuts the key; `audsem-tarify rename` writes names without",
        ),
        (
            "transcode",
            "1 of them as `bad_sample`: the sample of the input tar has a repeated, oversized or wrongly named member; `audsem-tarify rename` mends names",
        ),
        (
            shards,
            "1 of them as `cut_name`: the name of the sound or video has a dot before its extension, which cuts the key; `audsem-tarify rename` writes names without",
        ),
    ] {
        let output = command.split(' ').next().unwrap();
        bench.call(&format!("{command} -i in -o {output}")).ended(1).says(said);
    }
    assert_eq!(bench.rejects("shards/rejects-scan-00000.jsonl"), [("0.tar:A (1".to_owned(), "cut_name".to_owned())]);
    bench.call("rename -i in -o mended").ended(0);
    let called = bench.call("index -i mended -o fine").ended(0);
    assert_eq!(called.step("part")["kept"], 1);
}

#[test]
fn tars_without_samples() {
    let bench = Bench::new();
    bench.write("in/0.tar", tar_of(&[]));
    let called = bench.call("check -i in -o out").ended(1);
    assert_eq!(called.step("part")["failed"], serde_json::json!({ "empty_tar": 1 }));
    check(&bench, "index -i in -o index", "nothing was read: the input holds no samples");
    check(&bench, "rename -i in -o renamed", "nothing was read: the input holds no members");
}
