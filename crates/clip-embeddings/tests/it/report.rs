//! `report`.

use audsem_clip_embeddings::tables::{CaptionMatch, Score};

use crate::workbench::{Bench, shard};

pub(crate) fn score(key: &str, source: &str, dissimilarity: f32) -> Score {
    let (key, source, modality) = (key.to_owned(), source.to_owned(), "audio".to_owned());
    Score { key, source, modality, dissimilarity, nearest: None, mean_top_k: None }
}

pub(crate) fn bench() -> Bench {
    let bench = Bench::new();
    let first = [score("V (1_0-2_0)", "one", 0.2), score("W (1_0-2_0)", "one", 0.96), score("W (3_0-4_0)", "two", 1.2)];
    let mut text = score("V (1_0-2_0)", "one", 1.9);
    text.modality = "text".to_owned();
    let second = [score("X (1_0-2_0)", "two", 0.95), text];
    bench.table("scores/a.parquet", &first);
    bench.table("scores/b.parquet", &second);
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
    assert_eq!(page.matches("src=\"data:audio/flac;base64,").count(), 3 + 1, "each clip once");
    for outside in ["http:", "https:", "<script", "<link", "@import", "url("] {
        assert!(!page.contains(outside), "{outside} in the page");
    }
    for part in [
        "<dt>inputs</dt><dd>one, two, 2 tables of scores</dd>",
        "<a href=\"over-audio-0.95.csv\">over-audio-0.95.csv</a> (2 clips)",
        "<a href=\"over-text-0.95.csv\">over-text-0.95.csv</a> (1 clip)",
    ] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    assert!(!page.contains("<dt>day</dt>"), "no run has written these tables");
    bench.call("report -i scores --shards shards --players files -o files").ended(0);
    assert!(bench.text("files/report.html").contains("src=\"clips/00000/V%20%281_0-2_0%29.flac\""));
    assert!(bench.path("files/clips/00000/V (1_0-2_0).flac").is_file());
}

/// A list has a name of its own for each threshold, however near they lie.
#[test]
fn thresholds_that_round_alike_are_told_apart() {
    let bench = bench();
    let called = bench.call("report -i scores --threshold 0.951,0.954,0.95,0.95,0.9 -o out").ended(0);
    for (label, keys) in [("0.951", 2), ("0.954", 2), ("0.95", 2), ("0.90", 3)] {
        assert_eq!(bench.text(&format!("out/over-audio-{label}.csv")).lines().count(), 1 + keys, "{label}");
        assert_eq!(called.summary()["results"][format!("audio_over_{label}")], keys);
    }
    assert!(
        bench.text("out/report.txt").contains("  0.951  one ")
            && bench.text("out/report.txt").contains("  0.95   one ")
    );
    assert!(bench.text("out/report.html").contains("<td>0.951</td>"));
}

#[test]
fn a_clip_that_is_scored_twice_counts_once() {
    let bench = Bench::new();
    let mut broken = score("d", "one", f32::NAN);
    bench.table("scores/a.parquet", &[score("a", "one", 0.99), score("b", "one", 0.1), score("a", "one", 0.99)]);
    bench.table("scores/b.parquet", &[score("b", "one", 1.5), score("a", "two", 0.98), score("c", "two", 0.2)]);
    bench.table("scores/c.parquet", &[broken.clone(), score("d", "one", 1.1)]);
    let arguments = "report -i scores --threshold 0.95 --max-fail-rate 1";
    let called = bench.call(&format!("{arguments} -o out")).ended(0);
    let list = "key,source,dissimilarity\na,one,0.99\na,two,0.98\nd,one,1.1\n";
    assert_eq!(bench.text("out/over-audio-0.95.csv"), list);
    assert_eq!(called.summary()["results"]["audio_over_0.95"], 2, "different clips");
    let text = bench.text("out/report.txt");
    let kept = |name: &str, n: u64| format!("0.95  {name:<24} {n:>10} kept");
    for part in ["audio: 4 scores", &kept("one", 1), &kept("all, each key once", 2)] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    let reject = |key: &str, reason: &str| vec![(key.to_owned(), reason.to_owned())];
    assert_eq!(bench.rejects("out/rejects-00000.jsonl"), reject("a", "repeated_key"));
    assert_eq!(bench.rejects("out/rejects-00001.jsonl"), reject("b", "repeated_key"));
    assert_eq!(bench.rejects("out/rejects-00002.jsonl"), reject("d", "not_finite"));
    for shard in ["0/2", "1/2", "0/2"] {
        bench.call(&format!("{arguments} -o split --shard {shard}")).ended(0);
    }
    assert_eq!(bench.tree("out"), bench.tree("split"));
    broken.key = "e".to_owned();
    bench.table("scores/c.parquet", &[broken, score("d", "one", 1.1)]);
    bench.call(&format!("{arguments} -o out")).ended(2).says("input of shard part-00002");
}

