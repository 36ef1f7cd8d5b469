//! `match`.

use audsem_clip_embeddings::tables::CaptionMatch;

use crate::workbench::{Bench, cosine, random_vectors};

#[test]
fn each_clip_meets_its_own_caption_wherever_it_lies() {
    let bench = Bench::new();
    let clips = random_vectors(40, 6, 1);
    let captions = random_vectors(40, 6, 2);
    let keys: Vec<String> = (0..40).map(|i| format!("k{i}")).collect();
    let audio: Vec<(&str, Vec<f32>)> = keys.iter().map(String::as_str).zip(clips.iter().cloned()).collect();
    bench.audio("audio/a.parquet", &audio[..25]);
    bench.audio("audio/b.parquet", &audio[25..]);
    // The captions lie in another order, in other tables; one is missing, one comes twice.
    let order: Vec<usize> = (0..40).map(|i| (i * 17) % 40).filter(|i| *i != 3).collect();
    let text = |i: &usize| (keys[*i].as_str(), "a sound", captions[*i].clone());
    let rows: Vec<_> = order.iter().map(text).collect();
    bench.texts("text/a.parquet", &rows[..10]);
    bench.texts("text/b.parquet", &rows[10..]);
    bench.texts("text/c.parquet", &[(keys[order[0]].as_str(), "another", vec![1.0; 6])]);
    let called = bench.call("match --audio audio --text text -o out").ended(0);
    let mut matches: Vec<CaptionMatch> = bench.rows("out/part-00000.parquet");
    matches.extend(bench.rows::<CaptionMatch>("out/part-00001.parquet"));
    let got: Vec<&str> = matches.iter().map(|row| row.key.as_str()).collect();
    let expected: Vec<&str> = keys.iter().map(String::as_str).filter(|key| *key != "k3").collect();
    assert_eq!(got, expected);
    for row in &matches {
        let i: usize = row.key[1..].parse().unwrap();
        assert!((f64::from(row.cosine) - cosine(&clips[i], &captions[i])).abs() < 1e-6, "{row:?}");
        assert_eq!(row.text, "a sound");
    }
    assert_eq!(bench.rejects("out/rejects-00000.jsonl"), [("k3".to_owned(), "no_text".to_owned())]);
    assert_eq!(called.summary()["results"]["repeated_captions"], 1);
    bench.call("match --audio text --text audio -o none").ended(2).says("text embeddings where audio");
}

#[test]
fn vectors_that_cannot_be_used_and_repeated_keys_are_rejects() {
    let bench = Bench::new();
    let nan = f32::NAN;
    let clips = [
        ("a", vec![1.0, 0.0]),
        ("zero", vec![0.0, 0.0]),
        ("nan", vec![nan, 1.0]),
        ("b", vec![0.0, 2.0]),
        ("c", vec![1.0, 1.0]),
    ];
    bench.audio("audio/a.parquet", &clips);
    bench.audio("audio/b.parquet", &[("a", vec![0.0, 1.0])]);
    bench.audio("other.parquet", &[("a", vec![0.0, 1.0])]);
    let texts = ["a", "zero", "nan"].map(|key| (key, "fine", vec![1.0, 0.0]));
    let broken = [("b", "empty", vec![0.0, 0.0]), ("c", "broken", vec![1.0, nan])];
    bench.texts("text.parquet", &[&texts[..], &broken[..]].concat());
    let arguments = "match --audio audio other.parquet --text text.parquet --max-fail-rate 1";
    for workers in [1, 2] {
        bench.call(&format!("{arguments} -o out-{workers} --workers {workers}")).ended(0);
    }
    assert_eq!(bench.tree("out-1"), bench.tree("out-2"));
    let all: Vec<CaptionMatch> =
        (0..3).flat_map(|i| bench.rows::<CaptionMatch>(&format!("out-1/part-{i:05}.parquet"))).collect();
    let got: Vec<_> = all.iter().map(|row| (row.key.as_str(), row.source.as_str(), row.cosine)).collect();
    assert_eq!(got, [("a", "audio", 1.0), ("a", "other", 0.0)]);
    let expected = [("zero", "zero_vector"), ("nan", "not_finite"), ("b", "zero_vector"), ("c", "not_finite")];
    let expected = expected.map(|(key, why)| (key.to_owned(), why.to_owned()));
    assert_eq!(bench.rejects("out-1/rejects-00000.jsonl"), expected);
    assert_eq!(bench.rejects("out-1/rejects-00001.jsonl"), [("a".to_owned(), "repeated_key".to_owned())]);
}

