//! The promises of a run folder.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use audsem_core::error::Error;
use audsem_core::run::{
    LeftOut, Run, RunConfig, RunOptions, RunSpec, Shard, ShardError, ShardSelection, Status, Step, Summary,
};
use serde_json::json;

audsem_core::reasons! {
    enum Why {
        Odd = "odd": "the number is odd",
        Broken = "broken": "the number cannot be divided",
    }
}

const STEP: Step = Step { name: "part", unit: "numbers", physical: "MB" };

fn plan(shards: u64) -> Vec<Shard<u64>> {
    (0..shards).map(|n| Shard { name: format!("{n:05}"), fingerprint: format!("reads-{n}").into(), work: n }).collect()
}

#[derive(serde::Serialize)]
struct Counting {
    threshold: u32,
    nested: serde_json::Value,
}

impl RunConfig for Counting {
    const TOOL: &'static str = "test";
    const COMMAND: &'static str = "count";
}

fn open(options: &RunOptions, threshold: u32) -> Result<Run, Error> {
    Run::open(options, RunSpec::new(&Counting { threshold, nested: json!({ "names": ["a", "b"] }) }))
}

/// Ten numbers a shard: even ones are kept, odd ones dropped, the last of shard 3 fails.
fn work(shard: u64, out: &mut audsem_core::run::ShardOutput) -> Result<(), ShardError> {
    let mut file = out.create(format!("sub/part-{}.txt", out.name()))?;
    for n in shard * 10..shard * 10 + 10 {
        if n == 39 {
            out.file_left_out(n, LeftOut::fail(Why::Broken, "a \"quoted\"\ndetail"));
        } else if n % 2 == 1 {
            out.file_left_out(n, LeftOut::drop(Why::Odd, format_args!("{n} mod 2 = 1")));
        } else {
            writeln!(file, "{n}").unwrap();
            out.file_kept(1);
        }
    }
    out.count("shards_seen", 1);
    out.close(file)?;
    Ok(())
}

fn run(options: &RunOptions, threshold: u32, shards: u64) -> Result<Summary, Error> {
    let mut run = open(options, threshold)?;
    run.execute(STEP, &plan(shards), |n, out| work(*n, out))?;
    run.finish()
}

fn tree(folder: &Path) -> BTreeMap<PathBuf, String> {
    audsem_core::testing::tree(folder).unwrap()
}

#[test]
fn the_folder_is_the_same_for_any_number_of_workers() {
    let folder = tempfile::tempdir().unwrap();
    let mut trees = Vec::new();
    for workers in [1, 2, 5] {
        let output = folder.path().join(workers.to_string());
        let summary = run(&RunOptions { workers, ..RunOptions::new(&output) }, 1, 6).unwrap();
        let stats = summary.step("part").unwrap();
        assert_eq!((stats.read, stats.kept, stats.n_dropped(), stats.n_failed()), (60, 30, 29, 1));
        assert_eq!(stats.counts["shards_seen"], 6);
        trees.push(tree(&output));
    }
    assert_eq!(trees[0], trees[1]);
    assert_eq!(trees[0], trees[2]);
    let names: Vec<_> =
        trees[0].keys().map(|name| name.to_str().unwrap()).filter(|name| name.contains("00003")).collect();
    assert_eq!(names, ["part-00003.done.json", "rejects-00003.jsonl", "sub/part-00003.txt"]);
    let rejects = fs::read_to_string(folder.path().join("1/rejects-00003.jsonl")).unwrap();
    let last: serde_json::Value = serde_json::from_str(rejects.lines().last().unwrap()).unwrap();
    let expected = json!({ "key": "39", "step": "part", "outcome": "failed", "reason": "broken", "detail": "a \"quoted\"\ndetail" });
    assert_eq!(last, expected);
}

