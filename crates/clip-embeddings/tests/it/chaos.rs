//! Every command under injected faults and random kills; see `docs/reliability.md`.

use std::fs;

use audsem_core::testing::chaos::{survive, survive_printing};

use crate::report::score;
use crate::workbench::{Bench, flac, model, shard};

audsem_core::survival_tests! {
    audsem_clip_embeddings::cli::Cli:
    "merge-shards" => merge_shards_by_copy, merge_shards_by_link;
    "embed-audio" => embed_audio;
    "embed-text" => embed_text;
    "import-embeddings" => import_embeddings;
    "reference build" => reference_build;
    "score" => score_of_neighbours;
    "contamination" => contamination;
    "match" => match_of_captions;
    "report" => report_with_sounds;
    "extract" => extract_as_wav;
    "similarity" => similarity;
}

/// Runs a command through its rounds; `--output` and `--workers` are added.
fn check(bench: &Bench, name: &str, arguments: &str) {
    survive(name, &bench.path(""), |output, workers| {
        let mut command = bench.command(arguments);
        command.arg("--output").arg(output).args(["--workers", &workers.to_string()]);
        command
    });
}

/// A bench with a model in the folder that faults reach.
fn with_model() -> Bench {
    let bench = Bench::new();
    for entry in fs::read_dir(model()).unwrap() {
        let path = entry.unwrap().path();
        bench.write(&format!("model/{}", path.file_name().unwrap().to_str().unwrap()), fs::read(&path).unwrap());
    }
    bench
}

/// Shards of two clips each, of which the second is in two shards.
fn shards(bench: &Bench) {
    for n in 0..3 {
        let names = [format!("V{n} (1.0-2.0)"), format!("V{} (3.0-4.0)", n / 2)];
        let texts = [format!("rain on roof {n}"), format!("dog {n} barks")];
        bench.write(&format!("in/{n}.tar"), shard(&[(&names[0], &texts[0]), (&names[1], &texts[1])]));
    }
}

fn embeddings(bench: &Bench) {
    for n in 0..3 {
        bench.random(&format!("in/{n}.parquet"), &format!("q{n}-"), 30, 8, n);
        bench.random(&format!("ref/{n}.parquet"), &format!("r{n}-"), 30, 8, 10 + n);
    }
}

fn merge_shards_by_copy(command: &str) {
    let bench = Bench::new();
    shards(&bench);
    check(&bench, "merge-shards", &format!("{command} --source in --mode copy"));
}

fn merge_shards_by_link(command: &str) {
    let bench = Bench::new();
    shards(&bench);
    check(&bench, "merge-shards-link", &format!("{command} --source in"));
}

fn embed_audio(command: &str) {
    let bench = with_model();
    shards(&bench);
    check(&bench, "embed-audio", &format!("{command} -i in --model model"));
}

fn embed_text(command: &str) {
    let bench = with_model();
    shards(&bench);
    check(&bench, "embed-text", &format!("{command} -i in --model model"));
}

fn similarity(command: &str) {
    let bench = with_model();
    bench.write("a.flac", flac(300.0));
    survive_printing("similarity", &bench.path(""), |workers| {
        bench.command(&format!("{command} a.flac rain wind --model model --json --workers {workers}"))
    });
}

fn import_embeddings(command: &str) {
    let bench = Bench::new();
    embeddings(&bench);
    check(&bench, "import-embeddings", &format!("{command} -i in ref --modality audio --model-name other"));
}

fn reference_build(command: &str) {
    let bench = Bench::new();
    embeddings(&bench);
    check(&bench, "reference-build", &format!("{command} --reference ref --index"));
}

fn score_of_neighbours(command: &str) {
    let bench = Bench::new();
    embeddings(&bench);
    check(&bench, "score", &format!("{command} -i in --reference ref --score knn --top-k 2"));
}

fn contamination(command: &str) {
    let bench = Bench::new();
    embeddings(&bench);
    check(&bench, "contamination", &format!("{command} -i in --benchmark ref --threshold 0.5 --near-duplicates 0.9"));
}

fn match_of_captions(command: &str) {
    let bench = Bench::new();
    for n in 0..3 {
        let vectors = bench.random(&format!("audio/{n}.parquet"), &format!("k{n}-"), 12, 8, n);
        let keys: Vec<String> = (0..12).map(|k| format!("k{}-{k}", 2 - n)).collect();
        let rows: Vec<_> = keys.iter().map(|key| (key.as_str(), "text", vectors[0].clone())).collect();
        bench.texts(&format!("text/{n}.parquet"), &rows);
    }
    check(&bench, "match", &format!("{command} --audio audio --text text"));
}

/// Tables of scores and the shards with their clips.
fn scored_shards(bench: &Bench) {
    for i in 0..3 {
        let name = |n: usize| format!("V{i} ({n}.0-{}.5)", n + 1);
        let rows: Vec<_> = (0..12).map(|n| score(&name(n).replace('.', "_"), "s", n as f32 / 8.0)).collect();
        bench.table(&format!("scores/{i}.parquet"), &rows);
        let names: Vec<String> = (0..12).step_by(3).map(name).collect();
        let clips: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "text")).collect();
        bench.write(&format!("shards/{i}.tar"), shard(&clips));
    }
}

fn report_with_sounds(command: &str) {
    let bench = Bench::new();
    scored_shards(&bench);
    check(&bench, "report", &format!("{command} -i scores --shards shards --players files"));
}

fn extract_as_wav(command: &str) {
    let bench = Bench::new();
    scored_shards(&bench);
    check(&bench, "extract-clips", &format!("{command} -i scores --shards shards --format wav"));
}
