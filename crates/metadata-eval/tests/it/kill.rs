//! Killed runs continue with the same final bytes.

use std::path::Path;

use audsem_core::testing::kill_and_resume;

use crate::workbench::{Bench, audio, sat};

fn check(bench: &Bench, kills: usize, arguments: &str) {
    let runs = tempfile::tempdir().unwrap();
    let program = |output: &Path, workers: usize| {
        let mut command = bench.command(arguments);
        command.arg("--output").arg(output).args(["--workers", &workers.to_string()]);
        command
    };
    let seen = kill_and_resume(runs.path(), kills, program).unwrap();
    assert!(seen.in_the_middle > 0, "no kill came in the middle: {seen:?}");
}

#[test]
fn combine_goes_on_after_a_kill() {
    let bench = Bench::new();
    for n in 0..8 {
        let key = |i: usize| format!("V{n} ({i}_0-{}_0)", i + 1);
        bench.table(&format!("audio/{n}.parquet"), &(0..800).map(|i| audio(&key(i), "rain")).collect::<Vec<_>>());
        bench.table(&format!("sat/{n}.parquet"), &(0..800).map(|i| sat(&key(i))).collect::<Vec<_>>());
    }
    check(&bench, 6, "combine --audio audio --sat sat");
}

#[test]
fn filter_goes_on_after_a_kill() {
    let bench = Bench::new();
    for n in 0..8 {
        let key = |i: usize| format!("V{n} ({i}_0-{}_0)", i + 4);
        bench.table(&format!("audio/{n}.parquet"), &(0..800).map(|i| audio(&key(i), "rain")).collect::<Vec<_>>());
    }
    bench.call("combine --audio audio -o combined").ended(0);
    check(&bench, 6, "filter -i combined --min-similarity off");
}
