//! A run that keeps nothing ends with exit code 1 and says first why, unless finding nothing is good news.

use audsem_core::tar::{ShardOptions, ShardWriter};

use crate::report::score;
use crate::workbench::{Bench, model, shard};

#[track_caller]
fn check(bench: &Bench, arguments: &str, expected: &str) {
    let called = bench.call(arguments).ended(1);
    let errors: Vec<&str> = called.stderr.lines().skip_while(|line| !line.starts_with("error: ")).collect();
    assert!(errors.join("\n").starts_with(&format!("error: {expected}")), "{expected}\n{}", called.stderr);
    assert_eq!(called.summary()["status"], "empty");
}

#[test]
fn nothing_to_embed() {
    let bench = Bench::new();
    bench.write("in/0.tar", shard(&[("V (1.0-2.0)", ""), ("W (1.0-2.0)", " ")]));
    let model = model().display().to_string();
    for dry_run in ["--dry-run", ""] {
        check(
            &bench,
            &format!("embed-text -i in -o text --model {model} {dry_run}"),
            "none of 2 captions was kept; 2 are left out as `no_caption`: the record has no caption: no `text` in its JSON, and no .txt beside its sound in the tar",
        );
    }
    let mut tar = ShardWriter::new(Vec::new(), ShardOptions::default());
    tar.write_sample("1", &[("json", br#"{"original_filename": "V (1.0-2.0).mp4"}"#)]).unwrap();
    bench.write("silent/0.tar", tar.finish().unwrap().0);
    check(
        &bench,
        &format!("embed-audio -i silent -o audio --model {model}"),
        "the only clip was not kept: it is left out as `no_audio`",
    );
}

#[test]
fn no_clip_has_a_caption() {
    let bench = Bench::new();
    bench.audio("audio.parquet", &[("a", vec![1.0, 0.0]), ("b", vec![0.0, 1.0])]);
    bench.texts("text.parquet", &[("c", "rain", vec![1.0, 0.0])]);
    check(
        &bench,
        "match --audio audio.parquet --text text.parquet -o out",
        "none of 2 clips was kept; 2 are left out as `no_text`: no caption has this key\n  hint: --text changes that",
    );
}

#[test]
fn no_vector_has_a_direction() {
    let bench = Bench::new();
    bench.audio("in.parquet", &[("a", vec![0.0, 0.0]), ("b", vec![0.0, 0.0])]);
    bench.audio("reference.parquet", &[("r", vec![1.0, 0.0])]);
    check(
        &bench,
        "score -i in.parquet --reference reference.parquet -o out --max-fail-rate 1",
        "none of 2 vectors was kept; 2 are left out as `zero_vector`",
    );
}

#[test]
fn sounds_beyond_the_threshold_that_no_shard_has() {
    let bench = Bench::new();
    bench.table("scores.parquet", &[score("gone", "one", 1.0), score("V (1_0-2_0)", "one", 0.1)]);
    bench.write("shards/0.tar", shard(&[("V (1.0-2.0)", "a")]));
    check(
        &bench,
        "extract -i scores.parquet --shards shards --threshold 0.9 -o out",
        "nothing was copied of 1 clip beyond the threshold\n  hint: --shards names the tars that hold them",
    );
    // Nothing beyond the threshold is what one hopes for.
    bench.call("extract -i scores.parquet --shards shards --threshold 2 -o fine").ended(0);
}

#[test]
fn a_set_that_is_near_to_no_benchmark_is_good_news() {
    let bench = Bench::new();
    bench.audio("in.parquet", &[("a", vec![1.0, 0.0])]);
    bench.audio("benchmark.parquet", &[("b", vec![0.0, 1.0])]);
    bench.call("contamination -i in.parquet --benchmark benchmark.parquet --threshold 0.9 -o out").ended(0);
}

#[test]
fn tars_without_samples_are_no_set() {
    let bench = Bench::new();
    bench.write("a/0.tar", ShardWriter::new(Vec::new(), ShardOptions::default()).finish().unwrap().0);
    for dry_run in ["--dry-run", ""] {
        let arguments = format!("merge-shards --source a -o out {dry_run}");
        check(&bench, &arguments, "nothing was merged: the tars hold no samples");
    }
}
