//! `transcode`.

use std::fs;

use serde_json::json;

use crate::workbench::{Bench, clip, samples, silent_film, streams, tar_of};

fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("in/0.tar", tar_of(&[("A (1_0-2_0).mp4", clip()), ("A (1_0-2_0).json", b"{\"a\":1}")]));
    bench.write(
        "in/10.tar",
        tar_of(&[
            ("B (1_0-2_0).json", b"{\"b\":1}"),
            ("B (1_0-2_0).mp4", clip()),
            ("C (1_0-2_0).mp4", b"broken"),
            ("C (1_0-2_0).json", b"{}"),
            ("D (1_0-2_0).json", b"{}"),
            ("E (1_0-2_0).mp4", &silent_film()),
            ("F (1.0-2.0).mp4", clip()),
        ]),
    );
    bench
}

#[test]
fn t28_videos_become_360p_at_2_frames_and_a_broken_one_goes_with_its_json() {
    let bench = bench();
    let before = fs::read(bench.path("in/10.tar")).unwrap();
    let called = bench.call("transcode -i in -o out --max-fail-rate 0.5 --preset ultrafast").ended(0);
    let small = samples(&bench.path("out/10.tar"));
    let keys: Vec<&str> = small.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["B (1_0-2_0)", "D (1_0-2_0)"]);
    // JSON before media stays so.
    assert_eq!(small[0].1[0], ("json".to_owned(), b"{\"b\":1}".to_vec()));
    let streams = streams(&small[0].1[1].1);
    for part in ["width=540", "height=360", "avg_frame_rate=2/1", "sample_rate=32000", "channels=1"] {
        assert!(streams.contains(part), "{part} is not in\n{streams}");
    }
    let reject = |key: &str, reason: &str| (key.to_owned(), reason.to_owned());
    let expected =
        [reject("C (1_0-2_0)", "undecodable"), reject("E (1_0-2_0)", "no_audio"), reject("F (1", "bad_sample")];
    assert_eq!(bench.rejects("out/rejects-00001.jsonl"), expected);
    assert_eq!(called.nth_step(0)["in"], 6);
    assert_eq!(bench.json("out/sizes.json"), json!({ "0.tar": 1, "10.tar": 2 }));
    // T29: never in place.
    assert_eq!(fs::read(bench.path("in/10.tar")).unwrap(), before);
}

#[test]
fn a_tar_without_its_end_or_with_more_behind_it_fails() {
    let bench = Bench::new();
    let whole = tar_of(&[("A.json", b"{}"), ("B.json", b"{}"), ("C.json", b"{}")]);
    bench.write("in/0.tar", &whole[..2048]);
    bench.write("in/1.tar", [whole.clone(), whole.clone()].concat());
    let called = bench.call("transcode -i in -o out").ended(1);
    called.says("tar without end marker at byte 2048");
    called.says("tar has data after its end marker at byte 4096");
    assert!(!bench.path("out/0.tar").exists() && !bench.path("out/1.tar").exists());
    bench.call("transcode -i in -o limited --limit 1").ended(0);
}

#[test]
fn bytes_do_not_depend_on_workers() {
    let bench = bench();
    bench.call("transcode -i in -o one --max-fail-rate 1 --preset ultrafast --workers 1").ended(0);
    bench.call("transcode -i in -o two --max-fail-rate 1 --preset ultrafast --workers 2").ended(0);
    bench.call("transcode -i in -o five --max-fail-rate 1 --preset ultrafast --workers 5").ended(0);
    assert_eq!(bench.tree("one"), bench.tree("two"));
    assert_eq!(bench.tree("one"), bench.tree("five"));
}

#[test]
fn members_without_a_key_are_not_lost_silently() {
    let bench = Bench::new();
    bench.write("in/0.tar", tar_of(&[("A (1_0-2_0)/mp4", clip()), ("A (1_0-2_0)/json", b"{}")]));
    let called = bench.call("transcode -i in -o out --preset ultrafast").ended(1);
    called.says("2 members without a dot in the name belong to no sample");
    called.says("hint: run `audsem-tarify rename` first");
}

#[test]
fn a_missing_ffmpeg_is_said_clearly() {
    let bench = bench();
    let called = bench.call_with("transcode -i in -o out", |command| _ = command.env("PATH", "/nowhere")).ended(2);
    called.says("ffmpeg was not found");
    called.says("hint: install it with `apt-get install ffmpeg`");
}
