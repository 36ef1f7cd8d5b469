//! `download`: the real yt-dlp against a loopback server, and the real ffmpeg on files.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use audsem_core::run::{RunOptions, Status, Summary, spread};
use audsem_core::tables::{parts, read_parquet, write_parquet};
use audsem_core::video_id::IdRule;
use audsem_filtering::download::{ClipSpan, Config, Cut, MediaSource, Tools, run};
use audsem_filtering::error::Error;
use audsem_filtering::tables::ClipMedia;
use audsem_media::program::{Program, Tool};

use crate::programs::{access, ffmpeg, pace, spread_entries, spread_names, video, yt_dlp};
use audsem_core::testing::loopback::{Loopback, ReceivedRequest, Reply};

type Span<'a> = (&'a str, u32, u32);

fn table(folder: &Path, spans: &[Span]) -> PathBuf {
    let row = |&(video_id, start_ms, end_ms): &Span| ClipSpan { video_id: video_id.to_owned(), start_ms, end_ms };
    let rows: Vec<ClipSpan> = spans.iter().map(row).collect();
    let path = folder.join("clips.parquet");
    write_parquet(&rows, File::create(&path).unwrap()).unwrap();
    path
}

fn get(input: &Path, source: &MediaSource, cut: Cut, output: &Path) -> Result<Summary, Error> {
    get_of(Config { inputs: vec![input.to_owned()], cut, max_missing_ms: 300, present_only: false }, source, output)
}

fn media_folder(path: PathBuf) -> MediaSource {
    MediaSource::Folder { path, ids: IdRule::Auto }
}

fn get_of(config: Config, source: &MediaSource, output: &Path) -> Result<Summary, Error> {
    let tools = Tools {
        ffmpeg: Program::find(Tool::Ffmpeg, None).unwrap(),
        ffprobe: Program::find(Tool::Ffprobe, None).unwrap(),
    };
    run(&config, source, &tools, &RunOptions::new(output))
}

fn site(server: &Loopback, whole_from: usize) -> MediaSource {
    let mut access = access(&server.url("/{id}.mp4"));
    // The port differs from run to run, as a site's address does not.
    access.url_template = server.url("/{id}.mp4");
    MediaSource::Site { access: Box::new(access), pace: pace(), format: "b".into(), whole_from }
}

fn manifest(out: &Path) -> Vec<ClipMedia> {
    parts(out, "part").unwrap().iter().flat_map(|path| read_parquet::<ClipMedia>(path).unwrap()).collect()
}

/// The file of a video in a folder whose files are spread.
fn at(folder: &str, video_id: &str, file: &str) -> String {
    let place = spread(video_id);
    format!("{folder}/{}/{file}", place.split('/').next().unwrap())
}

/// Serves the video under every name, except where the name says otherwise.
fn serve(bytes: Vec<u8>) -> impl Fn(&ReceivedRequest, usize) -> Reply + Send + Sync {
    move |call, _| match call.path.as_str() {
        path if path.starts_with("/gone") => Reply::Send(404, "", Vec::new()),
        path if path.starts_with("/busy") => Reply::Send(429, "", Vec::new()),
        path if path.starts_with("/broken") => Reply::Send(503, "", Vec::new()),
        _ => Reply::Send(200, "content-type: video/mp4\r\n", bytes.clone()),
    }
}

#[test]
fn sections_of_a_video_come_in_one_call_and_get_our_names() {
    let folder = tempfile::tempdir().unwrap();
    let server = Loopback::start(serve(fs::read(video(folder.path())).unwrap()));
    let spans =
        [("v-1", 4000, 5000), ("v-1", 500, 3250), ("gone", 0, 1000), ("v-1", 500, 3250), ("v-1", 20_000, 22_000)];
    let (input, out) = (table(folder.path(), &spans), folder.path().join("out"));
    let source = site(&server, 8);
    let summary = get(&input, &source, Cut::Copy, &out).unwrap();

    let rows = manifest(&out);
    let listed: Vec<_> = rows.iter().map(|row| (row.start_ms, row.end_ms, row.file.as_str())).collect();
    assert_eq!(
        listed,
        [
            (500, 3250, &*at("clips", "v-1", "v-1 (0.5-3.25).mp4")),
            (4000, 5000, &*at("clips", "v-1", "v-1 (4.0-5.0).mp4"))
        ]
    );
    for row in &rows {
        let wanted = row.end_ms - row.start_ms;
        // Cut at the key frame before, so at most two seconds longer than asked.
        assert!((wanted..wanted + 2300).contains(&row.media_ms), "{row:?}");
        assert_eq!(fs::metadata(out.join(&row.file)).unwrap().len(), row.n_bytes);
        assert_eq!(row.origin, "section");
    }
    assert_eq!(spread_names(&out.join("clips")).len(), 2);
    let part = summary.step("part").unwrap();
    assert_eq!((part.read, part.kept, part.dropped["repeated_clip"], part.dropped["gone"]), (5, 2, 1, 1));
    assert_eq!(part.n_failed(), 1, "the clip beyond the end is filed: {:?}", part.failed);

    let n_calls = server.calls().len();
    get(&input, &source, Cut::Copy, &out).unwrap();
    assert_eq!(server.calls().len(), n_calls, "a finished video was asked for again");
}