#[test]
fn matching_without_captions_is_refused_before_anything_is_written() {
    let bench = Bench::new();
    bench.audio("audio.parquet", &[("a", vec![1.0, 0.0])]);
    bench.audio("none.parquet", &[]);
    let called = bench.call("match --audio audio.parquet --text none.parquet -o out").ended(2);
    called.says("audio embeddings where text");
    bench.no_texts("text.parquet");
    bench.call("match --audio audio.parquet --text text.parquet -o out").ended(2).says("there are no captions");
    assert!(!bench.path("out").exists());
}

audsem_core::row! {
    table "vectors of another program";
    /// A vector of any length, with a key or without one.
    struct Loose / LooseRef / LooseColumns / LooseBuffers {
        /// The key.
        pub key: Option<String>,
        /// The vector.
        pub vec: Option<Vec<f32>>,
    }
}

fn loose(key: &str, vec: &[f32]) -> Loose {
    Loose { key: Some(key.to_owned()), vec: Some(vec.to_vec()) }
}

/// Captions need nothing but their key and their vector, and a row without either, or with another number of numbers, costs
/// itself alone.
#[test]
fn tables_of_other_programs_lose_the_rows_that_are_odd() {
    let bench = Bench::new();
    let odd = [
        loose("empty", &[]),
        loose("a", &[1.0, 0.0]),
        Loose { key: None, vec: Some(vec![1.0, 0.0]) },
        loose("short", &[1.0]),
        Loose { key: Some("none".to_owned()), vec: None },
        Loose { key: None, vec: Some(vec![0.0, 1.0]) },
        loose("b", &[0.0, 3.0]),
    ];
    bench.table("odd.parquet", &odd);
    let keys = ["a", "b", "short", "empty", "none"];
    bench.audio("clips.parquet", &keys.map(|key| (key, vec![1.0, 0.0])));
    let called = bench.call("match --audio clips.parquet --text odd.parquet -o out --max-fail-rate 1").ended(0);
    let got: Vec<CaptionMatch> = bench.rows("out/part-00000.parquet");
    let got: Vec<_> = got.iter().map(|row| (row.key.as_str(), row.text.as_str(), row.cosine)).collect();
    assert_eq!(got, [("a", "", 1.0), ("b", "", 0.0)]);
    let unusable = ["short", "empty", "none"].map(|key| (key.to_owned(), "not_finite".to_owned()));
    assert_eq!(bench.rejects("out/rejects-00000.jsonl"), unusable);
    assert_eq!(called.summary()["results"]["captions"], 5);
    // As clips they are rejects as well, for every command.
    bench.texts("text.parquet", &[("a", "x", vec![1.0, 0.0]), ("b", "y", vec![1.0, 0.0])]);
    bench.call("match --audio odd.parquet --text text.parquet -o clips --max-fail-rate 1").ended(0);
    let rejects = bench.rejects("clips/rejects-00000.jsonl");
    assert_eq!(rejects.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["empty", "", "short", "none", ""]);
    for (command, kept) in [
        ("reference build --reference odd.parquet -o reference", 2),
        ("score -i clips.parquet --reference odd.parquet --score knn -o scored", 5),
        ("score -i odd.parquet --modality audio --reference clips.parquet -o scored-odd", 2),
    ] {
        let called = bench.call(&format!("{command} --max-fail-rate 1")).ended(0);
        let steps = called.summary()["steps"].clone();
        let all: Vec<u64> = steps.as_object().unwrap().values().map(|step| step["kept"].as_u64().unwrap()).collect();
        assert!(all.contains(&kept), "{command}: {steps}");
    }
    let scores: Vec<audsem_clip_embeddings::tables::Score> = bench.rows("scored/part-00000.parquet");
    assert!(scores.iter().all(|row| row.nearest == Some(1.0)), "{scores:?}");
}
