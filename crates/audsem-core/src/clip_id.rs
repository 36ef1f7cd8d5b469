//! The clip key: which stretch of which video a sample is.
//!
//! Times are integer milliseconds everywhere, because joining on floating-point seconds loses
//! records: of random three-decimal pairs, a quarter of the sums `start + duration` do not print
//! with three decimals (`1.1 + 2.2` is `3.3000000000000003`).

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::suffix::{is_media, is_picture};
use crate::video_id::MAX_ID_BYTES;

/// File extensions that may follow a clip's name, beside those of media; anything else after the parenthesis is an error.
const EXTENSIONS: [&str; 2] = ["json", "txt"];

/// A stretch of a video, the key every stage joins on.
///
/// It is written in two forms: `VID (12.34-15.54)` (seconds as Python prints floats) names files,
/// and `VID (12_34-15_54)` names samples in a tar, because WebDataset cuts a member's name at its
/// first dot. [`FromStr`] reads both, with leading folders and a known file extension.
///
/// ```
/// use audsem_core::clip_id::ClipId;
///
/// let clip: ClipId = "tar/dQw4w9WgXcQ (12_0-15_54).flac".parse()?;
/// assert_eq!((clip.start_ms(), clip.end_ms()), (12_000, 15_540));
/// assert_eq!(clip.to_string(), "dQw4w9WgXcQ (12.0-15.54)");
/// assert_eq!(clip.tar_key(), "dQw4w9WgXcQ (12_0-15_54)");
/// # Ok::<(), audsem_core::clip_id::ClipIdError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClipId {
    video_id: String,
    start_ms: u32,
    end_ms: u32,
}

/// Why a text is not a clip key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClipIdError {
    /// The ` (start-end)` part is absent.
    #[error("no ` (start-end)` part in the clip name: {name:?}")]
    NoSpan {
        /// The text that was read.
        name: String,
    },
    /// Something other than a known extension follows the closing parenthesis.
    #[error("unknown ending {ending:?} after the time span of the clip name: {name:?}")]
    UnknownEnding {
        /// The text that was read.
        name: String,
        /// What follows the parenthesis.
        ending: String,
    },
    /// A time is not a number of seconds; yt-dlp writes `NA` when it knows no end.
    #[error("the {which} time is not a number of seconds: {time:?} in {name:?}")]
    BadTime {
        /// The text that was read.
        name: String,
        /// `start` or `end`.
        which: &'static str,
        /// The part that should be a time.
        time: String,
    },
    /// The clip ends before it starts, or at once.
    #[error("the clip ends at {end_ms} ms, not after its start at {start_ms} ms")]
    EmptySpan {
        /// Start in milliseconds.
        start_ms: u32,
        /// End in milliseconds.
        end_ms: u32,
    },
    /// The video id cannot be part of a file name and a WebDataset key.
    #[error(
        "a video id has 1 to {MAX_ID_BYTES} bytes and no dot, slash, blank edge or control character: {video_id:?}"
    )]
    BadVideoId {
        /// The offending id.
        video_id: String,
    },
}

impl ClipId {
    /// A key from its parts.
    ///
    /// # Errors
    /// [`ClipIdError::BadVideoId`] when the id is empty or longer than [`MAX_ID_BYTES`], has blank edges, a dot, a slash or a
    /// control character; [`ClipIdError::EmptySpan`] unless `start_ms < end_ms`.
    pub fn new(video_id: impl Into<String>, start_ms: u32, end_ms: u32) -> Result<Self, ClipIdError> {
        let video_id = video_id.into();
        let forbidden = |c: char| matches!(c, '.' | '/' | '\\') || c.is_control();
        let fits = (1..=MAX_ID_BYTES).contains(&video_id.len());
        if !fits || video_id.trim() != video_id || video_id.contains(forbidden) {
            return Err(ClipIdError::BadVideoId { video_id });
        }
        if start_ms >= end_ms {
            return Err(ClipIdError::EmptySpan { start_ms, end_ms });
        }
        Ok(Self { video_id, start_ms, end_ms })
    }

    /// The id of the video, as its site gives it.
    pub fn video_id(&self) -> &str {
        &self.video_id
    }

