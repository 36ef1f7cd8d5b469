//! Every codec in every container we claim to read, sample by sample against ffmpeg.
//!
//! ffmpeg makes the files when the test runs and decodes them to 32-bit floats. The decoder without ffmpeg must give
//! the same samples where [`rows`] says that it reads the file, and refuse all others; with ffmpeg it must give the
//! same samples for those.

mod ffmpeg;
mod lengths;
mod rows;
mod streams;
mod wav;

use std::path::Path;

use audsem_media::audio::{Audio, AudioError, Decoder};
use ffmpeg::{Made, Reference, Shape};
use rows::{LOSSLESS, LOSSY, LOSSY_ROWS, Row, SHAPES};

fn with_ffmpeg() -> Decoder {
    Decoder::new().with_ffmpeg(ffmpeg::program())
}

/// What is wrong with `audio`, if anything.
fn difference(audio: &Audio, reference: &Reference, tolerance: f32) -> Option<String> {
    let ours = (audio.sample_rate_hz, audio.channels(), audio.frames());
    let theirs = (reference.rate_hz, reference.channels, reference.samples.len() / reference.channels);
    if ours != theirs {
        return Some(format!("{ours:?} instead of {theirs:?} (rate, channels, frames)"));
    }
    let off = audio.samples.iter().zip(&reference.samples).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    (off > tolerance).then(|| format!("off by {off}"))
}

/// The decoder gives what ffmpeg gives.
fn assert_same(decoder: &Decoder, file: &Path, tolerance: f32) {
    let audio = decoder.decode_file(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let difference = difference(&audio, &ffmpeg::decode(file), tolerance);
    assert_eq!(difference, None, "{}", file.display());
}

/// The built-in decoders refuse the file before they decode anything of it.
fn assert_refused(file: &Path) {
    let result = Decoder::new().decode_file(file);
    assert!(matches!(result, Err(AudioError::Unsupported { .. })), "{}: {result:?}", file.display());
}

fn compare(made: &Made, reference: &Reference, tolerance: f32) -> Option<String> {
    let built_in = Decoder::new().decode_file(&made.file);
    let result = match built_in {
        Ok(audio) if made.built_in => Ok(difference(&audio, reference, tolerance)),
        Err(AudioError::Unsupported { .. }) if !made.built_in => {
            with_ffmpeg().decode_file(&made.file).map(|audio| difference(&audio, reference, 0.0))
        }
        Ok(_) => Ok(Some("read by the built-in decoders".to_owned())),
        Err(error) => Err(error),
    };
    let what = result.unwrap_or_else(|error| Some(error.to_string()))?;
    Some(format!("{}: {what}", made.file.display()))
}

fn check(shape: Shape, rows: &[Row], tolerance: f32) {
    let folder = tempfile::tempdir().unwrap();
    let made = ffmpeg::encode(folder.path(), shape, rows);
    let references = ffmpeg::decode_all(&made);
    let wrong: Vec<String> =
        made.iter().zip(&references).filter_map(|(made, reference)| compare(made, reference, tolerance)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const STEREO: Shape = Shape { rate_hz: 44_100, channels: 2, seconds: 1.3 };

#[test]
fn lossless_codecs_give_ffmpegs_samples_bit_by_bit() {
    check(STEREO, LOSSLESS, 0.0);
}

#[test]
fn lossy_codecs_give_ffmpegs_samples() {
    check(STEREO, LOSSY_ROWS, LOSSY);
}

#[test]
fn low_rates_give_ffmpegs_samples() {
    SHAPES[..2].iter().for_each(|(shape, rows)| check(*shape, rows, LOSSY));
}

#[test]
fn surround_and_high_rates_give_ffmpegs_samples() {
    SHAPES[2..].iter().for_each(|(shape, rows)| check(*shape, rows, LOSSY));
}
