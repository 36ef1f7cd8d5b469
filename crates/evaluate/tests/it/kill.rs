//! Killed runs continue with the same final bytes.

use std::path::Path;

use audsem_core::testing::kill_and_resume;

use crate::predict::heard_in_this_process;
use crate::workbench::Bench;

#[test]
fn predict_in_this_process_goes_on_after_a_kill() {
    let bench = Bench::new();
    let flags = "--per-shard 3 --batch-size 2 --no-replay";
    let arguments = format!("predict {} {flags}", heard_in_this_process(&bench, 12));
    let runs = tempfile::tempdir().unwrap();
    let program = |output: &Path, workers: usize| {
        let mut command = bench.command(&arguments);
        command.arg("--output").arg(output).args(["--workers", &workers.to_string()]);
        command
    };
    let seen = kill_and_resume(runs.path(), 4, program).unwrap();
    assert!(seen.in_the_middle > 0, "no kill came in the middle: {seen:?}");
}
