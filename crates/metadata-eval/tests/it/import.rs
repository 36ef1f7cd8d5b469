//! `import-reference`: what the scripts of the reference have written becomes our tables, and nothing is executed.

use audsem_metadata_eval::tables::{
    AudioFeatures, ClipMetadata, DriftScore, ImageFeatures, SecondFeatures, VideoFeatures,
};

use crate::workbench::{Bench, audio, fixture, tag};

const KEY: &str = "a-B_1 (12_34-15_54)";

#[test]
fn audio_csv_with_python_dictionaries() {
    let bench = Bench::new();
    // As pandas writes it: quotes doubled, line breaks in cells, "None" and "NA" as captions.
    let csv = concat!(
        "audio_caption,audio_tags,ast_classification,conette_candidates,music_caption,video_id,start_time,end_time,file_name\n",
        "\"A child's toy, \"\"squeaking\"\"\",\"{\"\"Child speech, kid speaking\"\": 0.75, 'Toy': 1e-05}\",dog,a toy squeaks,None,tar/a-B_1,12.34,15.54,tar/a-B_1 (12_34-15_54)\n",
        "NA,{'Rain': 0.5},rain,,\"two\nlines\",tar/x,1.0,2.0,tar/x (1_0-2_0)\n",
        "bad,__import__('os').system('touch executed'),rain,a,b,tar/y,1.0,2.0,tar/y (1_0-2_0)\n",
        "short,row\n",
        "no name,{},rain,a,b,tar/z,1.0,2.0,\n",
    );
    bench.write("output/webdataset_output_final.csv", csv);
    let called = bench.call("import-reference -i output --kind audio -o out --max-fail-rate 1").ended(0);
    let step = called.step("part");
    assert_eq!((&step["kept"], &step["failed"]), (&2.into(), &serde_json::json!({"bad_record": 3})));
    assert!(!bench.path("executed").exists());
    let details = bench.details("out/rejects-00000.jsonl");
    assert!(details[0].contains("no literal") && details[2].contains("no `file_name`"), "{details:?}");
    let rows: Vec<AudioFeatures> = bench.rows("out/part-00000.parquet");
    assert_eq!((rows[0].key.as_str(), rows[0].audio_caption.as_deref()), (KEY, Some("A child's toy, \"squeaking\"")));
    assert_eq!(rows[0].beats_tags, Some(vec![tag("Child speech, kid speaking", 0.75), tag("Toy", 1e-5)]));
    assert_eq!((rows[0].ast_label.as_deref(), rows[0].ast_tags.is_none()), (Some("dog"), true));
    assert_eq!(rows[0].music_captions, Some(vec!["None".to_owned()]), "a word, not a missing value");
    assert_eq!((rows[1].audio_caption.as_deref(), rows[1].conette_caption.as_deref()), (Some("NA"), None));
}

#[test]
fn seconds_images_and_videos() {
    let bench = Bench::new();
    bench.write(
        "sat.csv",
        concat!(
            "sat_predictions,video_id,file_name\n",
            "\"{'10-11': {'Wind': 0.25}, '0-1': {'Rain': 0.5, 'Wind': 0.125}}\",tar/a-B_1,tar/a-B_1 (12_34-15_54)\n",
            "{'first': {}},tar/x,tar/x (1_0-2_0)\n",
        ),
    );
    bench.call("import-reference -i sat.csv --kind sat -o sat --max-fail-rate 1").ended(0);
    let rows: Vec<SecondFeatures> = bench.rows("sat/part-00000.parquet");
    let spans: Vec<(u32, u32)> = rows[0].seconds.iter().map(|second| (second.start_ms, second.end_ms)).collect();
    assert_eq!((rows.len(), spans), (1, vec![(0, 1000), (10_000, 11_000)]));
    assert_eq!(rows[0].seconds[0].tags, [tag("Rain", 0.5), tag("Wind", 0.125)]);
    bench.write(
        "image.jsonl",
        format!("{{\"descriptions\":[\"a \\u00fcber\"],\"objects\":[{{\"label\":\"car\",\"score\":0.5}}],\"places\":[],\"file_name\":\"tar/{KEY}\"}}\n{{not json}}\n"),
    );
    bench.call("import-reference -i image.jsonl --kind image -o image --max-fail-rate 1").ended(0);
    let rows: Vec<ImageFeatures> = bench.rows("image/part-00000.parquet");
    assert_eq!(
        (rows[0].descriptions.as_deref(), rows[0].places.as_deref()),
        (Some(&["a über".to_owned()][..]), Some(&[][..]))
    );
    bench.write("video.csv", format!("video_id,file_name,start_time,end_time,caption\nx,tar/{KEY},1,2,A street.\n"));
    bench.call("import-reference -i video.csv --kind video -o video").ended(0);
    let rows: Vec<VideoFeatures> = bench.rows("video/part-00000.parquet");
    assert_eq!((rows[0].key.as_str(), rows[0].caption.as_str()), (KEY, "A street."));
    // All of them join, whichever float printed their names.
    bench.call("combine --sat sat --image image --video video -o combined").ended(0);
    let rows: Vec<ClipMetadata> = bench.rows("combined/part-00000.parquet");
    assert_eq!((rows.len(), rows[0].scene.as_deref(), rows[0].duration_ms), (1, Some("A street."), Some(3200)));
}

