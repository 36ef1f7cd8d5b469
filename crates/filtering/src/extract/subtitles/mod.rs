//! Subtitle files as yt-dlp writes them.

mod clock;
mod json3;
mod markup;
mod name;
mod number;
mod rolling;
mod srt;
#[cfg(test)]
mod tests;
mod vtt;
mod xml;

pub use name::{Naming, SubtitleName, TrackName, parse as parse_name};

use super::harvest::{CueText, Harvest, HarvestOptions, excerpt};
use super::reasons::{DropReason, Fault};
use audsem_core::run::LeftOut;

/// A family of subtitle formats, one parser each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SubtitleFormat {
    /// YouTube's JSON, the most exact.
    Json3,
    /// `srv1`, `srv2`, `srv3`, TTML.
    Xml,
    /// WebVTT.
    Vtt,
    /// SubRip.
    Srt,
}

impl SubtitleFormat {
    /// The format a file extension stands for.
    #[must_use]
    pub fn from_extension(extension: &str) -> Option<Self> {
        match extension.to_ascii_lowercase().as_str() {
            "json3" => Some(Self::Json3),
            "srv1" | "srv2" | "srv3" | "ttml" => Some(Self::Xml),
            "vtt" => Some(Self::Vtt),
            "srt" => Some(Self::Srt),
            _ => None,
        }
    }

    /// The format the content shows, which counts for more than the extension.
    fn of_content(text: &str) -> Option<Self> {
        let text = text.trim_start();
        match text.as_bytes().first()? {
            b'{' => Some(Self::Json3),
            b'<' => Some(Self::Xml),
            _ if text.starts_with("WEBVTT") => Some(Self::Vtt),
            _ => None,
        }
    }
}

/// The text of a cue with its times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimedText {
    /// Begin in milliseconds.
    pub start_ms: u64,
    /// End in milliseconds, not before the begin.
    pub end_ms: u64,
    /// Its lines, without markup, trimmed, none empty.
    pub text: String,
}

/// One cue of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A cue that could be read.
    Cue(TimedText),
    /// A cue that could not.
    Malformed {
        /// Where it stands in the file.
        place: String,
        /// What is wrong.
        what: &'static str,
        /// Its text.
        text: String,
    },
}

/// What a parser found in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parsed {
    /// The cues, in file order.
    pub items: Vec<Item>,
    /// Why the file could not be read (to its end).
    pub broken: Option<String>,
    /// Whether the file shows that its cues roll.
    pub rolling: bool,
}

impl Parsed {
    fn broken(why: String) -> Self {
        Self { broken: Some(why), ..Self::default() }
    }
}

/// Parses a subtitle file; `named` is the format its extension stands for.
#[must_use]
pub fn parse(text: &str, named: SubtitleFormat) -> Parsed {
    let format = SubtitleFormat::of_content(text).unwrap_or(named);
    let parsed = match format {
        SubtitleFormat::Json3 => json3::parse(text),
        SubtitleFormat::Xml => xml::parse(text),
        SubtitleFormat::Vtt => vtt::parse(text),
        SubtitleFormat::Srt => srt::parse(text),
    };
    if !parsed.items.is_empty()
        || parsed.broken.is_some()
        || !matches!(format, SubtitleFormat::Vtt | SubtitleFormat::Srt)
    {
        return parsed;
    }
    // An empty list of cues is a list where the signature says so, and nothing else is there.
    if text.contains("-->") {
        return Parsed::broken("there are arrows (`-->`), but no cue".to_owned());
    }
    if !text.trim_start().starts_with("WEBVTT") && !text.trim().is_empty() {
        return Parsed::broken("there is not one line of cue times".to_owned());
    }
    parsed
}

