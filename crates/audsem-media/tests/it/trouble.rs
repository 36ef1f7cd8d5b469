//! Helpers that are killed, and helpers that outlive nobody.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use audsem_core::blame::Blame;
use audsem_core::run::ShardError;
use audsem_media::audio::{AudioError, Decoder};
use audsem_media::program::{Program, Tool};
use audsem_media::video::{VideoFacts, decode_whole};

/// A program that is a shell script.
fn script(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn fixture(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/audio").join(name)).unwrap()
}

fn opus() -> Vec<u8> {
    fixture("opus.webm")
}

#[test]
fn a_killed_ffmpeg_says_nothing_about_the_sound() {
    let folder = tempfile::tempdir().unwrap();
    let check = |text: &str, expected: Blame| {
        let program = script(folder.path(), "ffmpeg", text);
        let decoder = Decoder::new().with_ffmpeg(Program::at(Tool::Ffmpeg, program));
        let error = decoder.decode_bytes(&opus(), Some("webm")).unwrap_err();
        assert_eq!(error.blame(), expected, "{text}: {error}");
        assert_eq!(
            matches!(error.of_record("k"), Err(ShardError::Input(_))),
            expected == Blame::Surroundings,
            "{text}"
        );
    };
    check("kill -9 $$", Blame::Surroundings);
    check("kill -TERM $$", Blame::Surroundings);
    // ffmpeg catches the signal, writes what it has, and ends with 255.
    check("printf RIFF; exit 255", Blame::Surroundings);
    check("echo 'Invalid data found' >&2; exit 1", Blame::Record);
    check("kill -SEGV $$", Blame::Record);
}

/// Starting ffmpeg takes as long as decoding a clip; the ends of the streams are read in the same run.
#[test]
fn ffmpeg_is_started_once_for_a_sound_and_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let path = std::env::var_os("PATH").unwrap();
    let ffmpeg = std::env::split_paths(&path).map(|folder| folder.join("ffmpeg")).find(|path| path.is_file()).unwrap();
    let text = format!("echo started >>'{}'\nexec '{}' \"$@\"", log.display(), ffmpeg.display());
    let program = Program::at(Tool::Ffmpeg, script(folder.path(), "ffmpeg", &text));
    let decoder = Decoder::new().with_ffmpeg(program).ends_with_pictures(0.5);
    let audio = decoder.decode_bytes(&opus(), Some("webm")).unwrap();
    assert!(audio.frames() > 0);
    assert_eq!(fs::read_to_string(&log).unwrap(), "started\n");
}

/// An early end of ffmpeg with exit code 0 would look like a file without pictures, or like one that is whole.
#[test]
fn an_ffmpeg_that_ends_early_says_nothing_about_a_video() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::at(Tool::Ffmpeg, script(folder.path(), "ffmpeg", "exit 0"));
    let measured = VideoFacts::measure(&Decoder::new(), &program, &fixture("video.mp4"), "mp4").unwrap_err();
    let decoded = decode_whole(&program, &fixture("video.mp4")).unwrap_err();
    for error in [measured, decoded] {
        assert_eq!(error.blame(), Blame::Surroundings, "{error}");
    }
}

#[test]
fn a_file_that_is_gone_is_no_broken_sound() {
    let error = Decoder::new().decode_file(Path::new("/nowhere/a.flac")).unwrap_err();
    assert!(matches!(error, AudioError::Read { .. }) && error.blame() == Blame::Surroundings, "{error}");
    assert!(matches!(error.of_record("k"), Err(ShardError::Input(_))));
}
