//! `clips`: media to audio shards.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use audsem_core::run::{RunOptions, Summary};
use audsem_core::tables::{ClipRow, text_hash, write_parquet};
use audsem_core::tar::{SampleReader, ShardOptions, ShardWriter};
use audsem_filtering::clips::{Config, run};
use audsem_media::audio::{BitDepth, Decoder, encode_flac, probe_flac};
use serde_json::Value;

use crate::programs::ffmpeg;

/// A file of the sounds that are decoded in the tests of the core.
fn sound(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/audio").join(name)).unwrap()
}

/// FLAC of a tone at 16 kHz.
fn tone(seconds: f64) -> Vec<u8> {
    let samples: Vec<f32> = (0..(seconds * 16_000.0) as usize).map(|n| 0.5 * (n as f32 * 0.1).sin()).collect();
    encode_flac(&samples, 1, 16_000, BitDepth::Sixteen).unwrap()
}

/// A WAV of 32-bit floats with one sample that is not a number.
fn with_nan() -> Vec<u8> {
    let mut samples = vec![0.25_f32; 16_000 * 2];
    samples[777] = f32::NAN;
    let mut wav = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x03\0\x01\0".to_vec();
    wav.extend(16_000_u32.to_le_bytes());
    wav.extend(64_000_u32.to_le_bytes());
    wav.extend([4, 0, 32, 0]);
    wav.extend(b"data");
    wav.extend((samples.len() as u32 * 4).to_le_bytes());
    wav.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    wav
}

fn row(video_id: &str, start_ms: u32, end_ms: u32, text: &str) -> ClipRow {
    ClipRow {
        row_id: 0,
        key: None,
        video_id: video_id.to_owned(),
        start_ms,
        end_ms,
        text: format!("[{text}]"),
        clean_text: text.to_lowercase(),
        text_hash: text_hash(text),
        bert_prob: None,
        llm_yes_prob: None,
    }
}

struct Setting {
    folder: tempfile::TempDir,
}

