//! Killed runs continue with the same final bytes.

use std::path::Path;

use audsem_clip_embeddings::tables::Score;
use audsem_core::testing::kill_and_resume;

use crate::clap2;
use crate::report::score;
use crate::workbench::{Bench, model, shard};

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
fn reference_build_goes_on_after_a_kill() {
    let bench = Bench::new();
    for i in 0..8 {
        bench.random(&format!("in/{i}.parquet"), "q", 3000, 16, i);
    }
    check(&bench, 8, "reference build --reference in --index");
}

#[test]
fn import_goes_on_after_a_kill() {
    let bench = Bench::new();
    for i in 0..8 {
        bench.random(&format!("in/{i}.parquet"), "q", 3000 + 100 * i as usize, 16, i);
    }
    check(&bench, 8, "import-embeddings -i in --modality audio --model-name other");
}

#[test]
fn match_goes_on_after_a_kill() {
    let bench = Bench::new();
    let n = 2500;
    for i in 0..8 {
        let vectors = bench.random(&format!("audio/{i}.parquet"), &format!("k{i}-"), n, 16, i as u64);
        let keys: Vec<String> = (0..n).map(|k| format!("k{}-{k}", 7 - i)).collect();
        let rows: Vec<(&str, &str, Vec<f32>)> =
            keys.iter().map(|key| (key.as_str(), "text", vectors[0].clone())).collect();
        bench.texts(&format!("text/{i}.parquet"), &rows);
    }
    check(&bench, 8, "match --audio audio --text text");
}

/// Tables of scores and the shards with their clips, of which one in three is missing.
fn scored_shards(bench: &Bench) {
    for i in 0..10 {
        let name = |n: usize| format!("V{i} ({n}.0-{}.5)", n + 1);
        let rows: Vec<Score> = (0..300).map(|n| score(&name(n).replace('.', "_"), "s", n as f32 / 200.0)).collect();
        bench.table(&format!("scores/{i}.parquet"), &rows);
        let names: Vec<String> = (0..300).step_by(30).filter(|n| n % 90 != 0).map(name).chain([name(299)]).collect();
        let clips: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "text")).collect();
        bench.write(&format!("shards/{i}.tar"), shard(&clips));
    }
}

#[test]
fn report_goes_on_after_a_kill() {
    let bench = Bench::new();
    scored_shards(&bench);
    check(&bench, 10, "report -i scores --shards shards --players files");
}

#[test]
fn extract_goes_on_after_a_kill() {
    let bench = Bench::new();
    scored_shards(&bench);
    check(&bench, 10, "extract -i scores --shards shards --format wav");
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

/// Shards, each of which repeats a clip of the one before.
fn shards(bench: &Bench, n_shards: usize) {
    for n in 0..n_shards {
        let names: Vec<String> = (0..4).map(|i| format!("V{} (1.0-2.0)", 3 * n + i)).collect();
        let texts: Vec<String> = (0..4).map(|i| format!("rain falls on roof {}", 3 * n + i)).collect();
        let clips: Vec<(&str, &str)> = names.iter().zip(&texts).map(|(name, text)| (&**name, &**text)).collect();
        bench.write(&format!("in/{n}.tar"), shard(&clips));
    }
}

#[test]
fn embed_audio_goes_on_after_a_kill_whatever_the_batches() {
    let bench = Bench::new();
    shards(&bench, 5);
    let runs = tempfile::tempdir().unwrap();
    let program = |output: &Path, workers: usize| {
        let mut command =
            bench.command(&format!("embed-audio -i in --batch-size {workers} --model {}", model().display()));
        command.arg("--output").arg(output).args(["--workers", &workers.to_string()]);
        command
    };
    let seen = kill_and_resume(runs.path(), 4, program).unwrap();
    assert!(seen.in_the_middle > 0, "no kill came in the middle: {seen:?}");
}

/// The same with a folder of CLAP2, whose vectors are made otherwise.
#[test]
fn embed_audio_with_clap2_goes_on_after_a_kill() {
    let bench = Bench::new();
    shards(&bench, 5);
    let model = clap2::golden();
    check(&bench, 4, &format!("embed-audio -i in --batch-size 3 --model {}", model.display()));
}

#[test]
fn embed_text_goes_on_after_a_kill() {
    let bench = Bench::new();
    shards(&bench, 12);
    check(&bench, 8, &format!("embed-text -i in --model {}", model().display()));
}