#[test]
fn video_with_many_clips_is_fetched_once_even_if_the_first_transfer_breaks() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = fs::read(video(folder.path())).unwrap();
    // The page and the media have the same address; each attempt asks for both.
    let server = Loopback::start(move |_, n| match n {
        0 | 2.. => Reply::Send(200, "content-type: video/mp4\r\n", bytes.clone()),
        1 => Reply::Send(503, "", Vec::new()),
    });
    let (input, out) =
        (table(folder.path(), &[("v", 0, 1000), ("v", 2500, 4000), ("v", 7000, 7800)]), folder.path().join("out"));
    let summary = get(&input, &site(&server, 3), Cut::Exact, &out).unwrap();
    assert_eq!(summary.status, Status::Done);
    for row in manifest(&out) {
        let wanted = i64::from(row.end_ms - row.start_ms);
        assert!((i64::from(row.media_ms) - wanted).abs() <= 50, "{row:?}");
        assert_eq!(row.origin, "whole");
    }
    assert_eq!(spread_names(&out.join("clips")), ["v (0.0-1.0).mp4", "v (2.5-4.0).mp4", "v (7.0-7.8).mp4"]);
}

/// A body that ends early must never become a clip.
#[test]
fn truncated_transfer_is_no_clip_and_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = fs::read(video(folder.path())).unwrap();
    let half = bytes[..bytes.len() / 2].to_vec();
    let cut = move |_: &ReceivedRequest, _: usize| {
        // Promises more than it sends, with the media's own type.
        Reply::CutAs("content-type: video/mp4\r\n", half.clone())
    };
    let (input, out) = (table(folder.path(), &[("v", 6000, 7500)]), folder.path().join("out"));
    let server = Loopback::start(cut);
    let whole = get(&input, &site(&server, 1), Cut::Copy, &out).unwrap();
    assert_eq!((whole.status, whole.failed_shards.len()), (Status::OverFailLimit, 1));
    assert!(whole.failed_shards[0].error.contains("expected"), "{:?}", whole.failed_shards);
    assert_eq!(spread_names(&out.join("clips")), Vec::<String>::new());

    let out = folder.path().join("sections");
    let n_before = server.calls().len();
    let sections = get(&input, &site(&server, 8), Cut::Copy, &out).unwrap();
    assert_eq!(sections.step("part").unwrap().kept, 0);
    assert_eq!(spread_names(&out.join("clips")), Vec::<String>::new());
    assert!(server.calls().len() - n_before >= 4, "a short section was not fetched a second time");
}

/// A page that tells how long its video is, as sites do, where a bare file does not.
fn page(video: &str, seconds: u32) -> Reply {
    let about = format!(
        r#"{{"@context":"https://schema.org","@type":"VideoObject","name":"t","contentUrl":"{video}","duration":"PT{seconds}S"}}"#
    );
    let html = format!(r#"<html><head><script type="application/ld+json">{about}</script></head></html>"#);
    Reply::Send(200, "content-type: text/html\r\n", html.into_bytes())
}

/// Serves `media` as a video of eight seconds, at `/ID.html`.
fn paged(media: Vec<u8>) -> (Loopback, MediaSource) {
    let server = Loopback::start(move |call, _| match call.path.strip_suffix(".html") {
        Some(id) => {
            let host = call.headers.iter().find(|(name, _)| name == "host").map_or("", |(_, host)| host);
            page(&format!("http://{host}{id}.mp4"), 8)
        }
        None => Reply::Send(200, "content-type: video/mp4\r\n", media.clone()),
    });
    let mut access = access(&server.url("/{id}.html"));
    access.url_template = server.url("/{id}.html");
    let source = MediaSource::Site { access: Box::new(access), pace: pace(), format: "b".into(), whole_from: 8 };
    (server, source)
}

#[test]
fn a_section_that_is_cut_short_stays_open_and_the_end_of_the_video_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let whole = video(folder.path());
    let half = folder.path().join("half.mp4");
    ffmpeg(&["-i", whole.to_str().unwrap(), "-t", "4", "-c", "copy", "-movflags", "+faststart"], &half);
    let input = table(folder.path(), &[("v", 1000, 2000), ("v", 5000, 6500)]);
    let out = folder.path().join("out");
    let (server, source) = paged(fs::read(&half).unwrap());
    // The address of a loopback server differs each time; a site's does not.
    let get = |input: &Path, source: &MediaSource| -> Summary {
        let summary = get(input, source, Cut::Copy, &out);
        summary.unwrap_or_else(|error| panic!("{error}"))
    };
    let summary = get(&input, &source);
    assert_eq!((summary.status, summary.failed_shards.len()), (Status::OverFailLimit, 1));
    let error = &summary.failed_shards[0].error;
    assert!(error.starts_with("v: ") && error.contains("of 1500 ms of v (5.0-6.5) arrived"), "{error}");
    assert_eq!(spread_names(&out.join("clips")), Vec::<String>::new());
    assert!(parts(&out, "part").unwrap_err().to_string().contains("/v failed"));
    drop(server);

    // The site has mended itself. A clip that outlasts the video is filed, without being fetched again.
    let input = table(folder.path(), &[("v", 1000, 2000), ("v", 5000, 6500), ("v", 7000, 9500), ("v", 20_000, 21_000)]);
    let (server, MediaSource::Site { access, pace, format, whole_from }) = paged(fs::read(&whole).unwrap()) else {
        unreachable!("a site was asked for")
    };
    let out = folder.path().join("mended");
    let source = MediaSource::Site { access, pace, format, whole_from };
    let tools = Tools {
        ffmpeg: Program::find(Tool::Ffmpeg, None).unwrap(),
        ffprobe: Program::find(Tool::Ffprobe, None).unwrap(),
    };
    let config = Config { inputs: vec![input], cut: Cut::Copy, max_missing_ms: 300, present_only: false };
    let summary = run(&config, &source, &tools, &RunOptions::new(&out)).unwrap();
    assert_eq!(summary.failed_shards, []);
    let part = summary.step("part").unwrap();
    assert_eq!((part.kept, part.failed["short_media"], part.failed["outside_media"]), (2, 1, 1));
    assert_eq!(server.calls().iter().filter(|call| call.path == "/v.html").count(), 1);
}

