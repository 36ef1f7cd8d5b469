//! Tasks of a job array: what they are told by Slurm, and what they leave when they end together.

use std::process::Stdio;

use crate::workbench::{Bench, tar_of};

/// A folder with tars of one sample each.
fn tars(n: usize) -> Bench {
    let bench = Bench::new();
    for number in 0..n {
        let key = format!("V{number} (1_0-2_0)");
        let (flac, json) = (format!("{key}.flac"), format!("{key}.json"));
        bench.write(&format!("in/{number}.tar"), tar_of(&[(&flac, b"fLaC"), (&json, b"{}")]));
    }
    bench
}

#[test]
fn tasks_that_end_at_the_same_moment_leave_a_complete_folder() {
    const TASKS: usize = 8;
    let bench = tars(TASKS);
    for round in 0..4 {
        let task = |index: usize| {
            let line = format!("check -i in -o out{round} --verify none --shard {index}/{TASKS} --quiet");
            bench.command(&line).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let tasks: Vec<_> = (0..TASKS).map(task).collect();
        for task in tasks {
            let output = task.wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        }
        let stats = bench.json(&format!("out{round}/stats.json"));
        assert_eq!(
            (&stats["complete"], &stats["steps"]["part"]["in"]),
            (&true.into(), &TASKS.into()),
            "{round}: {stats}"
        );
    }
}

#[test]
fn a_task_says_which_one_it_is_and_that_it_has_nothing_to_do() {
    let bench = tars(2);
    let task = |flags: &str, variables: &[(&str, &str)]| {
        let line = format!("check -i in -o out --verify none {flags}");
        bench.call_with(&line, |command| {
            command.envs(variables.iter().copied());
        })
    };
    let array = |id| {
        [
            ("SLURM_ARRAY_TASK_ID", id),
            ("SLURM_ARRAY_TASK_COUNT", "3"),
            ("SLURM_ARRAY_TASK_MIN", "5"),
            ("SLURM_ARRAY_TASK_MAX", "9"),
            ("SLURM_ARRAY_TASK_STEP", "2"),
        ]
    };
    let idle = task("", &array("9")).ended(0);
    idle.says("task 3 of 3 (SLURM_ARRAY_TASK_ID=9, SLURM_ARRAY_TASK_COUNT=3)\n");
    idle.says("task 3 of 3 has nothing to do: none of the 2 shards are its own; 2 shards left to other tasks");
    assert!(!idle.stderr.contains("run the same command again"), "{}", idle.stderr);
    let first = task("", &array("5")).ended(0);
    first.says("task 1 of 3 has done its 1 shard; 1 shard left to other tasks");
    // What the user says goes before what Slurm says; what Slurm cannot mean is refused.
    let told = task("--shard 1/2", &array("6")).ended(0);
    assert!(!told.stderr.contains("SLURM"), "{}", told.stderr);
    assert_eq!(bench.json("out/stats.json")["complete"], true);
    task("", &array("6")).ended(2).says("task 6 has no place among 3 tasks from 5 to 9 by 2");
}