#[test]
fn sounds_that_no_shard_has_are_named() {
    let bench = bench();
    let called = bench.call("report -i scores --shards shards -o out").ended(0);
    let page = bench.text("out/report.html");
    let missing = "<code>X (1_0-2_0)</code><span class=\"missing\">not in the shards given</span>";
    assert_eq!(page.matches(missing).count(), 1);
    assert_eq!(page.matches("not in the shards given").count(), 1, "no other clip is said to be missing");
    let expected = [("X (1_0-2_0)".to_owned(), "not_found".to_owned())];
    assert_eq!(bench.rejects("out/rejects-missing-all.jsonl"), expected);
    let missing = called.step("missing");
    assert_eq!((&missing["in"], &missing["dropped"]["not_found"]), (&4.into(), &1.into()));
    // Without shards nothing is looked for, so nothing is missing.
    bench.call("report -i scores -o quiet").ended(0);
    assert!(!bench.text("quiet/report.html").contains("not in the shards given"));
}

#[test]
fn neighbours_are_judged_from_the_other_side() {
    let bench = Bench::new();
    let knn = |key: &str, nearest, mean| Score { nearest, mean_top_k: mean, ..score(key, "s", 1.0) };
    let rows = [knn("far", Some(-0.2), Some(-0.3)), knn("near", Some(0.9), Some(0.4)), knn("none", None, None)];
    bench.table("scores.parquet", &rows);
    let called = bench.call("report -i scores.parquet --column nearest --threshold=-0.25,0.3 -o out").ended(0);
    assert_eq!(bench.text("out/under-audio-0.30.csv"), "key,source,nearest\nfar,s,-0.2\n");
    assert_eq!(bench.text("out/under-audio--0.25.csv"), "key,source,nearest\n");
    assert_eq!(called.summary()["results"]["audio_under_0.30"], 1);
    assert_eq!(bench.rejects("out/rejects-00000.jsonl"), [("none".to_owned(), "no_value".to_owned())]);
    let text = bench.text("out/report.txt");
    let (far, near) = (text.find("farthest from the reference"), text.find("nearest to the reference"));
    assert!(far.unwrap() < near.unwrap(), "the suspicious end comes first:\n{text}");
    let line = format!("0.30   {:<24} {:>10} kept  50.00 %  {:>10} left out", "s", 1, 1);
    assert!(text.contains(&line), "{line:?} is not in:\n{text}");
    let over = "report -i scores.parquet --column mean_top_k --side over --threshold 0.3 -o over";
    bench.call(over).ended(0);
    assert_eq!(bench.text("over/over-audio-0.30.csv"), "key,source,mean_top_k\nnear,s,0.4\n");
    bench.table("plain.parquet", &[score("a", "s", 1.0)]);
    bench.call("report -i plain.parquet --column nearest -o no").ended(2).says("hint: compute them with `score");
    bench.call("report -i plain.parquet --column cosine -o no").ended(2).says("the input has dissimilarity");
    bench.call("report -i plain.parquet --threshold -0.5 -o no").ended(2).says("`dissimilarity` goes from 0 to 2");
    assert!(!bench.path("no").exists());
}

