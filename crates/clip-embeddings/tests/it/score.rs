//! `reference build` and `score`.

use audsem_clip_embeddings::tables::Score;
use audsem_core::tables::{EmbeddingKey, VectorFile, read_parquet};
use proptest::prelude::*;
use serde_json::Value;

use crate::workbench::{Bench, cosine, random_vectors};

/// The mean dissimilarity to all pairs, in 64 bits.
fn all_pairs(x: &[f32], reference: &[Vec<f32>]) -> f64 {
    reference.iter().map(|y| 1.0 - cosine(x, y)).sum::<f64>() / reference.len() as f64
}

fn scores(bench: &Bench, folder: &str, n: usize) -> Vec<Score> {
    (0..n).flat_map(|i| bench.rows::<Score>(&format!("{folder}/part-{i:05}.parquet"))).collect()
}

#[test]
fn one_pass_equals_all_pairs_in_64_bits() {
    let bench = Bench::new();
    let mut reference = bench.random("ref/a.parquet", "r", 9000, 24, 1);
    reference.extend(bench.random("ref/b.parquet", "s", 700, 24, 2));
    let mut queries = bench.random("in/a.parquet", "q", 300, 24, 3);
    queries.extend(bench.random("in/b.parquet", "p", 40, 24, 4));
    bench.call("score -i set=in --reference ref -o out").ended(0);
    let scores = scores(&bench, "out", 2);
    assert_eq!(scores.len(), 340);
    for (score, query) in scores.iter().zip(&queries) {
        let expected = all_pairs(query, &reference);
        assert!((f64::from(score.dissimilarity) - expected).abs() < 1e-6, "{score:?} {expected}");
        assert_eq!((score.source.as_str(), score.modality.as_str(), score.nearest), ("set", "audio", None));
    }
    assert_eq!((scores[0].key.as_str(), scores[339].key.as_str()), ("q0", "p39"));
    let saved: Value = serde_json::from_str(&bench.text("out/reference.json")).unwrap();
    assert_eq!((&saved["count"], &saved["dim"]), (&9700.into(), &24.into()));
}

/// The weighting of the reference program: the mean over batches of the mean over each batch.
#[test]
fn compat_batch_weighs_the_short_last_batch_like_a_full_one() {
    let bench = Bench::new();
    let mut reference = bench.random("ref/a.parquet", "r", 130, 16, 1);
    reference.extend(bench.random("ref/b.parquet", "s", 83, 16, 2));
    let queries = bench.random("in.parquet", "q", 20, 16, 3);
    bench.call("score -i in.parquet --reference ref --compat-batch 50 -o out").ended(0);
    let mut differs = 0.0f64;
    for (score, query) in scores(&bench, "out", 1).iter().zip(&queries) {
        let batches: Vec<f64> = reference.chunks(50).map(|batch| all_pairs(query, batch)).collect();
        let expected = batches.iter().sum::<f64>() / batches.len() as f64;
        assert!((f64::from(score.dissimilarity) - expected).abs() < 1e-6, "{score:?} {expected}");
        differs = differs.max((expected - all_pairs(query, &reference)).abs());
    }
    assert!(differs > 1e-4, "this data tells the two weightings apart: {differs}");
}

#[test]
fn nearest_neighbours_are_the_largest_of_all_cosines() {
    let bench = Bench::new();
    let mut reference = bench.random("ref/a.parquet", "r", 1500, 20, 1);
    reference.extend(bench.random("ref/b.parquet", "s", 10, 20, 2));
    let queries = bench.random("in.parquet", "q", 300, 20, 3);
    bench.call("score -i in.parquet --reference ref --score knn --top-k 7 -o out --workers 2").ended(0);
    for (score, query) in scores(&bench, "out", 1).iter().zip(&queries) {
        let mut cosines: Vec<f64> = reference.iter().map(|y| cosine(query, y)).collect();
        cosines.sort_by(|a, b| b.total_cmp(a));
        assert!((f64::from(score.nearest.unwrap()) - cosines[0]).abs() < 1e-6, "{score:?}");
        let mean = cosines[..7].iter().sum::<f64>() / 7.0;
        assert!((f64::from(score.mean_top_k.unwrap()) - mean).abs() < 1e-6, "{score:?}");
    }
}