#[test]
fn what_is_done_is_not_done_again_and_what_is_lost_is() {
    let folder = tempfile::tempdir().unwrap();
    let options = RunOptions::new(folder.path());
    run(&options, 1, 4).unwrap();
    let before = tree(folder.path());
    fs::remove_file(folder.path().join("part-00001.done.json")).unwrap();
    fs::remove_file(folder.path().join("sub/part-00002.txt")).unwrap();
    fs::write(folder.path().join("sub/.part-00001.txt.tmp"), "left by a kill").unwrap();
    let done = AtomicUsize::new(0);
    let mut again = open(&options, 1).unwrap();
    let report = again
        .execute(STEP, &plan(4), |n, out| {
            done.fetch_add(1, Ordering::SeqCst);
            work(*n, out)
        })
        .unwrap();
    again.finish().unwrap();
    assert_eq!(done.load(Ordering::SeqCst), 2);
    assert!(report.complete);
    assert_eq!(report.outputs.len(), 4);
    assert_eq!(tree(folder.path()), before);
}

#[test]
fn discarded_files_are_not_missed_until_they_are_recalled() {
    let folder = tempfile::tempdir().unwrap();
    let options = RunOptions::new(folder.path());
    let done = AtomicUsize::new(0);
    let execute = |run: &mut Run| {
        let count = |n: &u64, out: &mut audsem_core::run::ShardOutput| {
            done.fetch_add(1, Ordering::SeqCst);
            work(*n, out)
        };
        run.execute(STEP, &plan(3), count)
            .unwrap()
            .outputs
            .into_iter()
            .map(|shard| shard.fingerprint.to_string())
            .collect()
    };
    let mut run = open(&options, 1).unwrap();
    let fingerprints: Vec<String> = execute(&mut run);
    let text = folder.path().join("sub/part-00001.txt");
    let whole = fs::read(&text).unwrap();
    run.discard("part", "00001.txt").unwrap();
    assert!(!text.exists() && folder.path().join("sub/part-00002.txt").exists());
    let after = tree(folder.path());
    // A kill between the note and the removal leaves the file, and the next run takes it away.
    fs::write(&text, &whole).unwrap();
    assert_eq!(execute(&mut run), fingerprints, "what was built on the file stays valid");
    run.discard("part", "00001.txt").unwrap();
    assert_eq!(tree(folder.path()), after);
    assert_eq!(done.load(Ordering::SeqCst), 3, "nothing is done again");
    assert!(run.is_intact("part").unwrap());

    run.recall("part").unwrap();
    assert_eq!(execute(&mut run), fingerprints);
    assert_eq!(fs::read(&text).unwrap(), whole);
    assert_eq!(done.load(Ordering::SeqCst), 4, "only the shard that lost a file");
    fs::remove_file(&text).unwrap();
    assert!(!run.is_intact("part").unwrap());
}

#[test]
fn another_configuration_is_refused_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let options = RunOptions::new(folder.path());
    run(&options, 1, 2).unwrap();
    let error = run(&options, 2, 2).unwrap_err().to_string();
    assert!(error.contains("config.threshold: was 1, now 2") && error.contains("--fresh"), "{error}");
    let error = run(&RunOptions { seed: 7, ..options.clone() }, 1, 2).unwrap_err().to_string();
    assert!(error.contains("seed: was 0, now 7"), "{error}");
    // More workers, or fewer shards by limit of this process, are no other configuration.
    run(&RunOptions { workers: 3, max_fail_rate: 0.5, ..options.clone() }, 1, 2).unwrap();
    let fresh = RunOptions { fresh: true, ..options };
    run(&fresh, 2, 1).unwrap();
    assert!(!folder.path().join("sub/part-00001.txt").exists(), "a stale shard survives --fresh");
}

#[test]
fn another_input_of_a_done_shard_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let options = RunOptions::new(folder.path());
    run(&options, 1, 2).unwrap();
    let mut changed = plan(2);
    changed[1].fingerprint = "reads-other".into();
    let mut again = open(&options, 1).unwrap();
    let error = again.execute(STEP, &changed, |n, out| work(*n, out)).unwrap_err().to_string();
    assert!(error.contains("input of shard part-00001"), "{error}");
}

#[test]
fn files_that_are_not_a_runs_are_left_alone() {
    for fresh in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("thesis.tex"), "years of work").unwrap();
        let error = run(&RunOptions { fresh, ..RunOptions::new(folder.path()) }, 1, 1).unwrap_err();
        assert!(matches!(error, Error::NotARunFolder { .. }), "{error}");
        assert_eq!(tree(folder.path()).len(), 1);
    }
}