impl Setting {
    /// Media files and a clip table.
    fn new(media: &[(&str, Vec<u8>)], rows: &[ClipRow]) -> Setting {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in media {
            let path = folder.path().join("media").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        let table = fs::File::create(folder.path().join("clips.parquet")).unwrap();
        write_parquet::<ClipRow>(rows, table).unwrap();
        Setting { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn config(&self) -> Config {
        // What was decided at listing must not depend on where the folder lies.
        Config { per_shard: 4, ..Config::new(vec![self.path("media")], vec![self.path("clips.parquet")]) }
    }

    fn run(&self, config: &Config, output: &str, workers: usize) -> Summary {
        run(config, &RunOptions { workers, ..RunOptions::new(self.path(output)) }).unwrap()
    }

    /// Samples of all shards: `shard/key` to FLAC and JSON.
    fn samples(&self, output: &str) -> BTreeMap<String, (Vec<u8>, Value)> {
        let mut samples = BTreeMap::new();
        let mut tars: Vec<PathBuf> =
            fs::read_dir(self.path(output)).unwrap().map(|entry| entry.unwrap().path()).collect();
        tars.retain(|path| path.extension().is_some_and(|ending| ending == "tar"));
        for tar in tars {
            let mut reader = SampleReader::open(&tar).unwrap();
            while let Some(mut sample) = reader.next_sample().unwrap() {
                let name = format!("{}/{}", tar.file_name().unwrap().to_str().unwrap(), sample.key);
                let json = serde_json::from_slice(sample.get("json").unwrap()).unwrap();
                samples.insert(name, (sample.take("flac").unwrap(), json));
            }
        }
        samples
    }
}

/// Rejects of a run: file to reason.
fn rejects(output: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(output).unwrap() {
        let path = entry.unwrap().path();
        if !path.file_name().unwrap().to_str().unwrap().starts_with("rejects-") {
            continue;
        }
        for line in fs::read_to_string(path).unwrap().lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            found.insert(line["key"].as_str().unwrap().to_owned(), line["reason"].as_str().unwrap().to_owned());
        }
    }
    found
}

/// A folder with one of everything.
fn everything() -> Setting {
    let whole = tone(3.0);
    Setting::new(
        &[
            ("a (1.0-3.0).flac", tone(6.0)),
            ("b (1.0-3.0).wav", tone(2.0)),
            ("c (0.999-3.0).flac", tone(2.2)),
            ("d (5.0-NA).flac", tone(4.0)),
            ("deeper/e (1.0-2.0).flac", tone(1.0)),
            ("f (1.0-3.0).flac", tone(0.9)),
            ("g (1.0-3.0).flac", tone(60.5)),
            ("h (1.0-3.0).mp4", sound("video-without-sound.mp4")),
            ("i (1.0-3.0).wav", with_nan()),
            ("j (1.0-3.0).flac", whole[..whole.len() / 2].to_vec()),
            ("k (1.0-3.0).mp4", sound("video.mp4")[..2000].to_vec()),
            ("l (1.0-3.0).webm", b"no media at all, but a little text".repeat(20)),
            ("m (1.0-3.0).mp4", Vec::new()),
            ("n (1.0-3.0).flac", tone(3.0)),
            ("n (1.0-3.0).wav", tone(3.0)),
            ("o (1.0-3.0).flac", tone(3.0)),
            ("p.flac", tone(3.0)),
            ("q (1.0-3.0).mp4.part", tone(3.0)),
            ("r (1.0-3.0).info.json", b"{}".to_vec()),
        ],
        &[
            row("a", 1000, 3000, "Dog barks"),
            row("b", 1000, 3000, "Door"),
            row("c", 1000, 3000, "Rain"),
            row("d", 5000, 6500, "Wind"),
            row("e", 1000, 2000, "Bell"),
            row("e", 1000, 9000, "Other"),
            row("f", 1000, 3000, "x"),
            row("g", 1000, 3000, "x"),
            row("h", 1000, 3000, "x"),
            row("i", 1000, 3000, "x"),
            row("j", 1000, 3000, "x"),
            row("k", 1000, 3000, "x"),
            row("l", 1000, 3000, "x"),
            row("m", 1000, 3000, "x"),
            row("n", 1000, 3000, "x"),
            row("o", 1002, 3000, "x"),
            row("unseen", 1000, 3000, "x"),
        ],
    )
}

#[test]
fn every_file_becomes_a_sample_or_a_reject() {
    let setting = everything();
    let summary = setting.run(&setting.config(), "out", 1);
    let stats = summary.step("part").unwrap();
    let expected = [
        ("f (1.0-3.0).flac", "too_short"),
        ("g (1.0-3.0).flac", "too_long"),
        ("h (1.0-3.0).mp4", "no_audio"),
        ("i (1.0-3.0).wav", "nan_samples"),
        ("j (1.0-3.0).flac", "truncated"),
        ("k (1.0-3.0).mp4", "truncated"),
        ("l (1.0-3.0).webm", "undecodable"),
        ("m (1.0-3.0).mp4", "empty"),
        ("n (1.0-3.0).wav", "duplicate"),
        ("o (1.0-3.0).flac", "no_clip_row"),
        ("p.flac", "bad_name"),
        ("q (1.0-3.0).mp4.part", "partial_file"),
    ];
    let expected: BTreeMap<String, String> = expected.map(|(file, why)| (file.to_owned(), why.to_owned())).into();
    assert_eq!(rejects(&setting.path("out")), expected);
    assert_eq!((stats.read, stats.kept, stats.accounted()), (18, 6, 18));
    assert_eq!(summary.results["table_rows_without_media"], 3);
    assert_eq!(summary.results["table_rows_at_the_start_of_another"], 1);
    assert_eq!(summary.results["files_of_other_kinds"], 1);

    // Numbered by place, with gaps: a, b, c, d, e are 1 to 5, n is 14.
    let samples = setting.samples("out");
    let names: Vec<&str> = samples.keys().map(String::as_str).collect();
    assert_eq!(names, ["00000.tar/1", "00000.tar/2", "00000.tar/3", "00000.tar/4", "00001.tar/5", "00003.tar/14"]);
    let (flac, json) = &samples["00000.tar/1"];
    assert_eq!(probe_flac(flac).unwrap().frames, Some(48_000 * 5 / 2));
    let text = serde_json::json!({
        "video_id": "a", "start": 1.0, "end": 3.0, "duration": 2.0, "actual_duration": 6.0, "text": "dog barks",
        "original_filename": "a (1.0-3.0).flac", "original_text": "[Dog barks]", "key": "a (1_0-3_0)",
    });
    assert_eq!(*json, text);
    // Start one millisecond beside the row's; the name counts.
    assert_eq!(samples["00000.tar/3"].1["start"], 0.999);
    // An end that yt-dlp did not know is the row's.
    let (flac, json) = &samples["00000.tar/4"];
    assert_eq!((&json["end"], &json["duration"], &json["key"]), (&6.5.into(), &1.5.into(), &"d (5_0-6_5)".into()));
    assert_eq!(probe_flac(flac).unwrap().frames, Some(2 * 48_000));
    // Of two rows with one start the nearer end.
    assert_eq!(samples["00001.tar/5"].1["text"], "bell");
}

/// Data of an output folder: all but what tells the time.
fn data(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let files = entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()));
    files.filter(|(name, _)| name != "log.jsonl" && name != "timing.json").collect()
}

