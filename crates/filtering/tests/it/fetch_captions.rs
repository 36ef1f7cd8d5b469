//! `fetch-captions`: the real yt-dlp against a loopback server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use audsem_core::run::{RunOptions, Status, Summary, spread};
use audsem_filtering::error::Error;
use audsem_filtering::fetch_captions::{Config, run};

use crate::programs::{access, pace, spread_names, yt_dlp};
use audsem_core::testing::loopback::{Loopback, ReceivedRequest, Reply};

const TRACK: &str = "WEBVTT\n\n00:01.000 --> 00:03.000\n[dog barks]\n";

/// Pages as video sites write them: `VIDEO.html` with a player and its tracks.
pub(crate) fn site(call: &ReceivedRequest, _: usize) -> Reply {
    let html = |tracks: &str| {
        let page =
            format!("<html><head><title>t</title></head><body><video src=\"/v.mp4\">{tracks}</video></body></html>");
        Reply::Send(200, "content-type: text/html\r\n", page.into_bytes())
    };
    match call.path.as_str() {
        "/gone.html" => Reply::Send(404, "", Vec::new()),
        "/broken.html" => Reply::Send(503, "", Vec::new()),
        "/busy.html" => Reply::Send(429, "", Vec::new()),
        "/silent.html" => html(""),
        "/german.html" => html(r#"<track kind="subtitles" srclang="de" src="/de.vtt">"#),
        "/empty.html" => html(r#"<track kind="subtitles" srclang="en" src="/empty.vtt">"#),
        "/empty.vtt" => Reply::Send(200, "content-type: text/vtt\r\n", b"\n".to_vec()),
        path if path.ends_with(".html") => html(
            r#"<track kind="subtitles" srclang="en" src="/en.vtt"><track kind="subtitles" srclang="de" src="/de.vtt">"#,
        ),
        _ => Reply::Send(200, "content-type: text/vtt\r\n", TRACK.as_bytes().to_vec()),
    }
}

fn list(folder: &Path, ids: &[&str]) -> PathBuf {
    let path = folder.join("ids.txt");
    fs::write(&path, ids.join("\n")).unwrap();
    path
}

fn fetch(server: &Loopback, input: &Path, output: &Path) -> Result<Summary, Error> {
    fetch_all(server, vec![input.to_owned()], output)
}

fn fetch_all(server: &Loopback, inputs: Vec<PathBuf>, output: &Path) -> Result<Summary, Error> {
    let url_template = server.url("/{id}.html");
    let config = Config {
        inputs,
        languages: vec!["en".into()],
        formats: vec!["json3".into(), "vtt".into(), "best".into()],
        url_template: "test".into(),
    };
    run(&config, &access(&url_template), &pace(), &RunOptions::new(output))
}

#[test]
fn tracks_are_fetched_named_and_accounted_for() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let input = list(folder.path(), &["-dash_1", "gone", "silent", "german", "b", "b", "../evil"]);
    let server = Loopback::start(site);
    let summary = fetch(&server, &input, &out).unwrap();
    let track = |id: &str| {
        let place = spread(id);
        out.join("subtitles").join(place.split('/').next().unwrap()).join(format!("{id}.en.vtt"))
    };
    assert_eq!(spread_names(&out.join("subtitles")).len(), 2, "a place each");
    assert!(track("-dash_1").exists());
    assert_eq!(fs::read_to_string(track("b")).unwrap(), TRACK);
    let part = summary.step("part").unwrap();
    assert_eq!((part.read, part.kept), (6, 2));
    assert_eq!((part.dropped["no_track"], part.dropped["gone"], part.failed["unsupported"]), (2, 1, 1));

    // Nothing is asked for twice, not even what is gone.
    let n_calls = server.calls().len();
    fetch(&server, &input, &out).unwrap();
    assert_eq!(server.calls().len(), n_calls);
    assert!(!spread_names(&out).iter().any(|name| name.starts_with(".scratch")), "a working folder stayed behind");
}

/// An id may contain what would be a refusal in yt-dlp's own words, and may be longer than a file name.
#[test]
fn neither_the_letters_nor_the_length_of_an_id_end_or_mislead_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let (long, longest) = ("a".repeat(250), "b".repeat(200));
    let input = list(folder.path(), &["DrM-gone", &long, "ok", "captcha_gone", &longest]);
    let server = Loopback::start(|call, n| match call.path.ends_with("gone.html") {
        true => Reply::Send(404, "", Vec::new()),
        false => site(call, n),
    });
    let summary = fetch(&server, &input, &out).unwrap();
    let part = summary.step("part").unwrap();
    assert_eq!((part.read, part.kept, part.dropped["gone"], part.failed["unsupported"]), (5, 2, 2, 1));
    assert_eq!(spread_names(&out.join("subtitles")), [format!("{longest}.en.vtt"), "ok.en.vtt".to_owned()]);
    assert!(server.calls().iter().all(|call| !call.path.contains(&long)), "an impossible id was asked for");
}

