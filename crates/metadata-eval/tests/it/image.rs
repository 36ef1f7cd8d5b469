//! `image` with tiny random networks, from videos and pictures to rows.

use audsem_core::tar::{ShardOptions, ShardWriter};
use audsem_media::program::{Program, Tool};
use audsem_metadata_eval::tables::{ClipMetadata, ImageFeatures, ScoredLabel};

use crate::audio::{flac, shard as audio_shard};
use crate::workbench::{Bench, fixture};

/// A video of moving colours at two frames a second, of which the first `black` frames are black.
pub(crate) fn video(seconds: u32, black: u32) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.mp4");
    let filter = format!("testsrc=s=64x48:r=2:d={seconds},drawbox=t=fill:c=black:enable='lt(n,{black})'");
    let ffmpeg = Program::find(Tool::Ffmpeg, None).unwrap();
    let call = ffmpeg.call().args(["-v", "error", "-f", "lavfi", "-i", &filter]);
    call.args(["-c:v", "mpeg4", "-q:v", "3", "-pix_fmt", "yuv420p"]).arg(&path).output().unwrap();
    std::fs::read(path).unwrap()
}

/// A file of `fixtures/pictures`.
pub(crate) fn picture(name: &str) -> Vec<u8> {
    std::fs::read(fixture("pictures").join(name)).unwrap()
}

