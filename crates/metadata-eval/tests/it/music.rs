//! `audio --models lp-musiccaps`: which clips are captioned, and of which parts.

use audsem_core::tar::{ShardOptions, ShardWriter};
use audsem_media::audio::{BitDepth, encode_flac};
use audsem_metadata_eval::tables::{AudioFeatures, ClipMetadata};
use serde_json::{Value, json};

use crate::originals::Original;
use crate::workbench::{Bench, fixture};

/// The tiny original LP-MusicCaps with captions of at most twelve tokens, and a tiny BEATs whose class 3 is called Piano.
fn models(bench: &Bench) {
    let music = Original::load("lp_musiccaps");
    let mut config = music.config.clone();
    config["model"]["max_length"] = json!(12);
    music.write_model(bench, "music", &config);
    bench.write("music/tokenizer.json", std::fs::read(fixture("goldens/clap_tiny/tokenizer.json")).unwrap());
    let beats = Original::load("beats");
    let mut config = beats.config.clone();
    config["label_dict"] =
        (0..11).map(|n| (n.to_string(), json!(format!("/m/{n}")))).collect::<serde_json::Map<_, _>>().into();
    beats.write_model(bench, "beats", &config);
    let name = |class: usize| if class == 3 { "Piano".to_owned() } else { format!("Class {class}") };
    let names: String = (0..11).map(|class| format!("{class},/m/{class},{}\n", name(class))).collect();
    bench.write("names.csv", format!("index,mid,display_name\n{names}"));
}

/// The two sounds of BEATs, of which it finds Piano with 0.49 and 0.46, and their captions.
fn clips(bench: &Bench, captions: [&str; 2]) {
    let mut tar = ShardWriter::new(Vec::new(), ShardOptions::default());
    for (n, (sound, caption)) in Original::load("beats").sounds().into_iter().zip(captions).enumerate() {
        let text = json!({ "text": caption }).to_string();
        tar.write_sample(&n.to_string(), &[("flac", &sound), ("json", text.as_bytes())]).unwrap();
    }
    bench.write("in/0.tar", tar.finish().unwrap().0);
}

const FLAGS: &str =
    "--models lp-musiccaps,beats --model-dir lp-musiccaps=music --model-dir beats=beats --class-names names.csv";

/// The number of captions of each clip.
fn captions(rows: &[AudioFeatures]) -> Vec<Option<usize>> {
    rows.iter().map(|row| row.music_captions.as_ref().map(Vec::len)).collect()
}

#[test]
fn tags_and_captions_tell_what_is_music() {
    let bench = Bench::new();
    models(&bench);
    clips(&bench, ["[rain]", "[soft Music]"]);
    let call = |output: &str, flags: &str| {
        let called = bench.call(&format!("audio -i in -o {output} {FLAGS} {flags}")).ended(0);
        let unasked = called.step("part")["counts"]["lp-musiccaps_not_asked"].as_u64().unwrap_or(0);
        (bench.rows::<AudioFeatures>(&format!("{output}/part-00000.parquet")), unasked)
    };
    let (rows, unasked) = call("tags", "--music tags --music-probability 0.47");
    assert_eq!((captions(&rows), unasked), (vec![Some(1), None], 1));
    assert!(rows.iter().all(|row| row.failures.is_empty() && row.beats_tags.as_ref().unwrap().len() == 5));
    let (rows, _) = call("text", "--music text");
    assert_eq!(captions(&rows), [None, Some(1)]);
    let (rows, _) = call("both", "--music-probability 0.47");
    assert_eq!(captions(&rows), [Some(1), Some(1)], "by default tags or text decide");
    // A label that is not among the kept ones does not count.
    let (rows, unasked) = call("few", "--music tags --music-probability 0 --top-k 1");
    assert_eq!((captions(&rows), unasked), (vec![None, None], 2));
    // A clip has the same caption, whoever decides, and in any batch.
    let (rows, _) = call("always", "--music always --batch-size 1 --workers 2");
    let (again, _) = call("again", "--music always");
    assert_eq!(rows, again);
    assert_eq!(rows[0].music_captions, bench.rows::<AudioFeatures>("tags/part-00000.parquet")[0].music_captions);
    bench.call("combine --audio tags -o combined").ended(0);
    let joined: Vec<ClipMetadata> = bench.rows("combined/part-00000.parquet");
    assert_eq!(joined.iter().map(|row| row.music_captions.is_some()).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn each_ten_seconds_have_a_caption_on_request() {
    let bench = Bench::new();
    models(&bench);
    let tone = |seconds: f32| -> Vec<f32> {
        (0..(seconds * 16_000.0) as usize).map(|n| (n as f32 * 0.1).sin() * 0.4).collect()
    };
    for (name, seconds) in [("a", 0.5), ("b", 10.5), ("c", 11.5)] {
        bench.write(&format!("in/{name}.flac"), encode_flac(&tone(seconds), 1, 16_000, BitDepth::Sixteen).unwrap());
    }
    let alone = "audio -i in --models lp-musiccaps --model-dir lp-musiccaps=music --music always";
    bench.call(&format!("{alone} -o first")).ended(0);
    assert_eq!(captions(&bench.rows("first/part-00000.parquet")), [Some(1); 3]);
    bench.call(&format!("{alone} -o all --music-throughout")).ended(0);
    assert_eq!(captions(&bench.rows("all/part-00000.parquet")), [Some(1), Some(1), Some(2)]);
    // Captions that are drawn depend on the seed and the clip alone.
    let drawn = |output: &str, flags: &str| -> Vec<AudioFeatures> {
        bench.call(&format!("{alone} -o {output} --music-draw {flags}")).ended(0);
        bench.rows(&format!("{output}/part-00000.parquet"))
    };
    let seeds: Vec<_> = (1..6).map(|seed| drawn(&format!("seed{seed}"), &format!("--seed {seed}"))).collect();
    assert_eq!(seeds[0], drawn("again", "--seed 1 --batch-size 1"));
    assert!(seeds.iter().any(|rows| *rows != seeds[0]));
}

#[test]
fn settings_without_effect_are_refused() {
    let bench = Bench::new();
    models(&bench);
    clips(&bench, ["[rain]", "[wind]"]);
    let music = "--models lp-musiccaps --model-dir lp-musiccaps=music";
    bench.call(&format!("audio -i in -o out {music}")).ended(2).says("--music text or --music always");
    let beats = "--models beats --model-dir beats=beats --class-names names.csv";
    bench.call(&format!("audio -i in -o out {beats} --music text")).ended(2).says("lp-musiccaps");
    bench.call(&format!("audio -i in -o out {beats} --music-probability 2")).ended(2).says("0 to 1");
    assert!(!bench.path("out").exists());
    // Without music there is nothing to caption, which is no failure.
    bench.call(&format!("audio -i in -o out {FLAGS} --music text")).ended(0);
    let summary: Value = serde_json::from_str(&bench.text("out/stats.json")).unwrap();
    assert_eq!(summary["steps"]["part"]["kept"], 2, "{summary}");
}
