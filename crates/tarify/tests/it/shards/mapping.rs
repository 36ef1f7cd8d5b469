//! `--mapping-csv`: tars without a clip of the records are left alone.

use std::fs;
use std::path::PathBuf;

use audsem_core::run::RunOptions;
use audsem_tarify::shards::{self, Config, Task};

use super::world::{World, audio_tar, caption, flac};
use crate::workbench::Bench;

const CLIPS: [&str; 4] = ["one (1.0-2.0)", "two (1.0-2.0)", "three (1.0-2.0)", "four (1.0-2.0)"];

/// A tar for each clip; the records speak of the first and the third.
fn world() -> World {
    let tars = CLIPS.map(|clip| audio_tar(&[(clip, flac(16_000, 1.0, 0.5))]));
    World::new(&tars, &[CLIPS[0], CLIPS[2]].map(|clip| caption(clip, "Something can be heard.")))
}

fn config(world: &World, mapping: PathBuf) -> Config {
    Config { mapping: Some(mapping), ..world.config(Task::Caption) }
}

/// The table that `index` writes about the world's tars.
fn index(world: &World) -> PathBuf {
    let config = audsem_tarify::index::Config { inputs: world.sources.clone() };
    audsem_tarify::index::run(&config, &RunOptions::new(world.path("index"))).unwrap();
    world.path("index/tar_mp4_mapping.csv")
}

#[test]
fn tars_without_hits_are_not_read_and_the_shards_are_the_same() {
    let world = world();
    let mapping = index(&world);
    let all = world.run_with(&world.config(Task::Caption), &RunOptions::new(world.path("all")));
    // Whatever happens to them.
    fs::write(&world.sources[1], "not a tar any more").unwrap();
    fs::remove_file(&world.sources[3]).unwrap();
    let some = world.run(&config(&world, mapping));
    assert_eq!(some.keys("train"), ["one (1_0-2_0)", "three (1_0-2_0)"]);
    let tars = |tree: std::collections::BTreeMap<String, Vec<u8>>| {
        tree.into_iter().filter(|(name, _)| name.contains("train/")).collect::<Vec<_>>()
    };
    assert_eq!(tars(some.tree()), tars(all.tree()));
    assert_eq!(some.summary.results["tars_without_hits"], 2);
    assert_eq!(some.summary.results["tars_not_in_mapping"], 0);
    assert_eq!(some.rejects(), []);
}

#[test]
fn what_the_table_does_not_know_is_read() {
    let world = world();
    fs::write(world.path("m.csv"), "tar_file,mp4_name\n0.tar,two (1.0-2.0).mp4\n1.tar,12.flac\n").unwrap();
    let out = world.run(&config(&world, world.path("m.csv")));
    // 0 holds no clip of the records, says the table; 1 has an unclear line, 2 and 3 have none.
    assert_eq!(out.keys("train"), ["three (1_0-2_0)"]);
    assert_eq!(out.summary.results["tars_without_hits"], 1);
    assert_eq!(out.summary.results["tars_not_in_mapping"], 2);
}

#[test]
fn a_table_of_other_tars_is_refused() {
    let world = world();
    for (text, part) in [
        (
            "tar_file,mp4_name\nx.tar,one (1.0-2.0).mp4\n",
            "names none of 4 tars of --input (0.tar, 1.tar, 2.tar, …), but x.tar",
        ),
        ("tar_file,mp4_name\n", "but no tar at all"),
        ("video_id,start\na,1\n", "expected the columns tar_file and mp4_name"),
        ("tar_file,mp4_name\n0.tar,one (1.0-2.0).mp4,more\n", "expected the columns tar_file and mp4_name"),
    ] {
        fs::write(world.path("m.csv"), text).unwrap();
        let error = shards::run(&config(&world, world.path("m.csv")), &RunOptions::new(world.path("out"))).unwrap_err();
        assert!(error.to_string().contains(part) && error.to_string().contains("m.csv"), "{part:?} is not in {error}");
    }
}

#[test]
fn flags_that_no_clip_can_keep_are_refused() {
    let bench = Bench::new();
    bench.write("records.jsonl", "");
    bench.write("0.tar", audio_tar(&[]));
    let run = "shards --task caption --records records.jsonl -i 0.tar -o out";
    for (flags, part) in [
        ("--min-peak nan", "--min-peak: expected a share of full scale, from 0 to 1, but it is NaN"),
        ("--min-duration 5 --max-duration 2", "--min-duration and --max-duration: 5 to 2 s is not a range of lengths"),
        ("--max-duration nan", "is not a range of lengths"),
        ("--mapping-csv none.csv", "cannot read none.csv"),
    ] {
        bench.call(&format!("{run} {flags}")).ended(2).says(part);
    }
    assert!(!bench.path("out").exists());
}
