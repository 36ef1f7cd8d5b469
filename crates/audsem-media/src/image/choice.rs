//! Which frames of a video a network sees.
//!
//! The rules are those of the extractors that this stage follows; they count frames that are not black, and all
//! positions are numbers of such frames. Times of chosen frames come from the video, never from a frame rate.

/// A frame is black if the mean of its values, from 0 to 255, is not above this.
const BLACK_MEAN: f64 = 1.0;

/// Frames that a captioner sees of a clip at most, by default.
pub const CAPTION_FRAMES: usize = 4;

/// Clips below this length have frames at one third and two thirds, in seconds.
const SHORT_S: f64 = 2.0;

/// What is known of each frame of a video.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FrameFacts {
    /// When it is shown, in milliseconds from the beginning of the file.
    pub time_ms: u64,
    /// The mean of its values, from 0 to 255.
    pub mean: f64,
}

/// Numbers of the frames that are not black, in order.
pub fn visible_frames(frames: &[FrameFacts]) -> Vec<usize> {
    let visible = frames.iter().enumerate().filter(|(_, frame)| frame.mean > BLACK_MEAN);
    visible.map(|(number, _)| number).collect()
}

/// Frames per second, from the times of the first and the last frame; none for a video of one frame or of no length.
pub fn frames_per_second(frames: &[FrameFacts]) -> Option<f64> {
    let (first, last) = (frames.first()?, frames.last()?);
    let ms = last.time_ms.checked_sub(first.time_ms).filter(|ms| *ms > 0)?;
    Some((frames.len() - 1) as f64 * 1000.0 / ms as f64)
}

/// Positions among `n` visible frames of those that are captioned: up to `most`, evenly spaced and one for each begun
/// second; of less than two seconds, those at one and at two thirds, which may be the same.
///
/// `fps` is the frame rate of the video. Without one there is a single frame or no time passes, so the first frame
/// stands for all.
pub fn caption_frames(n: usize, fps: Option<f64>, most: usize) -> Vec<usize> {
    let Some(last) = n.checked_sub(1) else { return Vec::new() };
    let short = |places: [usize; 2]| places.into_iter().take(most).collect();
    let Some(fps) = fps.filter(|fps| fps.is_finite() && *fps > 0.0) else { return short([0, 0]) };
    let seconds = last as f64 / fps;
    if seconds < SHORT_S {
        return short([(seconds * fps / 3.0) as usize, (seconds * fps * 2.0 / 3.0) as usize]);
    }
    let chosen = most.min(n).min(seconds.ceil() as usize);
    let step = if chosen > 1 { seconds * fps / (chosen - 1) as f64 } else { 0.0 };
    (0..chosen).map(|k| ((k as f64 * step) as usize).min(last)).collect()
}

/// Positions among `n` visible frames of `wanted` frames, evenly spaced from the first to the last and rounded down; the
/// same ones come several times where there are fewer.
pub fn uniform_frames(n: usize, wanted: usize) -> Vec<usize> {
    let Some(last) = n.checked_sub(1) else { return Vec::new() };
    let step = if wanted > 1 { last as f64 / (wanted - 1) as f64 } else { 0.0 };
    // The last place of a linspace is its end, whatever the step was rounded to.
    let at = |k: usize| if k > 0 && k + 1 == wanted { last } else { (k as f64 * step) as usize };
    (0..wanted).map(at).collect()
}