#[test]
fn a_table_may_grow_and_change() {
    let folder = tempfile::tempdir().unwrap();
    let server = Loopback::start(serve(fs::read(video(folder.path())).unwrap()));
    let source = site(&server, 8);
    let out = folder.path().join("out");
    let all = [("a", 0, 1000), ("b", 0, 1000), ("c", 500, 2000)];
    get(&table(folder.path(), &all[1..]), &source, Cut::Copy, &out).unwrap();
    let asked = |from: usize| -> Vec<String> {
        let mut paths: Vec<String> = server.calls()[from..].iter().map(|call| call.path.clone()).collect();
        paths.sort();
        paths.dedup();
        paths
    };
    let n_calls = server.calls().len();
    get(&table(folder.path(), &all), &source, Cut::Copy, &out).unwrap();
    assert_eq!(asked(n_calls), ["/a.mp4"], "what is there was fetched again");

    // Other clips of a video: it is done again, and no file of the old ones stays.
    let n_calls = server.calls().len();
    let changed = [all[0], all[1], ("c", 1000, 2000), ("c", 3000, 4000)];
    let summary = get(&table(folder.path(), &changed), &source, Cut::Copy, &out).unwrap();
    assert_eq!(asked(n_calls), ["/c.mp4"]);
    assert_eq!(summary.step("part").unwrap().kept, 4);
    assert_eq!(
        spread_names(&out.join("clips")),
        ["a (0.0-1.0).mp4", "b (0.0-1.0).mp4", "c (1.0-2.0).mp4", "c (3.0-4.0).mp4"]
    );

    // A shorter table: nothing is deleted, and the counts are those of the table.
    let summary = get(&table(folder.path(), &changed[..1]), &source, Cut::Copy, &out).unwrap();
    assert_eq!(summary.step("part").unwrap().read, 1);
    assert_eq!(summary.results["videos of an earlier list, kept and not counted"], 2);
    assert_eq!(manifest(&out).len(), 4);
}

#[test]
fn csv_spans_are_read_and_bad_lines_are_filed() {
    let folder = tempfile::tempdir().unwrap();
    let media = folder.path().join("media");
    fs::create_dir(&media).unwrap();
    fs::rename(video(folder.path()), media.join("v.mp4")).unwrap();
    let input = folder.path().join("SPANS.CSV");
    fs::write(&input, "video_id,start_ms,end_ms\nv,0,1000\nv,soon,1000\nv,2000\nv,3000,2000\nv,3000,4000\n").unwrap();
    let out = folder.path().join("out");
    let summary = get(&input, &media_folder(media), Cut::Copy, &out).unwrap();
    let part = summary.step("part").unwrap();
    assert_eq!((part.read, part.kept, part.failed["bad_line"]), (5, 2, 3));
    let rejects = fs::read_to_string(out.join(at(".", "bad.lines", "rejects-bad.lines.jsonl"))).unwrap();
    let places = ["SPANS.CSV, line 3", "SPANS.CSV, line 4", "SPANS.CSV, line 5"];
    assert!(rejects.lines().zip(places).all(|(line, place)| line.contains(place)), "{rejects}");
}

