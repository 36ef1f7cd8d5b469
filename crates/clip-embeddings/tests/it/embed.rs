//! `embed-audio`, `embed-text` and `similarity`, with a tiny random CLAP.

use audsem_core::hub::ModelDir;
use audsem_core::tables::{AudioEmbedding, TextEmbedding, VectorFile};
use audsem_core::tar::{ShardOptions, ShardWriter};
use audsem_media::audio::{Decoder, resample};
use audsem_models::clap::{ClapEncoder, Crop};
use candle_core::{DType, Device};
use serde_json::Value;

use crate::workbench::{Bench, flac, model, shard};

fn encoder() -> ClapEncoder {
    ClapEncoder::open(&ModelDir::local(&model()), &Device::Cpu, DType::F32, None).unwrap()
}

fn call(bench: &Bench, arguments: &str) -> crate::workbench::Called {
    bench.call(&format!("{arguments} --model {}", model().display()))
}

fn vectors(bench: &Bench, name: &str) -> Vec<Vec<f32>> {
    let file = VectorFile::open(&bench.path(name)).unwrap();
    let values: Vec<f32> = (0..file.n_groups()).flat_map(|group| file.group(group).unwrap()).collect();
    values.chunks(file.dim()).map(<[f32]>::to_vec).collect()
}

fn embed(encoder: &ClapEncoder, sound: &[u8], crop: Crop) -> Vec<f32> {
    let audio = Decoder::new().decode_bytes(sound, None).unwrap();
    let samples = resample(&audio.to_mono(), audio.sample_rate_hz, 48_000).unwrap();
    let features = encoder.extractor().extract(&samples, crop).unwrap();
    encoder.embed_features(&[&features]).unwrap().to_vec2().unwrap().remove(0)
}

fn close(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6)
}

fn wav(rate: u32, channels: u16, seconds: f32, sample: impl Fn(usize) -> f32) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let spec =
        hound::WavSpec { channels, sample_rate: rate, bits_per_sample: 32, sample_format: hound::SampleFormat::Float };
    let mut writer = hound::WavWriter::new(&mut bytes, spec).unwrap();
    for n in 0..(rate as f32 * seconds) as usize {
        (0..channels).for_each(|_| writer.write_sample(sample(n)).unwrap());
    }
    writer.finalize().unwrap();
    bytes.into_inner()
}

fn noise(n: usize) -> f32 {
    ((n as u32).wrapping_mul(2_654_435_761) >> 16) as f32 / 65_536.0 - 0.5
}

#[test]
fn c1_every_shard_is_embedded_and_every_row_is_that_of_the_model() {
    let bench = Bench::new();
    bench.write("in/0.tar", shard(&[("V (1.0-2.0)", "dog barks"), ("W (1.0-2.5)", "rain")]));
    bench.write("in/7.tar", shard(&[("X (0.0-1.0)", "dog barks")]));
    call(&bench, "embed-audio -i in -o audio").ended(0);
    call(&bench, "embed-text -i in -o text").ended(0);
    let encoder = encoder();
    let audio: Vec<AudioEmbedding> = bench.rows("audio/part-00000.parquet");
    assert_eq!(audio.iter().map(|row| row.key.as_str()).collect::<Vec<_>>(), ["V (1_0-2_0)", "W (1_0-2_5)"]);
    assert_eq!((audio[0].shard.as_str(), audio[0].n_samples, audio[0].is_longer), ("0.tar", 24_000, false));
    let found = vectors(&bench, "audio/part-00000.parquet");
    for (vector, hz) in found.iter().zip([300.0, 400.0]) {
        assert!(close(vector, &embed(&encoder, &flac(hz), Crop::Centre)), "{hz} Hz");
    }
    let text: Vec<TextEmbedding> = bench.rows("text/part-00001.parquet");
    assert_eq!((text[0].key.as_str(), text[0].text.as_str()), ("X (0_0-1_0)", "dog barks"));
    let wanted: Vec<Vec<f32>> = encoder.embed_texts(&["dog barks"]).unwrap().to_vec2().unwrap();
    assert!(close(&vectors(&bench, "text/part-00001.parquet")[0], &wanted[0]));
    // Both name one model, so that they can be compared; and they match by key.
    bench.call("match --audio audio --text text -o match").ended(0);
}

