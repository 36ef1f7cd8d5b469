//! Every command under injected faults and random kills; see `docs/reliability.md`.

use std::fs;

use audsem_core::testing::chaos::{survive, survive_printing, survive_writing};
use audsem_core::testing::loopback::{Loopback, Reply};
use serde_json::json;

use crate::audio::shard;
use crate::audio_caption::heard_in_this_process;
use crate::originals::Original;
use crate::workbench::{Bench, audio, copy_model, fixture, random_language_model, sat};
use crate::{image, video, write};

audsem_core::survival_tests! {
    audsem_metadata_eval::cli::Cli:
    "convert-weights" => weights_and_their_configuration, weights_in_two_files;
    "audio" => audio_features;
    "sat" => second_features;
    "image" => image_features;
    "video" => video_features;
    "audio-caption" => audio_caption, audio_caption_in_this_process;
    "combine" => combine;
    "import-reference" => import_reference;
    "filter" => filter;
    "caption" => write_captions_by_rules;
    "qa" => write_questions_for_a_judge;
    "mcqa" => write_choices_by_rules;
    "visual-caption" => write_captions_by_ear;
    "prompt" => prompt;
    "lint" => lint;
    "contribution" => contribution, contribution_in_this_process;
    "sample" => sample;
}

/// Runs a command through its rounds; `--output` and `--workers` are added.
fn check(bench: &Bench, name: &str, arguments: &str) {
    survive(name, &bench.path(""), |output, workers| {
        let mut command = bench.command(arguments);
        command.arg("--output").arg(output).args(["--workers", &workers.to_string()]);
        command
    });
}

fn combine(command: &str) {
    let bench = Bench::new();
    for n in 0..3 {
        let key = |i: usize| format!("V{n} ({i}_0-{}_0)", i + 1);
        bench.table(&format!("in/audio/{n}.parquet"), &[audio(&key(0), "rain"), audio(&key(1), "wind")]);
        bench.table(&format!("in/sat/{n}.parquet"), &[sat(&key(0)), sat("V0 (9_0-9_5)")]);
    }
    check(&bench, "combine-features", &format!("{command} --audio in/audio --sat in/sat --require audio"));
}

fn filter(command: &str) {
    let bench = Bench::new();
    for n in 0..3 {
        let key = |i: usize| format!("V{n} ({i}_0-{}_0)", i + 4);
        bench.table(&format!("in/audio/{n}.parquet"), &[audio(&key(0), "rain"), audio(&key(1), "wind")]);
    }
    bench.call("combine --audio in/audio -o in/combined").ended(0);
    bench.write("in/list.txt", "V1 (0_0-4_0)\n");
    let flags = "--min-similarity off --exclude in/list.txt";
    check(&bench, "filter-clips", &format!("{command} -i in/combined {flags}"));
}

fn import_reference(command: &str) {
    let bench = Bench::new();
    for n in 0..3 {
        let rows = format!("file_name,caption\ntar/V{n} (1_0-2_0),A street.\ntar/V{n} (3_0-5_0),\n");
        bench.write(&format!("in/{n}.csv"), rows);
    }
    check(&bench, "import-reference", &format!("{command} -i in --kind video --max-fail-rate 1"));
}

fn audio_features(command: &str) {
    let bench = Bench::new();
    copy_model(&bench, "ast_tiny");
    for n in 0..3 {
        bench.write(&format!("in/{n}.tar"), shard(&[&format!("V{n} (0.0-0.5)"), &format!("V{} (1.0-1.75)", n / 2)]));
    }
    check(&bench, "audio-features", &format!("{command} -i in --models ast --model-dir ast=model"));
}

fn second_features(command: &str) {
    let (bench, original) = (Bench::new(), Original::load("sat"));
    original.write_model(&bench, "model", &original.config);
    let names: String = (0..11).map(|class| format!("{class},/m/{class},Class {class}\n")).collect();
    bench.write("names.csv", format!("index,mid,display_name\n{names}"));
    for n in 0..3 {
        bench.write(&format!("in/{n}.tar"), shard(&[&format!("V{n} (0.0-0.5)"), &format!("V{} (1.0-1.75)", n / 2)]));
    }
    check(&bench, "second-features", &format!("{command} -i in --model model --class-names names.csv --top-k 2"));
}

fn write_captions_by_rules(command: &str) {
    let bench = Bench::new();
    write::clips(&bench, 9);
    bench.write("in/clips.parquet", fs::read(bench.path("clips/part-00000.parquet")).unwrap());
    check(&bench, "caption", &format!("{command} -i in --backend template --per-shard 3"));
}

fn audio_caption(command: &str) {
    let bench = Bench::new();
    for n in 0..3 {
        bench.write(&format!("in/{n}.tar"), shard(&[&format!("V{n} (0.0-0.5)"), &format!("V{} (1.0-1.75)", n / 2)]));
    }
    let server = Loopback::start(|_, _| {
        let body = json!({"choices": [{"message": {"content": "A tone."}, "finish_reason": "stop"}]});
        Reply::Send(200, "", body.to_string().into_bytes())
    });
    check(&bench, "audio-caption", &format!("{command} -i in --model m --server {}", server.url("/v1")));
}

fn audio_caption_in_this_process(command: &str) {
    let bench = Bench::new();
    let arguments = heard_in_this_process(&bench, 3);
    check(&bench, "audio-caption-model", &format!("{command} {arguments}"));
}