#[test]
fn overload_is_tried_again_later_and_a_refusal_ends_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = fs::read(video(folder.path())).unwrap();
    let server = Loopback::start(serve(bytes));
    let (input, out) = (table(folder.path(), &[("broken", 0, 1000), ("v", 0, 1000)]), folder.path().join("out"));
    let summary = get(&input, &site(&server, 8), Cut::Copy, &out).unwrap();
    assert_eq!((summary.status, summary.failed_shards.len()), (Status::OverFailLimit, 1));
    assert_eq!(spread_names(&out.join("clips")), ["v (0.0-1.0).mp4"]);

    let input = table(folder.path(), &[("busy", 0, 1000), ("v", 0, 1000)]);
    let error = get(&input, &site(&server, 8), Cut::Copy, &folder.path().join("out2")).unwrap_err().to_string();
    assert!(error.contains("the site refuses further requests, at busy") && error.contains("429"), "{error}");
}

#[test]
fn killed_download_leaves_no_half_clip_and_fetches_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = fs::read(video(folder.path())).unwrap();
    let (reached, wait) = channel();
    let reached = Mutex::new(reached);
    let phase = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let hanging = phase.clone();
    let server = Loopback::start(move |call, _| {
        if call.path == "/b.mp4" && hanging.load(std::sync::atomic::Ordering::SeqCst) {
            let _ = reached.lock().unwrap().send(());
            return Reply::Hang;
        }
        Reply::Send(200, "content-type: video/mp4\r\n", bytes.clone())
    });
    let (input, out) = (table(folder.path(), &[("a", 0, 1000), ("b", 0, 1500)]), folder.path().join("out"));
    let command = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_audsem-filtering"));
        command.args(["download", "--workers", "1", "--requests-per-hour", "1e8", "--format", "b", "--input"]);
        command.arg(&input).arg("--output").arg(&out).arg("--yt-dlp").arg(yt_dlp().path());
        command.args(["--url-template", &server.url("/{id}.mp4")]).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let mut child = command().spawn().unwrap();
    wait.recv_timeout(Duration::from_secs(60)).unwrap();
    // A second process leaves the video to the first one, and its working folder, too.
    assert!(command().status().unwrap().success());
    let is_scratch_of_b = |name: &String| name.starts_with(".scratch-") && name.ends_with("~b");
    assert!(spread_names(&out).iter().any(is_scratch_of_b), "{:?}", spread_names(&out));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(spread_names(&out.join("clips")), ["a (0.0-1.0).mp4"]);

    phase.store(false, std::sync::atomic::Ordering::SeqCst);
    let before = server.calls().len();
    assert!(command().status().unwrap().success());
    assert!(server.calls()[before..].iter().all(|call| call.path == "/b.mp4"), "a finished video was fetched again");
    assert_eq!(spread_names(&out.join("clips")), ["a (0.0-1.0).mp4", "b (0.0-1.5).mp4"]);
    assert!(!spread_names(&out).iter().any(|name| name.starts_with(".scratch")), "a working folder stayed behind");
}

/// Mono 16-bit samples of a WAV file that this test wrote itself.
fn wav(path: &Path, rate: u32, samples: &[i16]) {
    let n_bytes = samples.len() as u32 * 2;
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + n_bytes).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    bytes.extend(rate.to_le_bytes());
    bytes.extend((rate * 2).to_le_bytes());
    bytes.extend(b"\x02\0\x10\0data");
    bytes.extend(n_bytes.to_le_bytes());
    bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    fs::write(path, bytes).unwrap();
}

/// Decodes a file to mono 16-bit samples.
fn samples(path: &Path) -> Vec<i16> {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-i"]).arg(path).args(["-map", "0:a:0", "-ac", "1", "-f", "s16le", "-"]);
    let out = command.output().unwrap();
    out.stdout.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}

