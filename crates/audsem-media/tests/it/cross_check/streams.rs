//! Files with several streams, and streams whose nature shows only on a second look.

use std::path::{Path, PathBuf};

use audsem_media::audio::{AudioError, Decoder};

use super::ffmpeg::{self, Shape, run};
use super::rows::LOSSY;
use super::{STEREO, assert_refused, assert_same, with_ffmpeg};

fn encode(folder: &Path, shape: Shape, arguments: &[&str], name: &str) -> PathBuf {
    let file = folder.join(name);
    let source = ffmpeg::source(folder, shape);
    run(source.iter().map(String::as_str).chain(arguments.iter().copied()).chain([file.to_str().unwrap()]));
    file
}

fn joined(folder: &Path, files: &[&Path], name: &str) -> PathBuf {
    let file = folder.join(name);
    std::fs::write(&file, files.iter().flat_map(|file| std::fs::read(file).unwrap()).collect::<Vec<u8>>()).unwrap();
    file
}

/// Two tracks of different sounds: which is decoded must not depend on the decoder.
#[test]
fn of_several_tracks_the_one_is_decoded_that_ffmpeg_chooses() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mono = encode(folder, Shape { channels: 1, ..STEREO }, &["-c:a", "aac"], "mono.mka");
    let stereo = encode(folder, STEREO, &["-c:a", "aac"], "stereo.mka");
    let (mono, stereo) = (mono.to_str().unwrap(), stereo.to_str().unwrap());
    let cases: [(&str, &[&str]); 4] = [
        ("first-default", &["-disposition:a:0", "default", "-disposition:a:1", "0"]),
        ("second-default", &["-disposition:a:0", "0", "-disposition:a:1", "default"]),
        ("none-default", &["-disposition:a:0", "0", "-disposition:a:1", "0"]),
        ("both-default", &["-disposition:a:0", "default", "-disposition:a:1", "default"]),
    ];
    for (name, disposition) in cases {
        for extension in ["mkv", "mp4"] {
            let file = folder.join(format!("{name}.{extension}"));
            let inputs = ["-i", mono, "-i", stereo, "-map", "0:a", "-map", "1:a", "-c", "copy"];
            run(inputs.iter().chain(disposition).copied().chain([file.to_str().unwrap()]));
            assert_same(&with_ffmpeg(), &file, LOSSY);
            if let Ok(audio) = Decoder::new().decode_file(&file) {
                assert_eq!(audio, with_ffmpeg().decode_file(&file).unwrap(), "{}", file.display());
            }
        }
    }
}

#[test]
fn chained_ogg_is_read_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let first = encode(folder, STEREO, &["-c:a", "libvorbis"], "first.ogg");
    let second = encode(folder, Shape { seconds: 1.7, ..STEREO }, &["-c:a", "libvorbis"], "second.ogg");
    let chain = joined(folder, &[&first, &second], "chain.ogg");
    assert_refused(&chain);
    assert_same(&with_ffmpeg(), &chain, 0.0);
    let seconds = with_ffmpeg().decode_file(&chain).unwrap().duration_s();
    assert!((seconds - 3.0).abs() < 0.02, "{seconds}");
}

#[test]
fn a_stream_that_changes_its_rate_or_channels_is_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let other_rate = Shape { rate_hz: 22_050, ..STEREO };
    let other_channels = Shape { channels: 1, ..STEREO };
    for (codec, extension) in [("libvorbis", "ogg"), ("libmp3lame", "mp3"), ("flac", "flac")] {
        for (index, shape) in [other_rate, other_channels].into_iter().enumerate() {
            let arguments = ["-c:a", codec, "-write_xing", "0"];
            let arguments = if extension == "mp3" { &arguments[..] } else { &arguments[..2] };
            let first = encode(folder, STEREO, arguments, &format!("first.{extension}"));
            let second = encode(folder, shape, arguments, &format!("second.{extension}"));
            let both = joined(folder, &[&first, &second], &format!("{index}.{extension}"));
            for decoder in [Decoder::new(), with_ffmpeg()] {
                let result = decoder.decode_file(&both);
                let failed = matches!(
                    result,
                    Err(AudioError::Malformed { .. } | AudioError::Unsupported { .. } | AudioError::Undecodable { .. })
                );
                assert!(failed, "{}: {:?}", both.display(), result.map(|audio| audio.frames()));
            }
        }
    }
}

