//! `check`.

use audsem_media::audio::{BitDepth, encode_flac};
use serde_json::json;

use crate::workbench::{Bench, tar_of};

/// Tar, expected rejects as (key, reason).
fn check(tar: &[u8], flags: &str, expected: &[(&str, &str)]) {
    let bench = Bench::new();
    bench.write("in/0.tar", tar);
    let verify = if flags.contains("--verify") { "" } else { "--verify none" };
    let called = bench.call(&format!("check -i in -o out {verify} {flags}")).ended(i32::from(!expected.is_empty()));
    let rejects = bench.rejects("out/rejects-00000.jsonl");
    let rejects: Vec<(&str, &str)> = rejects.iter().map(|(key, reason)| (key.as_str(), reason.as_str())).collect();
    assert_eq!(rejects, expected, "{flags}");
    let status = if expected.is_empty() { "done" } else { "check_failed" };
    assert_eq!(called.summary()["status"], status);
    let passed = if expected.is_empty() { json!("passed") } else { json!(null) };
    assert_eq!(called.summary()["results"]["check"], passed);
    assert_eq!(bench.json("out/report-00000.json")["problems"], expected.len());
}

#[test]
fn whole_tars_pass_and_every_defect_is_named() {
    let good = [("A.flac", &b"a"[..]), ("A.json", b"{}"), ("B.json", b"{}"), ("B.mp4", b"b")];
    check(&tar_of(&good), "", &[]);
    check(&tar_of(&[("A.flac", b"a"), ("B.json", b"{}")]), "", &[("A", "no_json"), ("B", "no_media")]);
    check(&tar_of(&[("A/mp4", b"a"), ("A/json", b"{}")]), "", &[("A/mp4", "no_key"), ("A/json", "no_key")]);
    check(&tar_of(&[("V (1.0-2.5).mp4", b"a"), ("V (1.0-2.5).json", b"{}")]), "", &[("V (1", "cut_name")]);
    check(&tar_of(&[("A.flac", b""), ("A.json", b"{}")]), "", &[("A", "empty_media")]);
    check(&tar_of(&[("A.flac", b"a"), ("A.json", b"")]), "", &[("A", "bad_json")]);
    check(&tar_of(&[("A.flac", b"a"), ("A.json", b"{}"), ("A.json", b"{}")]), "", &[("A", "repeated_suffix")]);
    let apart = [
        ("A.flac", &b"a"[..]),
        ("A.json", b"{}"),
        ("B.flac", b"b"),
        ("B.json", b"{}"),
        ("A.flac", b"a"),
        ("A.json", b"{}"),
    ];
    check(&tar_of(&apart), "", &[("A", "duplicate_key")]);
    check(b"", "", &[("0.tar", "damaged_tar")]);
    check(&tar_of(&[]), "", &[("0.tar", "empty_tar")]);
    check(&tar_of(&[("._A.flac", b"a"), ("__meta__/x", b"")]), "", &[("0.tar", "empty_tar")]);
    let of_mac = [("._A.flac", &b"x"[..]), ("A.flac", b"a"), ("._A.json", b"x"), ("A.json", b"{}")];
    check(&tar_of(&of_mac), "", &[]);
    check(&[b'x'; 4096], "", &[("0.tar", "damaged_tar")]);
}

#[test]
fn t32_a_truncated_tar_is_reported_and_the_others_are_checked() {
    let bench = Bench::new();
    let whole = tar_of(&[("A.flac", &[7; 3000]), ("A.json", b"{}"), ("B.flac", &[7; 3000]), ("B.json", b"{}")]);
    bench.write("in/0.tar", &whole[..6000]);
    bench.write("in/1.tar", &whole);
    // Cut between two members: only the end marker is missing.
    bench.write("in/2.tar", &whole[..whole.len() - 1024]);
    bench.write("in/3.tar", [whole.clone(), whole.clone()].concat());
    let called = bench.call("check --verify none -i in -o out").ended(1);
    let reject = |key: &str, reason: &str| vec![(key.to_owned(), reason.to_owned())];
    assert_eq!(
        bench.rejects("out/rejects-00000.jsonl").last().cloned().into_iter().collect::<Vec<_>>(),
        reject("0.tar", "truncated")
    );
    assert_eq!(bench.rejects("out/rejects-00001.jsonl"), []);
    assert_eq!(bench.rejects("out/rejects-00002.jsonl"), reject("2.tar", "no_end_marker"));
    assert_eq!(bench.rejects("out/rejects-00003.jsonl"), reject("3.tar", "trailing_data"));
    let summary = called.summary();
    let problems: Vec<&String> = summary["results"]["tars_with_problems"].as_object().unwrap().keys().collect();
    assert_eq!(problems, ["0.tar", "2.tar", "3.tar"]);
}