/// Takes the cues of one subtitle file; `path` names it in rejects.
#[must_use]
pub fn harvest(
    path: &str,
    format: SubtitleFormat,
    track: &TrackName,
    bytes: &[u8],
    options: &HarvestOptions,
) -> Harvest {
    let mut harvest = Harvest::default();
    harvest.tally.videos = 1;
    let video_id = match &track.video_id {
        Ok(video_id) => video_id,
        Err(error) => {
            harvest.fault(path.to_owned(), Fault::NoVideoId, error.to_string());
            return harvest;
        }
    };
    if track.language.as_ref().is_some_and(|language| !options.languages.contain(language)) {
        harvest.tally.tracks_other_language = 1;
        return harvest;
    }
    harvest.tally.tracks_without_language = u64::from(track.language.is_none());
    let (text, mended) = decode(bytes);
    harvest.tally.texts_mended = u64::from(mended);
    take_items(&mut harvest, path, video_id, parse(&text, format), options);
    harvest.tally.videos_with_cues = u64::from(!harvest.rows.is_empty());
    harvest
}

fn take_items(harvest: &mut Harvest, path: &str, video_id: &str, parsed: Parsed, options: &HarvestOptions) {
    let cues = || parsed.items.iter().filter_map(|item| if let Item::Cue(cue) = item { Some(cue) } else { None });
    let rolling = parsed.rolling || rolling::rolls(cues());
    let mut last = None;
    for item in &parsed.items {
        match item {
            Item::Cue(cue) => {
                let news = rolling::news(last, cue, rolling);
                let (start_s, dur_s) = (seconds(cue.start_ms), seconds(cue.end_ms - cue.start_ms));
                let text = CueText { text: news.unwrap_or(&cue.text), start_s: Some(start_s), dur_s: Some(dur_s) };
                match news {
                    Some(_) => harvest.take(video_id, text, options),
                    None => harvest.reject(video_id, text, LeftOut::drop(DropReason::RollingRepeat, ())),
                }
                last = Some(cue);
            }
            Item::Malformed { place, what, text } => {
                let detail = format!("{what}: {}", excerpt(text));
                harvest.fault(format!("{path}, {place}"), Fault::MalformedCue, detail);
            }
        }
    }
    if let Some(why) = parsed.broken {
        harvest.fault(path.to_owned(), Fault::MalformedFile, why);
    }
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

/// The text of a file in UTF-8 or, by its byte order mark, UTF-16; and whether anything had to be
/// replaced.
fn decode(bytes: &[u8]) -> (String, bool) {
    let (text, mended) = match bytes {
        [0xFF, 0xFE, rest @ ..] => decode_utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => decode_utf16(rest, u16::from_be_bytes),
        _ => {
            let text = String::from_utf8_lossy(bytes);
            let mended = matches!(text, std::borrow::Cow::Owned(_));
            (text.into_owned(), mended)
        }
    };
    // A mark that is a character more stands before the signature where two programs have each put one.
    (normalize_line_ends(text.trim_start_matches('\u{feff}')), mended)
}

/// Makes every line end, be it CRLF, CR or LF, an LF, as the standard of WebVTT does before anything else.
/// Where each is CRCRLF, a program has translated CRLF once more; that is one line end, not two.
fn normalize_line_ends(text: &str) -> String {
    if !text.contains('\r') {
        return text.to_owned();
    }
    let n_twice = text.matches("\r\r\n").count();
    let n_ends = (text.matches('\r').count(), text.matches('\n').count());
    if n_ends == (2 * n_twice, n_twice) {
        return text.replace("\r\r\n", "\n");
    }
    text.replace("\r\n", "\n").replace('\r', "\n")
}

fn decode_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> (String, bool) {
    let (pairs, odd) = bytes.as_chunks::<2>();
    let mut mended = !odd.is_empty();
    let text = char::decode_utf16(pairs.iter().map(|pair| unit(*pair)))
        .map(|c| {
            mended |= c.is_err();
            c.unwrap_or(char::REPLACEMENT_CHARACTER)
        })
        .collect();
    (text, mended)
}
