//! Tasks that share a run folder and end together, and shards that are spread over subfolders.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use audsem_core::error::Error;
use audsem_core::reason::Reason;
use audsem_core::run::{
    CompletedRun, LeftOut, Run, RunConfig, RunFolder, RunOptions, RunSpec, Shard, ShardError, ShardOutput,
    ShardSelection, Status, Step, spread,
};
use audsem_core::testing::tree;
use serde_json::{Value, json};

audsem_core::reasons! {
    enum Why {
        Large = "large": "the number is larger than the limit" => "--most" ["/most"],
    }
}

const STEP: Step = Step { name: "part", unit: "numbers", physical: "" };

#[derive(serde::Serialize)]
struct Setting {
    most: usize,
}

impl RunConfig for Setting {
    const TOOL: &'static str = "test";
    const COMMAND: &'static str = "tasks";
}

fn open(folder: &Path, task: usize, of: usize) -> Run {
    let shard = ShardSelection { index: task, count: of };
    Run::open(&RunOptions { shard, ..RunOptions::new(folder) }, RunSpec::new(&Setting { most: 2 })).unwrap()
}

fn plan(shards: usize, name: impl Fn(usize) -> String) -> Vec<Shard<usize>> {
    (0..shards).map(|n| Shard { name: name(n), fingerprint: format!("reads-{n}").into(), work: n }).collect()
}

fn numbered(shards: usize) -> Vec<Shard<usize>> {
    plan(shards, |n| format!("{n:05}"))
}

fn work(n: &usize, out: &mut ShardOutput) -> Result<(), ShardError> {
    out.write_file(out.file_of("part", "txt"), n.to_string().as_bytes())?;
    out.write_file(out.file_in("media", &format!("{n}.bin")), b"1234")?;
    if *n > 2 {
        out.file_left_out(format!("key {n}"), LeftOut::drop(Why::Large, n))
    } else {
        out.file_kept(1)
    }
    Ok(())
}

fn stats(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("stats.json")).unwrap()).unwrap()
}

/// The folder of one process.
fn alone(shards: &[Shard<usize>]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut run = open(folder.path(), 0, 1);
    run.execute(STEP, shards, work).unwrap();
    run.finish().unwrap();
    folder
}

#[test]
fn the_task_that_writes_last_does_not_undo_the_totals() {
    let expected = alone(&numbered(5));
    for late_first in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let (mut early, mut late) = (open(folder.path(), 0, 2), open(folder.path(), 1, 2));
        // The first looks at the shards of the other before these are done, and ends after it.
        early.execute(STEP, &numbered(5), work).unwrap();
        late.execute(STEP, &numbered(5), work).unwrap();
        let ends = if late_first { [late, early] } else { [early, late] };
        for run in ends {
            assert_eq!(run.finish().unwrap().exit_code(), 0);
        }
        assert_eq!(stats(folder.path()), stats(expected.path()), "{late_first}");
        assert_eq!(tree(folder.path()).unwrap(), tree(expected.path()).unwrap());
    }
}

#[test]
fn a_task_that_is_overtaken_sees_what_the_others_did() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = open(folder.path(), 1, 2);
    // While it works on the last shard, the other task does and ends all that this one has passed as not done.
    let outputs = first.execute(STEP, &numbered(2), |n, out| {
        let mut other = open(folder.path(), 0, 2);
        let left = other.execute(STEP, &numbered(2), work).unwrap();
        assert!(!left.complete);
        assert_eq!(other.finish().unwrap().shards_left, 1);
        work(n, out)
    });
    assert!(outputs.unwrap().complete);
    let summary = first.finish().unwrap();
    assert_eq!((summary.status, summary.step("part").unwrap().read), (Status::Done, 2));
    assert_eq!(stats(folder.path())["complete"], true);
}

#[test]
fn totals_of_another_are_kept_only_if_all_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let (mut early, mut late) = (open(folder.path(), 0, 2), open(folder.path(), 1, 2));
    early.execute(STEP, &numbered(4), work).unwrap();
    late.execute(STEP, &numbered(4), work).unwrap();
    assert_eq!(late.finish().unwrap().status, Status::Done);
    fs::remove_file(folder.path().join("part-00001.txt")).unwrap();
    let summary = early.finish().unwrap();
    assert_eq!((summary.status, summary.shards_left), (Status::ShardsLeft, 2));
    assert_eq!(stats(folder.path())["complete"], false);
    // A task with a longer list than the one that has ended is not done either.
    let mut longer = open(folder.path(), 0, 2);
    longer.execute(STEP, &numbered(6), work).unwrap();
    assert_eq!(longer.finish().unwrap().status, Status::ShardsLeft);
    assert_eq!(stats(folder.path())["complete"], false);
}

