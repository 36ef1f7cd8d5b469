//! Every command under injected faults and random kills; see `docs/reliability.md`.

use audsem_core::testing::chaos::{survive, survive_printing};
use serde_json::json;

use crate::shards::world::{audio_tar, caption, flac};
use crate::workbench::{Bench, clip, tar_of};

audsem_core::survival_tests! {
    audsem_tarify::cli::Cli:
    "pack" => pack;
    "rename" => rename;
    "transcode" => transcode;
    "check" => check_of_sounds;
    "index" => index;
    "shards" => shards;
    "why" => why;
}

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

/// Tars of one video each.
fn videos(bench: &Bench) {
    for n in 0..2 {
        let (video, text) = (format!("V{n} (1_0-1_6).mp4"), format!("V{n} (1_0-1_6).json"));
        bench.write(&format!("in/{n}.tar"), tar_of(&[(&video, clip()), (&text, b"{\"a\":1}")]));
    }
}

fn pack(command: &str) {
    let bench = Bench::new();
    for n in 0..2 {
        bench.write(&format!("clips/V{n} (1.0-1.6).mp4"), clip());
    }
    bench.write("table.csv", "video_id,start,duration,text\nV0,1.0,0.6,door slams\nV1,1.0,0.6,rain\n");
    let small = "--height 48 --preset ultrafast --per-shard 1";
    check(&bench, "pack", &format!("{command} -i clips --table table.csv {small}"));
}

fn rename(command: &str) {
    let bench = Bench::new();
    for n in 0..3 {
        let (video, text) = (format!("tar/V{n} (1.0-3.5).mp4"), format!("tar/V{n} (1.0-3.5).json"));
        bench.write(&format!("in/{n}.tar"), tar_of(&[(&video, &[7; 3000]), (&text, b"{}")]));
    }
    check(&bench, "rename", &format!("{command} -i in"));
}

fn transcode(command: &str) {
    let bench = Bench::new();
    videos(&bench);
    check(&bench, "transcode", &format!("{command} -i in --height 48 --preset ultrafast"));
}

fn check_of_sounds(command: &str) {
    let bench = Bench::new();
    sounds(&bench);
    bench.write("in/sizes.json", json!({ "0.tar": 2, "1.tar": 2, "2.tar": 2 }).to_string());
    check(&bench, "check", &format!("{command} -i in"));
}

fn index(command: &str) {
    let bench = Bench::new();
    sounds(&bench);
    check(&bench, "index", &format!("{command} -i in"));
}

fn shards(command: &str) {
    let bench = Bench::new();
    sounds(&bench);
    let names = (0..3).flat_map(|n| [0, 1].map(|clip| format!("video{n} ({clip}.0-{}.0)", clip + 1)));
    let records: Vec<String> = names.map(|name| caption(&name, "Something can be heard.").to_string()).collect();
    bench.write("records.jsonl", records.join("\n"));
    let split = "--per-shard 2 --num-valid 2 --seed 3";
    check(&bench, "shards", &format!("{command} --task caption {split} --records records.jsonl --input in"));
}

fn why(command: &str) {
    let bench = Bench::new();
    sounds(&bench);
    let records = ["video0 (0.0-1.0)", "video1 (1.0-2.0)"].map(|name| caption(name, "Rain falls.").to_string());
    bench.write("records.jsonl", records.join("\n"));
    bench.call("shards --task caption --num-valid 0 --records records.jsonl --input in -o runs/shards").ended(0);
    survive_printing("why", &bench.path(""), |_| bench.command(&format!("{command} video1 runs")));
}
