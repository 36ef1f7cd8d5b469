//! Every command under injected faults and random kills; see `docs/reliability.md`.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use audsem_core::tables::{ClipRow, Cue, write_parquet};
use audsem_core::testing::chaos::{survive, survive_printing};
use audsem_core::testing::loopback::Loopback;
use audsem_media::audio::{BitDepth, encode_flac};

use crate::label::judge;
use crate::programs::ffmpeg;

audsem_core::survival_tests! {
    audsem_filtering::cli::Cli:
    "fetch-captions" => fetch_captions;
    "extract" => extract;
    "train-classifier" => train_classifier;
    "classify" => classify;
    "label" => label;
    "combine" => combine;
    "explain" => explain;
    "download" => download_from_a_site, download_from_a_folder;
    "clips" => clips;
}

/// A folder in which a command is run.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), content).unwrap();
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_audsem-filtering"));
        command.current_dir(self.0.path()).args(arguments.split_whitespace());
        command
    }

    /// Runs a command through its rounds; `--output` and `--workers` are added.
    fn survive(&self, name: &str, arguments: &str) {
        survive(name, self.0.path(), |output, workers| {
            let mut command = self.command(arguments);
            command.arg("--output").arg(output).args(["--workers", &workers.to_string()]);
            command
        });
    }

    /// Makes an input with a command of ours.
    fn make(&self, arguments: &str) {
        let made = self.command(arguments).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
}

const TEXTS: [&str; 6] =
    ["[door slams]", "[dog barks]", "[rain falls on a roof]", "[thunder]", "[bell]", "[he laughs]"];

/// A dump of some videos with a sound, music and speech each.
fn dump(first: usize) -> String {
    let mut dump = String::new();
    for video in first..first + 12 {
        let text = TEXTS[video % TEXTS.len()];
        let _ = writeln!(
            dump,
            r#"{{"video":{{"videoid":"video-{video}"}},"captions":[{{"lang":"en","subtitles":{{"transcript":{{"text":[{{"-start":"1.5","-dur":"2","t":"{text}"}},{{"-start":"9","-dur":"3","t":"(music)"}},{{"-start":"20","-dur":"3","t":"and then"}}]}}}}}}]}}"#
        );
    }
    dump
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// Tables of cues, one a shard.
fn cues(place: &Place) {
    for table in 0..3 {
        let cue = |row: usize| Cue {
            row_id: (10 * table + row) as u64,
            video_id: format!("video-{table}-{row}"),
            start_ms: 1000,
            dur_ms: 2000,
            text: TEXTS[(table + row) % TEXTS.len()].to_owned(),
        };
        let rows: Vec<Cue> = (0..6).map(cue).collect();
        let mut bytes = Vec::new();
        write_parquet(&rows, &mut bytes).unwrap();
        place.write(&format!("cues/{table}.parquet"), bytes);
    }
}

fn extract(command: &str) {
    let place = Place::new();
    place.write("in/a.jsonl", dump(0));
    place.write("in/b.jsonl.gz", gzip(&dump(100)));
    place.write("in/c.jsonl.zst", zstd::encode_all(dump(200).as_bytes(), 1).unwrap());
    place.write("in/video-300.en.vtt", "WEBVTT\n\n00:01.000 --> 00:03.000\n[dog barks]\n");
    place.survive("extract", &format!("{command} --input in"));
}

fn train_classifier(command: &str) {
    let place = Place::new();
    let captions = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/captions/labelled.csv");
    let head: Vec<String> = fs::read_to_string(captions).unwrap().lines().take(60).map(str::to_owned).collect();
    place.write("captions.csv", head.join("\n"));
    let flags = "--from-scratch --epochs 2 --vocab-size 120 --hidden-size 16";
    place.survive("train-classifier", &format!("{command} {flags} --input captions.csv"));
}

fn classify(command: &str) {
    let place = Place::new();
    let captions = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/captions/labelled.csv");
    place.write("captions.csv", fs::read(captions).unwrap());
    place.make("train-classifier --from-scratch --epochs 1 --vocab-size 120 --hidden-size 16 --limit 40 --input captions.csv --output trained");
    cues(&place);
    let flags = "--per-shard 2 --batch-size 2";
    place.survive("classify", &format!("{command} --input cues --model trained/model {flags}"));
}

fn label(command: &str) {
    let place = Place::new();
    cues(&place);
    let server = Loopback::start(|call, _| judge(call));
    let url = server.url("/v1");
    place.survive("label", &format!("{command} --input cues --per-shard 2 --model m --server {url}"));
}

fn combine(command: &str) {
    let place = Place::new();
    cues(&place);
    place.write("names.txt", "anna\nbob\n");
    place.survive("combine", &format!("{command} --policy none --names names.txt --input cues"));
}

fn explain(command: &str) {
    let place = Place::new();
    place.write("names.txt", "anna\nbob\n");
    place.write("words.txt", "door\nslams\nperson\n");
    survive_printing("explain", place.0.path(), |_| {
        let mut command = place.command(&format!("{command} --policy none --names names.txt --dictionary words.txt"));
        command.arg("[Anna slams the door]");
        command
    });
}

/// Two short videos, and a table of a clip of each.
fn videos(place: &Place) {
    fs::create_dir(place.path("media")).unwrap();
    let picture = ["-f", "lavfi", "-i", "testsrc=s=64x48:r=10:d=2", "-f", "lavfi", "-i", "sine=f=440:r=16000:d=2"];
    let encode = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"];
    ffmpeg(&[&picture[..], &encode[..]].concat(), &place.path("media/one.mp4"));
    fs::copy(place.path("media/one.mp4"), place.path("media/two.mp4")).unwrap();
    place.write("clips.csv", "video_id,start_ms,end_ms\none,0,800\ntwo,400,1600\n");
}

/// A yt-dlp that copies its file: the real one takes most of a second to start. It is called as the real one is, and
/// tests of `download` and `fetch-captions` call that.
const YT_DLP: &str = r#"#!/bin/sh
case "$*" in *--version*) echo 2026.01.01; exit 0;; esac
while [ $# -gt 0 ]; do
    case "$1" in --output) target=$2; shift;; --) url=$2;; esac
    shift
