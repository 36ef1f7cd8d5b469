//! Own files of one name in different folders, from captions to audio shards: each clip holds its own sound.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use audsem_core::tables::{Cue, read_parquet};
use audsem_core::tar::{SampleReader, ShardOptions, ShardWriter};
use audsem_media::audio::Decoder;
use serde_json::Value;

use crate::programs::ffmpeg;

/// File without ending, ending of its captions, what they say, and the frequency of its tone in Hz.
const FILES: [(&str, &str, &str, u32); 9] = [
    ("owl/night", ".srt", "owl hoots", 300),
    ("pig/night", ".en-US.srt", "pig grunts", 450),
    ("pig%2Fnight", ".srt", "cow moos", 600),
    ("Episode 01 - Night Sounds", ".en-US.srt", "door slams", 750),
    ("S02E03.1080p", ".srt", "wind blows", 900),
    ("my.it", ".srt", "cat purrs", 1_050),
    ("my-cat (2)", ".srt", "cat hisses", 1_200),
    ("Kühe am Bach", ".en.srt", "water runs", 1_350),
    ("x/foo-soundscapes", ".srt", "rain falls", 1_500),
];

fn audsem(folder: &Path, args: &[&str]) -> Output {
    let out = Command::new(env!("CARGO_BIN_EXE_audsem-filtering")).current_dir(folder).args(args).output();
    out.unwrap()
}

fn done(folder: &Path, args: &[&str]) {
    let out = audsem(folder, args);
    assert_eq!(out.status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
}

/// Media with captions beside them, and the lists `combine` asks for.
fn material(folder: &Path) {
    for (stem, ending, text, hz) in FILES {
        let path = |ending: &str| folder.join(format!("own/{stem}{ending}"));
        fs::create_dir_all(path("").parent().unwrap()).unwrap();
        ffmpeg(&["-f", "lavfi", "-i", &format!("sine=f={hz}:r=16000:d=4")], &path(".wav"));
        fs::write(path(ending), format!("1\n00:00:01,000 --> 00:00:03,000\n[{text}]\n")).unwrap();
    }
    let words: Vec<&str> = FILES.iter().flat_map(|(_, _, text, _)| text.split(' ')).collect();
    fs::write(folder.join("words.txt"), words.join("\n")).unwrap();
    fs::write(folder.join("names.txt"), "Mary\n").unwrap();
}

/// The frequency of a tone, counted by its upward crossings of zero.
fn frequency(flac: &[u8]) -> f64 {
    let audio = Decoder::new().decode_bytes(flac, Some("flac")).unwrap();
    let crossings = audio.samples.windows(2).filter(|pair| pair[0] < 0.0 && pair[1] >= 0.0).count();
    crossings as f64 / audio.duration_s()
}

/// The text and frequency of each clip, by video.
fn clips(folder: &Path) -> BTreeMap<String, (String, f64)> {
    let mut found = BTreeMap::new();
    let mut samples = SampleReader::open(&folder.join("shards/00000.tar")).unwrap();
    while let Some(sample) = samples.next_sample().unwrap() {
        let json: Value = serde_json::from_slice(sample.get("json").unwrap()).unwrap();
        let text = json["text"].as_str().unwrap().to_owned();
        let id = json["video_id"].as_str().unwrap().to_owned();
        assert!(json["key"].as_str().unwrap().starts_with(&format!("{id} (1_0-3_0)")), "{json}");
        found.insert(id, (text, frequency(sample.get("flac").unwrap())));
    }
    found
}

#[test]
fn each_clip_of_own_files_holds_its_own_sound() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    material(folder);
    done(folder, &["extract", "--input", "own", "--output", "cues"]);
    let lists = ["--names", "names.txt", "--dictionary", "words.txt"];
    done(folder, &[&["combine", "--input", "cues", "--output", "table", "--policy", "none"][..], &lists].concat());
    done(folder, &["download", "--input", "table", "--source", "own", "--output", "media"]);
    done(folder, &["clips", "--input", "media", "--table", "table", "--output", "shards"]);
    let clips = clips(folder);
    assert_eq!(clips.len(), FILES.len(), "{clips:?}");
    for (stem, _, text, hz) in FILES {
        let id = audsem_core::video_id::encode(stem);
        let (said, heard_hz) = &clips[&id];
        assert_eq!(said, text, "{id}");
        assert!((heard_hz - f64::from(hz)).abs() < 5.0, "{id}: {heard_hz} Hz, not {hz} Hz");
    }
}

#[test]
fn two_videos_of_one_id_are_refused_by_name_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    material(folder);
    let refused = |args: &[&str]| {
        let out = audsem(folder, args);
        let message = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(2), "{args:?}: {message}");
        assert!(message.contains("owl/night") && message.contains("pig/night"), "{message}");
        assert!(message.contains("hint:"), "{message}");
    };
    refused(&["extract", "--input", "own", "--output", "cues", "--id", "stem"]);
    refused(&["extract", "--input", "own/owl", "--input", "own/pig", "--output", "cues"]);
    fs::write(folder.join("clips.csv"), "video_id,start_ms,end_ms\nnight,1000,3000\n").unwrap();
    refused(&["download", "--input", "clips.csv", "--source", "own", "--output", "media", "--id", "stem"]);
}

/// A tar of captions, one file for each name.
fn pack(path: &Path, names: &[&str]) {
    let mut tar = ShardWriter::new(Vec::new(), ShardOptions::default());
    for name in names {
        let captions = format!("1\n00:00:01,000 --> 00:00:03,000\n[{name}]\n");
        tar.write_sample(name, &[("en.srt", captions.as_bytes())]).unwrap();
    }
    fs::write(path, tar.finish().unwrap().0).unwrap();
}

#[test]
fn captions_in_tars_have_the_ids_of_captions_in_folders() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir(folder.join("two")).unwrap();
    pack(&folder.join("all.tar"), &["owl/night", "pig/night", "Kühe am Bach"]);
    pack(&folder.join("two/1.tar"), &["owl/night"]);
    pack(&folder.join("two/2.tar"), &["owl/night"]);
    done(folder, &["extract", "--input", "all.tar", "--output", "cues"]);
    let rows: Vec<Cue> = read_parquet(&folder.join("cues/part-00000.parquet")).unwrap();
    let found: Vec<(&str, &str)> = rows.iter().map(|row| (&*row.video_id, &*row.text)).collect();
    let expected = [("owl%2Fnight", "[owl/night]"), ("pig%2Fnight", "[pig/night]"), ("Kühe am Bach", "[Kühe am Bach]")];
    assert_eq!(found, expected);
    for (input, rule, tars) in [("two", "path", ["1.tar", "2.tar"]), ("all.tar", "stem", ["owl", "pig"])] {
        let out = audsem(folder, &["extract", "--input", input, "--id", rule, "--output", "refused"]);
        let message = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(2), "{message}");
        assert!(tars.iter().all(|tar| message.contains(tar)), "{message}");
    }
}
