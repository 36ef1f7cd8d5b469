//! Every command under injected faults and random kills.

use audsem_core::testing::chaos::survive;

use crate::shards::world::{audio_tar, caption, flac};
use crate::workbench::{Bench, tar_of};

/// Runs a command through its rounds; `--output` and `--workers` are added.
fn check(bench: &Bench, name: &str, arguments: &str) {
    survive(name, &bench.path(""), |output, workers| {
        let mut command = bench.command(arguments);
        command.arg("--output").arg(output).args(["--workers", &workers.to_string()]);
        command
    });
}

/// Tars of two sounds each.
fn sounds(bench: &Bench) {
    let sound = flac(16_000, 0.3, 0.5);
    for n in 0..3 {
        let names = [0, 1].map(|clip| format!("video{n} ({clip}.0-{}.0)", clip + 1));
        let clips: Vec<_> = names.iter().map(|name| (name.as_str(), sound.clone())).collect();
        bench.write(&format!("in/{n}.tar"), audio_tar(&clips));
    }
}

#[test]
fn rename() {
    let bench = Bench::new();
    for n in 0..3 {
        let (video, text) = (format!("tar/V{n} (1.0-3.5).mp4"), format!("tar/V{n} (1.0-3.5).json"));
        bench.write(&format!("in/{n}.tar"), tar_of(&[(&video, &[7; 3000]), (&text, b"{}")]));
    }
    check(&bench, "rename", "rename -i in");
}

#[test]
fn index() {
    let bench = Bench::new();
    sounds(&bench);
    check(&bench, "index", "index -i in");
}

#[test]
fn shards() {
    let bench = Bench::new();
    sounds(&bench);
    let names = (0..3).flat_map(|n| [0, 1].map(|clip| format!("video{n} ({clip}.0-{}.0)", clip + 1)));
    let records: Vec<String> = names.map(|name| caption(&name, "Something can be heard.").to_string()).collect();
    bench.write("records.jsonl", records.join("\n"));
    let split = "--max-count 2 --num-valid 2 --seed 3";
    check(&bench, "shards", &format!("shards --task caption {split} --records records.jsonl --input in"));
}
