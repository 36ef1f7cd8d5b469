//! Frames of a video, decoded by ffmpeg, with their times.
//!
//! Frames come through a pipe; their times come at the same time in a file beside it, because a pipe of pictures has no
//! place for them. How many frames and times there are must agree.

use std::collections::BTreeMap;
use std::io::{BufReader, Read as _, Seek as _};
use std::time::Duration;

use super::{FrameFacts, ImageError, RgbImage, ppm};
use crate::program::{MediaError, Program, address_of};

/// Timeout of ffmpeg: a program that takes this long for the pictures of one clip hangs.
const TIMEOUT: Duration = Duration::from_secs(600);

/// Values of frames that are kept while nobody knows yet which ones are wanted: those of 90 frames of 640 × 360.
const KEPT_BYTES: usize = 64 << 20;

/// Size of a pipe's buffer: one row of a large picture.
const BUFFER_BYTES: usize = 1 << 16;

/// A frame with its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoFrame {
    /// Its number among all frames of the video, from 0.
    pub number: usize,
    /// When it is shown, in milliseconds from the beginning of the file.
    pub time_ms: u64,
    /// The picture.
    pub picture: RgbImage,
}

/// The frames that were chosen, and what is known of all.
#[derive(Debug, Clone, PartialEq)]
pub struct ChosenFrames {
    /// What is known of every frame, in order.
    pub facts: Vec<FrameFacts>,
    /// The chosen frames by number, each once.
    pub frames: BTreeMap<usize, VideoFrame>,
}

/// Decodes the pictures of a video held in memory and gives the frames whose numbers `choose` returns, once it knows the
/// time and the brightness of all. Memory does not grow with the length of the video: of a long or large one, frames are
/// decoded a second time, and only the chosen ones are kept.
///
/// # Errors
/// [`ImageError`]: among others [`ImageError::NoPictures`], damaged pictures, and a chosen number that there is not.
pub fn decode_frames(
    ffmpeg: &Program,
    video: &[u8],
    choose: impl FnOnce(&[FrameFacts]) -> Vec<usize>,
) -> Result<ChosenFrames, ImageError> {
    let mut kept = Kept::default();
    let mut means = Vec::new();
    let times = decode(ffmpeg, video, |number, picture| {
        means.push(picture.mean());
        kept.add(number, picture);
    })?;
    if times.len() != means.len() {
        let what = format!("{} times for {} pictures", times.len(), means.len());
        return Err(ImageError::Malformed { what });
    }
    let facts: Vec<FrameFacts> =
        times.iter().zip(means).map(|(time_ms, mean)| FrameFacts { time_ms: *time_ms, mean }).collect();
    let chosen = choose(&facts);
    if let Some(index) = chosen.iter().find(|number| **number >= facts.len()) {
        return Err(ImageError::NoSuchFrame { index: *index, frames: facts.len() });
    }
    let pictures = match kept.pictures {
        Some(pictures) => pictures,
        None => decode_again(ffmpeg, video, &chosen)?,
    };
    let wanted = pictures.into_iter().filter(|(number, _)| chosen.contains(number));
    let frame = |(number, picture)| (number, VideoFrame { number, time_ms: facts[number].time_ms, picture });
    let frames = wanted.map(frame).collect();
    Ok(ChosenFrames { facts, frames })
}

/// The frames of these numbers alone.
fn decode_again(ffmpeg: &Program, video: &[u8], chosen: &[usize]) -> Result<BTreeMap<usize, RgbImage>, ImageError> {
    let mut pictures = BTreeMap::new();
    decode(ffmpeg, video, |number, picture| {
        if chosen.contains(&number) {
            pictures.insert(number, picture);
        }
    })?;
    Ok(pictures)
}

/// Frames that are kept until they are too many.
struct Kept {
    pictures: Option<BTreeMap<usize, RgbImage>>,
    n_bytes: usize,
}

impl Default for Kept {
    fn default() -> Kept {
        Kept { pictures: Some(BTreeMap::new()), n_bytes: 0 }
    }
}

impl Kept {
    fn add(&mut self, number: usize, picture: RgbImage) {
        self.n_bytes += picture.values().len();
        if self.n_bytes > KEPT_BYTES {
            self.pictures = None;
        }
        if let Some(pictures) = &mut self.pictures {
            pictures.insert(number, picture);
        }
    }
}

