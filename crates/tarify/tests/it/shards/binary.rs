//! `audsem-tarify shards` as a program: exit codes, messages, kills.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use audsem_core::testing::{fill_disk_and_resume, kill_and_resume, kills};

use super::world::{World, audio_tar, caption, flac};

fn command(world: &World, output: &Path, workers: usize) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_audsem-tarify"));
    command.args(["shards", "--task", "caption", "--per-shard", "5", "--num-valid", "7", "--seed", "3"]);
    command.arg("--records").arg(world.records()).arg("--input").arg(world.path(""));
    command.arg("--output").arg(output).args(["--workers", &workers.to_string()]);
    command
}

fn run(mut command: Command) -> (i32, String, Output) {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap(), stderr, output)
}

/// Four tars of clips, three clips a video, a few of them without a usable record.
fn world() -> World {
    let sound = flac(16_000, 1.0, 0.5);
    let name = |n: usize| format!("video{:03} ({n}.0-{}.0)", n / 3, n + 1);
    let names: Vec<_> = (0..72).map(name).collect();
    let tar = |part: &[String]| audio_tar(&part.iter().map(|n| (n.as_str(), sound.clone())).collect::<Vec<_>>());
    let text = |n: usize| if n.is_multiple_of(11) { "short" } else { "Something can be heard." };
    let records: Vec<_> = names.iter().enumerate().map(|(n, name)| caption(name, text(n))).collect();
    let mut tars: Vec<_> = names.chunks(18).map(tar).collect();
    // The sound of a compressed tar is kept apart until the shards are written.
    tars[2] = zstd::encode_all(&tars[2][..], 1).unwrap();
    World::new(&tars, &records)
}

#[test]
fn a_killed_run_goes_on_to_the_same_bytes() {
    let world = world();
    let runs = tempfile::tempdir().unwrap();
    let seen = kill_and_resume(runs.path(), kills(12), |output, workers| command(&world, output, workers)).unwrap();
    assert!(seen.in_the_middle > 0, "no kill came in the middle: {seen:?}");
}

#[test]
fn a_full_disk_is_told_and_the_same_command_goes_on() {
    let world = world();
    let runs = tempfile::tempdir().unwrap();
    let told = fill_disk_and_resume(runs.path(), 64, |output| command(&world, output, 2)).unwrap();
    assert!(told.contains("cannot write") && told.contains("File too large"), "{told}");
}

#[test]
fn the_summary_goes_to_stderr_and_json_to_stdout() {
    let world = world();
    let mut command = command(&world, &world.path("out"), 2);
    command.arg("--json");
    let (code, stderr, output) = run(command);
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("caption_short"), "{stderr}");
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["results"]["valid"]["samples"], 7);
    assert_eq!(summary["results"]["train"]["samples"], 58);
}

#[test]
fn what_cannot_run_ends_with_2_and_says_why() {
    let world = world();
    let empty = tempfile::tempdir().unwrap();
    let nowhere = PathBuf::from("/nowhere");
    let records = world.records().to_owned();
    let cases: [(&Path, &Path, &Path, &[&str], &str); 5] = [
        (&records, empty.path(), &world.path("out"), &[], "this folder holds no tar"),
        (&records, &nowhere, &world.path("out"), &[], "cannot read /nowhere"),
        (&nowhere, &world.path(""), &world.path("out"), &[], "cannot read /nowhere"),
        (&records, &world.path(""), Path::new("/proc/shards"), &[], "cannot write /proc/shards"),
        (&records, &world.path(""), &world.path("out"), &["--split-in", "/nowhere"], "cannot read /nowhere"),
    ];
    for (records, input, output, more, message) in cases {
        let mut command = Command::new(env!("CARGO_BIN_EXE_audsem-tarify"));
        command.args(["shards", "--task", "caption", "--records"]).arg(records).arg("--input").arg(input);
        let (code, stderr, _) = run({
            command.arg("--output").arg(output).args(more);
            command
        });
        assert_eq!(code, 2, "{stderr}");
        assert!(stderr.contains(message), "{message:?} in {stderr}");
    }
}

/// The same command could never read it, so nothing is begun, and what is wrong is told once.
#[test]
fn a_clip_table_of_another_kind_is_refused_once() {
    let world = world();
    std::fs::write(world.path("other.csv"), "a,b\n1,2\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_audsem-tarify"));
    command.arg("shards").arg("--table").arg(world.path("other.csv")).arg("--input").arg(world.path(""));
    command.arg("--output").arg(world.path("out"));
    let (code, stderr, _) = run(command);
    assert_eq!((code, stderr.matches("other.csv: its columns are a, b").count()), (2, 1), "{stderr}");
    assert!(!world.path("out").exists());
}

#[test]
fn a_template_for_a_task_without_one_is_refused() {
    let world = world();
    let mut command = Command::new(env!("CARGO_BIN_EXE_audsem-tarify"));
    command.args(["shards", "--task", "qa", "--templates", "x.txt", "--output"]).arg(world.path("out"));
    command.arg("--records").arg(world.records()).arg("--input").arg(world.path(""));
    let (code, stderr, _) = run(command);
    assert_eq!(code, 2);
    assert!(stderr.contains("--templates: qa takes its questions from the records"), "{stderr}");
}

/// A run folder of generated text also holds rejected answers and what was asked about.
#[test]
fn of_a_run_folder_the_records_of_its_main_step_are_read() {
    let world = world();
    let records = std::fs::read(world.records()).unwrap();
    let text = world.path("text");
    let others: &[u8] = b"{\"key\": \"video000 (0_0-1_0)\", \"answer\": \"no caption\"}\n";
    let files = [("part-00000.jsonl", &*records), ("refused-00000.jsonl", others), ("clips-00000.jsonl", others)];
    audsem_core::testing::finished_run(&text, &files).unwrap();
    let shards = |records: &Path, out: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_audsem-tarify"));
        command.args(["shards", "--task", "caption", "--num-valid", "7", "--records"]).arg(records);
        command.arg("--input").arg(world.path("")).arg("--output").arg(world.path(out));
        let (code, stderr, _) = run(command);
        assert_eq!(code, 0, "{stderr}");
        let tree = audsem_core::testing::tree(&world.path(out)).unwrap();
        let tars = tree.into_iter().filter(|(path, _)| path.extension().is_some_and(|ending| ending == "tar"));
        tars.collect::<Vec<_>>()
    };
    assert_eq!(shards(&text, "of-run"), shards(world.records(), "of-file"));
}
