//! The pictures of a clip: frames of its video, decoded once, or a single picture.

use audsem_core::clips::{ClipContent, MediaBytes};
use audsem_core::run::{ShardError, ShardOutput, Stats, Summary};

use super::{ClipDecoder, ClipError, DecodedClip, MediaFault};
use crate::image::{
    ChosenFrames, FrameFacts, ImageError, RgbImage, caption_frames, decode_frames, decode_picture, frames_per_second,
    uniform_frames, visible_frames,
};
use crate::program::Program;

/// Counter of frames that networks look at.
pub const FRAMES: &str = "frames";

/// Which of the frames that are not black are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameChoice {
    /// One for each begun second, at most so many, evenly spaced; see [`caption_frames`].
    EachSecond(usize),
    /// So many, evenly spaced from the first to the last, of few frames some several times; see [`uniform_frames`].
    Uniform(usize),
}

/// The pictures of a clip, as all networks of a run share them.
#[derive(Debug, Clone, PartialEq)]
pub struct ClipFrames {
    /// The chosen frames by time; at least one.
    pub frames: Vec<ClipFrame>,
    /// Seconds that the frames that are not black fill at the video's frame rate; nothing for a picture, and for a video
    /// without a frame rate.
    pub seconds: Option<f64>,
}

impl ClipFrames {
    /// The times of the frames in milliseconds; nothing for a picture.
    #[must_use]
    pub fn times_ms(&self) -> Option<Vec<u32>> {
        self.frames.iter().map(|frame| Some(u32::try_from(frame.time_ms?).unwrap_or(u32::MAX))).collect()
    }
}

/// A chosen frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClipFrame {
    /// When it is shown, in milliseconds from the beginning of the file; nothing for a picture.
    pub time_ms: Option<u64>,
    /// What is on it.
    pub picture: RgbImage,
}

/// What decodes the pictures of clips: ffmpeg for videos, built-in decoders for PNG and JPEG.
#[derive(Debug)]
pub struct FrameDecoder {
    ffmpeg: Option<Program>,
    choice: FrameChoice,
}

impl FrameDecoder {
    /// A decoder with a rule of choice; without ffmpeg, videos are faults.
    #[must_use]
    pub fn new(ffmpeg: Option<Program>, choice: FrameChoice) -> Self {
        Self { ffmpeg, choice }
    }

    fn frames(&self, clip: &MediaBytes) -> Result<ClipFrames, ImageError> {
        match decode_picture(&clip.bytes) {
            Err(ImageError::Unknown) => {}
            decoded => {
                return Ok(ClipFrames { frames: vec![ClipFrame { time_ms: None, picture: decoded? }], seconds: None });
            }
        }
        let ffmpeg = self.ffmpeg.as_ref().ok_or(ImageError::NoProgram)?;
        // An ffmpeg that ended early without a word looks like a damaged video.
        self.frames_of_video(ffmpeg, clip).or_else(|_| self.frames_of_video(ffmpeg, clip))
    }

    fn frames_of_video(&self, ffmpeg: &Program, clip: &MediaBytes) -> Result<ClipFrames, ImageError> {
        let mut order = Vec::new();
        let mut seconds = None;
        let chosen = decode_frames(ffmpeg, &clip.bytes, |facts| {
            order = self.choice.of(facts);
            seconds = frames_per_second(facts).map(|fps| visible_frames(facts).len() as f64 / fps);
            order.clone()
        })?;
        Ok(ClipFrames { frames: in_order(&chosen, &order), seconds })
    }
}

impl FrameChoice {
    /// Numbers of the chosen frames, in order.
    fn of(self, facts: &[FrameFacts]) -> Vec<usize> {
        let visible = visible_frames(facts);
        let mut places = match self {
            Self::EachSecond(most) => caption_frames(visible.len(), frames_per_second(facts), most),
            Self::Uniform(wanted) => uniform_frames(visible.len(), wanted),
        };
        if let Self::EachSecond(_) = self {
            // What is said of a frame does not count twice.
            places.dedup();
        }
        places.into_iter().map(|place| visible[place]).collect()
    }
}

fn in_order(chosen: &ChosenFrames, order: &[usize]) -> Vec<ClipFrame> {
    let frames = order.iter().map(|number| &chosen.frames[number]);
    frames.map(|frame| ClipFrame { time_ms: Some(frame.time_ms), picture: frame.picture.clone() }).collect()
}

impl ClipDecoder for FrameDecoder {
    type Media = ClipFrames;

    const CONTENT: ClipContent = ClipContent::Pictures;
    const UNIT: &'static str = "frames";
    const HEAD_BYTES: u64 = 0;

    fn decode(&self, clip: &MediaBytes) -> Result<Result<DecodedClip<ClipFrames>, ClipError>, ShardError> {
        let media = match self.frames(clip) {
            Err(error) => {
                let error = error.of_record(&clip.key)?;
                return Ok(Err(ClipError::new(MediaFault::Undecodable, error.to_string())));
            }
            Ok(media) if media.frames.is_empty() => {
                return Ok(Err(ClipError::new(MediaFault::Black, "the mean of no frame is above 1 of 255")));
            }
            Ok(media) => media,
        };
        let n = media.frames.len();
        let milliseconds = media.frames[n - 1].time_ms.unwrap_or(0);
        Ok(Ok(DecodedClip { media, milliseconds, count: (FRAMES, n as u64), work: n as f64 }))
    }

    fn count_unread(_: &MediaBytes, _: &mut ShardOutput) {}

    fn describe(summary: Summary, stats: &Stats) -> Summary {
        match stats.counts.get(FRAMES) {
            Some(n) => summary.with_result(FRAMES, *n),
            None => summary,
        }
    }
}