#[test]
fn files_on_disk_are_cut_at_the_very_sample() {
    let folder = tempfile::tempdir().unwrap();
    let media = folder.path().join("media");
    fs::create_dir(&media).unwrap();
    let rate = 44_100;
    let ramp: Vec<i16> = (0..rate * 4).map(|i: u32| (i % 30_011) as i16).collect();
    wav(&media.join("ramp.wav"), rate, &ramp);
    // One click at exactly two seconds, in formats that code with a delay.
    let mut click = vec![0i16; rate as usize * 4];
    click[rate as usize * 2] = 30_000;
    wav(&folder.path().join("click.wav"), rate, &click);
    let click_wav = folder.path().join("click.wav");
    let click_wav = click_wav.to_str().unwrap();
    let picture = ["-f", "lavfi", "-i", "testsrc=s=161x121:r=25:d=4", "-i", click_wav];
    ffmpeg(&[&picture[..], &["-c:v", "libx264", "-c:a", "aac", "-b:a", "256k"]].concat(), &media.join("odd.mp4"));
    ffmpeg(&["-i", click_wav, "-c:a", "libmp3lame", "-b:a", "256k"], &media.join("A title [dQw4w9WgXcQ].mp3"));
    fs::copy(click_wav, media.join("dQw4w9WgXcQ (1.0-5.0).wav")).unwrap();

    let spans = [
        ("ramp", 1234, 2345),
        ("ramp", 3900, 6000),
        ("ramp", 5000, 6000),
        ("odd", 1500, 2750),
        ("dQw4w9WgXcQ", 1500, 2750),
        ("dQw4w9WgXcQ", 1000, 5000),
        ("nobody", 0, 1000),
        ("bad.id", 0, 1000),
        ("ramp", 7, 7),
    ];
    let (input, out) = (table(folder.path(), &spans), folder.path().join("out"));
    let source = media_folder(media);
    let config = Config { inputs: vec![input.clone()], cut: Cut::Exact, max_missing_ms: 300, present_only: true };
    let present = get_of(config, &source, &folder.path().join("present")).unwrap();
    let present = present.step("part").unwrap();
    assert_eq!((present.dropped["not_in_source"], present.failed.get("no_media")), (1, None));
    let summary = get(&input, &source, Cut::Exact, &out).unwrap();
    let part = summary.step("part").unwrap();
    assert_eq!((part.read, part.kept, present.kept), (9, 4, 4));
    let faults = ["short_media", "outside_media", "no_media"].map(|fault| part.failed[fault]);
    assert_eq!((faults, part.failed["bad_key"]), ([1, 1, 1], 2));
    let clips = out.join("clips");
    let names =
        ["dQw4w9WgXcQ (1.0-5.0).wav", "dQw4w9WgXcQ (1.5-2.75).flac", "odd (1.5-2.75).mp4", "ramp (1.234-2.345).flac"];
    let entries = spread_entries(&clips);
    assert_eq!(entries.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), names);

    let (from, to) = (1234 * rate as usize / 1000, 2345 * rate as usize / 1000);
    let cut = samples(&entries[3].1);
    assert_eq!(cut[..200], ramp[from..from + 200]);
    assert!(cut.len().abs_diff(to - from) <= 1, "{} samples instead of {}", cut.len(), to - from);
    for (name, path) in &entries[1..3] {
        let cut = samples(path);
        let loudest = (0..cut.len()).max_by_key(|&i| cut[i].unsigned_abs()).unwrap();
        assert!(loudest.abs_diff(rate as usize / 2) <= 2, "{name}: the click is at sample {loudest}");
    }
}

/// Pictures of eight seconds, sound of three.
#[test]
fn a_clip_beyond_the_sound_is_a_fault_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let media = folder.path().join("media");
    fs::create_dir(&media).unwrap();
    let inputs = ["-f", "lavfi", "-i", "testsrc=s=64x48:r=10:d=8", "-f", "lavfi", "-i", "sine=f=440:r=44100:d=3"];
    for ending in ["mp4", "mkv"] {
        let codecs = ["-c:v", "libx264", "-c:a", "aac"];
        ffmpeg(&[&inputs[..], &codecs].concat(), &media.join(format!("{ending}.{ending}")));
    }
    let spans = [("mp4", 500, 2000), ("mp4", 2000, 4000), ("mp4", 5000, 7000), ("mkv", 500, 2000), ("mkv", 5000, 7000)];
    let input = table(folder.path(), &spans);
    for cut in [Cut::Exact, Cut::Copy] {
        let out = folder.path().join(format!("{cut:?}"));
        let summary = get(&input, &media_folder(media.clone()), cut, &out).unwrap();
        let part = summary.step("part").unwrap();
        assert_eq!((part.kept, part.failed["sound_ends_early"]), (2, 3), "{cut:?}");
    }
}

/// ffmpeg looks for a moment of ADPCM where an average bit rate would have it, seconds beside.
#[test]
fn adpcm_is_cut_where_the_clip_is() {
    let folder = tempfile::tempdir().unwrap();
    let media = folder.path().join("media");
    fs::create_dir(&media).unwrap();
    let rate = 44_100;
    let mut click = vec![0i16; rate * 12];
    click[rate * 9] = 30_000;
    wav(&folder.path().join("click.wav"), rate as u32, &click);
    let source = folder.path().join("click.wav");
    for codec in ["adpcm_ms", "adpcm_ima_wav"] {
        ffmpeg(&["-i", source.to_str().unwrap(), "-c:a", codec], &media.join(format!("{codec}.wav")));
    }
    let input = table(folder.path(), &[("adpcm_ms", 8500, 10_000), ("adpcm_ima_wav", 8500, 10_000)]);
    let out = folder.path().join("out");
    get(&input, &media_folder(media), Cut::Exact, &out).unwrap();
    for (name, path) in spread_entries(&out.join("clips")) {
        let cut = samples(&path);
        let loudest = (0..cut.len()).max_by_key(|&i| cut[i].unsigned_abs()).unwrap();
        assert!(loudest.abs_diff(rate / 2) <= 2, "{name}: the click is at sample {loudest}");
    }
    assert_eq!(spread_names(&out.join("clips")).len(), 2);
}