    /// Start in milliseconds from the beginning of the video.
    pub fn start_ms(&self) -> u32 {
        self.start_ms
    }

    /// End in milliseconds from the beginning of the video.
    pub fn end_ms(&self) -> u32 {
        self.end_ms
    }

    /// Length in milliseconds, never 0.
    pub fn duration_ms(&self) -> u32 {
        self.end_ms - self.start_ms
    }

    /// The form without dots, `VID (12_34-15_54)`, that names a sample in a tar.
    pub fn tar_key(&self) -> String {
        format!("{} ({}-{})", self.video_id, Seconds(self.start_ms, '_'), Seconds(self.end_ms, '_'))
    }
}

/// A key as tars spell it: that of the clip where the key names one, else the key itself.
pub fn tar_key_of(key: &str) -> Cow<'_, str> {
    key.parse::<ClipId>().map_or(Cow::Borrowed(key), |clip| Cow::Owned(clip.tar_key()))
}

impl fmt::Display for ClipId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}-{})", self.video_id, Seconds(self.start_ms, '.'), Seconds(self.end_ms, '.'))
    }
}

impl Serialize for ClipId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ClipId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl FromStr for ClipId {
    type Err = ClipIdError;

    fn from_str(name: &str) -> Result<Self, ClipIdError> {
        let no_span = || ClipIdError::NoSpan { name: name.to_owned() };
        let last = name.rsplit(['/', '\\']).next().unwrap_or(name);
        // The span is the last ` (…)`: an id may hold parentheses of its own.
        let open = last.rfind(" (").ok_or_else(no_span)?;
        let (video_id, span) = (&last[..open], &last[open + 2..]);
        let (span, ending) = span.split_once(')').ok_or_else(no_span)?;
        check_ending(name, ending)?;
        let (start, end) = span.split_once('-').ok_or_else(no_span)?;
        let time = |which, time: &str| {
            parse_seconds(time).ok_or_else(|| ClipIdError::BadTime {
                name: name.to_owned(),
                which,
                time: time.to_owned(),
            })
        };
        Self::new(video_id, time("start", start)?, time("end", end)?)
    }
}

fn check_ending(name: &str, ending: &str) -> Result<(), ClipIdError> {
    let known = match ending.strip_prefix('.') {
        Some(extension) => {
            let other = || EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension));
            is_media(extension) || is_picture(extension) || other()
        }
        None => ending.is_empty(),
    };
    if known {
        return Ok(());
    }
    Err(ClipIdError::UnknownEnding { name: name.to_owned(), ending: ending.to_owned() })
}

/// Reads seconds with `.` or `_` as decimal mark into whole milliseconds, rounding half up.
///
/// More than three decimals occur in names made by adding floats (`3.3000000000000003`); they are
/// rounded rather than refused. `None` for anything that is not a plain decimal number or is beyond
/// [`u32::MAX`] milliseconds (49 days).
pub fn parse_seconds(text: &str) -> Option<u32> {
    let (whole, fraction) = text.split_once(['.', '_']).unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || (fraction.is_empty() && whole.len() != text.len()) {
        return None;
    }
    let digit = |at: usize| fraction.as_bytes().get(at).map_or(0, |b| u64::from(b - b'0'));
    let round_up = u64::from(digit(3) >= 5);
    let fraction_ms = digit(0) * 100 + digit(1) * 10 + digit(2) + round_up;
    let ms = whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(fraction_ms)?;
    u32::try_from(ms).ok()
}

/// Milliseconds printed as Python prints the float of the same seconds: `12.0`, `3.3`, `0.05`.
///
/// The second field is the decimal mark: `.` in file names, `_` in tar keys.
pub struct Seconds(pub u32, pub char);

