//! `report` and `extract`.

use std::fs;

use audsem_core::audio::Decoder;
use audsem_core::tables::{Score, write_parquet};

use crate::workbench::{Bench, shard};

fn score(key: &str, source: &str, dissimilarity: f32) -> Score {
    let (key, source, modality) = (key.to_owned(), source.to_owned(), "audio".to_owned());
    Score { key, source, modality, dissimilarity, nearest: None, mean_top_k: None }
}

fn bench() -> Bench {
    let bench = Bench::new();
    let first = [score("V (1_0-2_0)", "one", 0.2), score("W (1_0-2_0)", "one", 0.96), score("W (3_0-4_0)", "two", 1.2)];
    let mut text = score("V (1_0-2_0)", "one", 1.9);
    text.modality = "text".to_owned();
    let second = [score("X (1_0-2_0)", "two", 0.95), text];
    for (name, rows) in [("scores/a.parquet", &first[..]), ("scores/b.parquet", &second[..])] {
        let mut bytes = Vec::new();
        write_parquet(rows, &mut bytes).unwrap();
        bench.write(name, bytes);
    }
    bench.write("shards/0.tar", shard(&[("V (1.0-2.0)", "<bark> & howl"), ("W (1.0-2.0)", "rain")]));
    bench.write("shards/1.tar", shard(&[("W (3.0-4.0)", "wind"), ("Y (1.0-2.0)", "none")]));
    bench
}

#[test]
fn lists_hold_what_is_over_a_threshold() {
    let bench = bench();
    let called = bench.call("report -i scores --threshold 0.95,1.5 -o out").ended(0);
    let list = "key,source,dissimilarity\nW (1_0-2_0),one,0.96\nW (3_0-4_0),two,1.2\n";
    assert_eq!(bench.text("out/over-audio-0.95.csv"), list);
    assert_eq!(bench.text("out/over-audio-1.50.csv"), "key,source,dissimilarity\n");
    assert_eq!(bench.text("out/over-text-0.95.csv"), "key,source,dissimilarity\nV (1_0-2_0),one,1.9\n");
    let summary = called.summary();
    assert_eq!(summary["results"]["audio_over_0.95"], 2);
    assert_eq!(summary["results"]["text_over_1.50"], 1);
    let text = bench.text("out/report.txt");
    for part in [
        "audio: 4 scores",
        "0.95  one                               1 kept  50.00 %           1 left out",
        "1.2000  W (3_0-4_0)",
    ] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

#[test]
fn the_page_stands_alone_with_its_sounds() {
    let bench = bench();
    bench.call("report -i scores --shards shards -o out --title A&B").ended(0);
    let page = bench.text("out/report.html");
    assert!(page.contains("<title>A&amp;B</title>"));
    assert!(page.contains("&lt;bark&gt; &amp; howl"));
    assert_eq!(page.matches("src=\"data:audio/flac;base64,").count(), 3 * 2 + 2, "each clip among highest and lowest");
    for outside in ["http:", "https:", "<script", "<link", "@import", "url("] {
        assert!(!page.contains(outside), "{outside} in the page");
    }
    bench.call("report -i scores --shards shards --clips files -o files").ended(0);
    assert!(bench.text("files/report.html").contains("src=\"clips/00000/V%20%281_0-2_0%29.flac\""));
    assert!(bench.path("files/clips/00000/V (1_0-2_0).flac").is_file());
}

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

#[test]
fn bytes_do_not_depend_on_workers() {
    let bench = bench();
    for workers in [1, 2] {
        bench.call(&format!("report -i scores --shards shards -o report-{workers} --workers {workers}")).ended(0);
        bench.call(&format!("extract -i scores --shards shards -o extract-{workers} --workers {workers}")).ended(0);
    }
    assert_eq!(bench.tree("report-1"), bench.tree("report-2"));
    assert_eq!(bench.tree("extract-1"), bench.tree("extract-2"));
}

#[test]
fn a_folder_without_scores_is_refused() {
    let bench = bench();
    bench.random("embeddings.parquet", "a", 5, 4, 1);
    bench.call("report -i embeddings.parquet -o out").ended(2).says("`source`");
    bench.call("report -i shards -o out").ended(2).says("no `*.parquet`");
}