#[test]
fn a_video_that_two_lists_name_is_fetched_once() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first.txt"), folder.path().join("second.txt"));
    fs::write(&first, "a\nb\n").unwrap();
    fs::write(&second, "b\nc\n").unwrap();
    let server = Loopback::start(site);
    let out = folder.path().join("out");
    let summary = fetch_all(&server, vec![first.clone(), second], &out).unwrap();
    assert_eq!(summary.step("part").map(|part| (part.read, part.kept)), Some((3, 3)));
    let pages = |path: &str| server.calls().iter().filter(|call| call.path == path).count();
    assert_eq!(pages("/b.html"), pages("/a.html"));
    assert_eq!(spread_names(&out.join("subtitles")), ["a.en.vtt", "b.en.vtt", "c.en.vtt"]);
    // Without the second list, what it alone named is kept and not counted.
    let n_calls = server.calls().len();
    let summary = fetch_all(&server, vec![first], &out).unwrap();
    assert_eq!(summary.results["videos of an earlier list, kept and not counted"], 1);
    assert_eq!(server.calls().len(), n_calls);
}

#[test]
fn a_longer_list_goes_on_and_a_shorter_one_deletes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let server = Loopback::start(site);
    fetch(&server, &list(folder.path(), &["a", "gone"]), &out).unwrap();
    let n_calls = server.calls().len();
    // New ones before, between and behind.
    let summary = fetch(&server, &list(folder.path(), &["new1", "gone", "new2", "a", "../evil"]), &out).unwrap();
    let asked: Vec<String> = server.calls()[n_calls..].iter().map(|call| call.path.clone()).collect();
    assert!(!asked.iter().any(|path| path == "/a.html" || path == "/gone.html"), "asked again: {asked:?}");
    assert_eq!(spread_names(&out.join("subtitles")), ["a.en.vtt", "new1.en.vtt", "new2.en.vtt"]);
    let part = summary.step("part").unwrap();
    assert_eq!((part.read, part.kept, part.n_dropped(), part.n_failed()), (5, 3, 1, 1));
    assert!(summary.results.is_empty(), "{:?}", summary.results);

    let fresh = folder.path().join("fresh");
    fetch(&server, &list(folder.path(), &["new1", "gone", "new2", "a", "../evil"]), &fresh).unwrap();
    assert_eq!(audsem_core::testing::tree(&out).unwrap(), audsem_core::testing::tree(&fresh).unwrap());

    let n_calls = server.calls().len();
    let summary = fetch(&server, &list(folder.path(), &["new2"]), &out).unwrap();
    let part = summary.step("part").unwrap();
    assert_eq!((part.read, part.kept, server.calls().len()), (1, 1, n_calls));
    assert_eq!(summary.results["videos of an earlier list, kept and not counted"], 4);
    assert_eq!(spread_names(&out.join("subtitles")).len(), 3);
}

