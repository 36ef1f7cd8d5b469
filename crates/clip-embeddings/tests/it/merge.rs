//! `merge-shards`.

use std::fs;

use audsem_core::tar::{ShardOptions, ShardWriter};

use crate::workbench::{Bench, flac, same_file, shard};

fn sources(bench: &Bench) {
    bench.write("b/10.tar", shard(&[("V (1.0-2.0)", "bark")]));
    bench.write("b/9.tar", shard(&[("W (1.0-2.0)", "rain"), ("W (3.0-4.0)", "wind")]));
    bench.write("a/0.tar", shard(&[("X (1.0-2.0)", "bell"), ("V (1.0-2.0)", "bark")]));
}

#[test]
fn c10_c11_shards_are_linked_in_the_order_of_the_sources() {
    let bench = Bench::new();
    sources(&bench);
    let called = bench.call("merge-shards --source b a -o out").ended(0);
    for (name, source) in [("00000.tar", "b/9.tar"), ("00001.tar", "b/10.tar"), ("00002.tar", "a/0.tar")] {
        assert!(same_file(&bench.path(&format!("out/{name}")), &bench.path(source)), "{name}");
    }
    let manifest = bench.text("out/manifest.csv");
    let lines: Vec<Vec<&str>> = manifest.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines[0], ["tar", "source", "bytes", "samples"]);
    assert_eq!((lines[1][0], lines[1][1], lines[1][3]), ("00000.tar", "b/9.tar", "2"));
    // C18: the clip that both sources hold.
    let duplicates = "key,tar,sample,first_tar\nV (1_0-2_0),00002.tar,2,00001.tar\n";
    assert_eq!(bench.text("out/duplicates.csv"), duplicates);
    assert_eq!(bench.rejects("out/rejects-lists-all.jsonl"), [("V (1_0-2_0)".to_owned(), "repeated_key".to_owned())]);
    let results = &called.summary()["results"];
    assert_eq!(results["repeated_clips"], 1);
    assert!(results["note"].as_str().unwrap().contains("embed-audio and embed-text take the first"), "{results}");
}

#[test]
fn a_sample_whose_json_is_broken_repeats_no_other() {
    let bench = Bench::new();
    for folder in ["a", "b"] {
        let mut tar = ShardWriter::new(Vec::new(), ShardOptions::default());
        tar.write_sample("1", &[("flac", &flac(300.0)), ("json", b"{\"key\": ")]).unwrap();
        bench.write(&format!("{folder}/0.tar"), tar.finish().unwrap().0);
    }
    bench.call("merge-shards --source a b -o out --max-fail-rate 1").ended(0);
    assert_eq!(bench.text("out/duplicates.csv").lines().count(), 1);
    let rejects = bench.rejects("out/rejects-lists-all.jsonl");
    let expected = ["00000.tar: 1", "00001.tar: 1"].map(|key| (key.to_owned(), "bad_json".to_owned()));
    assert_eq!(rejects, expected);
}

#[test]
fn copies_are_equal_and_apart() {
    let bench = Bench::new();
    sources(&bench);
    bench.call("merge-shards --source b a --mode copy -o out --workers 2").ended(0);
    assert_eq!(fs::read(bench.path("out/00002.tar")).unwrap(), fs::read(bench.path("a/0.tar")).unwrap());
    assert!(!same_file(&bench.path("out/00002.tar"), &bench.path("a/0.tar")));
}

#[test]
fn c10_nothing_is_overwritten_and_a_second_run_changes_nothing() {
    let bench = Bench::new();
    sources(&bench);
    bench.call("merge-shards --source b -o out").ended(0);
    let before = bench.tree("out");
    bench.call("merge-shards --source b -o out").ended(0);
    assert_eq!(bench.tree("out"), before);
    // Other sources into the same folder: refused, and everything stays.
    bench.call("merge-shards --source a -o out").ended(2).says("hint: name another --output");
    assert_eq!(bench.tree("out"), before);
    // A link that was removed is made again; a file that took its place is not touched.
    fs::remove_file(bench.path("out/00001.tar")).unwrap();
    bench.call("merge-shards --source b -o out").ended(0);
    assert_eq!(bench.tree("out"), before);
    fs::remove_file(bench.path("out/00001.tar")).unwrap();
    bench.write("out/00001.tar", "somebody's");
    bench.call("merge-shards --source b -o out").ended(2).says("refusing to overwrite");
    assert_eq!(bench.text("out/00001.tar"), "somebody's");
}

#[test]
fn a_dry_run_makes_nothing_and_counts_everything() {
    let bench = Bench::new();
    sources(&bench);
    let called = bench.call("merge-shards --source b a -o out --dry-run").ended(0);
    assert!(!bench.path("out").exists());
    assert_eq!(called.summary()["results"]["tars"], 3);
    assert_eq!(called.nth_step(0)["counts"]["samples"], 5);
    bench.call("merge-shards --source none -o out").ended(2).says("cannot read none");
    bench.write("empty/x.txt", "");
    bench.call("merge-shards --source empty -o out").ended(2).says("this folder holds no tar");
}

#[test]
fn a_damaged_tar_fails_alone_and_no_list_is_made() {
    let bench = Bench::new();
    sources(&bench);
    let whole = fs::read(bench.path("b/10.tar")).unwrap();
    bench.write("b/10.tar", &whole[..whole.len() / 2]);
    bench.call("merge-shards --source b a -o out").ended(1).says("10.tar");
    assert!(!bench.path("out/manifest.csv").exists());
}
