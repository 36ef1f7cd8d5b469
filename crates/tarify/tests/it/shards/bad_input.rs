//! Inputs that are wrong, empty, cut off or compressed.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use audsem_core::run::{RunOptions, Status};
use audsem_tarify::shards::{self, Config, Task, ValidSize, VerifyMode};

use super::world::{World, audio_tar, caption, flac, raw_tar};

const CLIPS: [&str; 3] = ["one (1.0-2.0)", "two (1.0-2.0)", "three (1.0-2.0)"];

fn keys() -> [String; 3] {
    CLIPS.map(|clip| clip.replace('.', "_"))
}

fn tar() -> Vec<u8> {
    audio_tar(&CLIPS.map(|clip| (clip, flac(16_000, 1.0, 0.5))))
}

fn records() -> Vec<serde_json::Value> {
    CLIPS.map(|clip| caption(clip, "Something can be heard.")).into()
}

fn error(config: &Config, world: &World) -> String {
    shards::run(config, &RunOptions::new(world.path("out"))).unwrap_err().to_string()
}

#[test]
fn a_tar_that_is_cut_or_goes_on_fails_and_nothing_is_built_without_it() {
    let one = audio_tar(&[(CLIPS[0], flac(16_000, 1.0, 0.5))]).len() - 1024;
    for (bytes, problem) in [
        (tar()[..one + 2000].to_vec(), "tar ends early"),
        (tar()[..one].to_vec(), "tar without end marker"),
        ([tar(), tar()].concat(), "tar has data after its end marker"),
    ] {
        let world = World::new(&[bytes], &records());
        let out = world.run(&world.config(Task::Caption));
        assert_eq!(out.summary.status, Status::OverFailLimit);
        let error = &out.summary.failed_shards[0].error;
        assert!(error.contains(problem) && error.contains("0.tar") && error.contains("hint:"), "{error}");
        assert!(!out.folder.join("train").exists());
    }
}

