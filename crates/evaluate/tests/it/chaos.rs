//! Every command under injected faults and random kills; see `docs/reliability.md`.

use audsem_core::testing::chaos::survive;
use audsem_core::testing::loopback::Loopback;

use crate::answers::{many_choices, write_run};
use crate::import::mmau;
use crate::judge::{open_questions, rate};
use crate::predict::{answered, heard_in_this_process, items};
use crate::workbench::Bench;

audsem_core::survival_tests! {
    audsem_evaluate::cli::Cli:
    "predict" => predict, predict_in_this_process;
    "import" => import;
    "judge" => judge;
    "score" => score;
    "export" => export;
    "report" => report;
}

/// Runs a command through its rounds; `--output` and `--workers` are added.
fn check(bench: &Bench, name: &str, arguments: &str) {
    survive(name, &bench.path(""), |output, workers| {
        let mut command = bench.command(arguments);
        command.arg("--output").arg(output).args(["--workers", &workers.to_string()]);
        command
    });
}

fn predict(command: &str) {
    let bench = Bench::new();
    items(&bench, 4);
    let server = Loopback::start(|call, _| answered(call));
    let flags = "--items items.jsonl --sounds sounds --per-shard 2 --permute 2 --blind --model m";
    check(&bench, "predict", &format!("{command} {flags} --server {}", server.url("/v1")));
}

fn predict_in_this_process(command: &str) {
    let bench = Bench::new();
    let arguments = heard_in_this_process(&bench, 4);
    check(&bench, "predict-local", &format!("{command} {arguments} --per-shard 2 --batch-size 2"));
}

fn import(command: &str) {
    let bench = Bench::new();
    let arguments = mmau(&bench);
    check(&bench, "import-answers", &format!("{command} {arguments}"));
}

fn judge(command: &str) {
    let bench = Bench::new();
    let open = open_questions();
    write_run(&bench, "in", &[open[..2].to_vec(), open[2..].to_vec()]);
    let server = Loopback::start(|request, _| rate(request));
    check(
        &bench,
        "judge",
        &format!("{command} -i in --rubric graded --max-fail-rate 1 --model m --server {}", server.url("/v1")),
    );
}

fn score(command: &str) {
    let bench = Bench::new();
    write_run(&bench, "in", &many_choices(7));
    check(&bench, "score-answers", &format!("{command} -i in --resamples 100"));
}

fn export(command: &str) {
    let bench = Bench::new();
    write_run(&bench, "in", &many_choices(7));
    check(&bench, "export-answers", &format!("{command} -i in --format audiobench"));
}

fn report(command: &str) {
    let bench = Bench::new();
    write_run(&bench, "asked", &many_choices(7));
    bench.call("score -i asked -o in --resamples 100").ended(0);
    check(&bench, "report-scores", &format!("{command} -i in --resamples 100"));
}
