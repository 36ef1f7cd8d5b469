//! Killed runs continue with the same final bytes.

use std::path::Path;

use audsem_core::testing::kill_and_resume;

use crate::audio::shard;
use crate::audio_caption::heard_in_this_process;
use crate::originals::Original;
use crate::workbench::{Bench, audio, copy_model, fixture, random_language_model, sat};
use crate::{image, video, write};

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
fn combine_goes_on_after_a_kill() {
    let bench = Bench::new();
    for n in 0..8 {
        let key = |i: usize| format!("V{n} ({i}_0-{}_0)", i + 1);
        bench.table(&format!("audio/{n}.parquet"), &(0..800).map(|i| audio(&key(i), "rain")).collect::<Vec<_>>());
        bench.table(&format!("sat/{n}.parquet"), &(0..800).map(|i| sat(&key(i))).collect::<Vec<_>>());
    }
    check(&bench, 6, "combine --audio audio --sat sat");
}

#[test]
fn filter_goes_on_after_a_kill() {
    let bench = Bench::new();
    for n in 0..8 {
        let key = |i: usize| format!("V{n} ({i}_0-{}_0)", i + 4);
        bench.table(&format!("audio/{n}.parquet"), &(0..800).map(|i| audio(&key(i), "rain")).collect::<Vec<_>>());
    }
    bench.call("combine --audio audio -o combined").ended(0);
    check(&bench, 6, "filter -i combined --min-similarity off");
}

/// Shards with three clips each.
fn shards(bench: &Bench, n: usize) {
    for n in 0..n {
        let names = [0, 1, 2].map(|i| format!("V{n} ({i}_0-{}_0)", i + 1));
        bench.write(&format!("in/{n}.tar"), shard(&names.each_ref().map(String::as_str)));
    }
}

#[test]
fn audio_goes_on_after_a_kill() {
    let bench = Bench::new();
    shards(&bench, 6);
    check(&bench, 4, &format!("audio -i in --models ast --model-dir ast={}", fixture("goldens/ast_tiny").display()));
}

#[test]
fn sat_goes_on_after_a_kill() {
    let (bench, original) = (Bench::new(), Original::load("sat"));
    original.write_model(&bench, "model", &original.config);
    let names: String = (0..11).map(|class| format!("{class},/m/{class},Class {class}\n")).collect();
    bench.write("names.csv", format!("index,mid,display_name\n{names}"));
    shards(&bench, 6);
    check(&bench, 4, "sat -i in --model model --class-names names.csv --top-k 2");
}

/// Shards with a video and a picture each.
fn shards_with_pictures(bench: &Bench, n: u32) {
    let picture = image::picture("rgb.png");
    for n in 0..n {
        let (names, film) = ([0, 1].map(|i| format!("V{n} ({i}_0-{}_0)", i + 2)), image::video(2 + n % 2, 0));
        bench.write(&format!("in/{n}.tar"), image::shard(&[(&names[0], "mp4", &film), (&names[1], "png", &picture)]));
    }
}

#[test]
fn image_goes_on_after_a_kill() {
    let bench = Bench::new();
    copy_model(&bench, "mobilenet_v2_tiny");
    shards_with_pictures(&bench, 6);
    check(&bench, 4, "image -i in --models mobilenet --model-dir mobilenet=model");
}

/// The pictures, which have no length, are rejects.
#[test]
fn video_goes_on_after_a_kill() {
    let bench = Bench::new();
    video::with_ends(&bench);
    shards_with_pictures(&bench, 6);
    check(&bench, 4, &format!("video -i in --max-tokens 8 --max-fail-rate 1 {}", video::FLAGS));
}

#[test]
fn contribution_in_this_process_goes_on_after_a_kill() {
    let bench = Bench::new();
    write::clips(&bench, 4);
    bench.call("mcqa -i clips --backend template --per-shard 1 -o mcqa").ended(0);
    random_language_model(&bench.path("model"));
    // Stored answers are named by process.
    check(&bench, 4, "contribution -r mcqa --model model --no-replay");
}

#[test]
fn audio_caption_in_this_process_goes_on_after_a_kill() {
    let bench = Bench::new();
    let arguments = heard_in_this_process(&bench, 6);
    check(&bench, 4, &format!("audio-caption {arguments} --no-replay"));
}
