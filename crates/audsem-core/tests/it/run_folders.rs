//! What readers of a run folder can rely on, and what parallel processes in one do.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Barrier, mpsc};
use std::thread;

use audsem_core::error::Error;
use audsem_core::run::{
    CompletedRun, LeftOut, Run, RunConfig, RunOptions, RunSpec, Shard, ShardError, ShardOutput, Status, Step, Summary,
    check_growing,
};
use audsem_core::testing::tree;
use serde_json::{Value, json};

audsem_core::reasons! {
    enum Why {
        Large = "large": "the number is larger than the limit",
    }
}

const STEP: Step = Step { name: "part", unit: "numbers", physical: "MB" };

#[derive(serde::Serialize)]
struct Setting {
    threshold: usize,
}

impl RunConfig for Setting {
    const TOOL: &'static str = "test";
    const COMMAND: &'static str = "folders";
}

fn open(options: &RunOptions, threshold: usize) -> Result<Run, Error> {
    Run::open(options, RunSpec::new(&Setting { threshold }))
}

fn plan(n: usize) -> Vec<Shard<usize>> {
    (0..n).map(|n| Shard { name: format!("{n:05}"), fingerprint: format!("reads-{n}").into(), work: n }).collect()
}

fn work(n: &usize, out: &mut ShardOutput) -> Result<(), ShardError> {
    out.file_kept(1);
    out.write_file(format!("part-{}.txt", out.name()), n.to_string().as_bytes())?;
    out.write_file(format!("sub/{}.bin", out.name()), b"1234")?;
    Ok(())
}

fn run(options: &RunOptions, shards: usize) -> Result<Summary, Error> {
    let mut run = open(options, 1)?;
    run.execute(STEP, &plan(shards), work)?;
    run.finish()
}

/// A run folder with some shards.
fn finished(shards: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    run(&RunOptions::new(folder.path()), shards).unwrap();
    folder
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Changes a JSON file.
fn edit(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value = json_of(path);
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

#[test]
fn what_a_folder_has_lost_is_named() {
    let check = |damage: &dyn Fn(&Path), named: &str| {
        let folder = finished(4);
        let path = folder.path();
        assert!(CompletedRun::open(path).unwrap().is_some());
        damage(path);
        let error = CompletedRun::open(path).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::Lacking(_)) && text.contains(named) && text.contains("hint:"), "{text}");
        assert!(check_growing(path).is_err() || named.contains("done.json") || named.contains("count"), "{named}");
        // The same command makes it again.
        if path.join("run.json").exists() && !named.contains("count") {
            run(&RunOptions::new(path), 4).unwrap();
            assert_eq!(tree(path).unwrap(), tree(finished(4).path()).unwrap(), "{named}");
        }
    };
    let remove = |name: &'static str| move |path: &Path| fs::remove_file(path.join(name)).unwrap();
    check(&remove("part-00003.txt"), "part-00003.txt is missing");
    check(&remove("sub/00000.bin"), "sub/00000.bin is missing");
    check(&remove("part-00003.done.json"), "part-00003.done.json is missing");
    check(&remove("run.json"), "run.json is missing");
    check(&|path| fs::write(path.join("sub/00001.bin"), "12").unwrap(), "sub/00001.bin has 2 of 4 bytes");
    check(&|path| fs::write(path.join("part-00001.done.json"), "{").unwrap(), "part-00001.done.json: not a marker");
    let other = |path: &Path| edit(&path.join("part-00002.done.json"), |marker| marker["stats"]["kept"] = json!(7));
    check(&other, "the markers of step part count");
    let outside = |path: &Path| {
        edit(&path.join("part-00002.done.json"), |marker| marker["outputs"][0]["path"] = json!("../part-00000.txt"));
    };
    check(&outside, "it names `../part-00000.txt`");
}

#[test]
fn a_folder_of_an_older_version_is_counted_by_its_records() {
    let folder = finished(3);
    edit(&folder.path().join("stats.json"), |stats| drop(stats.as_object_mut().unwrap().remove("shards")));
    assert!(CompletedRun::open(folder.path()).unwrap().is_some());
    fs::remove_file(folder.path().join("part-00002.done.json")).unwrap();
    let error = CompletedRun::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("count 2 records and stats.json 3"), "{error}");
}

