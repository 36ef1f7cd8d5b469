//! Killed runs go on to the same bytes.

use std::path::Path;

use audsem_core::testing::kill_and_resume;

use crate::workbench::{Bench, shard};

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
fn score_goes_on_after_a_kill() {
    let bench = Bench::new();
    for i in 0..6 {
        bench.random(&format!("ref/{i}.parquet"), "r", 1500, 16, i);
        bench.random(&format!("in/{i}.parquet"), "q", 1500, 16, 10 + i);
    }
    check(&bench, 10, "score -i in --reference ref --score knn --top-k 2");
}

#[test]
fn contamination_goes_on_after_a_kill() {
    let bench = Bench::new();
    for i in 0..6 {
        bench.random(&format!("in/{i}.parquet"), "q", 1200, 8, 10 + i);
    }
    bench.random("bench.parquet", "b", 300, 8, 1);
    check(&bench, 8, "contamination -i in --benchmark bench.parquet --threshold 0.5 --near-duplicates 0.9");
}

#[test]
fn merge_goes_on_after_a_kill() {
    let bench = Bench::new();
    for i in 0..12 {
        let (a, b) = (format!("V{i} (1.0-2.0)"), format!("V{} (3.0-4.0)", i / 2));
        bench.write(&format!("a/{i}.tar"), shard(&[(&a, "x"), (&b, "y")]));
    }
    check(&bench, 8, "merge-shards --source a --mode copy");
}
