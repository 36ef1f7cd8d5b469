//! Shards whose audio is taken from video clips.

use std::fs;
use std::path::Path;
use std::process::Command;

use audsem_tarify::shards::Task;
use serde_json::json;

use super::world::{World, caption, raw_tar};

/// A short video made by ffmpeg: a test picture and, if asked for, a tone.
fn video(path: &Path, audio: &[&str]) -> Vec<u8> {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-y", "-f", "lavfi", "-i", "testsrc=size=64x48:rate=5:duration=1"]);
    command.args(audio).args(["-shortest", "-c:v", "libx264", "-preset", "ultrafast"]).arg(path);
    assert!(command.status().expect("the tests need ffmpeg (apt-get install ffmpeg)").success());
    fs::read(path).unwrap()
}

const TONE: [&str; 8] =
    ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100:duration=1", "-c:a", "aac", "-ac", "2"];

#[test]
fn t14_t15_t16_video_gives_audio_with_text() {
    let folder = tempfile::tempdir().unwrap();
    let sounding = video(&folder.path().join("a.mp4"), &TONE);
    let mute = video(&folder.path().join("b.mp4"), &[]);
    let described = json!({ "video_id": "AAA", "text": "[a tone]", "caption": "of the tar" }).to_string();
    let world = World::new(
        &[raw_tar(&[
            ("tar/AAA (1_0-2_0).mp4", &sounding),
            ("tar/AAA (1_0-2_0).json", described.as_bytes()),
            ("tar/BBB (1_0-2_0).mp4", &sounding),
            ("json/BBB (1_0-2_0).json", described.as_bytes()),
            ("tar/CCC (1_0-2_0).mp4", &mute),
            ("tar/DDD (1_0-2_0).mp4", b"no video at all"),
            ("tar/EEE (1_0-2_0).json", b"{}"),
        ])],
        &["AAA", "BBB", "CCC", "DDD", "EEE"].map(|id| caption(&format!("tar/{id} (1_0-2_0)"), "Beep.")),
    );
    let out = world.run(&world.config(Task::Video));
    assert_eq!(out.keys("train"), ["AAA (1_0-2_0)", "BBB (1_0-2_0)"]);
    let sample = out.json("BBB (1_0-2_0)");
    assert_eq!(sample["text"], "[a tone]", "what the tar says of the clip is kept");
    assert_eq!((&sample["caption"], &sample["answer"]), (&json!("Beep."), &json!("Beep.")), "the record wins");
    assert!(!sample["question"].as_str().unwrap().is_empty());
    for (id, reason) in [("CCC", "no_audio"), ("DDD", "undecodable"), ("EEE", "no_audio")] {
        assert!(out.reasons(&format!("{id} (1_0-2_0)")).contains(&reason.to_owned()), "{id}: {:?}", out.rejects());
    }
    let samples = out.samples("train");
    let flac = samples[0].get("flac").unwrap();
    let (rate, channels, seconds) = super::world::decode(flac);
    assert_eq!((rate, channels), (16_000, 1));
    assert!((0.9..1.2).contains(&seconds), "{seconds} s");
}