#[test]
fn what_is_no_run_folder_and_what_has_not_ended_is_told_apart() {
    let plain = tempfile::tempdir().unwrap();
    fs::write(plain.path().join("part-00000.txt"), "x").unwrap();
    assert!(CompletedRun::open(plain.path()).unwrap().is_none());
    assert!(CompletedRun::around(plain.path()).unwrap().is_none());
    check_growing(plain.path()).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let mut first = open(&RunOptions::new(folder.path()), 1).unwrap();
    let failing = |n: &usize, out: &mut ShardOutput| match n {
        1 => Err(ShardError::Input("cut".into())),
        _ => work(n, out),
    };
    first.execute(STEP, &plan(3), failing).unwrap();
    first.finish().unwrap();
    let sub = folder.path().join("sub");
    for place in [folder.path(), &sub] {
        let error = CompletedRun::around(place).unwrap_err();
        assert!(
            matches!(&error, Error::Unfinished(_)) && error.to_string().contains("part-00001 failed: cut"),
            "{error}"
        );
        check_growing(place).unwrap();
    }
    fs::remove_file(sub.join("00002.bin")).unwrap();
    assert!(check_growing(&sub).unwrap_err().to_string().contains("sub/00002.bin is missing"));
}

#[test]
fn a_folder_that_is_changed_does_not_say_that_it_is_complete() {
    let folder = finished(3);
    fs::remove_file(folder.path().join("part-00001.txt")).unwrap();
    let mut again = open(&RunOptions::new(folder.path()), 1).unwrap();
    let stats = folder.path().join("stats.json");
    assert!(stats.exists(), "nothing has changed yet");
    let seen = AtomicBool::new(true);
    again
        .execute(STEP, &plan(4), |n, out| {
            seen.fetch_and(stats.exists(), SeqCst);
            work(n, out)
        })
        .unwrap();
    assert!(!seen.into_inner());
    again.finish().unwrap();
    assert_eq!(json_of(&stats)["shards"], json!({ "part": 4 }));
}

#[test]
fn fresh_takes_down_completeness_before_anything_else() {
    let shards = 400;
    let folder = finished(shards);
    let ended = AtomicBool::new(false);
    let stats = folder.path().join("stats.json");
    let looked = thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut looked = 0;
            while !ended.load(SeqCst) {
                let n = fs::read_dir(folder.path()).unwrap().count();
                let complete = stats.exists();
                assert!(n >= 2 * shards || !complete, "{n} files are left, and the folder says that it is complete");
                looked += 1;
            }
            looked
        });
        drop(open(&RunOptions { fresh: true, ..RunOptions::new(folder.path()) }, 1).unwrap());
        ended.store(true, SeqCst);
        watcher.join().unwrap()
    });
    assert!(looked > 0);
    assert_eq!(tree(folder.path()).unwrap().into_keys().collect::<Vec<_>>(), [PathBuf::from("run.json")]);
}