#[test]
fn a_saved_reference_gives_the_same_scores() {
    let bench = Bench::new();
    bench.random("ref/a.parquet", "r", 500, 12, 1);
    bench.random("more.parquet", "s", 300, 12, 2);
    bench.random("in.parquet", "q", 50, 12, 3);
    bench.call("score -i in.parquet --reference a=ref b=more.parquet --score knn -o direct").ended(0);
    bench.call("reference build --reference a=ref b=more.parquet --index -o saved").ended(0);
    bench.call("score -i in.parquet --reference saved --score knn -o through").ended(0);
    assert_eq!(scores(&bench, "direct", 1), scores(&bench, "through", 1));
    let saved: Value = serde_json::from_str(&bench.text("saved/reference.json")).unwrap();
    assert_eq!(saved["sets"][1]["name"], "b");
    assert_eq!(saved["sets"][1]["count"], 300);
    // Two saved ones together are one of all.
    bench.call("reference build --reference ref -o one").ended(0);
    bench.call("reference build --reference more.parquet -o two").ended(0);
    bench.call("score -i in.parquet --reference one two -o both").ended(0);
    for (a, b) in scores(&bench, "direct", 1).iter().zip(&scores(&bench, "both", 1)) {
        assert!((a.dissimilarity - b.dissimilarity).abs() < 1e-6);
    }
    bench.call("score -i in.parquet --reference one --score knn -o none").ended(2).says("--index");
    bench.call("score -i in.parquet --reference one --compat-batch 9 -o none").ended(2).says("has its weights already");
}

#[test]
fn the_index_holds_unit_vectors_with_their_keys() {
    let bench = Bench::new();
    bench.audio("ref.parquet", &[("a", vec![3.0, 4.0]), ("zero", vec![0.0, 0.0]), ("b", vec![0.0, -2.0])]);
    bench.call("reference build --reference ref.parquet --index -o out --max-fail-rate 1").ended(0);
    let path = bench.path("out/index-00000.parquet");
    assert_eq!(VectorFile::open(&path).unwrap().group(0).unwrap(), [0.6, 0.8, 0.0, -1.0]);
    let keys: Vec<String> = read_parquet::<EmbeddingKey>(&path).unwrap().into_iter().map(|row| row.key).collect();
    assert_eq!(keys, ["a", "b"]);
    let saved: Value = serde_json::from_str(&bench.text("out/reference.json")).unwrap();
    assert_eq!(saved["count"], 2);
}

#[test]
fn c16_vectors_without_direction_are_rejects_and_the_rest_has_scores() {
    let bench = Bench::new();
    let nan = f32::NAN;
    bench.audio("ref.parquet", &[("r", vec![1.0, 0.0]), ("bad", vec![nan, 0.0])]);
    let rows = [
        ("a", vec![1.0, 0.0]),
        ("z", vec![0.0, 0.0]),
        ("n", vec![nan, 1.0]),
        ("i", vec![f32::INFINITY, 1.0]),
        ("b", vec![0.0, 1.0]),
    ];
    bench.audio("in.parquet", &rows);
    let called = bench.call("score -i in.parquet --reference ref.parquet -o out --max-fail-rate 1").ended(0);
    let got: Vec<(String, f32)> =
        scores(&bench, "out", 1).into_iter().map(|row| (row.key, row.dissimilarity)).collect();
    assert_eq!(got, [("a".to_owned(), 0.0), ("b".to_owned(), 1.0)]);
    let reject = |key: &str, reason: &str| (key.to_owned(), reason.to_owned());
    let expected = [reject("z", "zero_vector"), reject("n", "not_finite"), reject("i", "not_finite")];
    assert_eq!(bench.rejects("out/rejects-00000.jsonl"), expected);
    assert_eq!(bench.rejects("out/rejects-reference-00000.jsonl"), [reject("bad", "not_finite")]);
    assert_eq!(called.summary()["results"]["reference_vectors"], 1);
    // Over the failure limit, the exit code says so.
    bench.call("score -i in.parquet --reference ref.parquet -o strict").ended(1);
}

