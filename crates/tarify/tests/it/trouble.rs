//! Helpers that fail, disks that fill up and clips that are not what they claim to be.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use audsem_media::audio::Decoder;

use crate::workbench::{Bench, clip, made, samples, silent_film, tar_of, webm};

const PACK: &str = "pack -i clips --table table.csv --height 64 --preset ultrafast";

fn bench(clips: &[(&str, &[u8])]) -> Bench {
    let bench = Bench::new();
    bench.write("table.csv", "video_id,start,duration,text\naaaaaaaaaaa,1.0,1.0,a\nbbbbbbbbbbb,1.0,1.0,b\n");
    for (name, bytes) in clips {
        bench.write(&format!("clips/{name}"), bytes);
    }
    bench
}

/// An ffmpeg that does as the script says where it is to encode a clip, and is itself everywhere else.
fn ffmpeg(bench: &Bench, script: &str) {
    let text = format!(
        "#!/bin/sh\nfor last; do :; done\ncase \"$*\" in *lavfi*|*/dev/zero*) ;; *libx264*) {script};; esac\nexec ffmpeg \"$@\"\n"
    );
    bench.write("ffmpeg", text);
    fs::set_permissions(bench.path("ffmpeg"), fs::Permissions::from_mode(0o755)).unwrap();
}

/// Runs with the failing ffmpeg, then with the true one, and compares with a run that never met a failure.
fn fails_then_recovers(script: &str, code: i32, message: &str) {
    let bench = bench(&[("aaaaaaaaaaa (1.0-2.0).mp4", clip()), ("bbbbbbbbbbb (1.0-2.0).mp4", clip())]);
    ffmpeg(&bench, script);
    bench.call(&format!("{PACK} -o out --ffmpeg ./ffmpeg")).ended(code).says(message);
    let left: Vec<String> = bench.tree("out").into_keys().filter(|name| name.contains("part-")).collect();
    assert!(left.is_empty() && !bench.path("out/00000.tar").exists(), "{script}: {left:?}");
    assert!(bench.rejects("out/rejects-00000.jsonl").is_empty(), "{script}");
    bench.call(&format!("{PACK} -o out")).ended(0);
    bench.call(&format!("{PACK} -o undisturbed")).ended(0);
    assert_eq!(bench.tree("out"), bench.tree("undisturbed"), "{script}");
}

/// ffmpeg 5.1 ends with exit code 0 then.
#[test]
fn a_full_temporary_disk_packs_nothing_and_the_same_command_recovers() {
    fails_then_recovers("trap '' XFSZ; ulimit -f 8", 2, "ffmpeg could not write its output");
}

#[test]
fn a_killed_ffmpeg_leaves_the_shard_open() {
    fails_then_recovers("kill -9 $$", 1, "ffmpeg was killed (signal 9)");
    fails_then_recovers("ffmpeg \"$@\"; exit 255", 1, "ffmpeg was killed");
}

#[test]
fn an_mp4_that_is_shorter_than_its_clip_is_not_packed() {
    for script in [
        "ffmpeg \"$@\"; size=$(wc -c < \"$last\"); head -c $((size * 3 / 4)) \"$last\" > cut; cat cut > \"$last\"; exit 0",
        // Whole, but of a part of the clip.
        "ffmpeg -t 0.3 \"$@\"; exit 0",
        ": > \"$last\"; exit 0",
    ] {
        let bench = bench(&[("aaaaaaaaaaa (1.0-2.0).mp4", clip())]);
        ffmpeg(&bench, script);
        bench.call(&format!("{PACK} -o out --ffmpeg ./ffmpeg --max-fail-rate 1"));
        let expected = [("aaaaaaaaaaa (1.0-2.0).mp4".to_owned(), "incomplete".to_owned())];
        assert_eq!(bench.rejects("out/rejects-00000.jsonl"), expected, "{script}");
        assert!(!bench.path("out/00000.tar").exists());
    }
}

#[test]
fn truncated_clips_are_refused_by_pack_and_transcode() {
    let (mp4, webm) = (clip(), webm());
    let cuts = [("aaaaaaaaaaa", "mp4", &mp4[..mp4.len() * 2 / 3]), ("bbbbbbbbbbb", "webm", &webm[..webm.len() / 2])];
    let bench = Bench::new();
    bench.write("table.csv", "video_id,start,duration,text\naaaaaaaaaaa,1.0,1.0,a\nbbbbbbbbbbb,1.0,1.0,b\n");
    let mut members = Vec::new();
    for (id, ending, bytes) in cuts {
        bench.write(&format!("clips/{id} (1.0-2.0).{ending}"), bytes);
        members.push((format!("{id} (1_0-2_0).{ending}"), bytes));
    }
    let members: Vec<(&str, &[u8])> = members.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect();
    bench.write("in/0.tar", tar_of(&members));
    let check = |command: &str, ending: [&str; 2]| {
        bench.call(&format!("{command} -o out --fresh --max-fail-rate 1"));
        let key = |id: &str, ending: &str| (format!("{id}{ending}"), "truncated".to_owned());
        let expected = [key("aaaaaaaaaaa", ending[0]), key("bbbbbbbbbbb", ending[1])];
        assert_eq!(bench.rejects("out/rejects-00000.jsonl"), expected, "{command}");
        fs::remove_dir_all(bench.path("out")).unwrap();
    };
    check(PACK, [" (1.0-2.0).mp4", " (1.0-2.0).webm"]);
    check("pack -i clips --table table.csv --copy", [" (1.0-2.0).mp4", " (1.0-2.0).webm"]);
    check("transcode -i in --preset ultrafast", [" (1_0-2_0)"; 2]);
}