#[test]
fn a_task_without_work_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = open(folder.path(), 7, 10);
    run.execute(STEP, &numbered(2), work).unwrap();
    let summary = run.finish().unwrap();
    assert_eq!(summary.exit_code(), 0);
    let said = summary.verdict().join("\n");
    assert!(said.contains("task 8 of 10 has nothing to do: none of the 2 shards are its own"), "{said}");
    assert!(!said.contains("again"), "{said}");
}

#[test]
fn stats_tell_what_the_reasons_mean_and_which_limit_decided() {
    let folder = alone(&numbered(5));
    let known = json!({ "meaning": "the number is larger than the limit", "flag": "--most", "limit": 2 });
    assert_eq!(stats(folder.path())["reasons"], json!({}), "only reasons that were named to the run");
    let mut run = open(folder.path(), 0, 1);
    run.must_keep(STEP).explain(Why::ALL);
    run.execute(STEP, &numbered(5), work).unwrap();
    run.finish().unwrap();
    assert_eq!(stats(folder.path())["reasons"], json!({ "part": { "large": known } }));
    let record = RunFolder::read(folder.path()).unwrap().unwrap();
    assert_eq!((&*record.command, record.complete), ("tasks", true));
    assert_eq!(record.reasons["part"]["large"].flag.as_deref(), Why::Large.flag());
}

#[test]
fn spread_shards_lie_in_places_and_are_read_removed_and_continued_there() {
    let shards = plan(40, |n| spread(&format!("video{n}")));
    let folder = alone(&shards);
    let files: BTreeSet<PathBuf> = tree(folder.path()).unwrap().into_keys().collect();
    let place = spread("video3").replace("/video3", "");
    for file in [
        format!("{place}/part-video3.done.json"),
        format!("{place}/part-video3.txt"),
        format!("{place}/rejects-video3.jsonl"),
        format!("media/{place}/3.bin"),
    ] {
        assert!(files.contains(Path::new(&file)), "{file}: {files:?}");
    }
    let at_top = fs::read_dir(folder.path()).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_file()).count();
    assert_eq!(at_top, 4, "the records of the run");

    let run = CompletedRun::open(folder.path()).unwrap().unwrap();
    assert_eq!(run.names_in(Path::new(""), |name| name.starts_with("part-")).unwrap().len(), 40);
    assert_eq!(RunFolder::read(folder.path()).unwrap().unwrap().outputs().unwrap().len(), 40 + 40 + 37);
    let above = RunFolder::find(folder.path().parent().unwrap().join(folder.path().file_name().unwrap()).as_path());
    assert_eq!(above.unwrap().len(), 1);

    let mut again = open(folder.path(), 0, 1);
    again.execute(STEP, &shards, |_, _| panic!("it is done")).unwrap();
    assert_eq!(again.count_stale(STEP, &shards[1..]).unwrap(), 1);
    assert!(!again.lies_flat(STEP).unwrap());
    again.finish().unwrap();
    fs::remove_file(folder.path().join(format!("{place}/part-video3.txt"))).unwrap();
    assert!(matches!(CompletedRun::open(folder.path()), Err(Error::Lacking(_))));

    let options = RunOptions { fresh: true, ..RunOptions::new(folder.path()) };
    drop(Run::open(&options, RunSpec::new(&Setting { most: 2 })).unwrap());
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name == "run.json" || name == "log.jsonl"), "{left:?}");
}

#[test]
fn a_folder_that_lies_flat_is_known() {
    let folder = alone(&plan(3, |n| format!("video{n}")));
    assert!(open(folder.path(), 0, 1).lies_flat(STEP).unwrap());
    let other = Step { name: "other", ..STEP };
    assert!(!open(folder.path(), 0, 1).lies_flat(other).unwrap());
}

#[test]
fn a_marker_behind_a_link_is_not_removed() {
    let folder = alone(&plan(3, |n| spread(&format!("video{n}"))));
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("part-theirs.done.json"), "{}").unwrap();
    let unused = (0..=255).map(|n| format!("{n:02x}")).find(|place| !folder.path().join(place).exists()).unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), folder.path().join(unused)).unwrap();
    let options = RunOptions { fresh: true, ..RunOptions::new(folder.path()) };
    let _ = Run::open(&options, RunSpec::new(&Setting { most: 2 }));
    assert!(elsewhere.path().join("part-theirs.done.json").exists());
}
