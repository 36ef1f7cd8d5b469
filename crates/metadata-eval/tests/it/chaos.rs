//! Every command under injected faults and random kills; see `docs/reliability.md`.

use audsem_core::testing::chaos::survive;

use audsem_core::testing::loopback::{Loopback, Reply};
use serde_json::json;

use crate::audio::shard;
use crate::image;
use crate::originals::Original;
use crate::workbench::{Bench, audio, copy_model, sat};

/// Runs a command through its rounds; `--output` and `--workers` are added.
fn check(bench: &Bench, name: &str, arguments: &str) {
    survive(name, &bench.path(""), |output, workers| {
        let mut command = bench.command(arguments);
        command.arg("--output").arg(output).args(["--workers", &workers.to_string()]);
        command
    });
}

#[test]
fn combine() {
    let bench = Bench::new();
    for n in 0..3 {
        let key = |i: usize| format!("V{n} ({i}_0-{}_0)", i + 1);
        bench.table(&format!("in/audio/{n}.parquet"), &[audio(&key(0), "rain"), audio(&key(1), "wind")]);
        bench.table(&format!("in/sat/{n}.parquet"), &[sat(&key(0)), sat("V0 (9_0-9_5)")]);
    }
    check(&bench, "combine-features", "combine --audio in/audio --sat in/sat --require audio");
}

#[test]
fn filter() {
    let bench = Bench::new();
    for n in 0..3 {
        let key = |i: usize| format!("V{n} ({i}_0-{}_0)", i + 4);
        bench.table(&format!("in/audio/{n}.parquet"), &[audio(&key(0), "rain"), audio(&key(1), "wind")]);
    }
    bench.call("combine --audio in/audio -o in/combined").ended(0);
    bench.write("in/list.txt", "V1 (0_0-4_0)\n");
    check(&bench, "filter-clips", "filter -i in/combined --min-similarity off --exclude in/list.txt");
}

#[test]
fn import_reference() {
    let bench = Bench::new();
    for n in 0..3 {
        let rows = format!("file_name,caption\ntar/V{n} (1_0-2_0),A street.\ntar/V{n} (3_0-5_0),\n");
        bench.write(&format!("in/{n}.csv"), rows);
    }
    check(&bench, "import-reference", "import-reference -i in --kind video --max-fail-rate 1");
}

#[test]
fn audio_features() {
    let bench = Bench::new();
    copy_model(&bench, "ast_tiny");
    for n in 0..3 {
        bench.write(&format!("in/{n}.tar"), shard(&[&format!("V{n} (0.0-0.5)"), &format!("V{} (1.0-1.75)", n / 2)]));
    }
    check(&bench, "audio-features", "audio -i in --models ast --model-dir ast=model");
}

#[test]
fn second_features() {
    let (bench, original) = (Bench::new(), Original::load("sat"));
    original.write_model(&bench, "model", &original.config);
    let names: String = (0..11).map(|class| format!("{class},/m/{class},Class {class}\n")).collect();
    bench.write("names.csv", format!("index,mid,display_name\n{names}"));
    for n in 0..3 {
        bench.write(&format!("in/{n}.tar"), shard(&[&format!("V{n} (0.0-0.5)"), &format!("V{} (1.0-1.75)", n / 2)]));
    }
    check(&bench, "second-features", "sat -i in --model model --class-names names.csv --top-k 2");
}

#[test]
fn write_captions_by_rules() {
    let bench = Bench::new();
    crate::write::clips(&bench, 9);
    bench.write("in/clips.parquet", std::fs::read(bench.path("clips/part-00000.parquet")).unwrap());
    check(&bench, "caption", "caption -i in --backend template --clips-per-shard 3");
}

#[test]
fn audio_caption() {
    let bench = Bench::new();
    for n in 0..3 {
        bench.write(&format!("in/{n}.tar"), shard(&[&format!("V{n} (0.0-0.5)"), &format!("V{} (1.0-1.75)", n / 2)]));
    }
    let server = Loopback::start(|_, _| {
        let body = json!({"choices": [{"message": {"content": "A tone."}, "finish_reason": "stop"}]});
        Reply::Send(200, "", body.to_string().into_bytes())
    });
    check(&bench, "audio-caption", &format!("audio-caption -i in --model m --server {}", server.url("/v1")));
}

#[test]
fn image_features() {
    let bench = Bench::new();
    copy_model(&bench, "mobilenet_v2_tiny");
    let (film, picture) = (image::video(1, 0), image::picture("rgb.png"));
    for n in 0..3 {
        let names = [format!("V{n} (0.0-1.0)"), format!("V{} (1.0-1.75)", n / 2)];
        bench.write(&format!("in/{n}.tar"), image::shard(&[(&names[0], "mp4", &film), (&names[1], "png", &picture)]));
    }
    check(&bench, "image-features", "image -i in --models mobilenet --model-dir mobilenet=model");
}