#[test]
fn a_dry_run_counts_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out");
    let summary = run(&RunOptions { dry_run: true, ..RunOptions::new(&output) }, 1, 4).unwrap();
    assert_eq!(summary.step("part").unwrap().kept, 20);
    assert!(!output.exists());
}

#[test]
fn processes_can_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    run(&RunOptions::new(&whole), 1, 5).unwrap();
    let shared = folder.path().join("shared");
    for index in 0..2 {
        let options = RunOptions { shard: ShardSelection { index, count: 2 }, ..RunOptions::new(&shared) };
        let summary = run(&options, 1, 5).unwrap();
        let (status, left) = if index == 0 { (Status::ShardsLeft, 2) } else { (Status::Done, 0) };
        assert_eq!((summary.status, summary.shards_left), (status, left));
        assert_eq!(summary.exit_code(), 0);
    }
    assert_eq!(tree(&shared), tree(&whole));
}

#[test]
fn a_bad_shard_does_not_end_the_run_but_shows_in_its_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = open(&RunOptions::new(folder.path()), 1).unwrap();
    let broken = |n: &u64, out: &mut audsem_core::run::ShardOutput| {
        let file = out.create(format!("part-{}.txt", out.name()))?;
        if *n == 1 {
            return Err(ShardError::Input("truncated tar".into()));
        }
        out.close(file)?;
        Ok(())
    };
    let report = run.execute(STEP, &plan(3), broken).unwrap();
    assert_eq!(report.outputs.len(), 2);
    assert!(!report.complete, "a later step would run over two of three shards");
    let summary = run.finish().unwrap();
    assert_eq!((summary.status, summary.exit_code()), (Status::OverFailLimit, 1));
    assert_eq!(summary.failed_shards[0].error, "truncated tar");
    let verdict = summary.verdict().join("\n");
    assert!(
        verdict.contains("1 shard failed and is not done: part-00001;") && !verdict.contains("--max-fail-rate"),
        "{verdict}"
    );
    assert!(!tree(folder.path()).keys().any(|name| name.to_string_lossy().contains("00001")));
    let stats: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.path().join("stats.json")).unwrap()).unwrap();
    assert_eq!(stats["complete"], false);
    assert_eq!(stats["failed_shards"], json!([{ "step": "part", "shard": "00001", "error": "truncated tar" }]));
}

#[test]
fn a_failed_shard_is_tried_again_and_leaves_no_trace_once_it_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, mended) = (folder.path().join("whole"), folder.path().join("mended"));
    run(&RunOptions::new(&whole), 1, 4).unwrap();
    for healthy in [false, true] {
        let mut run = open(&RunOptions::new(&mended), 1).unwrap();
        let passing = |n: &u64, out: &mut audsem_core::run::ShardOutput| {
            if *n == 2 && !healthy {
                out.file_kept(1);
                return Err(ShardError::Input("the disk was away".into()));
            }
            work(*n, out)
        };
        let report = run.execute(STEP, &plan(4), passing).unwrap();
        assert_eq!(report.complete, healthy);
        run.finish().unwrap();
    }
    assert_eq!(tree(&mended), tree(&whole));
}

#[test]
fn a_run_that_has_left_nothing_is_in_nobodys_way() {
    let folder = tempfile::tempdir().unwrap();
    let options = RunOptions::new(folder.path());
    // Opened and then refused, as when a plan cannot be made.
    drop(open(&options, 1).unwrap());
    fs::create_dir(folder.path().join("replay")).unwrap();
    run(&options, 2, 2).unwrap();
    let text = fs::read_to_string(folder.path().join("run.json")).unwrap();
    assert!(text.contains("\"threshold\": 2"), "{text}");
    assert!(matches!(run(&options, 1, 2).unwrap_err(), Error::Changed { .. }), "what is done is never taken over");

    // Neither is a run whose first shard another process may be at.
    let folder = tempfile::tempdir().unwrap();
    let options = RunOptions::new(folder.path());
    drop(open(&options, 1).unwrap());
    fs::write(folder.path().join(".part-00000.txt.tmp"), "half").unwrap();
    assert!(matches!(open(&options, 2).unwrap_err(), Error::Changed { .. }));
}

