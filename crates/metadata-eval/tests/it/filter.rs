//! `filter`: every rule, its reason, and that no model runs.

use audsem_metadata_eval::tables::{AudioFeatures, ClipMetadata};

use crate::workbench::{Bench, audio, tag};

/// Combined clips: the names, with a length, a share of speech and a similarity.
fn clips(bench: &Bench, clips: &[(&str, u32, Option<f32>, Option<f32>)]) {
    let rows: Vec<AudioFeatures> = clips.iter().map(|(key, ..)| audio(key, "rain")).collect();
    bench.table("audio.parquet", &rows);
    bench.call("combine --audio audio.parquet -o combined").ended(0);
    let mut rows: Vec<ClipMetadata> = bench.rows("combined/part-00000.parquet");
    for (row, (_, ms, speech, similarity)) in rows.iter_mut().zip(clips) {
        (row.duration_ms, row.speech, row.similarity) = (Some(*ms), *speech, *similarity);
    }
    bench.table("clips.parquet", &rows);
}

#[track_caller]
fn check(bench: &Bench, flags: &str, kept: &[&str], rejects: &[(&str, &str)]) {
    bench.call(&format!("filter -i clips.parquet -o out --fresh {flags}")).ended(i32::from(kept.is_empty()));
    let rows: Vec<ClipMetadata> = bench.rows("out/part-00000.parquet");
    assert_eq!(rows.iter().map(|row| row.key.as_str()).collect::<Vec<_>>(), kept, "{flags}");
    let expected: Vec<(String, String)> =
        rejects.iter().map(|(key, reason)| ((*key).to_owned(), (*reason).to_owned())).collect();
    assert_eq!(bench.rejects("out/rejects-00000.jsonl"), expected, "{flags}");
}

const A: &str = "A (0_0-4_0)";
const B: &str = "B (0_0-4_0)";
const C: &str = "C (0_0-4_0)";

#[test]
fn thresholds_keep_what_the_reference_keeps_and_can_be_changed() {
    let bench = Bench::new();
    let three = [(A, 3001, Some(0.0), Some(0.5)), (B, 3000, Some(0.5), Some(0.9)), (C, 5000, Some(1.0), Some(0.49))];
    clips(&bench, &three);
    check(&bench, "", &[A], &[(B, "too_short"), (C, "captions_differ")]);
    check(&bench, "--min-duration 2.5 --min-similarity off", &[A, B, C], &[]);
    check(&bench, "--min-duration off --min-similarity 0.4 --max-speech 0.5", &[A, B], &[(C, "speech")]);
}

#[test]
fn clips_without_the_value_that_decides_are_told_apart() {
    let bench = Bench::new();
    clips(&bench, &[(A, 4000, None, Some(0.9)), (B, 4000, Some(0.1), None)]);
    check(&bench, "--max-speech 0.9", &[], &[(A, "no_speech_share"), (B, "no_similarity")]);
}

#[test]
fn lists_in_any_format_leave_clips_out() {
    let bench = Bench::new();
    clips(&bench, &[(A, 4000, None, None), (B, 4000, None, None), (C, 4000, None, None)]);
    bench.write("list.csv", "file_name,why\ntar/B (0.0-4.0).mp4,drift\n");
    bench.write("list.jsonl", "{\"key\": \"B (0_0-4_0)\"}\n");
    bench.write("list.txt", "B (0_0-4_0)\n");
    bench.table("list.parquet", &[audio(B, "x")]);
    for list in ["list.csv", "list.jsonl", "list.txt", "list.parquet"] {
        check(&bench, &format!("--min-similarity off --exclude {list}"), &[A, C], &[(B, "excluded")]);
    }
    bench.write("bad.csv", "name\nx\n");
    bench.call("filter -i clips.parquet --exclude bad.csv -o bad").ended(2).says("no column `key`");
}

#[test]
fn scores_of_drift_leave_clips_out() {
    let bench = Bench::new();
    clips(&bench, &[(A, 4000, None, None), (B, 4000, None, None)]);
    audsem_core::row! {
        table "scores";
        /// A score.
        struct Score / ScoreRef / ScoreColumns / ScoreBuffers {
            /// The key.
            pub key: String,
            /// The score.
            pub dissimilarity: f32,
        }
    }
    let score = |key: &str, dissimilarity| Score { key: key.to_owned(), dissimilarity };
    bench.table("scores.parquet", &[score(A, 0.9), score(A, 0.96), score(B, 0.95)]);
    let flags = "--min-similarity off --scores scores.parquet";
    check(&bench, flags, &[B], &[(A, "dissimilar")]);
    check(&bench, &format!("{flags} --max-dissimilarity 0.97"), &[A, B], &[]);
}

#[test]
fn conditions_on_any_column() {
    let bench = Bench::new();
    clips(&bench, &[(A, 4000, Some(0.5), None), (B, 4000, None, None)]);
    let mut rows: Vec<ClipMetadata> = bench.rows("clips.parquet");
    rows[0].ced_tags = Some(vec![tag("Dog", 1.0)]);
    bench.table("clips.parquet", &rows);
    let call = |condition: &str| {
        let called = bench.call_with("filter -i clips.parquet --min-similarity off -o out --fresh", |command| {
            command.args(["--where", condition]);
        });
        let rows: Vec<ClipMetadata> = bench.rows("out/part-00000.parquet");
        assert!(called.code < 2, "{}", called.stderr);
        rows.into_iter().map(|row| row.key).collect::<Vec<_>>()
    };
    assert_eq!(call("ced_tags contains Dog"), [A]);
    assert_eq!(call("speech != 0.25"), [A], "an absent value meets no condition");
    assert_eq!(call("video_id = B"), [B]);
    assert_eq!(call("end_ms >= 4000").len(), 2);
    let refused = bench.call_with("filter -i clips.parquet -o no", |command| {
        command.args(["--where", "loud > 1"]);
    });
    refused.ended(2).says("no column `loud`");
}

#[test]
fn the_result_does_not_depend_on_workers() {
    let bench = Bench::new();
    clips(&bench, &[(A, 4000, Some(0.5), Some(0.7)), (B, 2000, None, None)]);
    for n in 0..3 {
        let rows: Vec<ClipMetadata> = bench.rows("clips.parquet");
        bench.table(&format!("in/{n}.parquet"), &rows);
    }
    for (name, flags) in
        [("one", "--workers 1"), ("two", "--workers 2"), ("split", "--shard 0/2"), ("split", "--shard 1/2")]
    {
        bench.call(&format!("filter -i in -o {name} {flags}")).ended(0);
    }
    assert_eq!(bench.tree("two"), bench.tree("one"));
    assert_eq!(bench.tree("split"), bench.tree("one"));
    assert_eq!(bench.call("filter -i in -o few --limit 3").ended(0).step("part")["in"], 3);
}