fn image_features(command: &str) {
    let bench = Bench::new();
    copy_model(&bench, "mobilenet_v2_tiny");
    let (film, picture) = (image::video(1, 0), image::picture("rgb.png"));
    for n in 0..3 {
        let names = [format!("V{n} (0.0-1.0)"), format!("V{} (1.0-1.75)", n / 2)];
        bench.write(&format!("in/{n}.tar"), image::shard(&[(&names[0], "mp4", &film), (&names[1], "png", &picture)]));
    }
    check(&bench, "image-features", &format!("{command} -i in --models mobilenet --model-dir mobilenet=model"));
}

fn video_features(command: &str) {
    let bench = Bench::new();
    video::with_ends(&bench);
    for n in 0..3 {
        let clip = image::video(2 + n, 0);
        bench.write(&format!("in/{n}.tar"), image::shard(&[(&format!("V{n} (0.0-{}.0)", 2 + n), "mp4", &clip)]));
    }
    check(&bench, "video", &format!("{command} -i in --max-tokens 8 --max-fail-rate 1 {}", video::FLAGS));
}

/// Rules write, and a judge on a server is asked about each text.
fn write_questions_for_a_judge(command: &str) {
    let bench = Bench::new();
    write::clips(&bench, 6);
    let server = Loopback::start(|_, _| write::say(r#"{"reason": "", "valid": true}"#));
    let judge = format!("--judge --model m --server {}", server.url("/v1"));
    check(&bench, "qa", &format!("{command} -i clips --backend template --per-shard 2 {judge}"));
}

fn write_choices_by_rules(command: &str) {
    let bench = Bench::new();
    write::clips(&bench, 6);
    check(&bench, "mcqa", &format!("{command} -i clips --backend template --per-shard 2"));
}

/// The clips of [`write::clips`] with their sounds, three in a shard.
fn clips_with_sounds(bench: &Bench) {
    write::clips(bench, 6);
    for n in 0..2 {
        let names = [0, 1, 2].map(|i| format!("video{:06} (1.0-5.0)", 3 * n + i));
        bench.write(&format!("shards/{n}.tar"), shard(&names.each_ref().map(String::as_str)));
    }
}

fn write_captions_by_ear(command: &str) {
    let bench = Bench::new();
    clips_with_sounds(&bench);
    let server = Loopback::start(|_, _| write::caption("Rain falls."));
    let asked = format!("--sounds shards --model m --server {}", server.url("/v1"));
    check(&bench, "visual-caption", &format!("{command} -i clips --per-shard 2 {asked}"));
}

/// What rules write about clips, in two styles.
fn captions(bench: &Bench) {
    for style in ["simple", "semantic"] {
        bench.call(&format!("caption -i clips --backend template --style {style} -o {style}")).ended(0);
    }
}

fn prompt(command: &str) {
    let bench = Bench::new();
    write::clips(&bench, 6);
    bench.write("prompts/caption.txt", "--- user ---\nWhat do you hear?\n");
    survive_printing("prompt", &bench.path(""), |_| {
        let mut command = bench.command(&format!("{command} caption -i clips --prompt-dir prompts"));
        command.args(["--show", "video000004 (1_0-5_0)"]);
        command
    });
}

fn lint(command: &str) {
    let bench = Bench::new();
    write::clips(&bench, 6);
    captions(&bench);
    survive_printing("lint", &bench.path(""), |_| {
        bench.command(&format!("{command} --records simple semantic --table clips"))
    });
}

/// Questions with options about so many clips, each in a file of its own.
fn choices(bench: &Bench, n: usize) {
    write::clips(bench, n);
    bench.call("mcqa -i clips --backend template --per-shard 1 -o mcqa").ended(0);
}

fn contribution(command: &str) {
    let bench = Bench::new();
    choices(&bench, 3);
    let server = Loopback::start(|_, _| write::say(r#"{"answer": "B"}"#));
    check(&bench, "contribution", &format!("{command} -r mcqa --model m --server {}", server.url("/v1")));
}

fn contribution_in_this_process(command: &str) {
    let bench = Bench::new();
    choices(&bench, 2);
    random_language_model(&bench.path("model"));
    check(&bench, "contribution-local", &format!("{command} -r mcqa --model model"));
}

fn sample(command: &str) {
    let bench = Bench::new();
    clips_with_sounds(&bench);
    captions(&bench);
    survive_writing("sample", &bench.path(""), |output| {
        let outputs = "-r first=simple -r second=semantic";
        let mut command = bench.command(&format!("{command} {outputs} --shards shards -n 3 --output"));
        command.arg(output.join("page.html"));
        command
    });
}

/// Converts copies of these weight files, of which the first is named.
fn convert(command: &str, name: &str, files: &[&str], network: &str) {
    let bench = Bench::new();
    for file in files {
        bench.write(file, fs::read(fixture("goldens/weight_files").join(file)).unwrap());
    }
    survive_writing(name, &bench.path(""), |output| {
        let mut command = bench.command(&format!("{command} --network {network} --input {} --output", files[0]));
        command.arg(output);
        command
    });
}

fn weights_and_their_configuration(command: &str) {
    convert(command, "convert-weights", &["model.bin"], "whisper");
}

fn weights_in_two_files(command: &str) {
    convert(command, "convert-weights-beside", &["linear.onnx", "linear.onnx.data"], "plain");
}
