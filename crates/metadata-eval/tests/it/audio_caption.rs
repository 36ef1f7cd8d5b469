//! `audio-caption` against a server on the loopback: what is sent, what is kept, and that nothing is asked twice.

use audsem_core::tar::{ShardOptions, ShardWriter};
use audsem_core::testing::loopback::{Loopback, Reply};
use audsem_media::audio::{BitDepth, encode_flac};
use audsem_metadata_eval::tables::{AudioFeatures, ClipMetadata};
use serde_json::json;

use crate::workbench::Bench;

/// A tone of 48 kHz as FLAC.
fn flac(seconds: f32) -> Vec<u8> {
    let n = (48_000.0 * seconds) as usize;
    let samples: Vec<f32> = (0..n).map(|n| (n as f32 * 0.05).sin() * 0.4).collect();
    encode_flac(&samples, 1, 48_000, BitDepth::Sixteen).unwrap()
}

/// Two shards of audio, of which one has a broken sound.
fn shards(bench: &Bench) {
    for (tar, names) in [("in/0.tar", ["A (0.0-0.5)", "B (0.0-1.0)"]), ("in/1.tar", ["C (0.0-1.5)", "D (0.0-2.0)"])] {
        let mut shard = ShardWriter::new(Vec::new(), ShardOptions::default());
        for (i, name) in names.iter().enumerate() {
            let json = format!(r#"{{"original_filename": "{name}.mp4", "text": "[tone]"}}"#);
            let sound = if name.starts_with('D') { b"fLaC".to_vec() } else { flac(0.5 + i as f32 * 0.5) };
            shard.write_sample(&(i + 1).to_string(), &[("flac", &sound), ("json", json.as_bytes())]).unwrap();
        }
        bench.write(tar, shard.finish().unwrap().0);
    }
}

fn say(text: &str) -> Reply {
    let body = json!({"choices": [{"message": {"content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 2}});
    Reply::Send(200, "", body.to_string().into_bytes())
}

#[test]
fn sounds_are_described_and_no_question_is_asked_twice() {
    let bench = Bench::new();
    shards(&bench);
    let server = Loopback::start(|call, _| {
        let body: serde_json::Value = serde_json::from_str(&call.body).unwrap();
        let content = body["messages"][0]["content"].as_array().unwrap();
        let sound = content.iter().find(|part| part["type"] == "input_audio").unwrap();
        assert_eq!(sound["input_audio"]["format"], "wav");
        say("A steady tone\nsounds.")
    });
    let address = server.url("/v1");
    let call = |output: &str, flags: &str| {
        let arguments =
            format!("audio-caption -i in -o {output} --server {address} --model m --max-fail-rate 1 {flags}");
        bench.call(&arguments).ended(0)
    };
    let called = call("out", "--replay replay");
    let step = called.step("part");
    assert_eq!((&step["kept"], &step["failed"]), (&3.into(), &json!({"undecodable": 1})));
    assert_eq!(server.calls().len(), 3);
    let rows: Vec<AudioFeatures> = bench.rows("out/part-00000.parquet");
    assert_eq!(rows[1].key, "B (0_0-1_0)");
    assert_eq!((rows[1].duration_ms, rows[1].text.as_deref()), (Some(1000), Some("[tone]")));
    assert_eq!(rows[1].audio_caption.as_deref(), Some("A steady tone sounds."), "one line");
    // Another run with the stored answers, and another number of workers, gives the same bytes without a question.
    call("again", "--replay replay --workers 2");
    assert_eq!(server.calls().len(), 3);
    assert_eq!(bench.tree("again"), bench.tree("out"));
    bench.call("combine --audio out -o combined").ended(0);
    let rows: Vec<ClipMetadata> = bench.rows("combined/part-00000.parquet");
    assert!(rows.iter().all(|row| row.has_audio && row.audio_caption.is_some()));
}

#[test]
fn empty_descriptions_are_refused_and_kept_with_their_reason() {
    let bench = Bench::new();
    bench.write("in/a.flac", flac(0.5));
    bench.write("in/b.flac", flac(0.75));
    let server = Loopback::start(|_, number| if number == 0 { say(" ") } else { say("A tone.") });
    let arguments =
        format!("audio-caption -i in -o out --server {} --model m --concurrency 1 --workers 1", server.url("/v1"));
    bench.call(&arguments).ended(0);
    let rows: Vec<AudioFeatures> = bench.rows("out/part-00000.parquet");
    assert_eq!(rows.len(), 2, "the first was asked about again");
    assert!(rows.iter().all(|row| row.audio_caption.as_deref() == Some("A tone.")));
    assert!(bench.text("out/refused-00000.jsonl").contains("the description is empty"));
    let dry = bench.call(&format!("{arguments} --dry-run").replace("-o out", "-o dry")).ended(0);
    assert_eq!(dry.step("part")["kept"], 2);
}