/// Hands every frame to `visit`, and returns the times of all in milliseconds.
fn decode(ffmpeg: &Program, video: &[u8], mut visit: impl FnMut(usize, RgbImage)) -> Result<Vec<u64>, ImageError> {
    let folder = std::env::temp_dir();
    // Without a name, nothing remains of it when this process is killed.
    let mut times = tempfile::tempfile_in(&folder).map_err(ImageError::Temporary)?;
    let running = ffmpeg
        .call()
        // A frame that cannot be decoded would be left out without a word; one thread, as clips are decoded in parallel.
        .args(["-nostdin", "-v", "error", "-xerror", "-threads", "1", "-y"])
        .input_bytes(video, &folder)?
        // Frames as they are, none repeated or dropped to keep a rate, and times in the unit of the file.
        .args(["-map", "0:v:0", "-fps_mode", "passthrough", "-c:v", "ppm", "-f", "image2pipe", "pipe:1"])
        .args(["-map", "0:v:0", "-fps_mode", "passthrough", "-enc_time_base", "-1"])
        .args(["-c:v", "rawvideo", "-f", "framecrc"])
        .arg(address_of(&times))
        .timeout(TIMEOUT)
        .spawn()?;
    let mut pipe = BufReader::with_capacity(BUFFER_BYTES, running);
    let mut number = 0;
    let read = loop {
        match ppm::read(&mut pipe) {
            Ok(Some(picture)) => visit(number, picture),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
        number += 1;
    };
    // What ffmpeg says about its end explains pictures that break off, so it comes first.
    pipe.into_inner().finish().map_err(without_pictures)?;
    read?;
    if number == 0 {
        return Err(ImageError::NoPictures);
    }
    let mut text = String::new();
    times.rewind().and_then(|()| times.read_to_string(&mut text)).map_err(ImageError::Temporary)?;
    parse_times(&text)
}

fn without_pictures(error: MediaError) -> ImageError {
    match &error {
        MediaError::Failed { stderr, .. } if stderr.contains("matches no streams") => ImageError::NoPictures,
        _ => ImageError::Program(error),
    }
}

/// Parses the output of ffmpeg's `framecrc`: the time base, then stream, decoding time and presentation time of each
/// frame.
fn parse_times(text: &str) -> Result<Vec<u64>, ImageError> {
    let broken = |line: &str| ImageError::Malformed { what: format!("no time of a picture: {line}") };
    let mut unit_ms = None;
    let mut times = Vec::new();
    for line in text.lines() {
        if let Some(unit) = line.strip_prefix("#tb 0:") {
            let (a, b) = unit.split_once('/').ok_or_else(|| broken(line))?;
            let (a, b) = (a.trim().parse::<f64>(), b.trim().parse::<f64>());
            unit_ms = Some(1000.0 * a.map_err(|_| broken(line))? / b.map_err(|_| broken(line))?);
        } else if !line.starts_with('#') {
            let shown = line.split(',').nth(2).and_then(|field| field.trim().parse::<i64>().ok());
            let (shown, unit_ms) = shown.zip(unit_ms).ok_or_else(|| broken(line))?;
            // An edit list may begin within a frame, which is then shown from the beginning.
            times.push((shown as f64 * unit_ms).round().max(0.0) as u64);
        }
    }
    match times.is_sorted() {
        true => Ok(times),
        false => Err(ImageError::Malformed { what: "times of pictures go back".to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn times_are_in_milliseconds_and_never_guessed() {
        let text = "#software: Lavf59\n#tb 0: 1/16000\n#media_type 0: video\n0, 0, 0, 1, 12, 0x1\n0, 24008, 24008, 1, 12, 0x2\n";
        assert_eq!(parse_times(text).unwrap(), [0, 1501]);
        for text in ["0, 0, 0, 1, 12, 0x1\n", "#tb 0: 1\n", "#tb 0: 1/25\n0, 1, NOPTS, 1, 12, 0x1\n"] {
            assert!(parse_times(text).is_err(), "{text:?}");
        }
        assert!(parse_times("#tb 0: 1/25\n0, 2, 2, 1, 1, 0x1\n0, 1, 1, 1, 1, 0x1\n").is_err());
    }

    #[test]
    fn too_many_frames_are_not_kept() {
        let mut kept = Kept::default();
        let picture = RgbImage::new(2048, 2048, vec![7; 3 << 22]).unwrap();
        for number in 0..5 {
            kept.add(number, picture.clone());
        }
        assert_eq!(kept.pictures.as_ref().map(BTreeMap::len), Some(5));
        kept.add(5, picture);
        assert!(kept.pictures.is_none());
    }
}