fn named(names: &[&str], reads: &str) -> Vec<Shard<String>> {
    let shard = |name: &&str| Shard {
        name: (*name).to_owned(),
        fingerprint: format!("{name} {reads}").into(),
        work: format!("{name} {reads}"),
    };
    names.iter().map(shard).collect()
}

/// Writes two files: one always called the same, one after what was read.
fn grow(options: &RunOptions, plan: &[Shard<String>]) -> Result<(Vec<String>, usize, Summary), Error> {
    let mut run = open(options, 1)?.rerun_changed()?;
    let done = std::sync::Mutex::new(Vec::new());
    run.execute(STEP, plan, |work, out| {
        done.lock().unwrap().push(out.name().to_owned());
        out.file_kept(1);
        for name in [format!("part-{}.txt", out.name()), format!("files/{work}.txt")] {
            let mut file = out.create(name)?;
            writeln!(file, "{work}").unwrap();
            out.close(file)?;
        }
        Ok(())
    })?;
    let unlisted = run.count_stale(STEP, plan)?;
    Ok((done.into_inner().unwrap(), unlisted, run.finish()?))
}

#[test]
fn a_list_may_grow_change_and_shrink() {
    let folder = tempfile::tempdir().unwrap();
    let options = RunOptions::new(folder.path());
    grow(&options, &named(&["b", "c"], "x")).unwrap();
    // A new one before the others, and another order: only the new one is worked on.
    let (done, unlisted, summary) = grow(&options, &named(&["a", "c", "b"], "x")).unwrap();
    assert_eq!((done, unlisted, summary.step("part").unwrap().read), (vec!["a".to_owned()], 0, 3));
    // Another content: done again, and what it replaces is gone.
    let (done, ..) = grow(&options, &[named(&["a"], "y"), named(&["b", "c"], "x")].concat()).unwrap();
    assert_eq!(done, ["a"]);
    let fresh = tempfile::tempdir().unwrap();
    grow(&RunOptions::new(fresh.path()), &[named(&["a"], "y"), named(&["b", "c"], "x")].concat()).unwrap();
    assert_eq!(tree(folder.path()), tree(fresh.path()));
    // A shorter list: the rest stays on disk, and out of the counts.
    let (done, unlisted, summary) = grow(&options, &named(&["b"], "x")).unwrap();
    assert_eq!((done.len(), unlisted, summary.step("part").unwrap().read), (0, 2, 1));
    assert!(folder.path().join("files/a y.txt").exists());
}

#[test]
fn a_grown_list_is_not_taken_for_done_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let options = RunOptions::new(folder.path());
    grow(&options, &named(&["a"], "x")).unwrap();
    drop(open(&options, 1).unwrap().rerun_changed().unwrap());
    assert!(!folder.path().join("stats.json").exists());
}

#[test]
fn too_many_failures_end_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let options = RunOptions { max_fail_rate: 0.1, ..RunOptions::new(folder.path()) };
    let mut run = open(&options, 1).unwrap();
    let failing = |_: &u64, out: &mut audsem_core::run::ShardOutput| {
        for n in 0..1000 {
            out.file_left_out(n, LeftOut::fail(Why::Broken, ""));
        }
        Ok(())
    };
    let error = run.execute(STEP, &plan(9), failing).unwrap_err();
    assert!(matches!(error, Error::TooManyFailures { failed: 1000, read: 1000, .. }), "{error}");
    let message = error.to_string();
    assert!(message.contains("--max-fail-rate") && message.contains("the same command continues"), "{message}");
}

#[test]
fn a_read_only_or_missing_place_is_named() {
    let error = run(&RunOptions::new("/proc/audsem-cannot-write-here"), 1, 1).unwrap_err().to_string();
    assert!(error.contains("cannot write /proc/audsem-cannot-write-here"), "{error}");
}
