//! `contamination`.

use audsem_clip_embeddings::tables::{Contamination, Duplicate};

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
    let summary = called.summary();
    let step = summary["steps"].as_object().unwrap().values().nth(1).unwrap();
    assert_eq!((&step["in"], &step["kept"], &step["counts"]["near"]), (&4.into(), &3.into(), &2.into()));
    assert_eq!((&step["counts"]["one_near"], &step["counts"]["two_near"]), (&1.into(), &1.into()));
    let lines: Vec<String> = bench.text("out/pairs.csv").lines().map(str::to_owned).collect();
    assert_eq!((lines[0].as_str(), lines.len()), ("key,source,benchmark,benchmark_key,rank,cosine", 4));
    assert_eq!(lines[1], format!("near,in,one,b0,0,{}", pairs[0].cosine));
    assert_eq!(summary["results"]["benchmark_two"]["near"], 1);
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
    assert_eq!(called.nth_step(0)["counts"]["repeats"], 3);
}

/// Against a plain search: the nearest of all earlier records, over row groups, files and searches.
#[test]
fn near_duplicates_are_the_nearest_earlier_records() {
    let bench = Bench::new();
    let mut vectors = bench.random("in/00.parquet", "k", 700, 3, 1);
    vectors.extend(bench.random("in/01.parquet", "l", 300, 3, 2));
    for table in 0..16 {
        vectors.extend(bench.random(
            &format!("in/{:02}.parquet", table + 2),
            &format!("m{table:02}-"),
            250,
            3,
            3 + table,
        ));
    }
    bench.call("contamination -i in --near-duplicates 0.999 -o out --workers 2").ended(0);
    let found: Vec<Duplicate> = bench.rows("out/near-00000.parquet");
    let key = |i: usize| match i {
        0..700 => format!("k{i}"),
        700..1000 => format!("l{}", i - 700),
        _ => format!("m{:02}-{}", (i - 1000) / 250, (i - 1000) % 250),
    };
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

/// For each benchmark its items, what of it cannot be used, and how near anything comes to it.
#[test]
fn each_benchmark_has_its_counts() {
    let bench = Bench::new();
    let rows = [("b0", vec![1.0, 0.0]), ("b1", vec![0.0, 0.0]), ("b2", vec![f32::NAN, 1.0])];
    bench.audio("one.parquet", &rows);
    bench.audio("two.parquet", &[("c0", vec![3.0, 4.0])]);
    bench.audio("in/a.parquet", &[("x", vec![2.0, 0.0]), ("y", vec![1.0, 0.0])]);
    bench.audio("in/b.parquet", &[("z", vec![0.0, 1.0])]);
    let arguments = "contamination -i in --benchmark one.parquet two.parquet --threshold 0.9 --max-fail-rate 1";
    let called = bench.call(&format!("{arguments} -o out")).ended(0);
    let lines = "benchmark,items,bad_items,near,pairs,max_cosine\none,3,2,2,2,1\ntwo,1,0,0,0,0.8\n";
    assert_eq!(bench.text("out/benchmarks.csv"), lines);
    let expected = [("b1", "zero_vector"), ("b2", "not_finite")].map(|(key, why)| (key.to_owned(), why.to_owned()));
    assert_eq!(bench.rejects("out/rejects-benchmark-00000.jsonl"), expected);
    let summary = called.summary();
    let one = &summary["results"]["benchmark_one"];
    assert_eq!((&one["items"], &one["bad_items"], &one["near"]), (&3.into(), &2.into(), &2.into()));
    assert_eq!(summary["results"]["benchmark_two"]["max_cosine"], 0.8);
    assert_eq!(called.nth_step(0)["counts"]["one_bad_items"], 2);
    // The same counts, whoever did which part.
    for shard in ["0/2", "1/2", "0/2", "1/2", "0/2"] {
        bench.call(&format!("{arguments} -o split --shard {shard}")).ended(0);
    }
    assert_eq!(bench.tree("out"), bench.tree("split"));
    let dry = bench.call(&format!("{arguments} -o dry --dry-run")).ended(0);
    assert_eq!(dry.summary()["results"], summary["results"]);
    assert!(!bench.path("dry").exists());
}

/// A benchmark that nothing can come near to is no proof that nothing is near.
#[test]
fn a_benchmark_without_a_usable_vector_is_an_error() {
    let bench = Bench::new();
    bench.audio("in.parquet", &[("x", vec![1.0, 0.0])]);
    bench.audio("good.parquet", &[("g", vec![1.0, 1.0])]);
    bench.audio("rows.parquet", &[]);
    bench.audio("zeros.parquet", &[("z", vec![0.0, 0.0])]);
    bench.audio("nan.parquet", &[("n", vec![f32::NAN, 0.0]), ("i", vec![f32::INFINITY, 0.0])]);
    for broken in ["rows", "zeros", "nan"] {
        let arguments = format!("contamination -i in.parquet --benchmark good.parquet {broken}.parquet");
        bench
            .call(&format!("{arguments} --max-fail-rate 1 -o {broken}"))
            .ended(2)
            .says(&format!("the benchmark `{broken}` is empty"));
    }
    assert!(!bench.path("rows").exists(), "refused before anything was written");
    let twice = "contamination -i in.parquet --benchmark x=good.parquet x=in.parquet -o twice";
    bench.call(twice).ended(2).says("two sets are called `x`");
}

#[test]
fn vectors_that_cannot_be_used_are_no_repeats() {
    let bench = Bench::new();
    let rows = [
        ("z0", vec![0.0, 0.0]),
        ("z1", vec![0.0, -0.0]),
        ("n0", vec![f32::NAN, 1.0]),
        ("n1", vec![f32::NAN, 1.0]),
        ("a", vec![1.0, 1.0]),
        ("a", vec![1.0, 1.0]),
    ];
    bench.audio("in.parquet", &rows);
    let called = bench.call("contamination -i in.parquet --max-fail-rate 1 -o out").ended(0);
    let found: Vec<Duplicate> = bench.rows("out/duplicates-all.parquet");
    assert_eq!(found.iter().map(|d| (d.key.as_str(), d.kind.as_str())).collect::<Vec<_>>(), [("a", "key")]);
    let rejects = bench.rejects("out/rejects-duplicates-all.jsonl");
    let keys: Vec<(&str, &str)> = rejects.iter().map(|(key, why)| (key.as_str(), why.as_str())).collect();
    assert_eq!(keys, [("z0", "zero_vector"), ("z1", "zero_vector"), ("n0", "not_finite"), ("n1", "not_finite")]);
    assert_eq!(called.nth_step(0)["kept"], 2);
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
        bench.call(&format!("{command} -o out --limit 1")).ended(2).says("hint: use --limit in the step");
    }
}
