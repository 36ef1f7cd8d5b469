//! `rename`.

use serde_json::json;

use crate::workbench::{Bench, samples, tar_of};

#[test]
fn t17_the_family_without_dots_becomes_readable() {
    let bench = Bench::new();
    bench.write(
        "in/0.tar",
        tar_of(&[
            ("A (1_0-3_5)/mp4", b"a"),
            ("A (1_0-3_5)/json", b"{}"),
            ("B (0_0-1_0)/mp4", b"b"),
            ("B (0_0-1_0)/json", b"{}"),
        ]),
    );
    bench.call("rename -i in -o out").ended(0);
    let expected = vec![
        ("A (1_0-3_5)".to_owned(), vec![("mp4".to_owned(), b"a".to_vec()), ("json".to_owned(), b"{}".to_vec())]),
        ("B (0_0-1_0)".to_owned(), vec![("mp4".to_owned(), b"b".to_vec()), ("json".to_owned(), b"{}".to_vec())]),
    ];
    assert_eq!(samples(&bench.path("out/0.tar")), expected);
    assert_eq!(bench.json("out/sizes.json"), json!({ "0.tar": 2 }));
}

#[test]
fn dots_and_folders_go_and_running_twice_changes_nothing() {
    let bench = Bench::new();
    bench.write("in/7.tar", tar_of(&[("tar/A (1.0-3.5).mp4", b"a"), ("tar/A (1.0-3.5).json", b"{}")]));
    bench.call("rename -i in -o once").ended(0);
    assert_eq!(bench.names("once/7.tar"), ["A (1_0-3_5).mp4", "A (1_0-3_5).json"]);
    bench.call("rename -i once -o twice").ended(0);
    assert_eq!(bench.tree("once")["7.tar"], bench.tree("twice")["7.tar"]);
    bench.call("rename -i once -o prefixed --prefix tar/").ended(0);
    assert_eq!(bench.names("prefixed/7.tar"), ["tar/A (1_0-3_5).mp4", "tar/A (1_0-3_5).json"]);
}

#[test]
fn t35_a_tar_that_would_lose_members_is_refused() {
    let bench = Bench::new();
    bench.write("in/0.tar", tar_of(&[("1.flac", b"a"), ("1.json", b"{}"), ("A (1.0-2.0).mp4", b"a")]));
    bench.write("in/1.tar", tar_of(&[("B (1.0-2.0).mp4", b"b"), ("B (1.0-2.0).json", b"{}")]));
    let called = bench.call("rename -i in -o out").ended(1);
    called.says("2 of 3 members name no clip");
    called.says("1.flac, 1.json");
    assert!(!bench.path("out/0.tar").exists() && bench.path("out/1.tar").exists());

    bench
        .write("in/0.tar", tar_of(&[("1.flac", b"a"), ("1.json", b"{}"), ("A (1.0-2.0).mp4", b"a"), ("README", b"x")]));
    bench.call("rename -i in -o kept --unmatched keep").ended(0);
    let no_key = ("README".to_owned(), "not_a_clip".to_owned());
    assert_eq!(bench.rejects("kept/rejects-00000.jsonl"), std::slice::from_ref(&no_key));
    assert_eq!(bench.names("kept/0.tar"), ["1.flac", "1.json", "A (1_0-2_0).mp4"]);
    bench.call("rename -i in -o dropped --unmatched drop").ended(0);
    assert_eq!(bench.names("dropped/0.tar"), ["A (1_0-2_0).mp4"]);
    let rejects = bench.rejects("dropped/rejects-00000.jsonl");
    assert_eq!(
        rejects,
        [("1.flac".to_owned(), "not_a_clip".to_owned()), ("1.json".to_owned(), "not_a_clip".to_owned()), no_key]
    );
}

#[test]
fn members_that_would_share_a_key_are_refused() {
    let bench = Bench::new();
    bench.write(
        "in/0.tar",
        tar_of(&[("A (1.0-2.0).mp4", b"a"), ("B (1.0-2.0).mp4", b"b"), ("A (1.00-2.00).mp4", b"c")]),
    );
    bench
        .call("rename -i in -o out")
        .ended(1)
        .says("members of `A (1_0-2_0)` are not consecutive, or two clips have this key");
}

#[test]
fn a_truncated_tar_fails_alone_and_is_taken_up_once_repaired() {
    let bench = Bench::new();
    let whole = tar_of(&[("A (1.0-2.0).mp4", &[7; 3000]), ("A (1.0-2.0).json", b"{}")]);
    bench.write("in/0.tar", &whole[..2000]);
    bench.write("in/1.tar", &whole);
    bench.call("rename -i in -o out").ended(1).says("tar ends early at byte 2000");
    assert!(bench.path("out/1.tar").exists() && !bench.path("out/sizes.json").exists());
    bench.write("in/0.tar", &whole);
    bench.call("rename -i in -o out").ended(0);
    assert_eq!(bench.json("out/sizes.json"), json!({ "0.tar": 1, "1.tar": 1 }));
}

#[test]
fn a_tar_without_its_end_or_with_more_behind_it_fails() {
    let bench = Bench::new();
    let whole = tar_of(&[("A (1.0-2.0).mp4", b"a"), ("A (1.0-2.0).json", b"{}")]);
    bench.write("in/0.tar", &whole[..1024]);
    bench.write("in/1.tar", [whole.clone(), whole.clone()].concat());
    let called = bench.call("rename -i in -o out").ended(1);
    called.says("tar without end marker at byte 1024");
    called.says("tar has data after its end marker at byte 3072");
    assert!(!bench.path("out/0.tar").exists() && !bench.path("out/1.tar").exists());
    let limited = bench.call("rename -i in -o limited --limit 1").ended(0);
    assert_eq!(limited.step("part")["in"], 1);
}

#[test]
fn the_limit_goes_over_all_tars() {
    let bench = Bench::new();
    for n in 0..3 {
        bench.write(&format!("in/{n}.tar"), tar_of(&[("A (1.0-2.0).mp4", b"a"), ("A (1.0-2.0).json", b"{}")]));
    }
    let called = bench.call("rename -i in -o out --limit 3").ended(0);
    assert_eq!(called.nth_step(0)["in"], 3);
    assert_eq!(bench.names("out/1.tar"), ["A (1_0-2_0).mp4"]);
    assert!(!bench.path("out/2.tar").exists());
}