#[test]
fn copied_streams_keep_their_container_and_their_bytes_repeat() {
    let folder = tempfile::tempdir().unwrap();
    let media = folder.path().join("media");
    fs::create_dir(&media).unwrap();
    fs::rename(video(folder.path()), media.join("v.mp4")).unwrap();
    let input = table(folder.path(), &[("v", 2500, 4000), ("v", 100, 1200)]);
    for cut in [Cut::Copy, Cut::Exact] {
        let outs = [1, 2].map(|n| folder.path().join(format!("{cut:?}{n}")));
        for out in &outs {
            get(&input, &media_folder(media.clone()), cut, out).unwrap();
        }
        let rows = manifest(&outs[0]);
        assert_eq!(rows.len(), 2);
        assert_eq!(rows, manifest(&outs[1]));
        for row in rows {
            assert_eq!(fs::read(outs[0].join(&row.file)).unwrap(), fs::read(outs[1].join(&row.file)).unwrap());
        }
    }
}

#[test]
fn what_cannot_run_says_why_with_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let input = table(folder.path(), &[("v", 0, 1000)]);
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let check = |arguments: &[&str], path: Option<&Path>, expected: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_audsem-filtering"));
        if let Some(path) = path {
            command.env("PATH", path);
        }
        command.env_remove("AUDSEM_FFMPEG").args(["download", "--input"]).arg(&input).arg("--output");
        let out = command.arg(folder.path().join("out")).args(arguments).output().unwrap();
        let stderr = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(expected), "{stderr}");
    };
    let no_media = empty.to_str().unwrap();
    let own = yt_dlp();
    let own = own.path().to_str().unwrap();
    check(&["--source", no_media], Some(&empty), "apt-get install ffmpeg");
    check(&["--source", no_media], None, "no media file");
    check(&["--source", "nowhere"], None, "nowhere");
    check(&["--yt-dlp", "no-such-yt-dlp"], None, "yt-dlp was not found");
    check(&["--yt-dlp", own, "--url-template", "http://h/"], None, "{id}");
    check(&["--source", no_media, "--format", "b"], None, "'--source <DIR>' cannot be used with");
    check(&["--source", no_media, "--whole-from", "1"], None, "'--source <DIR>' cannot be used with");
    // Such a flag may stand in a variable that other commands read.
    check(&["--source", no_media, "--retries", "1"], None, "no media file");
    check(&["--yt-dlp", own, "--requests-per-hour", "0"], None, "expected a number above 0");
}

/// Tools whose ffmpeg is a shell script.
fn tools(folder: &Path, script: &str) -> Tools {
    let path = folder.join("ffmpeg");
    fs::write(&path, format!("#!/bin/sh\nfor last; do :; done\n{script}\n")).unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    Tools { ffmpeg: Program::at(Tool::Ffmpeg, path), ffprobe: Program::find(Tool::Ffprobe, None).unwrap() }
}

#[test]
fn a_failing_helper_or_disk_leaves_the_video_open() {
    let folder = tempfile::tempdir().unwrap();
    let media = folder.path().join("media");
    fs::create_dir(&media).unwrap();
    fs::rename(video(folder.path()), media.join("v.mp4")).unwrap();
    let input = table(folder.path(), &[("v", 500, 1500), ("v", 2000, 4000)]);
    let out = folder.path().join("out");
    let source = media_folder(media.clone());
    let config = || Config { inputs: vec![input.clone()], cut: Cut::Exact, max_missing_ms: 300, present_only: false };
    for script in [
        "kill -9 $$",
        "trap '' XFSZ; ulimit -f 8; exec ffmpeg \"$@\"",
        "echo 'in.mp4: Input/output error' >&2; exec ffmpeg \"$@\"",
    ] {
        let result = run(&config(), &source, &tools(folder.path(), script), &RunOptions::new(out.clone()));
        assert!(result.is_err() || !result.unwrap().failed_shards.is_empty(), "{script}");
        assert!(spread_names(&out).iter().all(|name| !name.contains("done") && !name.contains("rejects")), "{script}");
    }
    // A file cut short without a word is no clip.
    let cut = "ffmpeg \"$@\"; head -c 9000 \"$last\" > \"$last.cut\"; mv \"$last.cut\" \"$last\"";
    let short = folder.path().join("short");
    let result = run(&config(), &source, &tools(folder.path(), cut), &RunOptions::new(short)).unwrap();
    assert_eq!(result.step("part").unwrap().failed["cut_failed"], 2);

    get(&input, &source, Cut::Exact, &out).unwrap();
    assert_eq!(manifest(&out).len(), 2);

    // Reading the memory of a process where nothing is gives EIO, as a failing disk does.
    fs::remove_file(media.join("v.mp4")).unwrap();
    std::os::unix::fs::symlink("/proc/self/mem", media.join("v.mp4")).unwrap();
    let summary = get(&input, &source, Cut::Exact, &folder.path().join("eio")).unwrap();
    assert!(summary.failed_shards[0].error.contains("Input/output error"), "{:?}", summary.failed_shards);
}