#[test]
fn c7_c8_other_rates_and_channels_are_converted_and_bad_sounds_counted() {
    let bench = Bench::new();
    bench.write("in/stereo.wav", wav(22_050, 2, 1.0, |n| (n as f32 * 0.1).sin() * 0.3));
    bench.write("in/nan.wav", wav(48_000, 1, 0.5, |n| if n == 100 { f32::NAN } else { 0.1 }));
    bench.write("in/none.wav", wav(48_000, 1, 0.0, noise));
    bench.write("in/text.flac", "this is no sound");
    bench.write("in/far/rain.flac", flac(500.0));
    let called = call(&bench, "embed-audio -i in -o out --max-fail-rate 1").ended(0);
    let rows: Vec<AudioEmbedding> = bench.rows("out/part-00000.parquet");
    assert_eq!(
        rows.iter().map(|row| (row.key.as_str(), row.shard.as_str())).collect::<Vec<_>>(),
        [("rain", "far/rain.flac"), ("stereo", "stereo.wav")]
    );
    assert_eq!(rows[1].n_samples, 48_000);
    let mut rejects = bench.rejects("out/rejects-00000.jsonl");
    rejects.sort();
    let wanted = [("nan", "not_finite"), ("none", "empty"), ("text", "undecodable")];
    assert_eq!(rejects, wanted.map(|(key, reason)| (key.to_owned(), reason.to_owned())));
    let step = called.step("part");
    assert_eq!((&step["in"], &step["kept"]), (&5.into(), &2.into()));
    // Alone it would be over the limit of failures.
    call(&bench, "embed-audio -i in -o strict").ended(1);
}

#[test]
fn c6_long_sounds_are_cut_as_asked_and_the_same_each_time() {
    let bench = Bench::new();
    let long = wav(48_000, 1, 25.0, |n| noise(n) * (n as f32 / 1_200_000.0));
    bench.write("in/long.wav", &long);
    let encoder = encoder();
    for (flags, name) in [
        ("", "centre"),
        ("--crop random", "a"),
        ("--crop random", "b"),
        ("--crop random --seed 7", "c"),
        ("--windows mean", "mean"),
    ] {
        call(&bench, &format!("embed-audio -i in -o {name} {flags}")).ended(0);
    }
    let vector = |name: &str| vectors(&bench, &format!("{name}/part-00000.parquet")).remove(0);
    assert!(close(&vector("centre"), &embed(&encoder, &long, Crop::Centre)));
    assert_eq!(vector("a"), vector("b"));
    assert!(!close(&vector("a"), &vector("c")) && !close(&vector("a"), &vector("centre")));
    let mut mean = vec![0.0; encoder.dim()];
    for start in [0, 480_000, 720_000] {
        let window = embed(&encoder, &long, Crop::At(start));
        mean.iter_mut().zip(&window).for_each(|(sum, x)| *sum += x);
    }
    let norm = mean.iter().map(|x| x * x).sum::<f32>().sqrt();
    mean.iter_mut().for_each(|x| *x /= norm);
    assert!(close(&vector("mean"), &mean));
    assert!(bench.rows::<AudioEmbedding>("mean/part-00000.parquet")[0].is_longer);
}

