//! Training sets that come out empty end with exit code 1 and say first why.

use audsem_core::run::{RunOptions, Status};
use audsem_tarify::shards::{Config, Task};

use super::world::{World, audio_tar, caption, flac};

fn world(captions: &[(&str, &str)], clips: &[&str]) -> World {
    let sound = flac(8_000, 0.2, 0.5);
    let clips: Vec<(&str, Vec<u8>)> = clips.iter().map(|name| (*name, sound.clone())).collect();
    let records: Vec<_> = captions.iter().map(|(name, text)| caption(name, text)).collect();
    World::new(&[audio_tar(&clips)], &records)
}

#[track_caller]
fn check(world: &World, config: &Config, expected: &str) {
    for dry_run in [true, false] {
        let options = RunOptions { dry_run, ..RunOptions::new(world.path("out")) };
        let summary = world.run_with(config, &options).summary;
        assert_eq!((summary.status, summary.exit_code()), (Status::Empty, 1));
        assert!(summary.to_string().starts_with(&format!("error: {expected}")), "{summary}");
    }
}

#[test]
fn no_caption_passes_the_rules() {
    let world = world(&[("AAA (1.0-2.5)", "Rain on a tin roof."), ("AAA (3.0-4.5)", "")], &["AAA (1.0-2.5).mp4"]);
    let mut config = world.config(Task::Caption);
    config.text.max_words = Some(2);
    config.text.min_chars = 0;
    config.text.omit_phrases = vec!["sounds".to_owned()];
    check(
        &world,
        &config,
        "none of 2 records was kept; 1 is left out as `caption_long`: the caption has more words than --max-words\n  \
         hint: --max-words changes that",
    );
}

#[test]
fn no_clip_has_a_record() {
    let world = world(&[("AAA (1.0-2.5)", "Rain on a tin roof.")], &["BBB (1.0-2.5).mp4", "CCC (1.0-2.5).mp4"]);
    check(
        &world,
        &world.config(Task::Caption),
        "none of 2 clips was kept; 2 are left out as `no_record`: no usable record refers to this clip\n  \
         hint: --records changes that",
    );
}

#[test]
fn all_clips_are_in_the_valid_split() {
    let names = ["AAA (1.0-2.5)", "BBB (1.0-2.5)"];
    let captions = names.map(|name| (name, "Rain on a tin roof."));
    let world = world(&captions, &["AAA (1.0-2.5).mp4", "BBB (1.0-2.5).mp4"]);
    let mut config = world.config(Task::Caption);
    config.valid_videos = Some(vec!["AAA".to_owned(), "BBB".to_owned()]);
    let options = RunOptions { fresh: true, ..RunOptions::new(world.path("out")) };
    let text = world.run_with(&config, &options).summary.to_string();
    assert!(text.contains("hint: name fewer videos in --split-in"), "{text}");
}
