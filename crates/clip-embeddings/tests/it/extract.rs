//! `extract`.

use std::fs;

use audsem_clip_embeddings::tables::CaptionMatch;
use audsem_media::audio::Decoder;

use crate::report::{bench, score};
use crate::workbench::{Bench, shard};

#[test]
fn listening_copies_are_the_sounds_over_the_threshold() {
    let bench = bench();
    let called = bench.call("extract -i scores --shards shards --threshold 0.95 -o out").ended(0);
    assert_eq!(called.summary()["results"]["over_threshold"], 2);
    assert_eq!(called.summary()["results"]["found"], 2);
    let copy = fs::read(bench.path("out/audio/00000/W (1_0-2_0).flac")).unwrap();
    assert!(copy.starts_with(b"fLaC"));
    bench.call("extract -i scores --shards shards --threshold 0.95 --format wav -o wav").ended(0);
    let wav = fs::read(bench.path("wav/audio/00001/W (3_0-4_0).wav")).unwrap();
    let (wav, flac) = (
        Decoder::new().decode_bytes(&wav, Some("wav")).unwrap(),
        Decoder::new()
            .decode_bytes(&fs::read(bench.path("out/audio/00001/W (3_0-4_0).flac")).unwrap(), Some("flac"))
            .unwrap(),
    );
    assert_eq!((wav.sample_rate_hz, wav.samples == flac.samples), (flac.sample_rate_hz, true));
    // Compressed shards cannot be jumped about in, and give the same.
    let gz = |name: &str| {
        let status = std::process::Command::new("gzip").arg(bench.path(name)).status().unwrap();
        assert!(status.success());
    };
    gz("shards/0.tar");
    bench.call("extract -i scores --shards shards --threshold 0.95 -o compressed").ended(0);
    assert_eq!(fs::read(bench.path("compressed/audio/00000/W (1_0-2_0).flac")).unwrap(), copy);
}

/// Each clip counts once, however many scores and copies it has; what no shard has is named.
#[test]
fn different_keys_are_counted_and_missing_ones_named() {
    let bench = Bench::new();
    let rows = [score("V (1_0-2_0)", "one", 1.0), score("V (1_0-2_0)", "one", 1.0), score("V (1_0-2_0)", "two", 1.0)];
    bench.table("scores/a.parquet", &rows);
    bench.table("scores/b.parquet", &[score("gone", "two", 1.1), score("W (1_0-2_0)", "two", 1.2)]);
    bench.write("shards/0.tar", shard(&[("V (1.0-2.0)", "a"), ("W (1.0-2.0)", "b"), ("V (1.0-2.0)", "again")]));
    bench.write("shards/1.tar", shard(&[("V (1.0-2.0)", "copy")]));
    let called = bench.call("extract -i scores --shards shards -o out").ended(0);
    let results = &called.summary()["results"];
    assert_eq!((&results["over_threshold"], &results["found"]), (&3.into(), &2.into()));
    let step = called.nth_step(1).clone();
    assert_eq!((&step["kept"], &step["dropped"]["repeated_key"]), (&2.into(), &2.into()));
    assert_eq!(bench.rejects("out/rejects-00001.jsonl"), [("V (1_0-2_0)".to_owned(), "repeated_key".to_owned())]);
    assert!(!bench.path("out/audio/00001").exists(), "the first tar has the clip");
    assert_eq!(bench.rejects("out/rejects-missing-all.jsonl"), [("gone".to_owned(), "not_found".to_owned())]);
    for workers in [1, 2] {
        bench.call(&format!("extract -i scores --shards shards -o w{workers} --workers {workers}")).ended(0);
    }
    assert_eq!(bench.tree("w1"), bench.tree("w2"));
    for part in ["1/2", "0/2", "1/2"] {
        bench.call(&format!("extract -i scores --shards shards -o split --shard {part}")).ended(0);
    }
    bench.call("extract -i scores --shards shards -o split").ended(0);
    assert_eq!(bench.tree("w1"), bench.tree("split"));
}

#[test]
fn keys_that_look_alike_have_files_of_their_own() {
    let bench = Bench::new();
    bench.table("scores.parquet", &[score("a\\x", "s", 1.0), score("a_x", "s", 1.0)]);
    bench.write("0.tar", shard(&[("a\\x", "one"), ("a_x", "other")]));
    let called = bench.call("extract -i scores.parquet --shards 0.tar -o out").ended(0);
    assert_eq!(called.summary()["results"]["found"], 2);
    let one = fs::read(bench.path("out/audio/00000/a%5Cx.flac")).unwrap();
    assert_ne!(one, fs::read(bench.path("out/audio/00000/a_x.flac")).unwrap());
    bench.call("report -i scores.parquet --shards 0.tar --players files -o report").ended(0);
    assert!(bench.text("report/report.html").contains("src=\"clips/00000/a%255Cx.flac\""));
}

#[test]
fn the_worst_matches_can_be_listened_to() {
    let bench = bench();
    let matched =
        |key: &str, cosine| CaptionMatch { key: key.to_owned(), source: "s".to_owned(), text: String::new(), cosine };
    bench.table("matches.parquet", &[matched("V (1_0-2_0)", 0.1), matched("W (1_0-2_0)", 0.6)]);
    let called = bench.call("extract -i matches.parquet --shards shards -o out").ended(0);
    assert_eq!(called.summary()["results"]["under_threshold"], 1);
    assert!(bench.path("out/audio/00000/V (1_0-2_0).flac").is_file());
    bench.call("extract -i matches.parquet --shards shards --side over --threshold 0.5 -o over").ended(0);
    assert!(bench.path("over/audio/00000/W (1_0-2_0).flac").is_file());
    bench
        .call("extract -i scores --column nearest --shards shards -o no")
        .ended(2)
        .says("the scores have no `nearest`");
}
