//! Regional variants of English, from the site to the cues, with nothing said about languages.

use std::fs;
use std::path::Path;
use std::process::Command;

use audsem_core::tables::{Cue, read_parquet};

use crate::programs::yt_dlp;
use audsem_core::testing::loopback::{Loopback, ReceivedRequest, Reply};

const TRACK: &str = "WEBVTT\n\n00:01.000 --> 00:03.000\n[dog barks]\n";

/// A page for each video, whose name is its language.
fn site(call: &ReceivedRequest, _: usize) -> Reply {
    match call.path.strip_suffix(".html") {
        Some(video) => {
            let language = video.trim_start_matches("/video-");
            let track = format!(r#"<track kind="subtitles" srclang="{language}" src="/t.vtt">"#);
            let page =
                format!("<html><head><title>t</title></head><body><video src=\"/v.mp4\">{track}</video></body></html>");
            Reply::Send(200, "content-type: text/html\r\n", page.into_bytes())
        }
        None => Reply::Send(200, "content-type: text/vtt\r\n", TRACK.as_bytes().to_vec()),
    }
}

fn audsem(folder: &Path, args: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_audsem-filtering")).current_dir(folder).args(args).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn variants_of_english_come_through_and_other_languages_only_on_demand() {
    let folder = tempfile::tempdir().unwrap();
    let ids = ["video-de", "video-enm", "video-en", "video-en-US", "video-en-GB"];
    fs::write(folder.path().join("ids.txt"), ids.join("\n")).unwrap();
    let server = Loopback::start(site);
    let (url, program) = (server.url("/{id}.html"), yt_dlp());
    let program = program.path().display().to_string();
    let fetch = |output: &str, more: &[&str]| {
        let site = ["--url-template", &url, "--requests-per-hour", "3.6e8", "--yt-dlp", &program];
        audsem(folder.path(), &[&["fetch-captions", "-i", "ids.txt", "-o", output][..], &site[..], more].concat());
    };
    let videos = |input: &str, output: &str, more: &[&str]| {
        audsem(folder.path(), &[&["extract", "-i", input, "-o", output][..], more].concat());
        let cues: Vec<Cue> = read_parquet(&folder.path().join(output).join("part-00000.parquet")).unwrap();
        let mut ids: Vec<String> = cues.into_iter().map(|cue| cue.video_id).collect();
        ids.sort();
        ids
    };
    fetch("english", &[]);
    assert_eq!(videos("english", "a", &[]), ["video-en", "video-en-GB", "video-en-US"]);
    assert_eq!(videos("english", "b", &["--lang", "en"]), ["video-en"]);
    // Both spellings of a pattern, both names of the flag, in both commands.
    fetch("more", &["--lang", "en*,de", "--limit", "2"]);
    assert_eq!(videos("more", "c", &["--languages", "de,en.*"]), ["video-de", "video-enm"]);
}