#[test]
fn fresh_removes_nothing_by_a_marker_that_cannot_be_ours() {
    let outside = tempfile::tempdir().unwrap();
    let thesis = outside.path().join("thesis.tex");
    fs::write(&thesis, "years of work").unwrap();
    let check = |name: &str, damage: &dyn Fn(&Path)| {
        let folder = finished(2);
        damage(folder.path());
        let before = tree(folder.path()).unwrap();
        let fresh = RunOptions { fresh: true, ..RunOptions::new(folder.path()) };
        let error = open(&fresh, 1).expect_err(name).to_string();
        assert!(error.contains("removed") && !error.contains("cannot write"), "{name}: {error}");
        assert_eq!(tree(folder.path()).unwrap(), before, "{name}");
        assert!(thesis.exists(), "{name}");
    };
    let naming = |target: String| {
        move |path: &Path| edit(&path.join("part-00001.done.json"), |m| m["outputs"][0]["path"] = json!(target))
    };
    let above = format!("../{}/thesis.tex", outside.path().file_name().unwrap().to_str().unwrap());
    check("parent", &naming(above));
    check("absolute", &naming(thesis.to_str().unwrap().to_owned()));
    check("record", &naming("run.json".to_owned()));
    check("marker", &naming("part-00000.done.json".to_owned()));
    check("folder", &naming("sub".to_owned()));
    check("no marker", &|path| fs::write(path.join("part-00001.done.json"), "[]").unwrap());
    check("link", &|path| {
        symlink(outside.path(), path.join("linked")).unwrap();
        naming("linked/thesis.tex".to_owned())(path);
    });

    let foreign = tempfile::tempdir().unwrap();
    for name in ["run.json", "stats.json", "log.jsonl"] {
        fs::write(foreign.path().join(name), r#"{"of": "another program"}"#).unwrap();
    }
    let fresh = RunOptions { fresh: true, ..RunOptions::new(foreign.path()) };
    assert!(matches!(open(&fresh, 1).unwrap_err(), Error::NotARunFolder { .. }));
    assert_eq!(tree(foreign.path()).unwrap().len(), 2, "besides the log");
}

#[test]
fn fresh_leaves_the_files_of_others_alone() {
    let folder = finished(2);
    fs::write(folder.path().join("notes.txt"), "mine").unwrap();
    fs::write(folder.path().join("sub/notes.txt"), "mine").unwrap();
    let fresh = RunOptions { fresh: true, ..RunOptions::new(folder.path()) };
    drop(open(&fresh, 2).unwrap());
    let left: Vec<_> = tree(folder.path()).unwrap().into_keys().collect();
    assert_eq!(left, ["notes.txt", "run.json", "sub/notes.txt"].map(PathBuf::from));
}

#[test]
fn fresh_finds_what_a_kill_between_two_names_has_left() {
    let folder = finished(2);
    let marker = folder.path().join("part-00001.done.json");
    fs::rename(&marker, folder.path().join(".part-00001.done.json.tmp")).unwrap();
    drop(open(&RunOptions { fresh: true, ..RunOptions::new(folder.path()) }, 2).unwrap());
    assert_eq!(tree(folder.path()).unwrap().len(), 1, "a stray file is left");
}

#[test]
fn of_two_configurations_that_begin_together_one_wins() {
    for round in 0..40 {
        let folder = tempfile::tempdir().unwrap();
        let together = Barrier::new(2);
        let began: Vec<bool> = thread::scope(|scope| {
            let begin = |threshold| {
                let (together, path) = (&together, folder.path());
                scope.spawn(move || {
                    together.wait();
                    let mut run = match open(&RunOptions::new(path), threshold) {
                        Ok(run) => run,
                        Err(Error::Changed { .. }) => return false,
                        Err(other) => panic!("{other}"),
                    };
                    run.execute(STEP, &plan(2), work).unwrap();
                    run.finish().unwrap();
                    true
                })
            };
            [begin(1), begin(2)].map(|process| process.join().unwrap()).into()
        });
        assert_eq!(began.iter().filter(|began| **began).count(), 1, "round {round}: {began:?}");
        let winner = 1 + began.iter().position(|began| *began).unwrap();
        assert_eq!(json_of(&folder.path().join("run.json"))["config"]["threshold"], json!(winner), "round {round}");
    }
}

#[test]
fn a_folder_in_use_is_not_cleared() {
    let folder = finished(2);
    let before = tree(folder.path()).unwrap();
    let at_work = open(&RunOptions::new(folder.path()), 1).unwrap();
    let fresh = RunOptions { fresh: true, ..RunOptions::new(folder.path()) };
    assert!(matches!(open(&fresh, 1).unwrap_err(), Error::InUse { .. }));
    assert!(matches!(open(&RunOptions::new(folder.path()), 2).unwrap_err(), Error::Changed { .. }));
    // One with the same configuration may come in.
    drop(open(&RunOptions::new(folder.path()), 1).unwrap());
    at_work.finish().unwrap();
    fs::remove_file(folder.path().join("stats.json")).unwrap();
    run(&RunOptions::new(folder.path()), 2).unwrap();
    assert_eq!(tree(folder.path()).unwrap(), before, "no lock is left behind");
    open(&fresh, 2).unwrap();
}

#[test]
fn processes_on_the_same_shards_do_each_of_them_once() {
    let folder = tempfile::tempdir().unwrap();
    let done = AtomicUsize::new(0);
    let slow = |n: &usize, out: &mut ShardOutput| {
        done.fetch_add(1, SeqCst);
        let scratch = out.scratch()?;
        let half = scratch.path().join("half");
        fs::write(&half, n.to_string()).unwrap();
        thread::yield_now();
        assert_eq!(fs::read_to_string(&half).unwrap(), n.to_string(), "another process has cleared the scratch folder");
        work(n, out)
    };
    let left: Vec<usize> = thread::scope(|scope| {
        let process = || {
            let mut run = open(&RunOptions { workers: 2, ..RunOptions::new(folder.path()) }, 1).unwrap();
            run.execute(STEP, &plan(30), slow).unwrap();
            run.finish().unwrap().shards_left
        };
        let processes: Vec<_> = (0..3).map(|_| scope.spawn(process)).collect();
        processes.into_iter().map(|process| process.join().unwrap()).collect()
    });
    assert_eq!(done.into_inner(), 30, "left {left:?}");
    assert_eq!(run(&RunOptions::new(folder.path()), 30).unwrap().status, Status::Done);
    assert_eq!(tree(folder.path()).unwrap(), tree(finished(30).path()).unwrap());
}

#[test]
fn scratch_of_a_killed_run_goes_and_that_of_a_living_one_stays() {
    let folder = tempfile::tempdir().unwrap();
    for shard in ["00000", "00001", "unlisted"] {
        fs::create_dir_all(folder.path().join(format!(".scratch-{shard}/deep"))).unwrap();
        fs::write(folder.path().join(format!(".scratch-{shard}/deep/half.mp4")), "half").unwrap();
    }
    drop(open(&RunOptions::new(folder.path().join("out")), 1).unwrap());
    let out = folder.path().join("out");
    for shard in ["00000", "00001", "unlisted"] {
        fs::rename(folder.path().join(format!(".scratch-{shard}")), out.join(format!(".scratch-{shard}"))).unwrap();
    }
    let mut run = open(&RunOptions::new(&out), 1).unwrap();
    // A process that works on the shard holds the lock of its marker.
    let held = fs::File::create(out.join(".part-unlisted.done.json.tmp")).unwrap();
    held.lock().unwrap();
    run.execute(STEP, &plan(1), work).unwrap();
    let names = |out: &Path| -> Vec<String> {
        let names = fs::read_dir(out).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(".scratch")).collect()
    };
    assert_eq!(names(&out), [".scratch-unlisted"]);
    drop(held);
    run.execute(STEP, &plan(1), work).unwrap();
    assert_eq!(names(&out), [""; 0]);
}