#[test]
fn a_playlist_called_like_a_clip_gives_none_of_the_files_it_names() {
    let secret = made("-f lavfi -i testsrc=d=1:s=96x64:r=10 -f lavfi -i sine=d=1 -c:v libx264 -c:a aac", "mp4");
    let bench = bench(&[]);
    bench.write("secret.mp4", secret);
    let hls = format!("#EXTM3U\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n", bench.path("secret.mp4").display());
    bench.write("clips/aaaaaaaaaaa (1.0-2.0).mp4", hls);
    bench.write("clips/bbbbbbbbbbb (1.0-2.0).mp4", "ffconcat version 1.0\nfile secret.mp4\n");
    for flags in ["", "--copy"] {
        bench.call(&format!("{PACK} {flags} -o out{flags} --max-fail-rate 1"));
        let reasons: Vec<String> =
            bench.rejects(&format!("out{flags}/rejects-00000.jsonl")).into_iter().map(|(_, reason)| reason).collect();
        assert_eq!(reasons, ["undecodable"; 2], "{flags}");
        assert!(!bench.path(&format!("out{flags}/00000.tar")).exists());
    }
}

/// The second track is the default one; the first has a tone of 440 Hz, the second one of 880 Hz.
#[test]
fn the_default_track_of_sound_is_transcoded() {
    let inputs = "-f lavfi -i testsrc=d=1:s=96x64:r=10 -f lavfi -i sine=f=440:d=1 -f lavfi -i sine=f=880:d=1";
    let options =
        "-map 0 -map 1 -map 2 -c:v libx264 -preset ultrafast -c:a aac -disposition:a:0 0 -disposition:a:1 default";
    let bench = bench(&[("aaaaaaaaaaa (1.0-2.0).mkv", &made(&format!("{inputs} {options}"), "mkv"))]);
    bench.call(&format!("{PACK} -o out")).ended(0);
    let video = &samples(&bench.path("out/00000.tar"))[0].1[0].1;
    let sound = Decoder::new().decode_bytes(video, Some("mp4")).unwrap();
    let crossings = sound.samples.windows(2).filter(|pair| (pair[0] < 0.0) != (pair[1] < 0.0)).count();
    assert!(crossings > 1600, "{crossings} changes of sign in a second");
}

#[test]
fn videos_are_decoded_unless_told_otherwise() {
    let mut broken = clip().to_vec();
    let data = broken.windows(4).position(|four| four == b"mdat").unwrap() + 300;
    broken[data..data + 2000].fill(0xa5);
    let bench = Bench::new();
    let film = silent_film();
    let members: [(&str, &[u8]); 6] = [
        ("A.mp4", clip()),
        ("A.json", b"{}"),
        ("B.mp4", &broken),
        ("B.json", b"{}"),
        ("C.mp4", &film),
        ("C.json", b"{}"),
    ];
    bench.write("in/0.tar", tar_of(&members));
    bench.call("check -i in -o headers --verify none").ended(0);
    bench.call("check -i in -o decoded").ended(1);
    assert_eq!(bench.rejects("decoded/rejects-00000.jsonl"), [("B".to_owned(), "undecodable".to_owned())]);
    let called = bench.call_with("check -i in -o without", |command| _ = command.env("PATH", "/nowhere"));
    called.ended(2).says("ffmpeg was not found");
}

fn is_running(id: &str) -> bool {
    let status = fs::read_to_string(Path::new("/proc").join(id.trim()).join("stat"));
    status.is_ok_and(|status| !status.contains(") Z "))
}

#[test]
fn helpers_and_their_children_die_with_a_killed_run() {
    let bench = bench(&[("aaaaaaaaaaa (1.0-2.0).mp4", clip())]);
    ffmpeg(&bench, "sleep 600 & echo $! > child; echo $$ > helper.tmp; mv helper.tmp helper; wait");
    for signals in [&["KILL"][..], &["TERM", "TERM"]] {
        fs::remove_file(bench.path("helper")).ok();
        let mut run = bench.command(&format!("{PACK} -o out --ffmpeg ./ffmpeg -q")).spawn().unwrap();
        let started = Instant::now();
        while !bench.path("helper").exists() {
            assert!(started.elapsed() < Duration::from_secs(60), "the helper did not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        let ids = ["helper", "child"].map(|name| bench.text(name));
        assert!(ids.iter().all(|id| is_running(id)));
        for signal in signals {
            let kill = format!("kill -{signal} {}", run.id());
            assert!(std::process::Command::new("sh").args(["-c", &kill]).status().unwrap().success());
            std::thread::sleep(Duration::from_millis(100));
        }
        run.wait().unwrap();
        let ended = Instant::now();
        while ids.iter().any(|id| is_running(id)) {
            assert!(ended.elapsed() < Duration::from_secs(20), "a helper outlived the run ended by {signals:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn control_sequences_in_names_do_not_reach_the_terminal() {
    let bench = Bench::new();
    bench.write("in/evil\u{1b}[2J\r.tar", "no tar at all");
    let called = bench.call_with("check -o out", |command| _ = command.args(["-i", "absent\u{1b}]0;title\u{7}"]));
    called.says("absent\\u{1b}]0;title\\u{7}");
    let called = bench.call("transcode -i in -o out");
    called.says("evil\\");
    assert!(called.stderr.chars().all(|c| !c.is_control() || c == '\n'), "{:?}", called.stderr);
}