/// A shard of samples with one media file each.
pub(crate) fn shard(samples: &[(&str, &str, &[u8])]) -> Vec<u8> {
    let mut tar = ShardWriter::new(Vec::new(), ShardOptions::default());
    for (i, (name, suffix, bytes)) in samples.iter().enumerate() {
        let json = format!(r#"{{"original_filename": "{name}.mp4"}}"#);
        tar.write_sample(&(i + 1).to_string(), &[(suffix, bytes), ("json", json.as_bytes())]).unwrap();
    }
    tar.finish().unwrap().0
}

/// Flags that name the tiny checkpoints of these networks.
pub(crate) fn flags(models: &[&str]) -> String {
    let folders = [
        ("blip", "blip_tiny"),
        ("mobilenet", "mobilenet_v2_tiny"),
        ("places", "resnet_tiny"),
        ("rt-detr", "rt_detr_tiny"),
    ];
    let folders = folders.into_iter().filter(|(name, _)| models.contains(name));
    let folders =
        folders.map(|(name, folder)| format!(" --model-dir {name}={}", fixture("goldens").join(folder).display()));
    format!("--models {}{}", models.join(","), folders.collect::<String>())
}

const ALL: [&str; 4] = ["blip", "mobilenet", "places", "rt-detr"];

/// Seven names for the tiny network of places, in the layout of the published list.
fn place_names(bench: &Bench) {
    let lines = (0..7).map(|n| format!("/p/place_{n} {n}\n"));
    bench.write("places.txt", lines.collect::<String>());
}

fn labels(labels: &Option<Vec<ScoredLabel>>) -> Vec<&str> {
    labels.as_ref().unwrap().iter().map(|label| label.label.as_str()).collect()
}

#[test]
fn four_networks_share_the_frames_of_each_clip() {
    let bench = Bench::new();
    place_names(&bench);
    let (long, short) = (video(4, 2), video(1, 0));
    let clips = [
        ("A (0.0-4.0)", "mp4", long.as_slice()),
        ("B (1.0-2.0)", "mp4", &short),
        ("C (0.0-1.0)", "png", &picture("rgb.png")),
    ];
    bench.write("in/0.tar", shard(&clips));
    let call = format!(
        "image -i in -o out {} --place-names places.txt --place-threshold 0 --object-threshold 0.3",
        flags(&ALL)
    );
    let called = bench.call(&call).ended(0);
    let step = called.step("part");
    let counts = &step["counts"];
    assert_eq!((&step["kept"], &counts["decoded"]), (&3.into(), &3.into()), "one decode for each clip");
    assert!(ALL.iter().all(|model| counts[model] == 3), "{counts}");
    // Of the long one, three seconds are not black; of the short one, one third and two thirds fall on one frame.
    assert_eq!(counts["frames"], 3 + 1 + 1);
    let rows: Vec<ImageFeatures> = bench.rows("out/part-00000.parquet");
    assert_eq!(rows[0].frames_ms.as_deref(), Some(&[1000, 2000, 3500][..]));
    assert_eq!((rows[1].frames_ms.as_deref(), rows[2].frames_ms.as_deref()), (Some(&[0][..]), None));
    for row in &rows {
        assert_eq!((row.place.as_deref(), row.failures.len()), (Some("0.tar"), 0));
        assert_eq!((labels(&row.image_labels).len(), labels(&row.place_labels).len()), (5, 5));
        assert!(row.image_labels.as_ref().unwrap().is_sorted_by(|a, b| a.score >= b.score));
        let n_frames = row.frames_ms.as_ref().map_or(1, Vec::len);
        assert!((1..=n_frames).contains(&labels(&row.places).len()) && labels(&row.places)[0].starts_with("place_"));
        let boxes = row.boxes.as_ref().unwrap();
        assert!(boxes.iter().all(|found| found.score > 0.3 && (found.frame as usize) < n_frames));
        assert!(boxes.iter().all(|found| labels(&row.objects).contains(&found.label.as_str())));
        assert!(row.descriptions.is_some());
    }
}

#[test]
fn a_row_does_not_depend_on_batches_workers_shards_or_other_networks() {
    let bench = Bench::new();
    let clips: Vec<Vec<u8>> = (1..5).map(|seconds| video(seconds, 0)).collect();
    for (n, clips) in clips.chunks(2).enumerate() {
        let names = [format!("V{n} (0.0-1.0)"), format!("V{n} (5.0-6.0)")];
        bench.write(&format!("in/{n}.tar"), shard(&[(&names[0], "mp4", &clips[0]), (&names[1], "mp4", &clips[1])]));
    }
    let call = |more: &str| bench.call(&format!("image -i in {more} {}", flags(&["mobilenet", "rt-detr"]))).ended(0);
    call("-o one --workers 1");
    call("-o two --workers 2 --batch-size 1");
    call("-o split --shard 0/2 --batch-size 3");
    call("-o split --shard 1/2");
    assert_eq!(bench.tree("two"), bench.tree("one"));
    assert_eq!(bench.tree("split"), bench.tree("one"));
    bench.call(&format!("image -i in -o alone {}", flags(&["mobilenet"]))).ended(0);
    let rows = |name: &str| -> Vec<ImageFeatures> { bench.rows(&format!("{name}/part-00001.parquet")) };
    for (alone, both) in rows("alone").iter().zip(rows("one")) {
        assert_eq!((&alone.image_labels, &alone.boxes), (&both.image_labels, &None));
    }
    let dry = bench.call(&format!("image -i in -o dry --dry-run {}", flags(&["mobilenet"]))).ended(0);
    assert_eq!(dry.step("part")["kept"], 4);
    assert!(!bench.path("dry").exists());
}

#[test]
fn bad_clips_are_counted_and_leave_others_unaffected() {
    let bench = Bench::new();
    for (name, bytes) in [
        ("a.png", picture("rgb.png")),
        ("b.jpg", picture("colour.jpg")),
        ("broken.png", picture("rgb.png")[..60].to_vec()),
        ("text.jpg", b"no picture".to_vec()),
    ] {
        bench.write(&format!("in/{name}"), bytes);
    }
    bench.call(&format!("image -i in -o out --max-fail-rate 1 {}", flags(&["mobilenet"]))).ended(0);
    let rows: Vec<ImageFeatures> = bench.rows("out/part-00000.parquet");
    assert_eq!(rows.iter().map(|row| row.key.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let mut rejects = bench.rejects("out/rejects-00000.jsonl");
    rejects.sort();
    let expected = [("broken", "undecodable"), ("text", "undecodable")];
    assert_eq!(rejects, expected.map(|(key, reason)| (key.to_owned(), reason.to_owned())));

    // A tar with a black video, and a sample that has sound only.
    let (sound, black, shown) = (flac(300.0, 0.5), video(2, 4), video(2, 0));
    let clips =
        [("S (0.0-0.5)", "flac", sound.as_slice()), ("D (0.0-2.0)", "mp4", &black), ("E (0.0-2.0)", "mp4", &shown)];
    bench.write("tars/0.tar", shard(&clips));
    let called = bench.call(&format!("image -i tars -o black --max-fail-rate 1 {}", flags(&["mobilenet"]))).ended(0);
    let step = called.step("part");
    assert_eq!(
        (&step["kept"], &step["failed"]["black"], &step["dropped"]["no_pictures"]),
        (&1.into(), &1.into(), &1.into())
    );
    // Without ffmpeg pictures are still read, and videos are faults.
    let list = format!("path,key\n{0}/b.jpg,p\n{0}/../v.mp4,v\n", bench.path("in").display());
    bench.write("list.csv", list);
    bench.write("v.mp4", video(1, 0));
    let call = format!("image -i list.csv -o none --max-fail-rate 1 --ffmpeg {}", bench.path("absent").display());
    bench.call(&format!("{call} {}", flags(&["mobilenet"]))).ended(0).says("ffmpeg");
    assert_eq!(bench.rejects("none/rejects-00000.jsonl"), [("v".to_owned(), "undecodable".to_owned())]);
    assert_eq!(bench.rows::<ImageFeatures>("none/part-00000.parquet")[0].key, "p");
}

#[test]
fn checkpoints_and_names_fit_the_networks() {
    let bench = Bench::new();
    bench.write("in/a.png", picture("rgb.png"));
    bench.call("image -i in -o out --models mobilenet").ended(2).says("--model-dir mobilenet=");
    bench.call(&format!("image -i in -o out {} --model-dir blip=x", flags(&["mobilenet"]))).ended(2).says("blip");
    bench.call(&format!("image -i in -o out {}", flags(&["places"]))).ended(2).says("365 names");
    place_names(&bench);
    bench
        .call(&format!("image -i in -o out {} --place-names places.txt", flags(&["mobilenet"])))
        .ended(2)
        .says("--place-names");
    assert!(!bench.path("out").exists(), "a wrong model leaves no run folder");
    // Another list is another run.
    bench.call(&format!("image -i in -o out {} --place-names places.txt", flags(&["places"]))).ended(0);
    bench.write("other.txt", (0..7).map(|n| format!("place_{n}\n")).collect::<String>());
    bench
        .call(&format!("image -i in -o out {} --place-names other.txt", flags(&["places"])))
        .ended(2)
        .says("place_names");
}

#[test]
fn tables_of_pictures_are_joined_filtered_and_shown_to_writers() {
    let bench = Bench::new();
    let names = ["A (0.0-0.5)", "B (0.0-0.75)"];
    bench.write("sound/0.tar", audio_shard(&names));
    bench
        .write("in/0.tar", shard(&[(names[0], "png", &picture("rgb.png")), (names[1], "jpg", &picture("colour.jpg"))]));
    bench.call(&format!("image -i in -o image {} --top-k 1", flags(&["mobilenet", "blip"]))).ended(0);
    let ast = fixture("goldens/ast_tiny");
    bench.call(&format!("audio -i sound -o audio --models ast --model-dir ast={}", ast.display())).ended(0);
    bench.call("combine --audio audio --image image -o combined").ended(0);
    let rows: Vec<ClipMetadata> = bench.rows("combined/part-00000.parquet");
    assert!(rows.len() == 2 && rows.iter().all(|row| row.has_audio && row.has_image && !row.has_video));
    let label = labels(&rows[0].image_labels)[0];
    let filter = "filter -i combined --min-similarity off --min-duration off -o kept";
    let condition = format!("image_labels contains {label}");
    let narrow = |command: &mut std::process::Command| {
        command.args(["--where", &condition]);
    };
    bench.call_with(filter, narrow).ended(0);
    let kept: Vec<ClipMetadata> = bench.rows("kept/part-00000.parquet");
    assert!(kept.iter().all(|row| labels(&row.image_labels)[0] == label) && kept[0].key == rows[0].key);
}
