//! `contamination`.

use audsem_core::tables::{Contamination, Duplicate};

use crate::workbench::{Bench, cosine};

#[test]
fn benchmark_items_that_come_near_are_listed_with_their_names() {
    let bench = Bench::new();
    bench.audio("bench/one.parquet", &[("b0", vec![1.0, 0.0, 0.0]), ("b1", vec![0.9, 0.1, 0.0])]);
    bench.audio("two.parquet", &[("c0", vec![0.0, 5.0, 0.0])]);
    let rows = [
        ("near", vec![2.0, 0.01, 0.0]),
        ("far", vec![0.0, 0.0, 1.0]),
        ("other", vec![0.0, 1.0, 0.1]),
        ("zero", vec![0.0; 3]),
    ];
    bench.audio("in.parquet", &rows);
    let arguments = "contamination -i in.parquet --benchmark one=bench two.parquet --threshold 0.9 --top-k 2 --max-fail-rate 1 -o out";
    let called = bench.call(arguments).ended(0);
    let pairs: Vec<Contamination> = bench.rows("out/part-00000.parquet");
    let got: Vec<(&str, &str, &str, u32)> =
        pairs.iter().map(|p| (p.key.as_str(), p.benchmark.as_str(), p.benchmark_key.as_str(), p.rank)).collect();
    assert_eq!(got, [("near", "one", "b0", 0), ("near", "one", "b1", 1), ("other", "two", "c0", 0)]);
    for pair in &pairs {
        let query = &rows.iter().find(|(key, _)| *key == pair.key).unwrap().1;
        let item: &[f32] = match pair.benchmark_key.as_str() {
            "b0" => &[1.0, 0.0, 0.0],
            "b1" => &[0.9, 0.1, 0.0],
            _ => &[0.0, 5.0, 0.0],
        };
        assert!((f64::from(pair.cosine) - cosine(query, item)).abs() < 1e-6, "{pair:?}");
    }
    let step = &called.summary()["steps"][0][1];
    assert_eq!((&step["in"], &step["kept"], &step["counts"]["near"]), (&4.into(), &3.into(), &2.into()));
    assert_eq!(bench.rejects("out/rejects-00000.jsonl"), [("zero".to_owned(), "zero_vector".to_owned())]);
}

#[test]
fn repeated_keys_and_repeated_vectors_name_the_first() {
    let bench = Bench::new();
    bench.audio("in/a.parquet", &[("k0", vec![1.0, 2.0]), ("k1", vec![0.0, 1.0]), ("k2", vec![1.0, 2.0])]);
    bench.audio("in/b.parquet", &[("k1", vec![5.0, 1.0]), ("k3", vec![-0.0, 1.0]), ("k4", vec![7.0, 7.0])]);
    let called = bench.call("contamination -i in -o out").ended(0);
    let found: Vec<Duplicate> = bench.rows("out/duplicates-all.parquet");
    let got: Vec<(&str, &str, &str)> =
        found.iter().map(|d| (d.key.as_str(), d.of_key.as_str(), d.kind.as_str())).collect();
    assert_eq!(got, [("k2", "k0", "vector"), ("k1", "k1", "key"), ("k3", "k1", "vector")]);
    assert_eq!(called.summary()["steps"][0][1]["counts"]["repeats"], 3);
}

/// Against a plain search: the nearest of all earlier records, over row groups and files.
#[test]
fn near_duplicates_are_the_nearest_earlier_records() {
    let bench = Bench::new();
    let mut vectors = bench.random("in/a.parquet", "k", 700, 3, 1);
    vectors.extend(bench.random("in/b.parquet", "l", 300, 3, 2));
    bench.call("contamination -i in --near-duplicates 0.999 -o out --workers 2").ended(0);
    let mut found: Vec<Duplicate> = bench.rows("out/near-00000.parquet");
    found.extend(bench.rows::<Duplicate>("out/near-00001.parquet"));
    let key = |i: usize| if i < 700 { format!("k{i}") } else { format!("l{}", i - 700) };
    let mut expected = Vec::new();
    for (i, x) in vectors.iter().enumerate().skip(1) {
        let nearest = vectors[..i].iter().map(|y| cosine(x, y)).fold(f64::NEG_INFINITY, f64::max);
        if nearest >= 0.999 {
            expected.push((key(i), nearest));
        }
    }
    assert!(expected.len() > 20, "{}", expected.len());
    let near_the_edge = |cosine: f64| (cosine - 0.999).abs() < 1e-6;
    let expected: Vec<_> = expected.into_iter().filter(|(_, cosine)| !near_the_edge(*cosine)).collect();
    let got: Vec<_> = found.iter().filter(|d| !near_the_edge(f64::from(d.cosine.unwrap()))).collect();
    assert_eq!(got.len(), expected.len());
    for (got, (key, cosine)) in got.iter().zip(&expected) {
        assert_eq!((&got.key, got.kind.as_str()), (key, "near"));
        assert!((f64::from(got.cosine.unwrap()) - cosine).abs() < 1e-6);
    }
}

#[test]
fn a_limit_is_refused_where_whole_sets_are_compared() {
    let bench = Bench::new();
    bench.random("in.parquet", "k", 3, 4, 1);
    let commands = [
        "contamination -i in.parquet",
        "match --audio in.parquet --text in.parquet",
        "reference build --reference in.parquet",
    ];
    for command in commands {
        bench.call(&format!("{command} -o out --limit 1")).ended(2).says("hint: limit the step");
    }
}
