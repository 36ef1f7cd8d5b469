//! Train and valid: no video in both, the count asked for, the same for any number of workers.

use std::collections::BTreeSet;

use audsem_core::clip_id::ClipId;
use audsem_core::run::RunOptions;
use audsem_tarify::shards::{Config, PlanLine, Task, ValidSize};
use proptest::prelude::*;

use super::world::{Outcome, World, audio_tar, caption, flac};

/// `clips[v]` clips of video number v, spread over tars in turn.
fn world(clips: &[usize], tars: usize) -> World {
    let sound = flac(8_000, 0.2, 0.5);
    let mut names = vec![Vec::new(); tars];
    let mut records = Vec::new();
    for (video, count) in clips.iter().enumerate() {
        for clip in 0..*count {
            let name = format!("video{video:03} ({clip}.0-{}.5)", clip + 1);
            records.push(caption(&name, "Something can be heard."));
            names[clip % tars].push(name);
        }
    }
    let tar = |names: &Vec<String>| audio_tar(&names.iter().map(|n| (n.as_str(), sound.clone())).collect::<Vec<_>>());
    World::new(&names.iter().map(tar).collect::<Vec<_>>(), &records)
}

fn videos(out: &Outcome, split: &str) -> BTreeSet<String> {
    out.keys(split).iter().map(|key| key.parse::<ClipId>().unwrap().video_id().to_owned()).collect()
}

fn config(world: &World, num_valid: usize) -> Config {
    let mut config = world.config(Task::Caption);
    config.num_valid = ValidSize::Clips(num_valid);
    config
}

#[test]
fn t9_the_count_is_met_after_the_filters() {
    let sound = flac(8_000, 0.2, 0.5);
    let names: Vec<_> = (0..40).map(|n| format!("video{n:03} (0.0-1.0)")).collect();
    let text = |n| if n % 2 == 0 { "Something can be heard." } else { "short" };
    let records: Vec<_> = (0..40).map(|n| caption(&names[n], text(n))).collect();
    let clips: Vec<_> = names.iter().map(|name| (name.as_str(), sound.clone())).collect();
    let world = World::new(&[audio_tar(&clips)], &records);
    let out = world.run(&config(&world, 8));
    assert_eq!((out.keys("valid").len(), out.keys("train").len()), (8, 12));
    assert_eq!(out.sizes("valid"), [("0000.tar".to_owned(), 8)].into());
    // More than half is never taken, and the usual share is one of twenty.
    for (size, expected) in [(ValidSize::Clips(15), 10), (ValidSize::USUAL, 1)] {
        let config = Config { num_valid: size, ..config(&world, 0) };
        let options = RunOptions { fresh: true, ..RunOptions::new(world.path("out")) };
        assert_eq!(world.run_with(&config, &options).keys("valid").len(), expected, "{size}");
    }
}

#[test]
fn the_plan_says_where_every_sample_is_and_comes_from() {
    let world = world(&[3, 2, 4], 2);
    let mut config = config(&world, 3);
    config.max_count = 2.try_into().unwrap();
    let out = world.run(&config);
    let text = std::fs::read_to_string(out.folder.join("plan.jsonl")).unwrap();
    let lines: Vec<PlanLine> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut found = Vec::new();
    for split in ["train", "valid"] {
        for (number, samples) in out.shards(split).into_iter().enumerate() {
            found.extend(samples.into_iter().map(|sample| (sample.key, format!("{split}/{number:04}.tar"))));
        }
    }
    let planned: Vec<_> = lines.iter().map(|line| (line.key.clone(), line.shard.clone())).collect();
    assert_eq!(planned, found);
    assert!(lines.iter().all(|line| line.ms == 200 && ["0.tar", "1.tar"].contains(&line.source.as_str())));
}

#[test]
fn a_split_file_fixes_the_validation_videos() {
    let world = world(&[2; 12], 2);
    let first = world.run(&config(&world, 6));
    let file: serde_json::Value =
        serde_json::from_slice(&std::fs::read(first.folder.join("split.json")).unwrap()).unwrap();
    let ids: Vec<String> = serde_json::from_value(file["valid"].clone()).unwrap();
    assert_eq!(ids.iter().cloned().collect::<BTreeSet<_>>(), videos(&first, "valid"));
    let mut options = RunOptions::new(world.path("again"));
    options.seed = 99;
    let mut given = config(&world, 0);
    given.valid_videos = Some(ids);
    let again = world.run_with(&given, &options);
    assert_eq!(again.keys("valid"), first.keys("valid"));
}

#[test]
fn any_number_of_workers_writes_the_same_bytes() {
    let world = world(&[1, 3, 2, 5, 1, 4, 2, 2, 3], 4);
    let mut config = config(&world, 7);
    config.max_count = 3.try_into().unwrap();
    let trees: Vec<_> = [1, 2, 5]
        .map(|workers| {
            let mut options = RunOptions::new(world.path(&format!("workers{workers}")));
            options.workers = workers;
            world.run_with(&config, &options).tree()
        })
        .into();
    assert_eq!(trees[0], trees[1]);
    assert_eq!(trees[0], trees[2]);
    assert!(trees[0].len() > 10);
}

#[test]
fn a_dry_run_counts_the_same_and_writes_nothing() {
    let world = world(&[1, 3, 2], 2);
    let config = config(&world, 2);
    let mut options = RunOptions::new(world.path("dry"));
    options.dry_run = true;
    let dry = audsem_tarify::shards::run(&config, &options).unwrap();
    assert!(!world.path("dry").exists());
    let real = world.run(&config);
    for (step, stats) in &real.summary.steps {
        let dry = dry.step(step).unwrap();
        assert_eq!((dry.read, dry.kept, &dry.dropped), (stats.read, stats.kept, &stats.dropped), "{step}");
    }
    assert_eq!(dry.results, real.summary.results);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_video_is_in_both_splits(clips in prop::collection::vec(1usize..4, 1..9), num_valid in 1usize..12, seed: u64) {
        let world = world(&clips, 2);
        let mut options = RunOptions::new(world.path("out"));
        options.seed = seed;
        let out = world.run_with(&config(&world, num_valid), &options);
        let (train, valid) = (videos(&out, "train"), videos(&out, "valid"));
        prop_assert!(train.is_disjoint(&valid));
        prop_assert_eq!(train.len() + valid.len(), clips.len());
        let total: usize = clips.iter().sum();
        let (n_train, n_valid) = (out.keys("train").len(), out.keys("valid").len());
        prop_assert_eq!(n_train + n_valid, total);
        prop_assert!(n_valid <= total / 2);
        prop_assert_eq!(n_valid == 0, clips.iter().all(|clips| *clips > total / 2));
    }
}
