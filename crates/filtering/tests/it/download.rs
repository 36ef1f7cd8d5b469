//! `download` from a site: the real yt-dlp against a loopback server.

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

use crate::programs::{access, ffmpeg, pace, spread_names, video, yt_dlp};
use audsem_core::testing::loopback::{Loopback, ReceivedRequest, Reply};

pub(crate) type Span<'a> = (&'a str, u32, u32);

pub(crate) fn table(folder: &Path, spans: &[Span]) -> PathBuf {
    let row = |&(video_id, start_ms, end_ms): &Span| ClipSpan { video_id: video_id.to_owned(), start_ms, end_ms };
    let rows: Vec<ClipSpan> = spans.iter().map(row).collect();
    let path = folder.join("clips.parquet");
    write_parquet(&rows, File::create(&path).unwrap()).unwrap();
    path
}

pub(crate) fn get(input: &Path, source: &MediaSource, cut: Cut, output: &Path) -> Result<Summary, Error> {
    get_of(Config { inputs: vec![input.to_owned()], cut, max_missing_ms: 300, present_only: false }, source, output)
}

pub(crate) fn media_folder(path: PathBuf) -> MediaSource {
    MediaSource::Folder { path, ids: IdRule::Auto }
}

pub(crate) fn get_of(config: Config, source: &MediaSource, output: &Path) -> Result<Summary, Error> {
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

pub(crate) fn manifest(out: &Path) -> Vec<ClipMedia> {
    parts(out, "part").unwrap().iter().flat_map(|path| read_parquet::<ClipMedia>(path).unwrap()).collect()
}

/// The file of a video in a folder whose files are spread.
pub(crate) fn at(folder: &str, video_id: &str, file: &str) -> String {
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