#[test]
fn combined_json_lines_with_the_labels_of_other_rows() {
    let bench = Bench::new();
    // polars gives each row the labels of all rows, most of them null.
    let line = serde_json::json!({
        "audio_caption": "Rain.", "audio_tags": {"Rain": 0.5, "Dog": null}, "ast_classification": "rain",
        "conette_candidates": "rain falls", "music_caption": "x", "file_name": format!("tar/{KEY}"),
        "sat_predictions": "{'0-1': {'Rain': 0.5}}", "descriptions": [], "objects": [], "places": [],
        "caption": "A street.", "video_id": "a-B_1", "start": 12.34, "duration": 3.2, "text": "rain", "end": 15.54,
    });
    bench.write("final_combined_outputs.jsonl", format!("{line}\n"));
    bench.call("import-reference -i final_combined_outputs.jsonl --kind combined -o out").ended(0);
    let rows: Vec<ClipMetadata> = bench.rows("out/part-00000.parquet");
    let row = &rows[0];
    assert_eq!((row.start_ms, row.duration_ms, row.text.as_deref()), (Some(12_340), Some(3200), Some("rain")));
    assert_eq!([row.has_audio, row.has_sat, row.has_image, row.has_video], [true; 4]);
    assert_eq!((row.beats_tags.clone(), row.scene.as_deref()), (Some(vec![tag("Rain", 0.5)]), Some("A street.")));
    bench.call("filter -i out --min-similarity off -o filtered").ended(0);
}

#[test]
fn workers_and_splits_give_the_same_bytes() {
    let bench = Bench::new();
    for n in 0..3 {
        bench.write(
            &format!("in/{n}.csv"),
            format!("file_name,caption\ntar/V{n} (1_0-2_0),A street.\ntar/V{n} (3_0-5_0),\n"),
        );
    }
    for (name, flags) in
        [("one", "--workers 1"), ("two", "--workers 2"), ("split", "--shard 0/2"), ("split", "--shard 1/2")]
    {
        bench.call(&format!("import-reference -i in --kind video --max-fail-rate 1 -o {name} {flags}")).ended(0);
    }
    assert_eq!(bench.tree("two"), bench.tree("one"));
    assert_eq!(bench.tree("split"), bench.tree("one"));
}

#[test]
fn a_limit_counts_records_across_files() {
    let bench = Bench::new();
    for n in 0..3 {
        bench.write(
            &format!("in/{n}.csv"),
            format!("file_name,caption\ntar/V{n} (1_0-2_0),A street.\ntar/V{n} (3_0-5_0),A car.\n"),
        );
    }
    let called = bench.call("import-reference -i in --kind video --limit 3 -o out").ended(0);
    assert_eq!(called.step("part")["in"], 3);
    assert!(!bench.path("out/part-00002.parquet").exists());
}

/// Lists that Python has pickled (`fixtures/regen/drift.py`), with scores of Python and of numpy.
#[test]
fn drift_lists_are_read_from_pickles_as_data() {
    let bench = Bench::new();
    let name = |kind: &str| format!("most_dissimilar_files_{kind}.pkl");
    let copy = |kind: &str, to: &str| bench.write(to, std::fs::read(fixture("pickles").join(name(kind))).unwrap());
    let kinds = ["float", "float32", "float64"].map(|kind| [3, 4, 5].map(|protocol| format!("{kind}_{protocol}")));
    for kind in kinds.as_flattened() {
        copy(kind, &format!("lists/{}", name(kind)));
    }
    bench.call("import-reference -i lists --kind drift -o drift").ended(0);
    for part in 0..9 {
        let rows: Vec<DriftScore> = bench.rows(&format!("drift/part-{part:05}.parquet"));
        let found: Vec<(&str, f32)> = rows.iter().map(|row| (row.key.as_str(), row.dissimilarity)).collect();
        assert_eq!(found, [(KEY, 1.25), ("x (1_0-2_0)", 1.0), ("y_(z) (3_0-4_5)", 0.75)], "part {part}");
        assert!(rows.iter().all(|row| row.dataset == "audio_embeddings"));
    }
    copy("bad", "bad.pkl");
    let step = bench.call("import-reference -i bad.pkl --kind drift --max-fail-rate 1 -o bad").ended(0).step("part");
    assert_eq!((&step["kept"], &step["failed"]), (&1.into(), &serde_json::json!({"bad_record": 5})));
    assert!(!bench.path("executed").exists());
    let details = bench.details("bad/rejects-00000.jsonl");
    for (detail, expected) in
        details.iter().zip(["no finite number", "2 parts", "name is no text", "no finite", "no finite"])
    {
        assert!(detail.contains(expected), "{details:?}");
    }
    bench.write("cut.pkl", &std::fs::read(bench.path("bad.pkl")).unwrap()[..40]);
    bench.call("import-reference -i cut.pkl --kind drift -o cut").ended(1).says("the pickle ends at byte");

    // The tables are lists and scores for `filter`.
    bench.table("audio.parquet", &[audio(KEY, "Rain."), audio("x (1_0-2_0)", "Wind."), audio("z (1_0-9_0)", "Dog.")]);
    bench.call("combine --audio audio.parquet -o combined").ended(0);
    let kept = |flags: &str, out: &str| {
        let flags = format!("filter -i combined --min-similarity off --min-duration off {flags} -o {out}");
        bench.call(&flags).ended(0).step("part")["kept"].clone()
    };
    assert_eq!(kept("--exclude drift", "excluded"), 1);
    assert_eq!(kept("--scores drift --max-dissimilarity 1.1", "scored"), 2);
}