/// No HE-AAC encoder is at hand; what decides is the configuration, which is changed here. ffmpeg then doubles the rate.
#[test]
fn aac_that_may_hold_the_upper_half_apart_is_left_to_ffmpeg() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let plain = encode(folder, Shape { rate_hz: 24_000, ..STEREO }, &["-c:a", "aac"], "plain.m4a");
    assert_same(&Decoder::new(), &plain, LOSSY);
    let bytes = std::fs::read(&plain).unwrap();
    let mark = bytes.windows(3).position(|bytes| bytes == [0x56, 0xe5, 0x00]).unwrap();
    // Present, with 48 kHz for the whole; and nothing said.
    for (name, extension) in [("present.m4a", [0x56, 0xe5, 0x98]), ("open.m4a", [0, 0, 0])] {
        let mut changed = bytes.clone();
        changed[mark..mark + 3].copy_from_slice(&extension);
        let file = folder.join(name);
        std::fs::write(&file, changed).unwrap();
        assert_refused(&file);
        assert_same(&with_ffmpeg(), &file, 0.0);
    }
    assert_eq!(with_ffmpeg().decode_file(&folder.join("present.m4a")).unwrap().sample_rate_hz, 48_000);
}

/// Too short for a second page of sound: ffmpeg 5.1 takes what the last page does not count for samples in front of the
/// first. RFC 3533 and the Vorbis specification say that they are cut off at the end.
#[test]
fn a_short_vorbis_is_as_long_as_what_was_encoded() {
    let folder = tempfile::tempdir().unwrap();
    let shape = Shape { seconds: 0.4, ..STEREO };
    let file = encode(folder.path(), shape, &["-c:a", "libvorbis"], "short.ogg");
    assert_eq!(Decoder::new().decode_file(&file).unwrap().frames(), 17_640);
}

/// Pictures of four seconds; the sound stops early, starts late, or does neither.
#[test]
fn sound_that_ends_before_the_pictures_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let sound = |seconds| encode(folder.path(), Shape { seconds, ..STEREO }, &["-c:a", "pcm_s16le"], "sound.wav");
    let pictures = ["-f", "lavfi", "-i", "testsrc=s=64x48:r=10:d=4"];
    let cases: [(&str, &[&str]); 4] = [
        ("mp4", &["-c:v", "libx264", "-c:a", "aac"]),
        ("mkv", &["-c:v", "libx264", "-c:a", "aac"]),
        ("webm", &["-c:v", "libvpx", "-c:a", "libopus"]),
        ("avi", &["-c:v", "mjpeg", "-c:a", "libmp3lame"]),
    ];
    let decoder = with_ffmpeg().ends_with_pictures(0.5);
    for (name, codecs) in cases {
        for (seconds, offset, is_early) in [(1.5, "0", true), (3.8, "0", false), (1.5, "2.4", false)] {
            // AVI has no times: sound cannot start late.
            if name == "avi" && offset != "0" {
                continue;
            }
            let (sound, file) = (sound(seconds), folder.path().join(format!("film.{name}")));
            let input = ["-itsoffset", offset, "-i", sound.to_str().unwrap()];
            run(pictures.iter().chain(&input).chain(codecs).copied().chain([file.to_str().unwrap()]));
            let result = decoder.decode_file(&file);
            match result {
                Err(AudioError::EndsEarly { sound_s, pictures_s }) if is_early => {
                    assert!((sound_s - 1.5).abs() < 0.15 && (pictures_s - 4.0).abs() < 0.15, "{name}");
                }
                Ok(audio) if !is_early => assert!((audio.duration_s() - seconds).abs() < 0.1, "{name}"),
                other => panic!("{name}, {seconds} s from {offset} s: {:?}", other.map(|audio| audio.duration_s())),
            }
            assert!(with_ffmpeg().decode_file(&file).is_ok());
        }
    }
}