/// Every file of a folder that may have gone.
fn left(folder: &Path) -> BTreeMap<PathBuf, String> {
    if folder.exists() { tree(folder).unwrap() } else { BTreeMap::new() }
}

#[test]
fn a_folder_that_is_deleted_during_the_run_gets_no_marker() {
    for replaced in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let mut run = open(&RunOptions::new(&out), 1).unwrap();
        let error = run
            .execute(STEP, &plan(5), |n, output| {
                if *n == 2 {
                    fs::remove_dir_all(&out).unwrap();
                    if replaced {
                        fs::create_dir(&out).unwrap();
                    }
                }
                work(n, output)
            })
            .unwrap_err();
        assert!(matches!(error, Error::FolderGone { .. }), "{error}");
        assert!(run.finish().is_err(), "it would say that the run has ended");
        assert!(left(&out).keys().all(|name| !name.to_string_lossy().contains(".json")), "{:?}", left(&out));
    }
}

#[test]
fn a_file_that_is_deleted_during_the_run_is_missed_at_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = open(&RunOptions::new(folder.path()), 1).unwrap();
    let error = run
        .execute(STEP, &plan(3), |n, out| {
            if *n == 2 {
                fs::remove_file(folder.path().join("part-00000.txt")).unwrap();
            }
            work(n, out)
        })
        .unwrap_err()
        .to_string();
    assert!(error.contains("part-00000.txt is missing"), "{error}");
    assert!(!folder.path().join("stats.json").exists());
}