#[test]
fn fields_of_the_json_are_looked_at_on_request() {
    let tar = tar_of(&[
        ("A.flac", b"a"),
        ("A.json", br#"{"question": "q", "answer": ""}"#),
        ("B.flac", b"b"),
        ("B.json", b"["),
    ]);
    check(&tar, "", &[("B", "bad_json")]);
    check(&tar, "--require question answer", &[("A", "missing_field"), ("B", "bad_json")]);
}

#[test]
fn t1_training_shards_must_have_what_their_task_teaches() {
    let caption = br#"{"caption": "c", "thinking": "t", "question": "q"}"#;
    let pair = br#"{"question": "q", "thinking": "t", "answer": "a", "choices": {"A": "a", "B": "b"}, "semantic_elements": "s"}"#;
    let tar = tar_of(&[("A.flac", b"a"), ("A.json", caption), ("B.flac", b"b"), ("B.json", pair)]);
    check(&tar, "--task caption", &[("A", "missing_field"), ("B", "missing_field")]);
    check(&tar, "--task qa", &[("A", "missing_field")]);
    check(&tar, "--task mc-qa-long --semantic", &[("A", "missing_field")]);
}

#[test]
fn sound_is_decoded_on_request() {
    let sound: Vec<f32> = (0..8000_i16).map(|n| f32::from(n % 100) / 200.0).collect();
    let flac = encode_flac(&sound, 1, 16_000, BitDepth::Sixteen).unwrap();
    let members = [
        ("A.flac", &flac[..]),
        ("A.json", b"{}"),
        ("B.flac", &flac[..flac.len() / 2]),
        ("B.json", b"{}"),
        ("C.flac", b"no"),
        ("C.json", b"{}"),
    ];
    check(&tar_of(&members), "", &[]);
    check(&tar_of(&members), "--verify full", &[("B", "undecodable"), ("C", "undecodable")]);
}

#[test]
fn sizes_are_compared_with_what_is_there() {
    let bench = Bench::new();
    let one = tar_of(&[("A.flac", b"a"), ("A.json", b"{}")]);
    for name in ["0.tar", "1.tar", "2.tar"] {
        bench.write(&format!("in/{name}"), &one);
    }
    bench.write("in/sizes.json", r#"{"0.tar": 1, "1.tar": 2048, "9.tar": 7}"#);
    bench.call("check --verify none -i in -o out").ended(1);
    let reject = |key: &str, reason: &str| (key.to_owned(), reason.to_owned());
    let expected = [reject("1.tar", "wrong_size"), reject("2.tar", "not_in_sizes"), reject("9.tar", "missing_tar")];
    assert_eq!(bench.rejects("out/rejects-sizes-sizes.jsonl"), expected);
    bench.call("check --verify none -i in/0.tar -o single").ended(0);
    bench.write("in/sizes.json", json!({ "0.tar": 1, "1.tar": 1, "2.tar": 1 }).to_string());
    bench.call("check --verify none -i in -o right").ended(0);
    bench.write("in/sizes.json", "[]");
    bench.call("check --verify none -i in -o broken").ended(1);
    assert_eq!(bench.rejects("out/rejects-sizes-sizes.jsonl").len(), 3);
    assert_eq!(bench.rejects("broken/rejects-sizes-sizes.jsonl"), [reject("in/sizes.json", "bad_sizes")]);
}

#[test]
fn problems_are_tolerated_up_to_a_share_and_reported_all_the_same() {
    let bench = Bench::new();
    bench.write("in/0.tar", tar_of(&[("A.flac", b"a"), ("A.json", b"{}"), ("B.flac", b"b")]));
    bench.call("check --verify none -i in -o none").ended(1);
    bench.call("check --verify none -i in -o fewer --max-fail-rate 0.4").ended(1);
    let called = bench.call("check --verify none -i in -o half --max-fail-rate 0.5").ended(0);
    assert_eq!(called.summary()["status"], "done");
    let passed = "passed: 1 problem, no more than --max-fail-rate 0.5 allows";
    assert_eq!(called.summary()["results"]["check"], passed);
    called.says("no_json: the sample has no JSON");
    // Also where nothing is as it should be.
    bench.write("bad/0.tar", tar_of(&[("B.flac", b"b")]));
    let called = bench.call("check --verify none -i bad -o all --max-fail-rate 1").ended(0);
    assert_eq!(called.summary()["status"], "done");
    assert_eq!(bench.rejects("half/rejects-00000.jsonl"), [("B".to_owned(), "no_json".to_owned())]);
}

#[test]
fn bytes_do_not_depend_on_workers() {
    let bench = Bench::new();
    for n in 0..5 {
        bench.write(&format!("in/{n}.tar"), tar_of(&[("A.flac", b"a"), ("A.json", b"{}"), ("B.flac", b"b")]));
    }
    bench.call("check --verify none -i in -o one --workers 1").ended(1);
    bench.call("check --verify none -i in -o two --workers 2").ended(1);
    assert_eq!(bench.tree("one"), bench.tree("two"));
}