#[test]
fn playlists_are_no_media_and_ids_in_brackets_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let media = folder.path().join("media");
    fs::create_dir_all(media.join("more")).unwrap();
    fs::rename(video(folder.path()), media.join("Owls [no-7].mp4")).unwrap();
    fs::copy(media.join("Owls [no-7].mp4"), folder.path().join("secret.mp4")).unwrap();
    for (name, text) in
        [("list.mp4", "ffconcat version 1.0\nfile ../secret.mp4\n"), ("Hen [x].wav", "1"), ("more/Pig [x].wav", "22")]
    {
        fs::write(media.join(name), text).unwrap();
    }
    let input = table(folder.path(), &[("no-7", 500, 1500), ("list", 500, 1500), ("x", 500, 1500), ("y", 500, 1500)]);
    let out = folder.path().join("out");
    let summary = get(&input, &media_folder(media), Cut::Exact, &out).unwrap();
    assert_eq!(spread_names(&out.join("clips")), ["no-7 (0.5-1.5).mp4"]);
    let part = summary.step("part").unwrap();
    let failed = ["unreadable_media", "ambiguous_source", "no_media"].map(|reason| part.failed[reason]);
    assert_eq!(failed, [1, 1, 1]);
}

/// The second track is the default one.
#[test]
fn the_default_track_of_sound_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let media = folder.path().join("media");
    fs::create_dir(&media).unwrap();
    let inputs = ["-f", "lavfi", "-i", "sine=f=440:r=16000:d=4", "-f", "lavfi", "-i", "sine=f=880:r=16000:d=4"];
    let options = ["-map", "0", "-map", "1", "-c:a", "flac", "-disposition:a:0", "0", "-disposition:a:1", "default"];
    ffmpeg(&[&inputs[..], &options].concat(), &media.join("v.mka"));
    let input = table(folder.path(), &[("v", 1000, 2000)]);
    let out = folder.path().join("out");
    get(&input, &media_folder(media), Cut::Exact, &out).unwrap();
    let cut = samples(&out.join(at("clips", "v", "v (1.0-2.0).flac")));
    let crossings = cut.windows(2).filter(|pair| (pair[0] < 0) != (pair[1] < 0)).count();
    assert!((1740..1780).contains(&crossings), "{crossings} changes of sign in a second");
}

/// Files that were written while they were recorded have no length in their headers: pictures of six seconds, a click in
/// the sound at three, which ends at five.
#[test]
fn a_file_without_a_length_in_its_header_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let media = folder.path().join("media");
    fs::create_dir(&media).unwrap();
    let rate = 48_000;
    let mut click = vec![0i16; rate * 5];
    click[rate * 3] = 30_000;
    let wav_path = folder.path().join("click.wav");
    wav(&wav_path, rate as u32, &click);
    for (ending, format, video, audio) in
        [("webm", "webm", "libvpx", "libvorbis"), ("mkv", "matroska", "libx264", "flac")]
    {
        // Into a pipe: the header cannot be written once more at the end.
        let live = media.join(format!("{ending}.{ending}"));
        let made = Command::new("ffmpeg")
            .args(["-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc=s=64x48:r=10:d=6", "-i"])
            .arg(&wav_path)
            .args(["-c:v", video, "-c:a", audio, "-f", format, "pipe:1"])
            .stdout(File::create(&live).unwrap())
            .status()
            .unwrap();
        assert!(made.success());
        // The sound alone, as recorders of speech write it.
        let sound = Command::new("ffmpeg")
            .args(["-nostdin", "-v", "error", "-i"])
            .arg(&wav_path)
            .args(["-c:a", audio, "-f", format, "pipe:1"])
            .stdout(File::create(media.join(format!("sound-{ending}.{ending}"))).unwrap())
            .status()
            .unwrap();
        assert!(sound.success());
    }
    let mut spans = Vec::new();
    for ending in ["webm", "mkv"] {
        spans.extend([(ending, 2500, 4000), (ending, 4500, 5900), (ending, 6200, 7000)]);
    }
    spans.extend([("sound-webm", 2500, 4000), ("sound-webm", 5100, 6000), ("sound-mkv", 2500, 4000)]);
    let input = table(folder.path(), &spans);
    let out = folder.path().join("out");
    let summary = get(&input, &media_folder(media), Cut::Exact, &out).unwrap();
    let part = summary.step("part").unwrap();
    assert_eq!((part.kept, part.failed["sound_ends_early"], part.failed["outside_media"]), (4, 2, 3));
    assert_eq!(part.n_failed(), 5);
    for clip in manifest(&out) {
        assert!(clip.media_ms.abs_diff(1500) <= 100, "{clip:?}");
        let cut = samples(&out.join(&clip.file));
        let per_s = if clip.file.ends_with(".mp4") { 48_000 } else { cut.len() * 1000 / clip.media_ms as usize };
        let loudest = (0..cut.len()).max_by_key(|&i| cut[i].unsigned_abs()).unwrap();
        // Matroska has times in milliseconds, which add up while a decoder catches up after a jump.
        assert!(loudest.abs_diff(per_s / 2) <= per_s / 100, "{}: the click is at sample {loudest}", clip.file);
    }
}

