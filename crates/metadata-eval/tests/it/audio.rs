//! `audio` with a tiny random AST, from sounds to rows.

use std::path::Path;

use audsem_core::tar::{ShardOptions, ShardWriter};
use audsem_media::audio::{BitDepth, encode_flac};
use audsem_metadata_eval::tables::{AudioFeatures, ClipMetadata};

use audsem_media::program::{Program, Tool};

use crate::workbench::{Bench, fixture};

/// A tone as FLAC.
pub(crate) fn flac(hz: f32, seconds: f32) -> Vec<u8> {
    let n = (16_000.0 * seconds) as usize;
    let samples: Vec<f32> = (0..n).map(|n| (n as f32 * hz * std::f32::consts::TAU / 16_000.0).sin() * 0.4).collect();
    encode_flac(&samples, 1, 16_000, BitDepth::Sixteen).unwrap()
}

/// An audio shard: clips with their captions, of different lengths.
pub(crate) fn shard(names: &[&str]) -> Vec<u8> {
    let mut tar = ShardWriter::new(Vec::new(), ShardOptions::default());
    for (i, name) in names.iter().enumerate() {
        let json = format!(r#"{{"original_filename": "{name}.mp4", "text": "[tone {i}]"}}"#);
        let sound = flac(300.0 + 100.0 * i as f32, 0.5 + 0.25 * i as f32);
        tar.write_sample(&(i + 1).to_string(), &[("flac", &sound), ("json", json.as_bytes())]).unwrap();
    }
    tar.finish().unwrap().0
}

fn flags() -> String {
    format!("--models ast --model-dir ast={}", fixture("goldens/ast_tiny").display())
}

#[test]
fn every_clip_has_a_row_with_the_labels_of_the_checkpoint() {
    let bench = Bench::new();
    bench.write("in/0.tar", shard(&["A (0.0-0.5)", "B (0.0-0.75)", "C (0.0-1.0)"]));
    bench.write("in/1.tar", shard(&["D (0.0-0.5)", "A (0.0-0.5)"]));
    let called = bench.call(&format!("audio -i in -o out --top-k 2 {}", flags())).ended(0);
    let step = called.step("part");
    assert_eq!((&step["kept"], &step["counts"]["decoded"]), (&4.into(), &4.into()), "one decode for each clip");
    let rows: Vec<AudioFeatures> = bench.rows("out/part-00000.parquet");
    assert_eq!(
        rows.iter().map(|row| row.key.as_str()).collect::<Vec<_>>(),
        ["A (0_0-0_5)", "B (0_0-0_75)", "C (0_0-1_0)"]
    );
    let config = bench_json(&fixture("goldens/ast_tiny/config.json"));
    for row in &rows {
        let tags = row.ast_tags.as_ref().unwrap();
        assert_eq!((tags.len(), row.ast_head.as_deref()), (2, Some("other")));
        assert!(tags[0].prob >= tags[1].prob && tags[0].prob <= 1.0);
        let labels = config["id2label"].as_object().unwrap();
        assert!(labels.values().any(|label| label == tags[0].label.as_str()));
        assert_eq!(row.ast_label.as_deref(), Some(tags[0].label.as_str()));
        assert!(row.beats_tags.is_none() && row.failures.is_empty());
    }
    assert_eq!(
        (rows[1].duration_ms, rows[1].text.as_deref(), rows[1].place.as_deref()),
        (Some(750), Some("[tone 1]"), Some("0.tar"))
    );
    // The rest of the pipeline reads it.
    bench.call("combine --audio out -o combined").ended(0);
    bench.call("filter -i combined --min-similarity off --min-duration 0.6 -o filtered").ended(0);
    let rows: Vec<ClipMetadata> = bench.rows("filtered/part-00000.parquet");
    assert_eq!(rows.iter().map(|row| row.text.as_deref()).collect::<Vec<_>>(), [Some("[tone 1]"), Some("[tone 2]")]);
}

fn bench_json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn bad_clips_are_counted_and_leave_others_unaffected() {
    let bench = Bench::new();
    let silence = encode_flac(&[0.0; 16_000], 1, 16_000, BitDepth::Sixteen).unwrap();
    for (name, bytes) in [
        ("a.flac", flac(300.0, 0.5)),
        ("broken.flac", b"fLaC".to_vec()),
        ("silent.flac", silence),
        ("tiny.flac", flac(300.0, 0.02)),
        ("z.flac", flac(500.0, 0.5)),
    ] {
        bench.write(&format!("in/{name}"), bytes);
    }
    bench.call(&format!("audio -i in -o out --max-fail-rate 1 {}", flags())).ended(0);
    let rows: Vec<AudioFeatures> = bench.rows("out/part-00000.parquet");
    assert_eq!(rows.iter().map(|row| row.key.as_str()).collect::<Vec<_>>(), ["a", "z"]);
    let mut rejects = bench.rejects("out/rejects-00000.jsonl");
    rejects.sort();
    let expected = [("broken", "undecodable"), ("silent", "silent"), ("tiny", "too_short")];
    assert_eq!(rejects, expected.map(|(key, reason)| (key.to_owned(), reason.to_owned())));
}

/// A line break is a character like others in names of files, in lists, and in what is rejected.
#[test]
fn a_line_break_in_a_name_breaks_no_line() {
    let bench = Bench::new();
    bench.write("in/a\nb.flac", flac(300.0, 0.5));
    bench.write("in/broken\nc.flac", b"fLaC");
    bench.write("list.csv", "path,key\n\"in/a\nb.flac\",\"k\ney\"\n\"in/broken\nc.flac\",\n");
    for (input, key) in [("in", "a\nb"), ("list.csv", "k\ney")] {
        let call = format!("audio -i {input} -o out-{input} --max-fail-rate 1 {}", flags());
        // The second call reads the keys that the first has written.
        for _ in 0..2 {
            bench.call(&call).ended(0);
        }
        let rows: Vec<AudioFeatures> = bench.rows(&format!("out-{input}/part-00000.parquet"));
        assert_eq!(rows.iter().map(|row| row.key.as_str()).collect::<Vec<_>>(), [key]);
        let rejects = bench.rejects(&format!("out-{input}/rejects-00000.jsonl"));
        assert_eq!(rejects, [("broken\nc".to_owned(), "undecodable".to_owned())]);
    }
    bench.call("combine --audio out-in -o combined").ended(0);
    assert_eq!(bench.rows::<ClipMetadata>("combined/part-00000.parquet")[0].key, "a\nb");
}

#[test]
fn rows_do_not_depend_on_batches_workers_or_shards() {
    let bench = Bench::new();
    bench.write("in/0.tar", shard(&["A (0.0-0.5)", "B (0.0-0.75)", "C (0.0-1.0)"]));
    bench.write("in/1.tar", shard(&["D (0.0-0.5)", "E (0.0-0.75)"]));
    let call = |more: &str| bench.call(&format!("audio -i in {more} {}", flags())).ended(0);
    call("-o one --workers 1");
    call("-o two --workers 2 --batch-size 1");
    call("-o split --shard 0/2 --batch-size 2");
    call("-o split --shard 1/2");
    assert_eq!(bench.tree("two"), bench.tree("one"));
    assert_eq!(bench.tree("split"), bench.tree("one"));
    let dry = bench.call(&format!("audio -i in -o dry --dry-run {}", flags())).ended(0);
    assert_eq!(dry.step("part")["kept"], 5);
    assert!(!bench.path("dry").exists());
}

#[test]
fn checkpoints_are_named_by_network() {
    let bench = Bench::new();
    bench.write("in/a.flac", flac(300.0, 0.5));
    bench.call("audio -i in -o out --models beats").ended(2).says("--model-dir beats=");
    bench
        .call(&format!(
            "audio -i in -o out --models ast --model-dir beats=x --model-dir ast={}",
            fixture("goldens/ast_tiny").display()
        ))
        .ended(2)
        .says("beats");
    bench.call("audio -i in -o out --models ast --model-dir ast=absent/folder").ended(2).says("absent/folder");
    assert!(!bench.path("out").exists(), "a wrong model leaves no run folder");
}

#[test]
fn several_networks_share_one_decoding() {
    let bench = Bench::new();
    bench.write("in/0.tar", shard(&["A (0.0-0.5)", "B (0.0-0.75)", "C (0.0-1.0)"]));
    let conette = format!("--model-dir conette={}", fixture("goldens/conette_tiny").display());
    let both = format!("--models conette,ast {conette} --model-dir ast={}", fixture("goldens/ast_tiny").display());
    let step = bench.call(&format!("audio -i in -o both {both}")).ended(0).step("part");
    let counts = &step["counts"];
    assert_eq!([&counts["decoded"], &counts["ast"], &counts["conette"]], [&serde_json::json!(3); 3]);
    bench.call(&format!("audio -i in -o one --models conette {conette}")).ended(0);
    let captions = |name: &str| -> Vec<Option<String>> {
        let rows: Vec<AudioFeatures> = bench.rows(&format!("{name}/part-00000.parquet"));
        rows.into_iter().map(|row| row.conette_caption).collect()
    };
    assert_eq!(captions("both"), captions("one"));
    assert!(captions("both").iter().all(Option::is_some));
    // Run apart, their tables complete each other.
    bench.call(&format!("audio -i in -o other {}", flags())).ended(0);
    bench.call("combine --audio one other -o combined").ended(0);
    let rows: Vec<ClipMetadata> = bench.rows("combined/part-00000.parquet");
    assert!(rows.iter().all(|row| row.ast_tags.is_some() && row.conette_caption.is_some()));
}

/// A tone of a second with a picture, as MP4.
fn video(bench: &Bench, codec: &[&str]) -> Vec<u8> {
    let path = bench.path("made.mp4");
    let ffmpeg = Program::find(Tool::Ffmpeg, None).unwrap();
    let inputs = ["-f", "lavfi", "-i", "sine=f=440:r=32000:d=1", "-f", "lavfi", "-i", "color=s=32x32:r=2:d=1"];
    let call = ffmpeg.call().args(["-nostdin", "-v", "error", "-y"]).args(inputs);
    call.args(codec).args(["-c:v", "libx264", "-shortest"]).arg(&path).output().unwrap();
    std::fs::read(&path).unwrap()
}

#[test]
fn videos_of_all_codecs_are_heard() {
    let bench = Bench::new();
    // MP4 holds FLAC and PCM in their lossless form, so that they are the same sound.
    let codecs = [
        ("aac", ["-c:a", "aac", "-b:a", "128k"]),
        ("flac", ["-c:a", "flac", "-strict", "-2"]),
        ("pcm", ["-c:a", "pcm_s16le", "-f", "mov"]),
    ];
    let videos: Vec<(&str, Vec<u8>)> = codecs.iter().map(|(name, codec)| (*name, video(&bench, codec))).collect();
    let tar = |videos: &mut dyn Iterator<Item = &(&str, Vec<u8>)>| {
        let mut tar = ShardWriter::new(Vec::new(), ShardOptions::default());
        for (n, (name, video)) in videos.enumerate() {
            let json = format!(r#"{{"original_filename": "tar/{name} ({n}_0-{}_0)", "text": "[tone]"}}"#, n + 1);
            tar.write_sample(&format!("tar/{name}"), &[("mp4", video), ("json", json.as_bytes())]).unwrap();
        }
        tar.finish().unwrap().0
    };
    bench.write("in/0.tar", tar(&mut videos.iter()));
    bench.write("back/0.tar", tar(&mut videos.iter().rev()));
    let call = |input: &str, flags: &str| -> Vec<AudioFeatures> {
        let step = bench
            .call(&format!("audio -i {input} -o out-{input} --fresh {flags} {}", self::flags()))
            .ended(0)
            .step("part");
        assert_eq!((&step["kept"], &step["counts"]["decoded"]), (&3.into(), &3.into()));
        bench.rows(&format!("out-{input}/part-00000.parquet"))
    };
    let rows = call("in", "");
    assert!(rows.iter().all(|row| row.text.as_deref() == Some("[tone]") && row.failures.is_empty()));
    assert!(rows.iter().all(|row| row.duration_ms.is_some_and(|ms| (990..1100).contains(&ms))), "{rows:?}");
    let tags =
        |rows: &[AudioFeatures], name: &str| rows.iter().find(|row| row.key.contains(name)).unwrap().ast_tags.clone();
    assert_eq!(tags(&rows, "flac"), tags(&rows, "pcm"));
    // The order of clips changes nothing, nor does the size of batches.
    for back in [call("back", ""), call("back", "--batch-size 1")] {
        for name in ["aac", "flac", "pcm"] {
            assert_eq!(tags(&back, name), tags(&rows, name), "{name}");
        }
    }
}
