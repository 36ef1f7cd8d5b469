//! Caption shards of a clip table, without records, and clips chosen by lists and scores.

use audsem_core::clip_lists::ScoreBounds;
use audsem_core::run::RunOptions;
use audsem_core::tables::{ClipRow, write_parquet};
use audsem_tarify::shards::{Config, Task};

use super::world::{World, audio_tar, flac};

fn row(video: &str, clean: &str) -> ClipRow {
    ClipRow {
        row_id: 0,
        key: None,
        video_id: video.to_owned(),
        start_ms: 1000,
        end_ms: 2500,
        text: format!("[{clean}]"),
        clean_text: clean.to_owned(),
        text_hash: 0,
        bert_prob: None,
        llm_yes_prob: None,
    }
}

/// Four clips, and a table of three of them and one more.
fn world() -> (World, Config) {
    let sound = flac(8_000, 0.2, 0.5);
    let names = ["AAA (1.0-2.5)", "BBB (1.0-2.5)", "CCC (1.0-2.5)", "EEE (1.0-2.5)"];
    let tar = audio_tar(&names.map(|name| (name, sound.clone())));
    let world = World::new(&[tar], &[]);
    let rows = [
        row("AAA", "Door creaks slowly"),
        row("BBB", "Thunder rumbles far away"),
        row("CCC", "Rain"),
        row("DDD", "A dog barks twice"),
    ];
    let mut bytes = Vec::new();
    write_parquet(&rows, &mut bytes).unwrap();
    std::fs::write(world.path("clips.parquet"), bytes).unwrap();
    let config = Config { records: vec![world.path("clips.parquet")], from_table: true, ..world.config(Task::Caption) };
    (world, config)
}

#[test]
fn a_clip_table_is_enough_for_caption_shards() {
    let (world, config) = world();
    let out = world.run(&config);
    assert_eq!(out.keys("train"), ["AAA (1_0-2_5)", "BBB (1_0-2_5)"]);
    let json = out.json("AAA (1_0-2_5)");
    assert_eq!((&json["caption"], &json["answer"]), (&"Door creaks slowly".into(), &"Door creaks slowly".into()));
    assert!(json.get("thinking").is_none() && json["question"].is_string(), "{json}");
    assert_eq!(out.reasons("CCC (1_0-2_5)"), ["caption_short", "no_record"]);
    assert_eq!(out.reasons("DDD (1_0-2_5)"), ["no_clip"]);
    assert_eq!(out.reasons("EEE (1_0-2_5)"), ["no_record"]);
    // The same table as CSV, with seconds.
    let csv =
        "video_id,start,end,text\nAAA,1.0,2.5,Door creaks slowly\nBBB,1,2.5,Thunder rumbles far away\n,1,2,no id\n";
    std::fs::write(world.path("clips.csv"), csv).unwrap();
    let config = Config { records: vec![world.path("clips.csv")], ..config };
    let out = world.run_with(&config, &RunOptions { max_fail_rate: 1.0, ..RunOptions::new(world.path("csv")) });
    assert_eq!(out.keys("train"), ["AAA (1_0-2_5)", "BBB (1_0-2_5)"]);
    assert_eq!(out.rejects().iter().filter(|(_, reason)| reason == "bad_row").count(), 1, "{:?}", out.rejects());
}

#[test]
fn lists_and_scores_choose_clips() {
    let (world, config) = world();
    let script = "
import pyarrow as pa, pyarrow.parquet as pq
pq.write_table(pa.table({'key': ['AAA (1.0-2.5)', 'BBB (1.0-2.5)'], 'fit': [0.1, 0.3]}), 'scores.parquet')";
    let _ = audsem_core::testing::run_python(script, &world.path(""));
    let bounds = |min: &str| ScoreBounds { min: vec![min.parse().unwrap()], max: Vec::new() };
    let scored = Config { scores: vec![world.path("scores.parquet")], bounds: bounds("fit=0.2"), ..config.clone() };
    let out = world.run(&scored);
    assert_eq!(out.keys("train"), ["BBB (1_0-2_5)"]);
    assert_eq!(out.reasons("AAA (1_0-2_5)"), ["no_record", "outside_scores"]);
    assert_eq!(out.reasons("DDD (1_0-2_5)"), ["no_score"]);
    let reject = out.reject_lines().into_iter().find(|line| line["reason"] == "outside_scores").unwrap();
    assert!(reject["detail"].as_str().unwrap().ends_with("fit 0.1 is below 0.2"), "{reject}");

    std::fs::write(world.path("drop.txt"), "BBB (1.0-2.5)\n").unwrap();
    let excluding = Config { exclude: vec![world.path("drop.txt")], ..config };
    let out = world.run_with(&excluding, &RunOptions::new(world.path("excluded")));
    assert_eq!(
        (out.keys("train"), out.reasons("BBB (1_0-2_5)")),
        (vec!["AAA (1_0-2_5)".to_owned()], vec!["excluded".to_owned(), "no_record".to_owned()])
    );
    let other = Config { bounds: bounds("loud=1"), ..scored };
    let error = audsem_tarify::shards::run(&other, &RunOptions::new(world.path("other"))).unwrap_err().to_string();
    assert!(error.contains("no table of scores has a column `loud`"), "{error}");
}
