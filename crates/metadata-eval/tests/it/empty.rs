//! A run that keeps nothing ends with exit code 1 and says first why.

use audsem_metadata_eval::tables::AudioFeatures;

use crate::workbench::{Bench, audio, sat};

#[track_caller]
fn check(bench: &Bench, arguments: &str, expected: &str) {
    let called = bench.call(arguments).ended(1);
    let errors: Vec<&str> = called.stderr.lines().skip_while(|line| !line.starts_with("error: ")).collect();
    assert!(errors.join("\n").starts_with(&format!("error: {expected}")), "{expected}\n{}", called.stderr);
    assert_eq!(called.summary()["status"], "empty");
}

#[test]
fn no_clip_has_all_features() {
    let bench = Bench::new();
    bench.table("audio.parquet", &[audio("A (0_0-1_0)", "a")]);
    bench.table("sat.parquet", &[sat("B (0_0-1_0)")]);
    let expected = "none of 2 clips was kept; 1 is left out as `no_audio_features`: the clip is in no table of `audio`\n  hint: --require changes that";
    for dry_run in ["--dry-run", ""] {
        check(&bench, &format!("combine --audio audio.parquet --sat sat.parquet -o out {dry_run}"), expected);
    }
}

#[test]
fn tables_without_rows() {
    let bench = Bench::new();
    bench.table::<AudioFeatures>("audio.parquet", &[]);
    check(&bench, "combine --audio audio.parquet -o out", "nothing was read: the input holds no clips");
}
