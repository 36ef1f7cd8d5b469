//! `audio-caption` against a server on the loopback: what is sent, what is kept, and that nothing is asked twice; and by
//! Qwen2-Audio in this process.

use audsem_core::tar::{ShardOptions, ShardWriter};
use audsem_core::testing::loopback::{Loopback, Reply};
use audsem_media::audio::{BitDepth, encode_flac};
use audsem_metadata_eval::tables::{AudioFeatures, ClipMetadata};
use serde_json::json;

use crate::workbench::{Bench, fixture};

/// A tone of 48 kHz as FLAC.
pub(crate) fn flac(seconds: f32) -> Vec<u8> {
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
    // A and C are the same sound.
    assert_eq!(server.calls().len(), 2);
    let rows: Vec<AudioFeatures> = bench.rows("out/part-00000.parquet");
    assert_eq!(rows[1].key, "B (0_0-1_0)");
    assert_eq!((rows[1].duration_ms, rows[1].text.as_deref()), (Some(1000), Some("[tone]")));
    assert_eq!(rows[1].audio_caption.as_deref(), Some("A steady tone sounds."), "one line");
    // Another run with the stored answers, and another number of workers, gives the same bytes without a question.
    call("again", "--replay replay --workers 2");
    assert_eq!(server.calls().len(), 2);
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

/// A sound, and what transformers says about it.
struct Described {
    samples: Vec<f32>,
    text: String,
}

/// Makes a tiny Qwen2-Audio in the folder `model`, and the question that transformers answered, `prompt.txt`.
fn listener(bench: &Bench) -> Vec<Described> {
    for file in [
        "qwen2_audio_tiny/config.json",
        "qwen2_audio_tiny/model.safetensors",
        "qwen2_audio_chat/tokenizer.json",
        "qwen2_audio_chat/generation_config.json",
    ] {
        let name = file.split('/').next_back().unwrap();
        bench.write(&format!("model/{name}"), std::fs::read(fixture("goldens").join(file)).unwrap());
    }
    let golden = std::fs::read(fixture("goldens/qwen2_audio_chat/answers.json")).unwrap();
    let golden: serde_json::Value = serde_json::from_slice(&golden).unwrap();
    bench.write("prompt.txt", format!("--- user ---\n{}\n", golden["question"].as_str().unwrap()));
    let sample = |value: &serde_json::Value| value.as_f64().unwrap() as f32 / 32_768.0;
    let described = |answer: &serde_json::Value| Described {
        samples: answer["samples"].as_array().unwrap().iter().map(sample).collect(),
        text: answer["text"].as_str().unwrap().to_owned(),
    };
    golden["answers"].as_array().unwrap().iter().map(described).collect()
}

/// Makes a tiny Qwen2-Audio, its question, and `n` shards of the sounds that transformers describes, each with its own loudness; gives
/// the arguments of the command.
pub(crate) fn heard_in_this_process(bench: &Bench, n: usize) -> &'static str {
    let sounds = listener(bench);
    for shard in 0..n {
        let gain = 1.0 - shard as f32 / 16.0;
        let mut tar = ShardWriter::new(Vec::new(), ShardOptions::default());
        for (i, Described { samples, .. }) in sounds.iter().enumerate() {
            let samples: Vec<f32> = samples.iter().map(|sample| sample * gain).collect();
            let sound = encode_flac(&samples, 1, 16_000, BitDepth::Sixteen).unwrap();
            let json = format!(r#"{{"original_filename": "V{shard} ({i}.0-{i}.5).mp4"}}"#);
            tar.write_sample(&i.to_string(), &[("flac", &sound), ("json", json.as_bytes())]).unwrap();
        }
        bench.write(&format!("in/{shard}.tar"), tar.finish().unwrap().0);
    }
    "-i in --model model --prompt prompt.txt --max-tokens 24 --max-fail-rate 1"
}

/// A sound that is too short, or too long for the 256 positions of the tiny network, does not touch the others.
#[test]
fn a_model_in_this_process_describes_sounds_as_transformers_does() {
    let bench = Bench::new();
    let sounds = listener(&bench);
    for (n, Described { samples, .. }) in sounds.iter().enumerate() {
        bench.write(&format!("in/{n}.flac"), encode_flac(samples, 1, 16_000, BitDepth::Sixteen).unwrap());
    }
    bench.write("in/short.flac", flac(0.01));
    bench.write("in/long.flac", flac(12.0));
    let call = "audio-caption -i in --model model --prompt prompt.txt --max-fail-rate 1 --max-attempts 1";
    let step = bench.call(&format!("{call} --max-tokens 24 -o out")).ended(0).step("part");
    assert_eq!((&step["kept"], &step["failed"]), (&2.into(), &json!({"no_answer": 2})));
    let rows: Vec<AudioFeatures> = bench.rows("out/part-00000.parquet");
    let said: Vec<&str> = rows.iter().map(|row| row.audio_caption.as_deref().unwrap()).collect();
    assert_eq!(said, sounds.iter().map(|sound| sound.text.as_str()).collect::<Vec<_>>());
    let details = bench.details("out/rejects-00000.jsonl").join("\n");
    assert!(details.contains("at least 321") && details.contains("tokens"), "{details}");
    let run = bench.json("out/run.json");
    let sha256 = run["models"][0]["sha256"][0].as_str().unwrap();
    assert!(run["config"]["generator"].as_str().unwrap().contains(sha256), "{run}");
    // The stored answers give the same bytes, and so does asking again.
    for flags in ["--replay out/replay --workers 2", "--no-replay --workers 1"] {
        bench.call(&format!("{call} --max-tokens 24 {flags} -o again --fresh")).ended(0);
        assert_eq!(bench.rows::<AudioFeatures>("again/part-00000.parquet"), rows, "{flags}");
    }
    bench.call(&format!("{call} --max-tokens 2 -o cut")).ended(2).says("the description was cut off");
    assert!(bench.text("cut/refused-00000.jsonl").contains("cut off"));
}

#[test]
fn a_model_in_this_process_has_to_be_one_that_hears() {
    let bench = Bench::new();
    bench.write("in/a.flac", flac(0.5));
    let check = |flags: &str, expected: &str| {
        bench.call(&format!("audio-caption -i in -o out {flags}")).ended(2).says(expected)
    };
    check("--model absent", "absent");
    check("", "name a server with --server, or a model with --model");
    check("--model model --concurrency 2", "--concurrency is for a server");
    check("--server http://127.0.0.1:1/v1 --device cpu", "--device is for a model in this process");
    let text_only = fixture("goldens/qwen2_tiny");
    check(&format!("--model {}", text_only.display()), "qwen2_audio");
    assert!(!bench.path("out").exists());
    let dry = bench.call("audio-caption -i in -o out --model absent --dry-run").ended(0);
    assert_eq!((dry.step("part")["kept"].clone(), bench.path("out").exists()), (json!(1), false));
    let help = bench.call("audio-caption --help").ended(0).stdout;
    assert!(help.contains("Qwen2-Audio") && !help.contains("GGUF"), "{help}");
}

/// Runs only where AUDSEM_TEST_HEARING_SERVER names a llama.cpp that takes sounds, such as the one `just llm-server --hearing` starts.
/// Its ears are random, so a grammar makes sentences of what it says: every sound has a description, and a second run asks
/// nothing.
#[test]
fn real_server_describes_sounds() {
    let Some(url) = std::env::var_os("AUDSEM_TEST_HEARING_SERVER") else {
        eprintln!("AUDSEM_TEST_HEARING_SERVER is not set: start one with `just llm-server --hearing`");
        return;
    };
    let bench = Bench::new();
    for (n, seconds) in [0.5, 1.5].into_iter().enumerate() {
        bench.write(&format!("in/{n}.flac"), flac(seconds));
    }
    let call = |output: &str| {
        let arguments = format!("audio-caption -i in -o {output} --max-tokens 60 --replay replay --timeout 600");
        let called = bench.call_with(&arguments, |command| {
            let grammar = r#"grammar="root ::= [A-Z] [a-z ]{5,20} \".\"""#;
            command.arg("--server").arg(&url).args(["--server-param", grammar]);
        });
        let step = called.ended(0).step("part");
        (step, bench.rows::<AudioFeatures>(&format!("{output}/part-00000.parquet")))
    };
    let (step, rows) = call("out");
    assert!(rows.len() == 2 && rows.iter().all(|row| row.audio_caption.as_ref().unwrap().ends_with('.')), "{step}");
    // The sounds are among the tokens of the prompts.
    assert!(step["counts"]["prompt_tokens"].as_u64().unwrap() > 2 * 100, "{step}");
    let answers = || std::fs::read_dir(bench.path("replay")).unwrap().count();
    let n = answers();
    assert_eq!((call("again").1, answers()), (rows.clone(), n), "the server was asked again");
    eprintln!("{step}: {:?}", rows.iter().map(|row| &row.audio_caption).collect::<Vec<_>>());
}
