//! `match`.

use audsem_core::tables::CaptionMatch;

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