#[test]
fn c14_c18_samples_without_sound_caption_or_a_key_of_their_own_are_left_out_with_a_reason() {
    let bench = Bench::new();
    let mut tar = ShardWriter::new(Vec::new(), ShardOptions::default());
    let json = |name: &str, text: &str| format!(r#"{{"original_filename": "{name}", "text": "{text}"}}"#);
    tar.write_sample("1", &[("flac", &flac(300.0)), ("json", json("V (1.0-2.0).mp4", "rain").as_bytes())]).unwrap();
    tar.write_sample("2", &[("flac", &flac(310.0)), ("json", json("V (1.0-2.0).webm", "wind").as_bytes())]).unwrap();
    tar.write_sample("3", &[("json", json("W (1.0-2.0).mp4", " ").as_bytes())]).unwrap();
    bench.write("in.tar", tar.finish().unwrap().0);
    call(&bench, "embed-audio -i in.tar -o audio").ended(0);
    let rejects = bench.rejects("audio/rejects-00000.jsonl");
    let owned = |pairs: [(&str, &str); 2]| pairs.map(|(key, reason)| (key.to_owned(), reason.to_owned()));
    assert_eq!(rejects, owned([("V (1_0-2_0)", "repeated_key"), ("W (1_0-2_0)", "no_audio")]));
    call(&bench, "embed-text -i in.tar -o text").ended(0);
    let rejects = bench.rejects("text/rejects-00000.jsonl");
    assert_eq!(rejects, owned([("V (1_0-2_0)", "repeated_key"), ("W (1_0-2_0)", "no_caption")]));
}

#[test]
fn a_cut_shard_is_reported_and_the_others_are_embedded() {
    let bench = Bench::new();
    let whole = shard(&[("V (1.0-2.0)", "rain"), ("W (1.0-2.0)", "wind")]);
    bench.write("in/0.tar", &whole[..whole.len() / 2]);
    bench.write("in/1.tar", &whole);
    call(&bench, "embed-audio -i in -o out").ended(1).says("0.tar");
    assert_eq!(bench.rows::<AudioEmbedding>("out/part-00001.parquet").len(), 2);
}

/// The tiny model takes 64 tokens, one or two a word here: what differs behind the 32nd decides the vectors.
#[test]
fn captions_are_read_to_the_limit_of_the_model_and_cuts_are_counted() {
    let bench = Bench::new();
    let long = |end: &str| format!("{}{end}", "rain ".repeat(18));
    let rows = [("k1", long("dog")), ("k2", long("wind")), ("k3", "rain ".repeat(80))];
    let list: String = rows.iter().map(|(key, text)| format!("{key},{text}\n")).collect();
    bench.write("list.csv", format!("key,text\n{list}"));
    for (_, text) in &rows[..2] {
        assert!((33..=64).contains(&encoder().encode(text).unwrap().ids.len()), "{text}");
    }
    let truncated = |output: &str| {
        let stats: Value =
            serde_json::from_slice(&std::fs::read(bench.path(output).join("stats.json")).unwrap()).unwrap();
        stats["steps"]["part"]["counts"]["truncated"].as_u64()
    };
    call(&bench, "embed-text -i list.csv -o whole")
        .ended(0)
        .says("1 caption has more than 64 tokens and was truncated");
    let whole = vectors(&bench, "whole/part-00000.parquet");
    assert_ne!(whole[0], whole[1]);
    assert_eq!(truncated("whole"), Some(1));
    call(&bench, "embed-text -i list.csv -o short --max-tokens 32")
        .ended(0)
        .says("3 captions have more than 32 tokens");
    let short = vectors(&bench, "short/part-00000.parquet");
    assert_eq!(short[0], short[1]);
    assert_eq!(truncated("short"), Some(3));
}

#[test]
fn lists_and_dry_runs() {
    let bench = Bench::new();
    bench.write("sounds/a.flac", flac(300.0));
    bench.write("list.csv", "key,path,text\nk1,sounds/a.flac,a dog\nk2,sounds/gone.flac,a cat\n");
    call(&bench, "embed-audio -i list.csv -o dry --dry-run --max-fail-rate 1").ended(0);
    assert!(!bench.path("dry/part-00000.parquet").exists());
    call(&bench, "embed-audio -i list.csv -o audio --max-fail-rate 1").ended(0);
    assert_eq!(bench.rejects("audio/rejects-00000.jsonl"), [("k2".to_owned(), "unreadable".to_owned())]);
    call(&bench, "embed-text -i list.csv -o text").ended(0);
    assert_eq!(bench.rows::<TextEmbedding>("text/part-00000.parquet").len(), 2);
}

#[test]
fn one_sound_and_some_texts() {
    let bench = Bench::new();
    bench.write("a.flac", flac(300.0));
    let mut command = bench.command("similarity a.flac rain --json --no-progress");
    let output = command.arg("a dog barks").arg("--model").arg(model()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let encoder = encoder();
    let audio = embed(&encoder, &flac(300.0), Crop::Centre);
    for one in &found {
        let text: Vec<Vec<f32>> = encoder.embed_texts(&[one["text"].as_str().unwrap()]).unwrap().to_vec2().unwrap();
        let cosine: f32 = text[0].iter().zip(&audio).map(|(a, b)| a * b).sum();
        assert!((f64::from(cosine) - one["cosine"].as_f64().unwrap()).abs() < 1e-5);
    }
    assert_eq!(found.len(), 2);
    call(&bench, "similarity gone.flac rain").ended(2).says("gone.flac");
}

#[test]
fn a_limit_takes_the_first_records_over_all_shards() {
    let bench = Bench::new();
    bench.write("in/0.tar", shard(&[("V (1.0-2.0)", "rain"), ("W (1.0-2.0)", "wind")]));
    bench.write("in/1.tar", shard(&[("X (1.0-2.0)", "bark"), ("Y (1.0-2.0)", "bell")]));
    bench.write("in/2.tar", shard(&[("Z (1.0-2.0)", "hum")]));
    for command in ["embed-audio", "embed-text"] {
        for dry in ["", "--dry-run"] {
            let called = call(&bench, &format!("{command} -i in -o {command}{dry} --limit 3 {dry}")).ended(0);
            let step = called.step("part");
            assert_eq!((&step["in"], &step["kept"]), (&3.into(), &3.into()), "{command} {dry}");
        }
        assert_eq!(vectors(&bench, &format!("{command}/part-00001.parquet")).len(), 1);
        assert!(!bench.path(&format!("{command}/part-00002.parquet")).exists());
    }
}

#[test]
fn a_folder_that_is_no_model_is_refused_with_a_hint() {
    let bench = Bench::new();
    bench.write("in.tar", shard(&[("V (1.0-2.0)", "rain")]));
    bench.write("model/config.json", r#"{"model_type": "bert"}"#);
    for command in ["embed-audio", "embed-text"] {
        bench.call(&format!("{command} -i in.tar -o {command} --model model")).ended(2).says("hint");
        bench.call(&format!("{command} -i in.tar -o {command} --model absent/model/folder")).ended(2).says("hint");
        // Neither has left anything behind that would be in the way of the right one.
        call(&bench, &format!("{command} -i in.tar -o {command}")).ended(0);
    }
}