#[test]
fn c4_an_empty_reference_is_an_error() {
    let bench = Bench::new();
    bench.audio("none.parquet", &[]);
    bench.audio("zeros.parquet", &[("z", vec![0.0; 4])]);
    bench.random("in.parquet", "q", 5, 4, 1);
    for reference in ["none.parquet", "zeros.parquet"] {
        let called =
            bench.call(&format!("score -i in.parquet --reference {reference} -o out-{reference} --max-fail-rate 1"));
        called.ended(2).says("the reference is empty");
    }
    assert!(!bench.path("out-none.parquet").exists(), "refused before anything was written");
    bench.call("reference build --reference none.parquet -o out").ended(2).says("the reference is empty");
}

/// A clip that is in two tables of a set has one score, whoever computes it.
#[test]
fn c18_a_repeated_key_has_one_score() {
    let bench = Bench::new();
    bench.random("ref.parquet", "r", 50, 2, 1);
    bench.audio("in/a.parquet", &[("k0", vec![1.0, 0.0]), ("k1", vec![0.0, 1.0]), ("k0", vec![1.0, 1.0])]);
    bench.audio("in/b.parquet", &[("k1", vec![1.0, 0.0]), ("k2", vec![1.0, 2.0])]);
    bench.audio("other.parquet", &[("k0", vec![1.0, 3.0])]);
    let arguments = "score -i in other.parquet --reference ref.parquet --score knn";
    bench.call(&format!("{arguments} -o out")).ended(0);
    bench.call(&format!("{arguments} -o two --workers 2")).ended(0);
    for shard in ["0/3", "1/3", "2/3", "1/3", "0/3", "2/3", "1/3", "0/3"] {
        bench.call(&format!("{arguments} -o split --shard {shard}")).ended(0);
    }
    assert_eq!(bench.tree("out"), bench.tree("two"));
    assert_eq!(bench.tree("out"), bench.tree("split"));
    let got: Vec<(String, String)> = scores(&bench, "out", 3).into_iter().map(|row| (row.source, row.key)).collect();
    let expected = [("in", "k0"), ("in", "k1"), ("in", "k2"), ("other", "k0")];
    assert_eq!(got, expected.map(|(set, key)| (set.to_owned(), key.to_owned())));
    let reject = |key: &str| (key.to_owned(), "repeated_key".to_owned());
    assert_eq!(bench.rejects("out/rejects-00000.jsonl"), [reject("k0")]);
    assert_eq!(bench.rejects("out/rejects-00001.jsonl"), [reject("k1")]);
    // What an earlier table has is part of what a shard has read.
    bench.audio("in/a.parquet", &[("k0", vec![1.0, 0.0]), ("k2", vec![0.0, 1.0]), ("k0", vec![1.0, 1.0])]);
    bench.call(&format!("{arguments} -o out")).ended(2).says("input of shard part-00001");
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let bench = Bench::new();
    bench.random("four.parquet", "a", 5, 4, 1);
    bench.random("five.parquet", "b", 5, 5, 1);
    bench
        .call("score -i four.parquet --reference five.parquet -o out")
        .ended(2)
        .says("vectors of 4 dimensions where others have 5");
    bench.call("score -i four.parquet --reference nowhere -o out").ended(2).says("cannot read table `nowhere`");
    bench
        .call("score -i four.parquet --modality text --reference four.parquet -o out")
        .ended(2)
        .says("audio embeddings where text");
    bench
        .call("score -i four.parquet --reference x=four.parquet x=five.parquet -o out")
        .ended(2)
        .says("two sets are called `x`");
    bench.write("plain.parquet", "no table");
    bench.call("score -i plain.parquet --reference four.parquet -o out").ended(2).says("not a Parquet file");
    bench.write("bad.json", "{\"count\": 1}");
    bench.call("score -i four.parquet --reference bad.json -o out").ended(2).says("hint: `reference build`");
}

