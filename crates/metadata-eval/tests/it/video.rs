//! `video` with a tiny random LLaVA-Video, from videos to rows.

use audsem_metadata_eval::tables::{ClipMetadata, VideoFeatures};

use crate::image::{picture, shard, video};
use crate::workbench::{Bench, copy_model};

pub(crate) const FLAGS: &str = "--models llava-video --model-dir llava-video=model";

/// Copies the tiny checkpoint, with every second token as an end, since random weights seldom choose one that is meant as such.
pub(crate) fn with_ends(bench: &Bench) {
    copy_model(bench, "llava_video_tiny");
    let ends: Vec<u32> = (1..267).step_by(2).collect();
    bench.write("model/generation_config.json", serde_json::json!({ "eos_token_id": ends }).to_string());
}

#[test]
fn videos_are_described_and_what_has_no_length_or_end_is_a_reject() {
    let bench = Bench::new();
    with_ends(&bench);
    let clips: Vec<Vec<u8>> = (1..7).map(|seconds| video(seconds, seconds % 3)).collect();
    let names: Vec<String> = (1..7).map(|seconds| format!("V (0.0-{seconds}.0)")).collect();
    let picture = picture("rgb.png");
    let mut samples: Vec<(&str, &str, &[u8])> =
        names.iter().zip(&clips).map(|(name, clip)| (name.as_str(), "mp4", clip.as_slice())).collect();
    samples.push(("P (0.0-1.0)", "png", &picture));
    bench.write("in/0.tar", shard(&samples));
    let call = |more: &str| {
        let call = format!("video -i in {more} --max-fail-rate 1 --max-tokens 8 {FLAGS}");
        bench.call(&call).ended(0).step("part")
    };
    let step = call("-o one --workers 1");
    let rows: Vec<VideoFeatures> = bench.rows("one/part-00000.parquet");
    let kept = rows.len() as u64;
    assert_eq!((&step["kept"], &step["counts"]["decoded"]), (&kept.into(), &7.into()), "one decode for each clip");
    assert!((1..7).contains(&kept), "{kept}");
    assert!(rows.iter().all(|row| row.frames_ms.as_ref().unwrap().len() == 8 && !row.caption.is_empty()));
    let details = bench.details("one/rejects-00000.jsonl");
    assert_eq!(details.len() as u64, 7 - kept);
    assert!(details.iter().any(|detail| detail.contains("no length")), "{details:?}");
    assert!(details.iter().any(|detail| detail.contains("no end within 8 tokens")), "{details:?}");
    call("-o two --workers 2 --batch-size 1");
    assert_eq!(bench.tree("two"), bench.tree("one"));
    bench.call("combine --video one -o combined").ended(0);
    let joined: Vec<ClipMetadata> = bench.rows("combined/part-00000.parquet");
    assert!(
        joined.iter().zip(&rows).all(|(joined, row)| joined.scene.as_ref() == Some(&row.caption) && joined.has_video)
    );
}

#[test]
fn a_description_does_not_depend_on_batches_workers_or_shards() {
    let bench = Bench::new();
    with_ends(&bench);
    let clips: Vec<Vec<u8>> = (2..6).map(|seconds| video(seconds, 0)).collect();
    for (n, clips) in clips.chunks(2).enumerate() {
        let names = [format!("V{n} (0.0-1.0)"), format!("V{n} (5.0-6.0)")];
        bench.write(&format!("in/{n}.tar"), shard(&[(&names[0], "mp4", &clips[0]), (&names[1], "mp4", &clips[1])]));
    }
    let call =
        |more: &str| bench.call(&format!("video -i in {more} --max-fail-rate 1 --max-tokens 8 {FLAGS}")).ended(0);
    call("-o one --workers 1");
    call("-o two --workers 2 --batch-size 1");
    call("-o split --shard 0/2 --batch-size 3");
    call("-o split --shard 1/2");
    assert_eq!(bench.tree("two"), bench.tree("one"));
    assert_eq!(bench.tree("split"), bench.tree("one"));
}

#[test]
fn a_prompt_that_cannot_be_filled_is_refused_before_there_is_a_run() {
    let bench = Bench::new();
    with_ends(&bench);
    bench.write("in/a.mp4", video(1, 0));
    bench.write("prompt.txt", "--- system ---\nYou help.\n--- user ---\nWhat is in {{ clip }}?\n");
    bench.call(&format!("video -i in -o out --prompt prompt.txt {FLAGS}")).ended(2).says("undefined value");
    assert!(!bench.path("out").exists());
    let dry = bench.call(&format!("video -i in -o out --dry-run {FLAGS}")).ended(0);
    assert_eq!(dry.step("part")["kept"], 1);
}