impl Seconds {
    /// Appends what is printed. Rejects have two of these in each of millions of lines.
    pub(crate) fn append(&self, text: &mut Vec<u8>) {
        let ms = self.0 % 1000;
        let digits = [ms / 100, ms / 10 % 10, ms % 10].map(|digit| b'0' + digit.to_le_bytes()[0]);
        let n_digits = digits.iter().rposition(|digit| *digit != b'0').unwrap_or(0) + 1;
        text.extend(itoa::Buffer::new().format(self.0 / 1000).bytes());
        text.extend(self.1.encode_utf8(&mut [0; 4]).bytes());
        text.extend(digits.into_iter().take(n_digits));
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(16);
        self.append(&mut text);
        f.write_str(std::str::from_utf8(&text).expect("digits and a mark are text"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_spellings_of_a_clip_are_one_key() {
        for name in ["V (1.0-2.5)", "tar/V (1_0-2_5).mp4", "V (1_0-2_5)", "V (1.000-2.5).flac"] {
            assert_eq!(tar_key_of(name), "V (1_0-2_5)", "{name}");
        }
        assert_eq!(tar_key_of("a/rain v1_2"), "a/rain v1_2");
    }

    #[test]
    fn reads_every_form_a_clip_is_written_in() {
        let cases = [
            ("abc (1.0-2.5)", (1000, 2500)),
            ("abc (1_0-2_5)", (1000, 2500)),
            ("tar/abc (1_0-2_5).flac", (1000, 2500)),
            ("/data/x.y/abc (1-2).MP4", (1000, 2000)),
            ("abc (0.001-49.999).webm", (1, 49_999)),
            ("abc (1.1-3.3000000000000003).mkv", (1100, 3300)),
            ("abc (1.1-3.2999999999999998).mkv", (1100, 3300)),
        ];
        for (name, span) in cases {
            let clip: ClipId = name.parse().unwrap();
            assert_eq!((clip.video_id(), (clip.start_ms(), clip.end_ms())), ("abc", span), "{name}");
        }
        let odd: ClipId = "a (b) -_c (1.0-2.0).mp4".parse().unwrap();
        assert_eq!(odd.video_id(), "a (b) -_c");
    }

    #[test]
    fn says_what_is_wrong_with_anything_else() {
        let long = format!("{} (1.0-2.0)", "v".repeat(201));
        let cases = [
            ("abc", "no ` (start-end)` part"),
            ("abc (1.0)", "no ` (start-end)` part"),
            ("abc (1.0-2.0", "no ` (start-end)` part"),
            ("abc (1.0-NA).mp4", "the end time is not a number of seconds: \"NA\""),
            ("abc (x-2.0).mp4", "the start time is not a number"),
            ("abc (1.-2.0).mp4", "the start time is not a number"),
            ("abc (1.0-99999999.0).mp4", "the end time is not a number"),
            ("abc (1.0-2.0).mp4.part", "unknown ending \".mp4.part\""),
            ("abc (1.0-2.0)_qa_1", "unknown ending \"_qa_1\""),
            ("abc (2.0-2.0)", "not after its start"),
            (" (1.0-2.0)", "a video id has 1 to 200 bytes"),
            (&*long, "a video id has 1 to 200 bytes"),
            ("a.b (1.0-2.0)", "no dot"),
        ];
        for (name, message) in cases {
            let error = name.parse::<ClipId>().unwrap_err().to_string();
            assert!(error.contains(message), "{name}: {error}");
        }
    }

    #[test]
    fn prints_seconds_as_python_prints_floats() {
        for (ms, text) in [(0, "0.0"), (12_000, "12.0"), (3300, "3.3"), (50, "0.05"), (12_345, "12.345"), (1, "0.001")]
        {
            assert_eq!(Seconds(ms, '.').to_string(), text);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn both_forms_round_trip(id in "[A-Za-z0-9_-]{1,16}", start in 0..u32::MAX - 1, length in 1..100_000u32) {
            let clip = ClipId::new(id, start, start.saturating_add(length)).unwrap();
            prop_assert_eq!(&clip.to_string().parse::<ClipId>().unwrap(), &clip);
            prop_assert_eq!(&clip.tar_key().parse::<ClipId>().unwrap(), &clip);
            prop_assert_eq!(&format!("a.b/c/{}.Flac", clip.tar_key()).parse::<ClipId>().unwrap(), &clip);
            prop_assert!(!clip.tar_key().contains('.'));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,40}|[ ()0-9._a-zé-]{0,40}") {
            let _ = text.parse::<ClipId>();
        }
    }
}