done
id=${url##*/}
case "$target" in
    *track*) cp "$SITE/track.vtt" "${target%\%(ext)s}en.vtt";;
    *) file="${target%\%(autonumber)05d.\%(ext)s}00001.mp4"; cp "$SITE/$id" "$file" && printf '1\t2.0\t%s\n' "$file";;
esac
"#;

/// The site's files, and the program beyond the reach of faults: a shell takes a script that it cannot read for ended.
fn site(place: &Place) -> tempfile::TempDir {
    let programs = tempfile::tempdir().unwrap();
    let program = programs.path().join("yt-dlp");
    fs::write(&program, YT_DLP).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    place.write("media/track.vtt", "WEBVTT\n\n00:01.000 --> 00:03.000\n[dog barks]\n");
    programs
}

/// Runs a command that asks the site through its rounds.
fn survive_site(place: &Place, name: &str, arguments: &str) {
    let programs = site(place);
    let pace = "--requests-per-hour 1000000000 --retries 0 --url-template http://127.0.0.1:9/{id}.mp4 --yt-dlp";
    survive(name, place.0.path(), |output, workers| {
        let mut command = place.command(&format!("{arguments} {pace}"));
        command.arg(programs.path().join("yt-dlp"));
        command.arg("--output").arg(output).args(["--workers", &workers.to_string()]).env("SITE", place.path("media"));
        command
    });
}

fn download_from_a_site(command: &str) {
    let place = Place::new();
    videos(&place);
    survive_site(&place, "download-site", &format!("{command} --input clips.csv --whole-from 1 --cut exact"));
}

fn download_from_a_folder(command: &str) {
    let place = Place::new();
    videos(&place);
    place.survive("download-folder", &format!("{command} --input clips.csv --source media --cut exact"));
}

fn fetch_captions(command: &str) {
    let place = Place::new();
    place.write("ids.txt", "one\ntwo\nthree\n");
    survive_site(&place, "fetch-captions", &format!("{command} --input ids.txt --languages en"));
}

fn clips(command: &str) {
    let place = Place::new();
    let samples: Vec<f32> = (0..16_000 * 2).map(|n| 0.4 * (n as f32 * 0.03).sin()).collect();
    let flac = encode_flac(&samples, 1, 16_000, BitDepth::Sixteen).unwrap();
    let rows: Vec<ClipRow> = (0..6).map(clip).collect();
    for row in &rows[..5] {
        place.write(&format!("media/{} (1.0-3.0).flac", row.video_id), &flac);
    }
    // Opus is decoded by ffmpeg.
    let opus = ["-f", "lavfi", "-i", "sine=f=440:r=48000:d=2", "-c:a", "libopus"];
    ffmpeg(&opus, &place.path("media/video-5 (1.0-3.0).webm"));
    let mut table = Vec::new();
    write_parquet(&rows, &mut table).unwrap();
    place.write("clips.parquet", table);
    place.survive("clips", &format!("{command} --per-shard 2 --input media --table clips.parquet"));
}

fn clip(video: usize) -> ClipRow {
    ClipRow {
        row_id: video as u64,
        key: None,
        video_id: format!("video-{video}"),
        start_ms: 1000,
        end_ms: 3000,
        text: "[tone]".to_owned(),
        clean_text: "tone".to_owned(),
        text_hash: 0,
        bert_prob: None,
        llm_yes_prob: None,
    }
}
