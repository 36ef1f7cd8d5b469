//! What the line of progress says of a tar: how many samples it has is known at its end, so its own bytes tell how far it is.

use std::io::Write as _;
use std::process::Stdio;

use crate::workbench::{Bench, clip, tar_of};

/// The lines of progress that a call writes where stderr is no terminal, without the title.
fn progress(bench: &Bench, arguments: &str) -> Vec<String> {
    let mut command = bench.command(&format!("{arguments} --workers 1 --progress-every 0.01"));
    let output = command.stdin(Stdio::null()).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
    let title = format!("{}: ", arguments.split(' ').next().unwrap());
    told.lines().filter_map(|line| line.strip_prefix(&title).map(str::to_owned)).collect()
}

#[track_caller]
fn tells_the_time_left(lines: &[String]) {
    let told = |line: &String| line.contains(" sample") && line.contains("/s") && line.ends_with(" left");
    assert!(lines.iter().any(told), "{lines:#?}");
    assert!(lines.iter().all(|line| !line.contains(" shards")), "of one shard: {lines:#?}");
}

#[test]
fn check_tells_the_time_left_of_a_tar_compressed_or_not() {
    let bench = Bench::new();
    // Bytes that no compression makes fewer, so that the reader does not have all of them at once.
    let mut state = 1_u64;
    let mut noise = |n: usize| -> Vec<u8> {
        let step = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        std::iter::repeat_with(step).take(n).collect()
    };
    let clips: Vec<(String, Vec<u8>)> = (0..6000)
        .flat_map(|n| [(format!("{n:05}.flac"), noise(2000)), (format!("{n:05}.json"), b"{}".to_vec())])
        .collect();
    let members: Vec<(&str, &[u8])> = clips.iter().map(|(name, bytes)| (&**name, &**bytes)).collect();
    let tar = tar_of(&members);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar).unwrap();
    bench.write("gzip/0.tar", gzip.finish().unwrap());
    bench.write("zstd/0.tar", zstd::encode_all(&tar[..], 1).unwrap());
    bench.write("plain/0.tar", tar);
    for folder in ["plain", "gzip", "zstd"] {
        tells_the_time_left(&progress(&bench, &format!("check --verify none -i {folder} -o out-{folder}")));
    }
}

#[test]
fn transcode_tells_the_time_left_of_a_tar() {
    let bench = Bench::new();
    let names: Vec<[String; 2]> =
        (0..6).map(|n| ["mp4", "json"].map(|suffix| format!("{n} (1_0-2_0).{suffix}"))).collect();
    let members: Vec<(&str, &[u8])> =
        names.iter().flat_map(|[video, json]| [(&**video, clip()), (&**json, &b"{}"[..])]).collect();
    bench.write("in/0.tar", tar_of(&members));
    tells_the_time_left(&progress(&bench, "transcode -i in -o out --preset ultrafast"));
}
