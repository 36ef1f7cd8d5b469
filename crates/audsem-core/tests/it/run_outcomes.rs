//! What becomes of records, what a step hands on, and when a run has come to nothing.

use std::fs;
use std::path::Path;

use audsem_core::error::Error;
use audsem_core::run::{
    Handover, JsonFile, LeftOut, Outcome, ReadBack, RejectDetail, Run, RunConfig, RunOptions, RunSpec, Shard,
    ShardError, ShardOutput, ShardOutputs, Stats, Status, Step, StepOutputs, Summary,
};
use proptest::prelude::*;
use serde::Serialize;

audsem_core::reasons! {
    enum DropReason {
        Odd = "odd": "the number is odd" => "--odd",
        Small = "small": "the number is small",
    }
}

audsem_core::reasons! {
    enum Fault {
        Broken = "broken": "the number cannot be divided",
    }
}

const PART: Step = Step { name: "part", unit: "numbers", physical: "MB" };
const AGAIN: Step = Step { name: "again", unit: "numbers", physical: "MB" };

#[derive(Serialize)]
struct Numbers {
    threshold: u32,
}

impl RunConfig for Numbers {
    const TOOL: &'static str = "test";
    const COMMAND: &'static str = "numbers";
}

fn open(options: &RunOptions) -> Run {
    Run::open(options, RunSpec::new(&Numbers { threshold: 1 })).unwrap()
}

fn plan(n: u64) -> Vec<Shard<u64>> {
    (0..n).map(|n| Shard { name: format!("{n:05}"), fingerprint: format!("reads-{n}").into(), work: n }).collect()
}

