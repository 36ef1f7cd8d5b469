//! Pictures against Pillow, and frames of videos against what was put into them.

use audsem_core::blame::Blame;
use audsem_media::image::{
    CAPTION_FRAMES, FrameFacts, ImageError, ResizeFilter, RgbImage, caption_frames, decode_frames, decode_picture,
    frames_per_second, uniform_frames, visible_frames,
};
use audsem_media::program::{Program, Tool};
use serde::Deserialize;

use crate::goldens::{Goldens, fixture};

fn picture(goldens: &Goldens, name: &str) -> RgbImage {
    let &[height, width, _] = goldens.shape(name) else { panic!("{name}") };
    RgbImage::new(width, height, goldens.u8(name).to_vec()).unwrap()
}

/// As `large` of the script.
fn large() -> RgbImage {
    let value = |n: u64| ((n * n * 7 + n * 31) / 64 % 256) as u8;
    RgbImage::new(640, 360, (0..360 * 640 * 3).map(value).collect()).unwrap()
}

#[test]
fn pictures_are_resized_as_by_pillow_bit_for_bit() {
    let goldens = Goldens::open("image.safetensors");
    let mut compared = 0;
    for name in goldens.names().filter(|name| !name.starts_with("decoded.")) {
        let [source, filter, size] = name.split('.').collect::<Vec<_>>()[..] else { continue };
        let filter = if filter == "bicubic" { ResizeFilter::Bicubic } else { ResizeFilter::Bilinear };
        let (width, height) = size.split_once('x').unwrap();
        let (width, height) = (width.parse().unwrap(), height.parse().unwrap());
        if source == "large" {
            let small = large().resized(width, height, filter).unwrap();
            let some: Vec<u8> = small.values().iter().step_by(97).copied().collect();
            assert!(some == goldens.u8(name), "{name}");
        } else {
            let small = picture(&goldens, &format!("{source}.rgb")).resized(width, height, filter).unwrap();
            assert!(small == picture(&goldens, name), "{name}");
        }
        compared += 1;
    }
    assert_eq!(compared, 36);
}

/// JPEG does not fix the rounding of its transform, and how colours of coarser resolution are interpolated.
#[test]
fn files_are_decoded_as_by_pillow() {
    let goldens = Goldens::open("image.safetensors");
    let names: Vec<&str> = goldens.names().filter_map(|name| name.strip_prefix("decoded.")).collect();
    assert_eq!(names.len(), 10);
    for name in names {
        let bytes = std::fs::read(fixture("pictures").join(name)).unwrap();
        let (got, wanted) = (decode_picture(&bytes).unwrap(), picture(&goldens, &format!("decoded.{name}")));
        assert_eq!((got.width(), got.height()), (wanted.width(), wanted.height()), "{name}");
        let tolerance = match name {
            "subsampled.jpg" => 16,
            name if name.ends_with(".jpg") => 3,
            _ => 0,
        };
        let pairs = got.values().iter().zip(wanted.values());
        let largest = pairs.map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(largest <= tolerance, "{name}: {largest}");
    }
}