#[test]
fn what_failed_in_passing_is_tried_again_by_the_next_run() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let input = list(folder.path(), &["a", "broken", "empty"]);
    let server = Loopback::start(site);
    let summary = fetch(&server, &input, &out).unwrap();
    assert_eq!((summary.status, summary.failed_shards.len()), (Status::OverFailLimit, 2));
    assert!(summary.failed_shards[0].error.contains("HTTP Error 503"), "{:?}", summary.failed_shards);
    assert!(server.calls().iter().filter(|call| call.path == "/broken.html").count() >= 2, "no retry within the run");

    let healthy = Loopback::start(|call, n| match call.path.as_str() {
        "/broken.html" | "/empty.html" => site(&ReceivedRequest { path: "/fine.html".into(), ..call.clone() }, n),
        _ => site(call, n),
    });
    let summary = fetch(&healthy, &input, &out).unwrap();
    assert_eq!(summary.status, Status::Done);
    assert_eq!(spread_names(&out.join("subtitles")), ["a.en.vtt", "broken.en.vtt", "empty.en.vtt"]);
    assert!(healthy.calls().iter().all(|call| call.path != "/a.html"), "a finished video was fetched again");
}

/// A site that does not answer does not keep a run from stopping; the video stays open.
#[test]
fn stop_request_ends_the_wait_for_a_silent_site() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let input = list(folder.path(), &["a", "slow", "c"]);
    let (reached, wait) = std::sync::mpsc::channel();
    let reached = std::sync::Mutex::new(reached);
    let server = Loopback::start(move |call, n| {
        if call.path != "/slow.html" {
            return site(call, n);
        }
        let _ = reached.lock().unwrap().send(());
        Reply::Hang
    });
    let mut child = Command::new(env!("CARGO_BIN_EXE_audsem-filtering"))
        .args([
            "fetch-captions",
            "--languages",
            "en",
            "--formats",
            "vtt",
            "--requests-per-hour",
            "3600000",
            "--workers",
            "1",
        ])
        .args(["--url-template", &server.url("/{id}.html")])
        .arg("--yt-dlp")
        .arg(yt_dlp().path())
        .arg("--input")
        .arg(&input)
        .arg("--output")
        .arg(&out)
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    wait.recv_timeout(std::time::Duration::from_secs(60)).unwrap();
    let asked = std::time::Instant::now();
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(3));
    assert!(asked.elapsed() < std::time::Duration::from_secs(20), "stopped after {:?}", asked.elapsed());
    assert_eq!(spread_names(&out.join("subtitles")), ["a.en.vtt"]);
    assert!(!spread_names(&out).iter().any(|name| name.contains("slow")), "{:?}", spread_names(&out));
}

#[test]
fn site_that_refuses_ends_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let input = list(folder.path(), &["a", "busy", "c"]);
    let server = Loopback::start(site);
    let error = fetch(&server, &input, &out).unwrap_err().to_string();
    assert!(error.contains("at busy") && error.contains("--requests-per-hour"), "{error}");
    assert!(server.calls().iter().all(|call| call.path != "/c.html"), "it went on asking");
    assert_eq!(spread_names(&out.join("subtitles")), ["a.en.vtt"]);
}

#[test]
fn missing_yt_dlp_says_how_to_get_it_with_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let input = list(folder.path(), &["a"]);
    let out = Command::new(env!("CARGO_BIN_EXE_audsem-filtering"))
        .env("PATH", folder.path())
        .env_remove("AUDSEM_YT_DLP")
        .args(["fetch-captions", "--input"])
        .arg(&input)
        .arg("--output")
        .arg(folder.path().join("out"))
        .output()
        .unwrap();
    let stderr = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("yt-dlp was not found") && stderr.contains("pip install yt-dlp"), "{stderr}");
}
