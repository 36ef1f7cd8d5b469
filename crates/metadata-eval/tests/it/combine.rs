//! `combine`: what is joined, what is dropped and why.

use audsem_core::tables::{ClipRow, text_hash};
use audsem_metadata_eval::tables::{AudioFeatures, ClipMetadata};

use crate::workbench::{Bench, audio, fixture, image, sat, tag, video};

fn clip_row(video_id: &str, start_ms: u32, end_ms: u32, text: &str) -> ClipRow {
    ClipRow {
        key: None,
        row_id: 0,
        video_id: video_id.to_owned(),
        start_ms,
        end_ms,
        text: format!("[{text}]"),
        clean_text: text.to_owned(),
        text_hash: text_hash(text),
        bert_prob: None,
        llm_yes_prob: None,
    }
}

fn keys(rows: &[ClipMetadata]) -> Vec<&str> {
    rows.iter().map(|row| row.key.as_str()).collect()
}

#[test]
fn tables_of_all_extractors_become_one_row_for_each_clip() {
    let bench = Bench::new();
    // Two spellings of a clip, and sums of floats that do not print with three decimals.
    bench.table("audio.parquet", &[audio("V (1_1-3_3)", "rain falls"), audio("W (0_0-2_0)", "wind")]);
    bench.table("sat.parquet", &[sat("tar/V (1.1-3.3000000000000003).mp4"), sat("W (0_0-2_0)")]);
    bench.table("image.parquet", &[image("W (0_0-2_0)"), image("V (1_1-3_3)")]);
    bench.table("video.parquet", &[video("V (1_1-3_3)"), video("W (0_0-2_0)")]);
    bench.table("clips.parquet", &[clip_row("V", 1100, 3300, "rain"), clip_row("W", 0, 2000, "wind")]);
    let tables = "--audio audio.parquet --sat sat.parquet --image image.parquet --video video.parquet";
    bench.call(&format!("combine {tables} --table clips.parquet -o out")).ended(0);
    let rows: Vec<ClipMetadata> = bench.rows("out/part-00000.parquet");
    assert_eq!(keys(&rows), ["V (1_1-3_3)", "W (0_0-2_0)"]);
    let row = &rows[0];
    assert_eq!((row.video_id.as_deref(), row.start_ms, row.end_ms), (Some("V"), Some(1100), Some(3300)));
    assert_eq!(row.duration_ms, Some(2200));
    assert_eq!((row.text.as_deref(), row.clean_text.as_deref()), (Some("[rain]"), Some("rain")));
    assert_eq!([row.has_audio, row.has_sat, row.has_image, row.has_video], [true; 4]);
    assert_eq!(row.audio_caption.as_deref(), Some("rain falls"));
    assert_eq!(row.ced_tags.as_deref(), Some(&[tag("Rain", 0.75), tag("Wind", 0.25)][..]));
    assert_eq!(row.seconds, Some(sat("").seconds));
    assert_eq!((row.objects.clone(), row.scene.as_deref()), (image("").objects, Some("A wet street.")));
    assert_eq!((row.speech, row.similarity), (Some(0.125), None));
}

#[test]
fn clips_without_what_is_required_are_counted_by_what_they_lack() {
    let bench = Bench::new();
    let names = ["A (0_0-1_0)", "B (0_0-1_0)", "C (0_0-1_0)"];
    bench.table("audio.parquet", &names.map(|name| audio(name, "x")));
    bench.table("sat.parquet", &[sat(names[0]), sat("D (0_0-1_0)")]);
    bench.table("video.parquet", &[video(names[0]), video(names[1])]);
    let tables = "--audio audio.parquet --sat sat.parquet --video video.parquet";
    let call = |flags: &str, output: &str| bench.call(&format!("combine {tables} {flags} -o {output}")).ended(0);
    let all = call("", "all").step("part");
    assert_eq!((&all["in"], &all["kept"]), (&4.into(), &1.into()));
    assert_eq!(all["dropped"], serde_json::json!({"no_audio_features": 1, "no_second_tags": 2}));
    let rejects = bench.rejects("all/rejects-00000.jsonl");
    assert_eq!(rejects[0], (names[1].to_owned(), "no_second_tags".to_owned()));
    let audio_only = call("--require audio", "audio").step("part");
    assert_eq!(
        (&audio_only["kept"], &audio_only["dropped"]),
        (&3.into(), &serde_json::json!({"no_audio_features": 1}))
    );
    let none = call("--require none", "none").step("part");
    assert_eq!((&none["in"], &none["kept"]), (&4.into(), &4.into()));
    let of_sat: Vec<ClipMetadata> = bench.rows("none/part-00001.parquet");
    assert_eq!((keys(&of_sat), of_sat[0].has_audio, of_sat[0].has_sat), (vec!["D (0_0-1_0)"], false, true));
    bench.call("combine --audio audio.parquet --require sat -o refused").ended(2).says("--require sat");
}

#[test]
fn several_tables_of_one_extractor_complete_each_other() {
    let bench = Bench::new();
    let speech = |key: &str, speech: f32| AudioFeatures { speech: Some(speech), ..AudioFeatures::of_key(key) };
    let tags = |key: &str| AudioFeatures { ced_tags: Some(vec![tag("Dog", 1.0)]), ..AudioFeatures::of_key(key) };
    bench.table("tags.parquet", &[tags("A (0_0-1_0)"), tags("B (0_0-1_0)")]);
    bench.table(
        "speech.parquet",
        &[speech("B (0_0-1_0)", 0.5), speech("B (0_0-1_0)", 0.75), speech("C (0_0-1_0)", 1.0)],
    );
    let called = bench.call("combine --audio tags.parquet speech.parquet -o out").ended(0);
    assert_eq!(called.step("part")["counts"]["repeated_rows"], 1);
    let rows: Vec<ClipMetadata> = bench.rows("out/part-00000.parquet");
    assert_eq!(keys(&rows), ["A (0_0-1_0)", "B (0_0-1_0)"]);
    assert_eq!((rows[0].speech, rows[1].speech), (None, Some(0.5)), "the first value counts");
    assert_eq!(keys(&bench.rows("out/part-00001.parquet")), ["C (0_0-1_0)"]);
}