#[test]
fn a_clip_twice_in_a_tar_keeps_its_first() {
    let (first, second) = (flac(16_000, 1.0, 0.5), flac(16_000, 1.5, 0.5));
    let json = format!(r#"{{"key": "{}"}}"#, keys()[0]);
    let members: [(&str, &[u8]); 6] = [
        ("1.flac", &first),
        ("1.json", json.as_bytes()),
        ("1.flac", &second),
        ("1.json", json.as_bytes()),
        ("2.flac", &second),
        ("2.json", json.as_bytes()),
    ];
    let world = World::new(&[raw_tar(&members)], &records());
    let out = world.run(&world.config(Task::Caption));
    assert_eq!(out.keys("train"), keys()[..1]);
    assert_eq!(out.reasons(&keys()[0]), ["duplicate_clip", "duplicate_clip"]);
    let lines = out.reject_lines();
    assert!(lines.iter().filter(|line| line["key"] == keys()[0]).all(|line| line["detail"] == "0.tar; first in 0.tar"));
    let plan = fs::read_to_string(out.folder.join("plan.jsonl")).unwrap();
    assert!(plan.contains(r#""ms":1000"#), "{plan}");
}

#[test]
fn a_file_that_is_no_tar_ends_the_run_before_anything_is_built_on_its_absence() {
    let world = World::new(&[tar(), b"this is some text, not a tar".repeat(100)], &records());
    let out = world.run(&world.config(Task::Caption));
    assert_eq!(out.summary.status, Status::OverFailLimit);
    assert_eq!(out.summary.failed_shards.len(), 1);
    assert!(out.summary.failed_shards[0].error.contains("1.tar"), "{:?}", out.summary.failed_shards);
    assert!(!out.folder.join("train").exists());
}

#[test]
fn nothing_to_read_gives_empty_splits() {
    for text in ["", "\n\n"] {
        let world = World::with_text(&[tar()], text);
        let mut config = world.config(Task::Caption);
        config.num_valid = ValidSize::Clips(5);
        let out = world.run(&config);
        assert!(out.sizes("train").is_empty() && out.sizes("valid").is_empty());
        assert_eq!(fs::read_to_string(out.folder.join("train/sizes.json")).unwrap(), "{}\n");
        assert_eq!(out.shards("train").len(), 0, "no empty tar");
        assert_eq!(out.rejects().len(), 3, "three clips have no record");
    }
}

#[test]
fn missing_files_and_folders_are_named() {
    let world = World::new(&[tar()], &records());
    let mut config = world.config(Task::Caption);
    config.records = vec![PathBuf::from("/nowhere/records.jsonl")];
    assert!(error(&config, &world).contains("/nowhere/records.jsonl"));
    let mut config = world.config(Task::Caption);
    config.records = vec![world.path("")];
    assert!(error(&config, &world).contains("folder"));
    let mut config = world.config(Task::Caption);
    config.sources = vec![world.path("")];
    assert!(error(&config, &world).contains("folder"));
}

#[test]
fn compressed_tars_and_records_give_the_same_shards() {
    let world = World::new(&[tar()], &records());
    let plain = world.run(&world.config(Task::Caption)).tree();
    let shards = |tree: &std::collections::BTreeMap<String, Vec<u8>>| {
        tree.iter().filter(|(name, _)| name.starts_with("train/")).map(|(_, bytes)| bytes.clone()).collect::<Vec<_>>()
    };
    let gz = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let zst = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
    let text = fs::read(world.records()).unwrap();
    for (name, tar, text) in [("gz", gz(&tar()), gz(&text)), ("zst", zst(&tar()), zst(&text))] {
        let other = World::new(&[tar], &[]);
        fs::write(other.records(), text).unwrap();
        assert_eq!(shards(&other.run(&other.config(Task::Caption)).tree()), shards(&plain), "{name}");
    }
}

#[test]
fn copies_of_the_sound_go_once_the_shards_are_written() {
    let packed = zstd::encode_all(&tar()[..], 1).unwrap();
    let world = World::new(&[tar(), packed], &records());
    let config = world.config(Task::Caption);
    let whole = world.run(&config);
    let payloads = || whole.folder.join("scan-00001.payloads");
    assert!(!payloads().exists());
    let before = whole.tree();

    // Nothing is missed: the same command finds everything done.
    let scanned = fs::metadata(whole.folder.join("scan-00001.done.json")).unwrap().modified().unwrap();
    assert_eq!(world.run(&config).tree(), before);
    assert_eq!(fs::metadata(whole.folder.join("scan-00001.done.json")).unwrap().modified().unwrap(), scanned);
    // A kill just before the removal left the file; it goes with the next run.
    fs::write(payloads(), "left by a kill").unwrap();
    assert_eq!(world.run(&config).tree(), before);
}

#[test]
fn a_lost_shard_is_written_again_although_its_sound_was_removed() {
    let packed = zstd::encode_all(&tar()[..], 1).unwrap();
    let world = World::new(&[packed], &records());
    let mut config = world.config(Task::Caption);
    config.max_count = std::num::NonZeroU64::new(1).unwrap();
    let whole = world.run(&config);
    let before = whole.tree();
    fs::remove_file(whole.folder.join("train/0001.tar")).unwrap();
    assert_eq!(world.run(&config).tree(), before);
    fs::remove_file(whole.folder.join("train/sizes.json")).unwrap();
    assert_eq!(world.run(&config).tree(), before);
}

#[test]
fn damaged_audio_is_found_by_decoding() {
    let mut bad = flac(16_000, 1.0, 0.5);
    let half = bad.len() / 2;
    bad.truncate(half);
    let tar = audio_tar(&[(CLIPS[0], bad), (CLIPS[1], b"RIFF, not FLAC".to_vec()), (CLIPS[2], flac(16_000, 1.0, 0.5))]);
    let world = World::new(&[tar], &records());
    let kept = |verify, folder: &str| {
        let mut config = world.config(Task::Caption);
        config.audio.verify = verify;
        let out = world.run_with(&config, &RunOptions::new(world.path(folder)));
        println!("{}", fs::read_to_string(out.folder.join("rejects-scan-00000.jsonl")).unwrap());
        assert!(out.reasons(&keys()[1]).contains(&"undecodable".to_owned()), "{verify:?}");
        out.keys("train")
    };
    assert_eq!(kept(VerifyMode::Full, "full"), keys()[2..]);
    assert_eq!(kept(VerifyMode::Fast, "fast"), keys()[2..], "it is loud before the break, but its last frame is cut");
    assert_eq!(kept(VerifyMode::None, "none"), [keys()[0].clone(), keys()[2].clone()]);
}

#[test]
fn every_depth_of_checking_knows_short_and_long_clips() {
    let tar = audio_tar(&[
        (CLIPS[0], flac(16_000, 0.05, 0.5)),
        (CLIPS[1], flac(16_000, 3.0, 0.5)),
        (CLIPS[2], flac(16_000, 1.0, 0.0)),
    ]);
    let world = World::new(&[tar], &records());
    for (verify, silent) in [(VerifyMode::Full, true), (VerifyMode::Fast, true), (VerifyMode::None, false)] {
        let mut config = world.config(Task::Caption);
        config.audio.verify = verify;
        config.audio.limits.max_s = 2.0;
        let out = world.run_with(&config, &RunOptions::new(world.path(&format!("{verify:?}"))));
        assert_eq!(out.reasons(&keys()[0]), ["audio_short", "no_clip"], "{verify:?}");
        assert_eq!(out.reasons(&keys()[1]), ["audio_long", "no_clip"], "{verify:?}");
        assert_eq!(out.reasons(&keys()[2]).contains(&"silent".to_owned()), silent, "{verify:?}");
    }
}

#[test]
fn names_too_long_for_a_tar_are_left_out() {
    let name = format!("{} (1.0-2.0)", "v".repeat(90));
    let world = World::new(&[tar()], &[caption(&name, "Something can be heard.")]);
    let out = world.run(&world.config(Task::Caption));
    assert_eq!(out.keys("train").len(), 0);
    assert!(out.rejects().iter().any(|(_, reason)| reason == "bad_name"));
}

#[test]
fn a_limit_takes_the_first_records() {
    let world = World::new(&[tar()], &records());
    let mut options = RunOptions::new(world.path("out"));
    options.limit = Some(2);
    assert_eq!(world.run_with(&world.config(Task::Caption), &options).keys("train"), keys()[..2]);
}