#[test]
fn a_damaged_picture_is_an_error_wherever_it_is_damaged() {
    for name in ["rgb.png", "palette.png", "colour.jpg", "progressive.jpg"] {
        let bytes = std::fs::read(fixture("pictures").join(name)).unwrap();
        // A PNG file ends with a chunk of 12 bytes after its pixels, a JPEG file with a mark of two.
        let end = bytes.len() - 14;
        for cut in (0..end).step_by(7) {
            let error = decode_picture(&bytes[..cut]).unwrap_err();
            assert_eq!(error.blame(), Blame::Record, "{name} cut at {cut}: {error}");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x5a;
            // Either an error or a picture, never a panic.
            decode_picture(&changed).ok();
        }
    }
    let mut huge = std::fs::read(fixture("pictures/rgb.png")).unwrap();
    huge[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
    assert!(decode_picture(&huge).is_err());
    assert!(matches!(decode_picture(b"GIF89a"), Err(ImageError::Unknown)));
    assert!(matches!(decode_picture(b""), Err(ImageError::Unknown)));
}

#[derive(Deserialize)]
struct Choices {
    caption: Vec<CaptionCase>,
    uniform: Vec<UniformCase>,
}

#[derive(Deserialize)]
struct CaptionCase {
    n: usize,
    fps: f64,
    frames: Vec<usize>,
}

#[derive(Deserialize)]
struct UniformCase {
    n: usize,
    wanted: usize,
    frames: Vec<usize>,
}

#[test]
fn frames_are_chosen_as_the_formulas_say() {
    let text = std::fs::read(fixture("goldens/frame_choice.json")).unwrap();
    let choices: Choices = serde_json::from_slice(&text).unwrap();
    for CaptionCase { n, fps, frames } in choices.caption {
        assert_eq!(caption_frames(n, Some(fps), CAPTION_FRAMES), frames, "{n} frames, {fps} a second");
    }
    for UniformCase { n, wanted, frames } in choices.uniform {
        assert_eq!(uniform_frames(n, wanted), frames, "{wanted} of {n}");
    }
    assert!(caption_frames(0, Some(2.0), 4).is_empty() && uniform_frames(0, 8).is_empty());
    assert_eq!(caption_frames(1, None, 4), [0, 0]);
    // Of fewer, the first and the last are among them.
    assert_eq!((caption_frames(21, Some(2.0), 2), caption_frames(21, Some(2.0), 1)), (vec![0, 20], vec![0]));
    assert_eq!(caption_frames(3, Some(2.0), 1), [0]);
}

fn ffmpeg() -> Program {
    Program::find(Tool::Ffmpeg, None).unwrap()
}

/// A video of 48 × 32 pixels whose frame `n` is shown at `times_ms[n]` and has the colour (10 n, 3 n, 200) but for the
/// first `black` ones.
fn video(times_ms: &[u64], black: usize) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.mkv");
    let times = times_ms.iter().enumerate().map(|(n, ms)| format!("eq(N,{n})*{ms}")).collect::<Vec<_>>().join("+");
    let shown = format!("gte(N,{black})");
    let filter = format!(
        "color=s=48x32:r=25,format=gbrp,geq=r='{shown}*10*N':g='{shown}*3*N':b='{shown}*200',settb=1/1000,setpts='{times}'"
    );
    let ffmpeg = ffmpeg();
    let call = ffmpeg.call().args(["-v", "error", "-f", "lavfi", "-i", &filter]).arg("-frames:v");
    let call = call.arg(times_ms.len().to_string()).args(["-fps_mode", "passthrough", "-c:v", "ffv1"]);
    call.args(["-enc_time_base", "1/1000", "-f", "matroska"]).arg(&path).output().unwrap();
    std::fs::read(path).unwrap()
}

/// Steps between frames differ, as in recordings of screens and telephones.
#[test]
fn frames_come_with_their_own_times_and_values() {
    let times = [0, 40, 81, 500, 1_250, 1_251, 3_999, 8_000];
    let video = video(&times, 2);
    let chosen = decode_frames(&ffmpeg(), &video, |frames| {
        let visible = visible_frames(frames);
        assert_eq!(visible, [2, 3, 4, 5, 6, 7]);
        uniform_frames(visible.len(), 4).into_iter().map(|at| visible[at]).collect()
    })
    .unwrap();
    assert_eq!(chosen.facts.iter().map(|frame| frame.time_ms).collect::<Vec<_>>(), times);
    assert_eq!(chosen.facts[0].mean, 0.0);
    assert_eq!(chosen.frames.keys().copied().collect::<Vec<_>>(), [2, 3, 5, 7]);
    for (number, frame) in &chosen.frames {
        assert_eq!((frame.number, frame.time_ms), (*number, times[*number]));
        assert_eq!((frame.picture.width(), frame.picture.height()), (48, 32));
        let colour = [10 * *number as u8, 3 * *number as u8, 200];
        assert!(frame.picture.values().chunks_exact(3).all(|pixel| pixel == colour), "{number}");
    }
    assert_eq!(frames_per_second(&chosen.facts), Some(7.0 / 8.0));
    let error = decode_frames(&ffmpeg(), &video, |_| vec![8]).unwrap_err();
    assert!(matches!(error, ImageError::NoSuchFrame { index: 8, frames: 8 }), "{error}");
}

#[test]
fn what_has_no_pictures_or_breaks_off_is_an_error_of_the_clip() {
    let sound = std::fs::read(fixture("audio/aac-mono.m4a")).unwrap();
    assert!(matches!(decode_frames(&ffmpeg(), &sound, |_| vec![0]), Err(ImageError::NoPictures)));
    let whole = video(&[0, 500, 1_000, 1_500], 0);
    for broken in [&whole[..40], b"no video at all", b""] {
        let error = decode_frames(&ffmpeg(), broken, |_| vec![0]).unwrap_err();
        assert_eq!(error.blame(), Blame::Record, "{error}");
    }
    let missing = Program::at(Tool::Ffmpeg, "/nowhere/ffmpeg");
    assert_eq!(decode_frames(&missing, &whole, |_| vec![0]).unwrap_err().blame(), Blame::Surroundings);
}

#[test]
fn a_rate_needs_two_frames_and_some_time() {
    let frame = |time_ms| FrameFacts { time_ms, mean: 9.0 };
    assert_eq!(frames_per_second(&[]), None);
    assert_eq!(frames_per_second(&[frame(7)]), None);
    assert_eq!(frames_per_second(&[frame(7), frame(7)]), None);
    assert_eq!(frames_per_second(&[frame(0), frame(500), frame(1_000)]), Some(2.0));
}