#[test]
fn captions_come_from_the_extractors_unless_there_is_a_clip_table() {
    let bench = Bench::new();
    let row = |key: &str| AudioFeatures { text: Some("[as found]".to_owned()), ..AudioFeatures::of_key(key) };
    bench.table("audio.parquet", &[row("V (1_0-2_0)"), row("W (1_0-2_0)"), row("no clip at all")]);
    bench.call("combine --audio audio.parquet -o found").ended(0);
    let rows: Vec<ClipMetadata> = bench.rows("found/part-00000.parquet");
    assert!(rows.iter().all(|row| row.text.as_deref() == Some("[as found]") && row.clean_text.is_none()));
    assert_eq!((rows[2].video_id.as_deref(), rows[2].duration_ms), (None, None));
    bench.table("clips.parquet", &[clip_row("V", 1000, 2000, "rain")]);
    let called = bench.call("combine --audio audio.parquet --table clips.parquet -o named").ended(0);
    assert_eq!(called.step("part")["dropped"], serde_json::json!({"not_in_clip_table": 2}));
    let rows: Vec<ClipMetadata> = bench.rows("named/part-00000.parquet");
    assert_eq!(rows[0].text.as_deref(), Some("[rain]"));
}

#[test]
fn captions_are_compared_by_a_sentence_encoder() {
    let bench = Bench::new();
    let row = |key: &str, text: &str, caption: Option<&str>| AudioFeatures {
        text: Some(text.to_owned()),
        audio_caption: caption.map(str::to_owned),
        ..AudioFeatures::of_key(key)
    };
    let same = "rain on a roof";
    let rows = [
        row("A (0_0-1_0)", same, Some(same)),
        row("B (0_0-1_0)", same, Some("a dog barks")),
        row("C (0_0-1_0)", same, None),
    ];
    bench.table("audio.parquet", &rows);
    let model = fixture("goldens/minilm_tiny").display().to_string();
    let call = |output: &str, flags: &str| {
        bench.call(&format!("combine --audio audio.parquet --sentence-model {model} -o {output} {flags}")).ended(0);
        let rows: Vec<ClipMetadata> = bench.rows(&format!("{output}/part-00000.parquet"));
        rows.into_iter().map(|row| row.similarity).collect::<Vec<_>>()
    };
    let together = call("together", "");
    assert!((together[0].unwrap() - 1.0).abs() < 1e-5 && together[1].unwrap() < 0.999 && together[2].is_none());
    assert_eq!(call("alone", "--batch-size 1 --workers 2"), together);
    assert!(bench.text("together/run.json").contains("minilm_tiny"));
}

#[test]
fn a_limit_counts_clips_across_tables() {
    let bench = Bench::new();
    bench.table("1.parquet", &[audio("A (0_0-1_0)", "a"), audio("B (0_0-1_0)", "b")]);
    bench.table("2.parquet", &[audio("C (0_0-1_0)", "c"), audio("D (0_0-1_0)", "d")]);
    let called = bench.call("combine --audio 1.parquet 2.parquet --limit 3 -o out").ended(0);
    assert_eq!(called.step("part")["in"], 3);
    assert_eq!(keys(&bench.rows("out/part-00001.parquet")), ["C (0_0-1_0)"]);
}

#[test]
fn the_result_does_not_depend_on_workers_or_on_how_the_run_is_split() {
    let bench = Bench::new();
    for n in 0..4 {
        let rows: Vec<_> = (0..20).map(|i| audio(&format!("V{n} ({i}_0-{}_0)", i + 1), "x")).collect();
        bench.table(&format!("audio/{n}.parquet"), &rows);
        let rows: Vec<_> = (0..20).map(|i| sat(&format!("V{} ({i}_0-{}_0)", 3 - n, i + 1))).collect();
        bench.table(&format!("sat/{n}.parquet"), &rows);
    }
    let call = |flags: &str| bench.call(&format!("combine --audio audio --sat sat {flags}")).ended(0);
    call("-o one --workers 1");
    call("-o two --workers 2");
    call("-o split --shard 0/2");
    call("-o split --shard 1/2");
    assert_eq!(bench.tree("two"), bench.tree("one"));
    assert_eq!(bench.tree("split"), bench.tree("one"));
}

#[test]
fn what_is_no_table_of_features_is_refused() {
    let bench = Bench::new();
    bench.call("combine -o out").ended(2).says("there is nothing to join");
    bench.write("a.csv", "file_name,audio_caption\n");
    bench.call("combine --audio a.csv -o out").ended(2).says("import-reference");
    bench.table("sat.parquet", &[sat("A (0_0-1_0)")]);
    // The same command could never read it, so nothing is begun, and it is told once.
    for (flag, said) in [
        ("--audio", "no column `text` (string) in table `sat.parquet`"),
        ("--video", "no column `frames_ms`"),
        ("--sat sat.parquet --image", "no column `frames_ms`"),
    ] {
        let called = bench.call(&format!("combine {flag} sat.parquet -o out")).ended(2);
        assert_eq!(called.stderr.matches(said).count(), 1, "{said}: {}", called.stderr);
        assert!(!bench.path("out").exists());
    }
}
