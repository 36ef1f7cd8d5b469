//! Length and position: pieces cut by copying, files without a count, encoder delay, tags and garbage.

use std::path::{Path, PathBuf};

use audsem_media::audio::{AudioError, CheckFailure, CheckLimits, Decoder, Verify, check_audio};

use super::ffmpeg::{self, Shape, run};
use super::rows::LOSSY;
use super::{STEREO, assert_refused, assert_same, with_ffmpeg};

/// Encodes a source of six seconds, whose second half is louder and noisier: bit rates differ.
fn encode(folder: &Path, arguments: &[&str], name: &str) -> PathBuf {
    let file = folder.join(name);
    let source = ffmpeg::source(folder, Shape { seconds: 6.0, ..STEREO });
    let volume = ["-af", "volume='if(lt(t,3),0.01,1)':eval=frame"];
    run(source
        .iter()
        .map(String::as_str)
        .chain(volume)
        .chain(arguments.iter().copied())
        .chain([file.to_str().unwrap()]));
    file
}

/// Copies the streams of a section.
fn copy(file: &Path, start: &str, seconds: &str, name: &str) -> PathBuf {
    let target = file.with_file_name(name);
    run([
        "-ss",
        start,
        "-i",
        file.to_str().unwrap(),
        "-t",
        seconds,
        "-c",
        "copy",
        "-strict",
        "-2",
        target.to_str().unwrap(),
    ]);
    target
}

#[test]
fn mp3_without_a_count_is_as_long_as_its_frames() {
    let folder = tempfile::tempdir().unwrap();
    let bare = encode(folder.path(), &["-c:a", "libmp3lame", "-q:a", "2", "-write_xing", "0"], "bare.mp3");
    let audio = Decoder::new().decode_file(&bare).unwrap();
    // Encoder delay and padding, which nothing declares, are heard.
    assert!((6.0..6.1).contains(&audio.duration_s()), "{}", audio.duration_s());
    assert_same(&Decoder::new(), &bare, LOSSY);
    let counted = encode(folder.path(), &["-c:a", "libmp3lame", "-q:a", "2"], "counted.mp3");
    assert_eq!(Decoder::new().decode_file(&counted).unwrap().frames(), 6 * 44_100);
    assert_same(&Decoder::new(), &counted, LOSSY);
}

#[test]
fn mp3_with_tags_and_garbage_gives_the_sound_alone() {
    let folder = tempfile::tempdir().unwrap();
    let bytes =
        std::fs::read(encode(folder.path(), &["-c:a", "libmp3lame", "-write_id3v1", "1"], "plain.mp3")).unwrap();
    let big_tag = [b"ID3\x03\0\0\0\x01\x40\0".as_slice(), &[0; 128 + 64 * 128]].concat();
    let cases = [
        ("tag.mp3", [&big_tag[..], &bytes].concat()),
        ("two-tags.mp3", [&big_tag[..], &big_tag, &bytes].concat()),
        ("zeros.mp3", [&[0; 300][..], &bytes].concat()),
        ("text-behind.mp3", [&bytes[..], b"and some text behind the last frame, as some writers put there"].concat()),
    ];
    for (name, bytes) in cases {
        let file = folder.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        assert_eq!(Decoder::new().decode_file(&file).unwrap().frames(), 6 * 44_100, "{name}");
    }
    // Two concatenated files: the header of the first counts only that one.
    let twice = folder.path().join("twice.mp3");
    std::fs::write(&twice, [&bytes[..], &bytes].concat()).unwrap();
    assert_refused(&twice);
}

#[test]
fn sections_cut_by_copying_hold_what_ffmpeg_finds_in_them() {
    let folder = tempfile::tempdir().unwrap();
    let cases: [(&[&str], &str, f32); 6] = [
        (&["-c:a", "aac"], "m4a", LOSSY),
        (&["-c:a", "aac"], "mkv", LOSSY),
        (&["-c:a", "alac"], "m4a", 0.0),
        (&["-c:a", "libvorbis"], "webm", LOSSY),
        (&["-c:a", "flac", "-strict", "-2"], "mp4", 0.0),
        (&["-c:a", "flac"], "flac", 0.0),
    ];
    for (index, (codec, extension, tolerance)) in cases.into_iter().enumerate() {
        let whole = encode(folder.path(), codec, &format!("whole-{index}.{extension}"));
        let piece = copy(&whole, "3.2", "2.5", &format!("piece-{index}.{extension}"));
        assert_same(&Decoder::new(), &piece, tolerance);
    }
    let whole = encode(folder.path(), &["-c:a", "pcm_s24be"], "whole.mov");
    let piece = copy(&whole, "3.2", "2.5", "piece.mov");
    assert_refused(&piece);
    assert_same(&with_ffmpeg(), &piece, 0.0);
}

/// `ffmpeg -c copy` leaves the count and the MD5 of the whole file in the header of the piece.
#[test]
fn a_flac_piece_with_the_header_of_the_whole_is_whole_and_one_cut_within_a_frame_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let whole = encode(folder.path(), &["-c:a", "flac"], "whole.flac");
    for (start, seconds, expected_s) in [("2", "3", 3.0), ("0", "3", 3.0), ("4", "9", 2.0)] {
        let piece = std::fs::read(copy(&whole, start, seconds, "piece.flac")).unwrap();
        let audio = Decoder::new().decode_bytes(&piece, Some("flac")).unwrap();
        // Whole frames of 4608 samples.
        assert!((audio.duration_s() - expected_s).abs() < 0.2, "{}", audio.duration_s());
        for verify in [Verify::Fast, Verify::Full] {
            let checked = check_audio(&piece, &CheckLimits::DEFAULT, verify).unwrap();
            assert!((checked.duration_s - audio.duration_s()).abs() < 1e-9, "{verify:?} from {start}");
        }
        let cut = &piece[..piece.len() - 100];
        let error = Decoder::new().decode_bytes(cut, Some("flac")).unwrap_err();
        assert!(matches!(error, AudioError::Truncated { .. }), "{error}");
        assert!(error.to_string().contains("within a frame, after"), "{error}");
        for verify in [Verify::Fast, Verify::Full] {
            let failure = check_audio(cut, &CheckLimits::DEFAULT, verify).unwrap_err();
            assert!(matches!(failure, CheckFailure::Audio(AudioError::Truncated { .. })), "{failure}");
        }
    }
}

/// A player looks for the next frame that fits; what lies behind would be early.
#[test]
fn a_damaged_frame_is_a_fault_and_no_gap() {
    let folder = tempfile::tempdir().unwrap();
    for (codec, name) in [("flac", "a.flac"), ("ac3", "a.mkv")] {
        let mut bytes = std::fs::read(encode(folder.path(), &["-c:a", codec], name)).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..middle + 700].iter_mut().for_each(|byte| *byte = !*byte);
        let extension = name.split_once('.').unwrap().1;
        let result = with_ffmpeg().decode_bytes(&bytes, Some(extension));
        let failed = matches!(result, Err(AudioError::Malformed { .. } | AudioError::Undecodable { .. }));
        assert!(failed, "{name}: {:?}", result.map(|audio| audio.frames()));
    }
}
