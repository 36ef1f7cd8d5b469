//! `index`.

use audsem_core::tables::read_parquet;
use audsem_tarify::tables::TarMember;
use serde_json::json;

use crate::workbench::{Bench, tar_of};

fn json_of(name: &str) -> Vec<u8> {
    json!({ "original_filename": name }).to_string().into_bytes()
}

#[test]
fn clips_are_found_by_tar_and_place() {
    let bench = Bench::new();
    let odd = "x, \"y\" (1.0-2.0).mp4";
    let tar = tar_of(&[
        ("1.flac", b"sound"),
        ("1.json", &json_of("A (1.0-3.5).webm")),
        ("2.json", &json_of(odd)),
        ("2.mp4", b"video"),
    ]);
    bench.write("in/0.tar", &tar);
    bench.write(
        "in/2.tar",
        tar_of(&[
            ("A (1_0-3_5).mp4", b"again"),
            ("B (0_0-1_0).mp4", b"b"),
            ("B (0_0-1_0).json", b"{}"),
            ("C (0_0-1_0).json", b"{}"),
        ]),
    );
    bench.write("in/sizes.json", "{}");
    let called = bench.call("index -i in -o out").ended(0);
    // T34: real CSV; T38: doubles between tars are dropped and on file.
    let csv =
        "tar_file,mp4_name\n0.tar,A (1.0-3.5).webm\n0.tar,\"x, \"\"y\"\" (1.0-2.0).mp4\"\n2.tar,B (0_0-1_0).mp4\n";
    assert_eq!(String::from_utf8_lossy(&bench.tree("out")["tar_mp4_mapping.csv"]), csv);
    assert_eq!(bench.json("out/sizes.json"), json!({ "0.tar": 2, "2.tar": 3 }));
    assert_eq!(
        bench.rejects("out/rejects-mapping-all.jsonl"),
        [("A (1_0-3_5)".to_owned(), "duplicate_key".to_owned())]
    );
    assert_eq!(bench.rejects("out/rejects-00001.jsonl"), [("2.tar: C (0_0-1_0)".to_owned(), "no_media".to_owned())]);
    assert_eq!(called.nth_step(0)["in"], 5);

    let rows: Vec<TarMember> = read_parquet(&bench.path("out/part-00000.parquet")).unwrap();
    let first = &rows[0];
    assert_eq!((first.tar.as_str(), first.key.as_str(), first.suffix.as_str()), ("0.tar", "1", "flac"));
    assert_eq!((first.video_id.as_deref(), first.start_ms, first.end_ms), (Some("A"), Some(1000), Some(3500)));
    for (row, payload) in rows.iter().zip([&b"sound"[..], &json_of("A (1.0-3.5).webm"), &json_of(odd), b"video"]) {
        assert_eq!(&tar[row.offset as usize..][..row.n_bytes as usize], payload);
    }
}

/// Its JSON may have named another clip than its stem does.
#[test]
fn a_clip_whose_json_is_broken_is_a_counted_failure() {
    let bench = Bench::new();
    bench.write(
        "in/0.tar",
        tar_of(&[
            ("A (0_0-1_0).mp4", b"a"),
            ("A (0_0-1_0).json", b"{}"),
            ("B (0_0-1_0).mp4", b"b"),
            ("B (0_0-1_0).json", b"no json"),
        ]),
    );
    let called = bench.call("index -i in -o out --max-fail-rate 0.5").ended(0);
    assert_eq!(called.nth_step(0)["failed"], json!({ "bad_json": 1 }));
    assert_eq!(
        String::from_utf8_lossy(&bench.tree("out")["tar_mp4_mapping.csv"]),
        "tar_file,mp4_name\n0.tar,A (0_0-1_0).mp4\n"
    );
}

#[test]
fn a_tar_without_its_end_or_with_more_behind_it_fails() {
    let bench = Bench::new();
    let whole = tar_of(&[("A (1_0-2_0).mp4", b"a"), ("B (0_0-1_0).mp4", b"b")]);
    bench.write("in/0.tar", &whole[..1024]);
    bench.write("in/1.tar", &whole);
    bench.write("in/2.tar", [whole.clone(), whole.clone()].concat());
    let called = bench.call("index -i in -o out").ended(1);
    called.says("tar without end marker at byte 1024");
    called.says("tar has data after its end marker at byte 3072");
    assert_eq!(called.step("part")["kept"], 2, "the tar that is whole");
    bench.write("in/0.tar", &whole);
    bench.write("in/2.tar", &whole);
    bench.call("index -i in -o out").ended(0);
    // What --limit leaves unread is not missing.
    bench.write("in/0.tar", &whole[..2048]);
    assert_eq!(bench.call("index -i in/0.tar -o limited --limit 1").ended(0).step("part")["in"], 1);
}

#[test]
fn bytes_do_not_depend_on_workers() {
    let bench = Bench::new();
    for n in 0..5 {
        let name = format!("A ({n}_0-9_5).mp4");
        bench.write(&format!("in/{n}.tar"), tar_of(&[(&name, b"a"), ("B (0_0-1_0).mp4", b"b")]));
    }
    bench.call("index -i in -o one --workers 1").ended(0);
    bench.call("index -i in -o two --workers 2").ended(0);
    assert_eq!(bench.tree("one"), bench.tree("two"));
}

#[test]
fn an_empty_folder_and_an_empty_tar() {
    let bench = Bench::new();
    bench.write("none/x.txt", "");
    bench.call("index -i none -o out").ended(2).says("this folder holds no tar");
    bench.write("in/0.tar", tar_of(&[]));
    bench.call("index -i in -o out").ended(1).says("nothing was read: the input holds no samples");
    assert_eq!(bench.json("out/sizes.json"), json!({ "0.tar": 0 }));
    bench.write("zero/0.tar", "");
    bench.call("index -i zero -o zero-out").ended(1).says("the file is empty");
}

#[test]
fn t17_members_without_a_key_are_on_file() {
    let bench = Bench::new();
    bench.write("in/0.tar", tar_of(&[("A (1_0-2_0)/mp4", b"a"), ("A (1_0-2_0)/json", b"{}")]));
    let called = bench.call("index -i in -o out").ended(1);
    assert_eq!(called.nth_step(0)["dropped"]["no_key"], 2);
    assert_eq!(bench.rejects("out/rejects-00000.jsonl")[0], ("0.tar: A (1_0-2_0)/mp4".to_owned(), "no_key".to_owned()));
}