#[test]
fn pipes_are_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    // The last is named as the shell names what `<(command)` gives.
    let [pipe, list, number] = ["pipe.tar", "list.csv", "63"].map(|name| folder.path().join(name));
    assert!(std::process::Command::new("mkfifo").args([&pipe, &list, &number]).status().unwrap().success());
    let (said, heard) = mpsc::channel();
    thread::spawn({
        let pipe = pipe.clone();
        move || {
            let refused = |error: String| assert!(error.contains("this is a pipe or a device"), "{error}");
            refused(audsem_core::input::open(&pipe).err().unwrap().to_string());
            refused(audsem_core::run::FileFingerprint::of(&pipe).unwrap_err().to_string());
            refused(audsem_core::tar::list_tars(&pipe).unwrap_err().to_string());
            refused(audsem_core::tar::MemberReader::scan(&pipe).err().unwrap().to_string());
            for input in [pipe, list, number] {
                let inputs = [input];
                refused(audsem_core::clips::list_captions(&inputs).unwrap_err().to_string());
                let media = audsem_core::clips::list_media(&inputs, audsem_core::clips::ClipContent::Sound);
                refused(media.unwrap_err().to_string());
            }
            said.send(()).unwrap();
        }
    });
    heard.recv_timeout(std::time::Duration::from_secs(20)).expect("waits for a writer");
}

#[test]
fn an_input_that_changes_while_it_is_read_leaves_its_shard_open() {
    use audsem_core::run::{FileFingerprint, Fingerprint};
    let folder = tempfile::tempdir().unwrap();
    let inputs: Vec<PathBuf> = (0..3).map(|n| folder.path().join(format!("input-{n}"))).collect();
    inputs.iter().for_each(|path| fs::write(path, "as planned").unwrap());
    let plan = || -> Vec<Shard<usize>> {
        let fingerprint = |path: &PathBuf| Fingerprint::new().with_file(&FileFingerprint::of(path).unwrap()).finish();
        let shard = |(n, path)| Shard { name: format!("{n:05}"), fingerprint: fingerprint(path), work: n };
        inputs.iter().enumerate().map(shard).collect()
    };
    let options = RunOptions::new(folder.path().join("out"));
    let mut first = open(&options, 1).unwrap();
    first
        .execute(STEP, &plan(), |n, out| {
            if *n == 1 {
                fs::write(&inputs[1], "something longer").unwrap();
            }
            work(n, out)
        })
        .unwrap();
    let summary = first.finish().unwrap();
    assert_eq!(summary.exit_code(), 1);
    let failed: Vec<&str> = summary.failed_shards.iter().map(|failed| &*failed.error).collect();
    assert!(failed.len() == 1 && failed[0].contains("input-1 was changed while it was read"), "{failed:?}");
    assert!(!options.output.join("part-00001.txt").exists());
    // What it holds now is read by the next run.
    let mut again = open(&options, 1).unwrap();
    again.execute(STEP, &plan(), work).unwrap();
    assert_eq!(again.finish().unwrap().status, Status::Done);
}

#[test]
fn a_funnel_tells_the_main_step_and_those_that_left_something_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = open(&RunOptions::new(folder.path()), 1).unwrap();
    let keeps = |n: &usize, out: &mut ShardOutput| {
        out.file_kept(*n as u64 + 1);
        Ok(())
    };
    let loses = |n: &usize, out: &mut ShardOutput| {
        out.file_left_out(n, LeftOut::drop(Why::Large, ""));
        keeps(n, out)
    };
    let step = |name: &'static str| Step { name, ..STEP };
    run.execute(step("scan"), &plan(2), keeps).unwrap();
    run.execute(step("plan"), &plan(2), loses).unwrap();
    run.execute(step("write"), &plan(1), keeps).unwrap();
    run.execute(step("sizes"), &plan(1), keeps).unwrap();
    run.finish().unwrap();
    let run = CompletedRun::open(folder.path()).unwrap().unwrap();
    let told: Vec<(Option<&str>, u64, u64)> =
        run.told_steps().map(|(step, stats)| (step, stats.read, stats.n_left_out())).collect();
    assert_eq!(told, [(Some("plan"), 5, 2), (None, 1, 0)]);
}