#[test]
fn workers_and_resuming_change_no_byte() {
    let setting = everything();
    let config = setting.config();
    setting.run(&config, "one", 1);
    setting.run(&config, "four", 4);
    setting.run(&Config { per_shard: 100, ..config.clone() }, "inner", 3);
    setting.run(&Config { per_shard: 100, ..config.clone() }, "plain", 1);
    let one = data(&setting.path("one"));
    assert_eq!(one, data(&setting.path("four")));
    assert_eq!(data(&setting.path("inner")), data(&setting.path("plain")));
    // A shard without its marker is made again; the others are left alone.
    fs::remove_file(setting.path("four/part-00001.done.json")).unwrap();
    fs::remove_file(setting.path("four/00001.tar")).unwrap();
    setting.run(&config, "four", 2);
    assert_eq!(one, data(&setting.path("four")));
}

#[test]
fn tars_give_what_their_files_give() {
    let setting = everything();
    let mut files: Vec<PathBuf> = fs::read_dir(setting.path("media")).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|path| path.is_file());
    files.sort();
    let mut tar = Vec::new();
    for path in &files {
        // As `tar` writes them, with dots in names.
        let mut header = tar_header(path.file_name().unwrap().to_str().unwrap(), fs::metadata(path).unwrap().len());
        tar.append(&mut header);
        tar.extend(fs::read(path).unwrap());
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.resize(tar.len() + 1024, 0);
    fs::create_dir(setting.path("tars")).unwrap();
    fs::write(setting.path("tars/all.tar"), &tar).unwrap();
    let gz = audsem_media::program::Program::at(audsem_media::program::Tool::Ffmpeg, "/bin/gzip");
    fs::write(setting.path("all.tar.gz"), gz.call().arg("-c").stdin(tar.clone()).output().unwrap()).unwrap();
    let read = |input: &str, output: &str| {
        setting.run(&Config { input: vec![setting.path(input)], ..setting.config() }, output, 2);
        let samples = setting.samples(output).into_values();
        samples.map(|(flac, json)| (json["key"].to_string(), flac)).collect::<BTreeMap<_, _>>()
    };
    let mut by_files = read("media", "by-files");
    by_files.remove("\"e (1_0-2_0)\"");
    assert_eq!(by_files.len(), 5);
    assert_eq!(read("tars", "by-tar"), by_files);
    assert_eq!(read("all.tar.gz", "by-gz"), by_files);

    // A tar that ends too early fails its shard: it is not known how much was lost after the damage.
    fs::write(setting.path("tars/all.tar"), &tar[..tar.len() / 2]).unwrap();
    let config = Config { input: vec![setting.path("tars")], per_shard: 64, ..setting.config() };
    let cut = setting.run(&config, "by-cut", 2);
    assert_eq!((cut.exit_code(), cut.failed_shards.len()), (1, 1));
    assert!(cut.failed_shards[0].error.contains("all.tar"), "{:?}", cut.failed_shards);
    assert!(setting.samples("by-cut").is_empty());
    fs::write(setting.path("tars/all.tar"), &tar[..tar.len() - 1024]).unwrap();
    assert_eq!(read("tars", "by-unended"), by_files);
    assert_eq!(rejects(&setting.path("by-unended"))["all.tar"], "no_end_marker");
}