fn rejects(folder: &Path) -> Vec<RejectDetail> {
    let text = fs::read_to_string(folder.join("rejects-00000.jsonl")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// One call that files records, as a step makes it.
#[derive(Debug, Clone)]
enum Call {
    Kept(u64),
    One(Option<bool>),
    Many(bool, u64),
    /// In a batch, with the number of calls before the batch is taken in.
    Batch(Vec<Option<bool>>),
}

fn outcome(failed: Option<bool>) -> Outcome<u64, &'static str> {
    match failed {
        None => Ok(7),
        Some(true) => Err(LeftOut::fail(Fault::Broken, "its detail")),
        Some(false) => Err(LeftOut::drop(DropReason::Odd, "its detail")),
    }
}

fn call() -> impl Strategy<Value = Call> {
    let one = || proptest::option::of(any::<bool>());
    prop_oneof![
        (0u64..9).prop_map(Call::Kept),
        one().prop_map(Call::One),
        (any::<bool>(), 1u64..9).prop_map(|(failed, n)| Call::Many(failed, n)),
        proptest::collection::vec(one(), 0..6).prop_map(Call::Batch),
    ]
}

fn file(calls: &[Call], out: &mut ShardOutput) -> Result<(), ShardError> {
    for call in calls {
        match call {
            Call::Kept(n) => out.file_kept(*n),
            Call::One(failed) => assert_eq!(out.file("a", outcome(*failed)).is_some(), failed.is_none()),
            Call::Many(failed, n) => out.file_many("m", outcome(Some(*failed)).unwrap_err(), *n),
            Call::Batch(of_batch) => {
                let mut batch = out.reject_batch();
                for failed in of_batch {
                    assert_eq!(batch.file("b", outcome(*failed)).is_some(), failed.is_none());
                }
                out.file_batch(&mut batch)?;
            }
        }
    }
    Ok(())
}

/// Kept, dropped and failed, counted another way.
fn expected(calls: &[Call]) -> (u64, u64, u64) {
    let (mut kept, mut dropped, mut failed) = (0, 0, 0);
    let mut add = |what: Option<bool>, n: u64| match what {
        None => kept += n,
        Some(false) => dropped += n,
        Some(true) => failed += n,
    };
    for call in calls {
        match call {
            Call::Kept(n) => add(None, *n),
            Call::One(what) => add(*what, 1),
            Call::Many(is_failure, n) => add(Some(*is_failure), *n),
            Call::Batch(of_batch) => of_batch.iter().for_each(|what| add(*what, 1)),
        }
    }
    (kept, dropped, failed)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn whatever_is_filed_adds_up(calls in proptest::collection::vec(call(), 0..20)) {
        let folder = tempfile::tempdir().unwrap();
        let mut stats = Vec::new();
        for dry_run in [true, false] {
            let mut run = open(&RunOptions { dry_run, ..RunOptions::new(folder.path()) });
            stats.push(run.execute(PART, &plan(1), |_, out| file(&calls, out)).unwrap().stats);
        }
        let Stats { read, kept, .. } = stats[1];
        prop_assert_eq!((kept, stats[1].n_dropped(), stats[1].n_failed()), expected(&calls));
        prop_assert_eq!(read, kept + stats[1].n_dropped() + stats[1].n_failed());
        // Every record that is not kept stands in the rejects, as often as it was counted.
        let lines = rejects(folder.path());
        for (outcome, n) in [("dropped", stats[1].n_dropped()), ("failed", stats[1].n_failed())] {
            let filed: u64 = lines.iter().filter(|line| line.outcome == outcome).map(|line| line.records).sum();
            prop_assert_eq!(filed, n);
        }
        prop_assert_eq!(&stats[0], &stats[1], "a dry run counts the same");
    }
}

#[test]
fn announced_records_must_all_be_filed() {
    let run = |filed: u64| {
        let folder = tempfile::tempdir().unwrap();
        open(&RunOptions::new(folder.path())).execute(PART, &plan(1), |_, out| {
            out.announce(1);
            out.announce(2);
            out.file_kept(filed);
            Ok(())
        })
    };
    assert_eq!(run(3).unwrap().stats.read, 3);
    for filed in [2, 4] {
        let error = run(filed).unwrap_err();
        assert!(matches!(&error, Error::Unaccounted { read: 3, accounted, .. } if *accounted == filed), "{error}");
    }
}

/// Hands over squares, in a file of its own.
fn squares() -> impl Handover<Vec<u64>> {
    ReadBack(|shard: &ShardOutputs| {
        let path = shard.file_ending(".txt")?;
        let text = fs::read_to_string(path).map_err(Error::read(path))?;
        Ok(text.lines().map(|line| line.parse().unwrap()).collect())
    })
}

fn square(n: u64, out: &mut ShardOutput) -> Result<Vec<u64>, ShardError> {
    out.file_kept(1);
    let values = vec![n, n * n];
    let text: String = values.iter().map(|value| format!("{value}\n")).collect();
    out.write_file(format!("part-{}.txt", out.name()), text.as_bytes())?;
    Ok(values)
}

fn handed<H: Handover<Vec<u64>>>(options: &RunOptions, via: &H) -> StepOutputs<Vec<u64>> {
    open(options).execute_via(via, PART, &plan(5), |n, out| square(*n, out)).unwrap().whole().unwrap()
}

#[test]
fn the_next_step_gets_the_same_on_a_dry_run_at_first_and_again() {
    fn check<H: Handover<Vec<u64>>>(via: &H) {
        let folder = tempfile::tempdir().unwrap();
        let options = RunOptions { workers: 3, ..RunOptions::new(folder.path()) };
        let dry = handed(&RunOptions { dry_run: true, ..options.clone() }, via);
        assert_eq!(dry.values[3], [3, 9]);
        let first = handed(&options, via);
        // One shard by this process, the others by an earlier one.
        fs::remove_file(folder.path().join("part-00003.done.json")).unwrap();
        let mixed = handed(&options, via);
        let again = handed(&options, via);
        for outputs in [&first, &mixed, &again] {
            assert_eq!(outputs.values, dry.values);
            let names: Vec<&str> = outputs.outputs.iter().map(|shard| shard.name.as_str()).collect();
            assert_eq!(names, ["00000", "00001", "00002", "00003", "00004"]);
        }
        assert_eq!(first.fingerprint().finish(), again.fingerprint().finish());
    }
    check(&squares());
    check(&JsonFile("squares"));
}

#[test]
fn numbers_with_all_their_digits_are_the_same_on_a_dry_run() {
    // Sums of vectors look like this; a text of them may read back as a neighbour in the last bit.
    let value = |n: u64| (0..200).map(|i| ((n * 200 + i) as f64 * 0.618_033_988_749_894_9).sin() / 3.0).collect();
    let handed = |dry_run, folder: &Path| {
        let mut run = open(&RunOptions { dry_run, ..RunOptions::new(folder) });
        let step = run.execute_via(&JsonFile("sums"), PART, &plan(5), |n, _| Ok::<Vec<f64>, _>(value(*n)));
        step.unwrap().values.concat().into_iter().map(f64::to_bits).collect::<Vec<_>>()
    };
    let folder = tempfile::tempdir().unwrap();
    let dry = handed(true, folder.path());
    assert_eq!(dry.len(), 1000);
    assert_eq!(handed(false, folder.path()), dry);
    assert_eq!(handed(false, folder.path()), dry, "read by a later process");
}

#[test]
fn a_value_that_cannot_be_read_back_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let options = RunOptions::new(folder.path());
    handed(&options, &JsonFile("squares"));
    let path = folder.path().join("squares-00002.json");
    let length = fs::metadata(&path).unwrap().len();
    fs::write(&path, vec![b'x'; length as usize]).unwrap();
    let error = open(&options).execute_via(&JsonFile("squares"), PART, &plan(5), |n, out| square(*n, out));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("squares-00002.json") && error.contains("--fresh"), "{error}");
}

#[test]
fn a_later_step_over_files_reads_all_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let outputs = handed(&RunOptions::new(folder.path()), &squares());
    let [all] = outputs.one_shard(".txt");
    assert_eq!(all.work, outputs.files_ending(".txt").cloned().collect::<Vec<_>>());
    assert_eq!(all.work.len(), 5);
    let each = outputs.shard_per_file(".txt");
    assert_eq!(each.iter().map(|shard| &shard.work).collect::<Vec<_>>(), all.work.iter().collect::<Vec<_>>());
    assert_eq!(each[4].fingerprint, outputs.outputs[4].fingerprint);
}