#[test]
fn bytes_do_not_depend_on_workers_nor_on_the_split() {
    let bench = Bench::new();
    for i in 0..3 {
        bench.random(&format!("ref/{i}.parquet"), "r", 9000, 8, i);
        bench.random(&format!("in/{i}.parquet"), "q", 9000, 8, 10 + i);
    }
    bench.call("score -i in --reference ref -o one --workers 1").ended(0);
    bench.call("score -i in --reference ref -o two --workers 2").ended(0);
    bench.call("score -i in --reference ref -o five --workers 5").ended(0);
    assert_eq!(bench.tree("one"), bench.tree("two"));
    assert_eq!(bench.tree("one"), bench.tree("five"));
    bench.call("score -i in --reference ref -o split --shard 0/2").ended(0);
    bench.call("score -i in --reference ref -o split --shard 1/2").ended(0);
    bench.call("score -i in --reference ref -o split --shard 0/2").ended(0);
    assert_eq!(bench.tree("one"), bench.tree("split"));
}

#[test]
fn a_dry_run_counts_and_writes_nothing() {
    let bench = Bench::new();
    bench.random("ref.parquet", "r", 50, 4, 1);
    bench.random("in.parquet", "q", 30, 4, 2);
    let called = bench.call("score -i in.parquet --reference ref.parquet -o out --dry-run").ended(0);
    assert!(!bench.path("out").exists());
    let dry = called.summary();
    let real = bench.call("score -i in.parquet --reference ref.parquet -o out").ended(0).summary();
    assert_eq!(dry["results"], real["results"]);
    for (name, dry) in dry["steps"].as_object().unwrap() {
        let real = &real["steps"][name];
        assert_eq!((&dry["in"], &dry["kept"]), (&real["in"], &real["kept"]), "{name}");
    }
    let limited = bench.call("score -i in.parquet --reference ref.parquet -o few --limit 7").ended(0);
    assert_eq!(limited.nth_step(2)["kept"], 7);
    assert_eq!(scores(&bench, "few", 1).len(), 7);
}

#[test]
fn a_changed_input_is_refused_until_fresh() {
    let bench = Bench::new();
    bench.random("ref.parquet", "r", 50, 4, 1);
    bench.random("in.parquet", "q", 30, 4, 2);
    bench.call("score -i in.parquet --reference ref.parquet -o out").ended(0);
    bench.random("ref.parquet", "r", 50, 4, 9);
    bench.call("score -i in.parquet --reference ref.parquet -o out").ended(2).says("hint: name another --output");
    bench.call("score -i in.parquet --reference ref.parquet -o out --fresh").ended(0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever the shapes: between 0 and 2, equal to all pairs, and blind to the lengths of vectors.
    #[test]
    fn scores_hold_for_any_shape(n in 1usize..40, m in 1usize..40, dim in 1usize..40, seed in any::<u64>(), power in -12i32..12) {
        let folder = tempfile::tempdir().unwrap();
        let bench = Bench::new();
        let reference = bench.random("ref.parquet", "r", n, dim, seed);
        let queries: Vec<Vec<f32>> = random_vectors(m, dim, seed ^ 1)
            .into_iter().map(|x| x.into_iter().map(|v| v * 10f32.powi(power)).collect()).collect();
        let keys: Vec<String> = (0..m).map(|i| i.to_string()).collect();
        let rows: Vec<(&str, Vec<f32>)> = keys.iter().map(String::as_str).zip(queries.iter().cloned()).collect();
        bench.audio("in.parquet", &rows);
        let set = |name: &str| audsem_clip_embeddings::sets::SetPath { name: name.into(), path: bench.path(&format!("{name}.parquet")) };
        let config = audsem_clip_embeddings::score::Config {
            inputs: vec![set("in")], references: vec![set("ref")], modality: None, compat_batch: None, top_k: Some(3),
        };
        let out = folder.path().join("out");
        audsem_clip_embeddings::score::run(&config, &audsem_core::run::RunOptions::new(&out)).unwrap();
        let scores: Vec<Score> = read_parquet(&out.join("part-00000.parquet")).unwrap();
        prop_assert_eq!(scores.len(), m);
        for (score, query) in scores.iter().zip(&queries) {
            prop_assert!((-1e-6..=2.000_001).contains(&score.dissimilarity));
            prop_assert!((f64::from(score.dissimilarity) - all_pairs(query, &reference)).abs() < 1e-6);
            let nearest = reference.iter().map(|y| cosine(query, y)).fold(f64::NEG_INFINITY, f64::max);
            prop_assert!((f64::from(score.nearest.unwrap()) - nearest).abs() < 1e-6);
        }
    }
}