/// A header of a regular file.
fn tar_header(name: &str, size: u64) -> Vec<u8> {
    // The shard writer refuses such names; its header is taken and renamed.
    let mut writer = ShardWriter::new(Vec::new(), ShardOptions::default());
    writer.write_sample("x", &[("y", &[])]).unwrap();
    let mut header = writer.finish().unwrap().0[..512].to_vec();
    header[..100].fill(0);
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

#[test]
fn surround_and_opus_are_read_with_ffmpeg_and_filed_without() {
    let rows = [row("s", 0, 100, "surround"), row("o", 0, 100, "opus")];
    let media = [("s (0.0-0.1).m4a", sound("aac-surround.m4a")), ("o (0.0-0.1).webm", sound("opus.webm"))];
    let setting = Setting::new(&media, &rows);
    let mut config = setting.config();
    config.limits.min_s = 0.05;
    assert_eq!(setting.run(&config, "with", 1).step("part").unwrap().kept, 2);
    for (flac, _) in setting.samples("with").into_values() {
        let audio = Decoder::new().decode_bytes(&flac, None).unwrap();
        assert!(audio.channels() == 1 && audio.peak() > 0.05, "{}", audio.peak());
    }
    let without = Config { use_ffmpeg: false, ..config.clone() };
    assert_eq!(setting.run(&without, "without", 1).step("part").unwrap().n_failed(), 2);

    let missing = Config { ffmpeg: Some(setting.path("no-ffmpeg")), ..config };
    let error = run(&missing, &RunOptions::new(setting.path("missing"))).unwrap_err();
    assert!(error.to_string().contains("apt-get install ffmpeg"), "{error}");
}

/// Pictures of six seconds with sound of two: its end would stand in for the end of the clip.
#[test]
fn a_clip_whose_sound_ends_before_its_pictures_is_dropped() {
    let setting =
        Setting::new(&[("h (1.0-3.0).flac", tone(3.0))], &[row("v", 8000, 10_000, "x"), row("w", 0, 2000, "y")]);
    for (name, seconds) in [("v (8.0-10.0).mp4", "2"), ("w (0.0-2.0).mp4", "6")] {
        let tone = format!("sine=f=440:r=44100:d={seconds}");
        let inputs = ["-f", "lavfi", "-i", "testsrc=s=64x48:r=10:d=6", "-f", "lavfi", "-i", &tone];
        ffmpeg(&[&inputs[..], &["-c:v", "libx264", "-c:a", "aac"]].concat(), &setting.path("media").join(name));
    }
    for use_ffmpeg in [true, false] {
        let output = format!("out-{use_ffmpeg}");
        let summary = setting.run(&Config { use_ffmpeg, ..setting.config() }, &output, 2);
        let part = summary.step("part").unwrap();
        assert_eq!((part.read, part.kept, part.dropped["sound_ends_early"]), (3, 1, 1));
        assert_eq!(rejects(&setting.path(&output))["v (8.0-10.0).mp4"], "sound_ends_early");
    }
}

/// `ffmpeg -c copy`, as `download` runs it, leaves the length of the whole file in the header of a piece.
#[test]
fn a_flac_cut_by_copying_becomes_a_sample() {
    let setting = Setting::new(&[("h (1.0-3.0).flac", tone(3.0))], &[row("v", 2000, 5000, "x")]);
    let (whole, piece) = (setting.path("whole.flac"), setting.path("media").join("v (2.0-5.0).flac"));
    ffmpeg(&["-f", "lavfi", "-i", "sine=f=440:r=44100:d=12", "-c:a", "flac"], &whole);
    ffmpeg(&["-ss", "2", "-t", "3", "-i", whole.to_str().unwrap(), "-c", "copy"], &piece);
    assert_eq!(probe_flac(&fs::read(&piece).unwrap()).unwrap().frames, Some(12 * 44_100));
    let summary = setting.run(&setting.config(), "out", 1);
    assert_eq!(summary.step("part").unwrap().kept, 1);
    let samples = setting.samples("out");
    let (flac, json) = samples.values().next().unwrap();
    assert!((json["actual_duration"].as_f64().unwrap() - 3.0).abs() < 0.2, "{json}");
    assert!((Decoder::new().decode_bytes(flac, None).unwrap().duration_s() - 3.0).abs() < 0.2);
}

#[test]
fn inputs_that_cannot_work_are_refused() {
    let setting = Setting::new(
        &[("texts/readme.txt", b"no media".to_vec()), ("a (0.0-1.0).flac", tone(1.0))],
        &[row("a", 0, 1000, "x")],
    );
    let check = |config: Config, expected: &str| {
        let error = run(&config, &RunOptions::new(setting.path("out"))).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(Config { input: vec![setting.path("media/texts")], ..setting.config() }, "no media and no tars");
    check(Config { input: vec![setting.path("nowhere")], ..setting.config() }, "cannot read");
    check(Config { clips: vec![setting.path("nowhere")], ..setting.config() }, "nowhere");
    check(Config { clips: vec![setting.path("media/texts/readme.txt")], ..setting.config() }, "readme.txt");
    check(Config { per_shard: 0, ..setting.config() }, "--per-shard");
    let mut backwards = setting.config();
    backwards.limits.min_s = 61.0;
    check(backwards, "--min-duration and --max-duration");
}

/// A program that is a shell script.
fn script(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
}

#[test]
fn a_killed_ffmpeg_and_a_failing_disk_leave_the_shard_open() {
    let rows = [row("o", 0, 100, "opus"), row("v", 1000, 3000, "tone")];
    let media = [("o (0.0-0.1).webm", sound("opus.webm")), ("v (1.0-3.0).flac", tone(2.0))];
    let setting = Setting::new(&media, &rows);
    let mut config = Config { ffmpeg: Some(setting.path("ffmpeg")), ..setting.config() };
    config.limits.min_s = 0.05;
    script(&setting.path("ffmpeg"), "kill -9 $$");
    let summary = setting.run(&config, "out", 2);
    assert!(summary.failed_shards[0].error.contains("ffmpeg was killed"), "{:?}", summary.failed_shards);
    assert!(!setting.path("out/part-00000.done.json").exists() && rejects(&setting.path("out")).is_empty());

    // Reading the memory of a process where nothing is gives EIO, as a failing disk does.
    script(&setting.path("ffmpeg"), "exec ffmpeg \"$@\"");
    let (file, kept) = (setting.path("media/v (1.0-3.0).flac"), setting.path("kept.flac"));
    fs::rename(&file, &kept).unwrap();
    std::os::unix::fs::symlink("/proc/self/mem", &file).unwrap();
    let summary = setting.run(&config, "out", 2);
    assert!(summary.failed_shards[0].error.contains("Input/output error"), "{:?}", summary.failed_shards);
    assert!(rejects(&setting.path("out")).is_empty());

    fs::remove_file(&file).unwrap();
    fs::rename(&kept, &file).unwrap();
    assert_eq!(setting.run(&config, "out", 2).step("part").unwrap().kept, 2);
    setting.run(&config, "undisturbed", 1);
    assert_eq!(data(&setting.path("out")), data(&setting.path("undisturbed")));
}

#[test]
fn a_playlist_called_like_a_clip_gives_none_of_the_files_it_names() {
    let setting =
        Setting::new(&[("h (1.0-3.0).flac", tone(3.0))], &[row("v", 1000, 3000, "x"), row("w", 0, 2000, "y")]);
    fs::write(setting.path("secret.wav"), sound("s16.wav")).unwrap();
    let secret = setting.path("secret.wav").display().to_string();
    fs::write(setting.path("media/v (1.0-3.0).wav"), format!("ffconcat version 1.0\nfile '{secret}'\n")).unwrap();
    let hls = format!("#EXTM3U\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n");
    fs::write(setting.path("media/w (0.0-2.0).mp4"), hls).unwrap();
    let summary = setting.run(&setting.config(), "out", 1);
    assert_eq!(summary.step("part").unwrap().failed["undecodable"], 2);
    assert!(setting.samples("out").is_empty());
}