/// Twenty records, of which the first `failed` fail, in step `part`; what is left again in step `again`.
fn two_steps(options: &RunOptions, failed: u64) -> Summary {
    let mut run = open(options);
    let work = |n: &u64, out: &mut ShardOutput| {
        for i in 0..20 {
            out.file(n * 20 + i, if i < failed { outcome(Some(true)) } else { outcome(None) });
        }
        Ok(())
    };
    let done = run.execute(PART, &plan(5), work).unwrap();
    run.execute(AGAIN, &plan(1), |_, out| {
        out.file_kept(done.stats.kept);
        Ok(())
    })
    .unwrap();
    run.finish().unwrap()
}

#[test]
fn a_second_step_does_not_make_lost_records_fewer() {
    let folder = tempfile::tempdir().unwrap();
    let options = RunOptions { max_fail_rate: 0.15, ..RunOptions::new(folder.path()) };
    // 20 of 100 are lost; over both steps together that would be 20 of 180.
    let summary = two_steps(&options, 4);
    assert_eq!((summary.status, summary.exit_code()), (Status::OverFailLimit, 1));
    let text = summary.to_string();
    assert!(text.starts_with("error: 20 of 100 records failed, more than --max-fail-rate 0.15"), "{text}");
    let allowed = two_steps(&RunOptions { max_fail_rate: 0.2, ..options }, 4);
    assert_eq!(allowed.status, Status::Done, "a share that is allowed exactly");
}

#[test]
fn what_an_earlier_process_has_lost_counts_when_a_step_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let work = |n: &u64, out: &mut ShardOutput| {
        for i in 0..600 {
            // The first two shards lose 120 of 600 each, the others nothing.
            out.file(i, if *n < 2 && i < 120 { outcome(Some(true)) } else { outcome(None) });
        }
        Ok(())
    };
    let lenient = RunOptions::new(folder.path());
    open(&lenient).execute(PART, &plan(2), work).unwrap();
    let strict = RunOptions { max_fail_rate: 0.1, ..lenient };
    let error = open(&strict).execute(PART, &plan(3), work).unwrap_err();
    assert!(matches!(error, Error::TooManyFailures { failed: 240, read: 1800, .. }), "{error}");
}

fn with_required(outcomes: &[Outcome<u64, &'static str>], dry_run: bool) -> Summary {
    let folder = tempfile::tempdir().unwrap();
    let mut run = open(&RunOptions { dry_run, ..RunOptions::new(folder.path()) });
    run.must_keep(PART).explain(DropReason::ALL).explain(Fault::ALL);
    run.execute(PART, &plan(1), |_, out| {
        for outcome in outcomes {
            out.file("n", *outcome);
        }
        Ok(())
    })
    .unwrap();
    run.finish().unwrap()
}

#[test]
fn a_run_that_keeps_nothing_says_first_why() {
    let dropped = |reason| Err(LeftOut::drop(reason, ""));
    let check = |outcomes: &[Outcome<u64, &'static str>], expected: &str| {
        for dry_run in [false, true] {
            let summary = with_required(outcomes, dry_run);
            assert_eq!((summary.status, summary.exit_code()), (Status::Empty, 1));
            let text = summary.to_string();
            assert!(text.starts_with(&format!("error: {expected}\n")), "{text}");
            assert_eq!(serde_json::to_value(&summary).unwrap()["status"], "empty");
        }
    };
    check(&[], "nothing was read: the input holds no numbers");
    check(
        &[dropped(DropReason::Small), dropped(DropReason::Odd), dropped(DropReason::Odd)],
        "none of 3 numbers was kept; 2 are left out as `odd`: the number is odd\n  hint: --odd changes that",
    );
    check(
        &[dropped(DropReason::Small)],
        "the only number was not kept: it is left out as `small`: the number is small",
    );
    check(
        &[Err(LeftOut::fail(Fault::Broken, ""))],
        "the only number was not kept: it is left out as `broken`: the number cannot be divided",
    );
    assert_eq!(with_required(&[Ok(1), dropped(DropReason::Odd)], false).status, Status::Done);
}

#[test]
fn a_run_with_shards_left_or_failed_is_not_called_empty() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = open(&RunOptions::new(folder.path()));
    run.must_keep(PART);
    let failing = |n: &u64, _: &mut ShardOutput| match n {
        0 => Err(ShardError::input("the tar is cut in its middle")),
        _ => Err(ShardError::Stopped),
    };
    assert!(run.execute(PART, &plan(2), failing).unwrap().whole().is_none());
    let summary = run.finish().unwrap();
    assert_eq!((summary.status, summary.exit_code()), (Status::OverFailLimit, 1));
    assert!(summary.to_string().starts_with("error: 1 shard failed and is not done: part-00000;"), "{summary}");
    assert_eq!(summary.clone().as_empty("nothing").status, Status::OverFailLimit, "the worse is told");
}