#[test]
fn matches_are_reported_with_their_captions() {
    let bench = bench();
    let matched = |key: &str, text: &str, cosine| CaptionMatch {
        key: key.to_owned(),
        source: "clips".to_owned(),
        text: text.to_owned(),
        cosine,
    };
    let rows = [matched("V (1_0-2_0)", "a dog, barking", 0.4), matched("W (1_0-2_0)", "<rain>\nfalls", 0.05)];
    bench.table("matches/a.parquet", &rows);
    let called = bench.call("report -i matches --shards shards -o out").ended(0);
    let list = "key,source,cosine,text\nW (1_0-2_0),clips,0.05,\"<rain>\nfalls\"\n";
    assert_eq!(bench.text("out/under-match-0.10.csv"), list);
    assert_eq!(called.summary()["results"]["match_under_0.10"], 1);
    assert!(bench.text("out/report.txt").contains(" 0.0500  W (1_0-2_0)  <rain> falls\n"));
    let page = bench.text("out/report.html");
    assert!(page.contains("<title>Clips and their captions</title>") && page.contains("&lt;rain&gt;\nfalls"));
    assert!(page.contains("Worst matches") && !page.contains("issimilar"));
    bench.call("report -i matches scores -o mixed").ended(2).says("some tables hold scores and some matches");
}

#[test]
fn captions_come_from_tables_that_have_them() {
    let bench = bench();
    let rows = [("W (1_0-2_0)", "rain on a roof", vec![1.0]), ("W (1_0-2_0)", "later", vec![1.0])];
    bench.texts("text.parquet", &rows);
    bench.call("report -i scores --text text.parquet --shards shards --threshold 0.95 -o out").ended(0);
    let list = "key,source,dissimilarity,text\nW (1_0-2_0),one,0.96,rain on a roof\nW (3_0-4_0),two,1.2,\n";
    assert_eq!(bench.text("out/over-audio-0.95.csv"), list);
    let text = bench.text("out/report.txt");
    // The table comes before what the shard says; where it has nothing, the shard does.
    for part in ["0.9600  W (1_0-2_0)  rain on a roof\n", "1.2000  W (3_0-4_0)  wind\n"] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    assert!(bench.text("out/report.html").contains("<span class=\"caption\">rain on a roof</span>"));
    bench.call("report -i scores --text scores -o no").ended(2).says("`text`");
    // Other captions make another report.
    bench.texts("text.parquet", &rows[1..]);
    let again = "report -i scores --text text.parquet --shards shards --threshold 0.95 -o out";
    bench.call(again).ended(2).says("hint: name another --output");
}

#[test]
fn bytes_do_not_depend_on_workers() {
    let bench = bench();
    for workers in [1, 2] {
        bench.call(&format!("report -i scores --shards shards -o report-{workers} --workers {workers}")).ended(0);
    }
    assert_eq!(bench.tree("report-1"), bench.tree("report-2"));
}

#[test]
fn a_folder_without_scores_is_refused() {
    let bench = bench();
    bench.random("embeddings.parquet", "a", 5, 4, 1);
    bench.call("report -i embeddings.parquet -o out").ended(2).says("`source`");
    bench.call("report -i shards -o out").ended(2).says("no `*.parquet`");
}

#[test]
fn the_page_names_model_and_day_of_the_run() {
    let bench = Bench::new();
    bench.random("audio.parquet", "a", 5, 4, 1);
    bench.random("reference.parquet", "r", 5, 4, 2);
    bench.call("score -i clips=audio.parquet --reference known=reference.parquet --modality audio -o score").ended(0);
    bench.call("report -i score -o out").ended(0);
    let page = bench.text("out/report.html");
    let log = bench.text("score/log.jsonl");
    let made = log.lines().rfind(|line| line.contains("\"shard\"")).unwrap().to_owned();
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    let day = std::process::Command::new("date")
        .args(["-u", "+%F", "-d", &format!("@{}", made["unix_s"].as_f64().unwrap() as u64)])
        .output()
        .unwrap();
    let day = String::from_utf8(day.stdout).unwrap();
    assert!(page.contains(&format!("<dt>day</dt><dd>{}</dd>", day.trim())), "{page}");
    assert!(page.contains("<dt>made by</dt><dd>audsem-clip-embeddings score "), "{page}");
    // Another day of reading changes nothing.
    std::fs::rename(bench.path("out"), bench.path("before")).unwrap();
    bench.call("report -i score -o out").ended(0);
    assert_eq!(bench.tree("out"), bench.tree("before"));
}