/// What yt-dlp once wrote before ids, and what may be an id or not.
#[test]
fn ids_behind_titles_are_found_and_doubtful_ones_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let media = folder.path().join("media");
    fs::create_dir(&media).unwrap();
    fs::rename(video(folder.path()), media.join("Some title-dQw4w9WgXcQ.mp4")).unwrap();
    for name in ["Some title [a-b_c-D4e5f].mp4", "More-NightSounds.mp4"] {
        fs::copy(media.join("Some title-dQw4w9WgXcQ.mp4"), media.join(name)).unwrap();
    }
    let ids = ["dQw4w9WgXcQ", "a-b_c-D4e5f", "NightSounds"];
    let input = table(folder.path(), &ids.map(|id| (id, 500, 1500)));
    let out = folder.path().join("out");
    get(&input, &media_folder(media), Cut::Exact, &out).unwrap();
    assert_eq!(spread_names(&out.join("clips")), ["a-b_c-D4e5f (0.5-1.5).mp4", "dQw4w9WgXcQ (0.5-1.5).mp4"]);
    let is_rejects = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("rejects-");
    let rejects = all_files(&out).into_iter().filter(is_rejects);
    let rejects: String = rejects.map(|path| fs::read_to_string(out.join(path)).unwrap()).collect();
    assert!(rejects.contains("rename it to `More [NightSounds].mp4`"), "{rejects}");
}

/// Every file below a run folder, but for those that hold times.
fn all_files(folder: &Path) -> Vec<PathBuf> {
    audsem_core::testing::tree(folder).unwrap().into_keys().collect()
}

#[test]
fn files_of_many_videos_are_spread_and_a_folder_that_was_begun_flat_stays_so() {
    let folder = tempfile::tempdir().unwrap();
    let media = folder.path().join("media");
    fs::create_dir(&media).unwrap();
    let names: Vec<String> = (0..40).map(|n| format!("video{n}")).collect();
    let source = video(folder.path());
    names.iter().for_each(|name| {
        fs::copy(&source, media.join(format!("{name} (0.0-1.0).mp4"))).unwrap();
    });
    let spans: Vec<Span> = names.iter().map(|name| (name.as_str(), 0, 1000)).collect();
    let input = table(folder.path(), &spans);
    let out = folder.path().join("out");
    let summary = get(&input, &media_folder(media.clone()), Cut::Copy, &out).unwrap();
    assert_eq!((summary.status, summary.step("part").unwrap().kept), (Status::Done, 40));
    let entries = |path: &Path| {
        fs::read_dir(path).map_or(0, |entries| entries.filter(|entry| entry.as_ref().unwrap().path().is_file()).count())
    };
    assert_eq!((entries(&out), entries(&out.join("clips"))), (4, 0), "only the records of the run lie at the top");
    assert_eq!(spread_names(&out.join("clips")).len(), 40);
    assert_eq!(manifest(&out).len(), 40);

    // As an earlier version has left it: the marker of a video that is done, and its files, side by side.
    let flat = folder.path().join("flat");
    let one = table(folder.path(), &spans[..1]);
    get(&one, &media_folder(media.clone()), Cut::Copy, &flat).unwrap();
    let place = spread("video0");
    let place = place.split('/').next().unwrap();
    let marker = fs::read_to_string(flat.join(place).join("part-video0.done.json")).unwrap();
    fs::write(flat.join("part-video0.done.json"), marker.replace(&format!("{place}/"), "")).unwrap();
    fs::rename(flat.join(place).join("part-video0.parquet"), flat.join("part-video0.parquet")).unwrap();
    fs::rename(flat.join("clips").join(place).join("video0 (0.0-1.0).mp4"), flat.join("clips/video0 (0.0-1.0).mp4"))
        .unwrap();
    fs::remove_dir_all(flat.join(place)).unwrap();
    fs::remove_dir(flat.join("clips").join(place)).unwrap();
    let before = fs::metadata(flat.join("part-video0.done.json")).unwrap().modified().unwrap();
    let two = table(folder.path(), &spans[..2]);
    let summary = get(&two, &media_folder(media.clone()), Cut::Copy, &flat).unwrap();
    assert_eq!((summary.status, summary.step("part").unwrap().kept), (Status::Done, 2));
    assert_eq!(
        fs::metadata(flat.join("part-video0.done.json")).unwrap().modified().unwrap(),
        before,
        "it was not made anew"
    );
    let paths = all_files(&flat);
    assert!(
        paths.contains(&"part-video1.done.json".into()) && paths.contains(&"clips/video1 (0.0-1.0).mp4".into()),
        "{paths:?}"
    );
    // From scratch it is spread.
    let summary = run(
        &Config { inputs: vec![two], cut: Cut::Copy, max_missing_ms: 300, present_only: false },
        &media_folder(media),
        &Tools {
            ffmpeg: Program::find(Tool::Ffmpeg, None).unwrap(),
            ffprobe: Program::find(Tool::Ffprobe, None).unwrap(),
        },
        &RunOptions { fresh: true, ..RunOptions::new(&flat) },
    );
    assert_eq!(summary.unwrap().status, Status::Done);
    assert!(!flat.join("part-video0.done.json").exists() && flat.join(place).join("part-video0.done.json").exists());
}
