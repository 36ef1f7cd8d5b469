//! Dry runs say what a run would come to, and write nothing.

use audsem_clip_embeddings::tables::CaptionMatch;

use crate::report::score;
use crate::workbench::{Bench, shard};

#[test]
fn a_dry_run_counts_what_the_run_counts() {
    let bench = Bench::new();
    for i in 0..2 {
        bench.random(&format!("audio/{i}.parquet"), &format!("k{i}-"), 40, 4, i);
    }
    bench.random("bench.parquet", "b", 20, 4, 7);
    let texts: Vec<(String, Vec<f32>)> = (0..40).map(|i| (format!("k0-{i}"), vec![1.0, i as f32, 0.0, 1.0])).collect();
    let texts: Vec<(&str, &str, Vec<f32>)> = texts.iter().map(|(key, x)| (key.as_str(), "text", x.clone())).collect();
    bench.texts("text.parquet", &texts);
    bench.table("scores.parquet", &[score("V (1_0-2_0)", "s", 1.0), score("gone", "s", 1.1)]);
    let matched = CaptionMatch { key: "a".into(), source: "s".into(), text: "t".into(), cosine: 0.1 };
    bench.table("matches.parquet", &[matched]);
    bench.write("shards/0.tar", shard(&[("V (1.0-2.0)", "a"), ("W (1.0-2.0)", "b")]));
    for command in [
        "import-embeddings -i audio --modality audio --model-name other",
        "reference build --reference audio --index",
        "score -i audio --reference bench.parquet --score knn",
        "contamination -i audio --benchmark bench.parquet --threshold 0.5 --near-duplicates 0.9",
        "match --audio audio --text text.parquet",
        "report -i scores.parquet --text text.parquet",
        "report -i matches.parquet",
        "extract -i scores.parquet --shards shards",
        "extract -i scores.parquet --shards shards --format wav",
    ] {
        let dry = bench.call(&format!("{command} -o out --dry-run")).ended(0).summary();
        assert!(!bench.path("out").exists(), "{command}");
        let mut real = bench.call(&format!("{command} -o out")).ended(0).summary();
        // A dry run makes no page.
        let page = real["results"].as_object_mut().unwrap().remove("page");
        assert_eq!(page, command.starts_with("report").then(|| "out/report.html".into()), "{command}");
        assert_eq!(dry["results"], real["results"], "{command}");
        let counts = |summary: &serde_json::Value| {
            let mut steps = summary["steps"].as_object().unwrap().clone();
            steps.values_mut().for_each(|step| drop(step.as_object_mut().unwrap().remove("bytes")));
            steps
        };
        assert_eq!(counts(&dry), counts(&real), "{command}");
        std::fs::remove_dir_all(bench.path("out")).unwrap();
    }
}
