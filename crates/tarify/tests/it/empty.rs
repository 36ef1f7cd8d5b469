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

#[test]
fn tars_without_samples() {
    let bench = Bench::new();
    bench.write("in/0.tar", tar_of(&[]));
    let called = bench.call("check -i in -o out").ended(1);
    assert_eq!(called.step("part")["failed"], serde_json::json!({ "empty_tar": 1 }));
    check(&bench, "index -i in -o index", "nothing was read: the input holds no samples");
    check(&bench, "rename -i in -o renamed", "nothing was read: the input holds no members");
}
