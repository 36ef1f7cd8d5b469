//! Subtitle files as yt-dlp and other programs write them.

mod ass;
mod clock;
mod json3;
mod markup;
mod name;
mod number;
mod rolling;
mod sbv;
mod srt;
#[cfg(test)]
mod tests;
mod ttml;
mod vtt;
mod xml;

pub(super) use markup::strip as strip_markup;
pub use name::{Naming, SubtitleName, TrackName, parse as parse_name};

use std::borrow::Cow;

use super::harvest::{CueText, Harvest, HarvestOptions, excerpt};
use super::reasons::{DropReason, Fault};
use super::twins::Twins;
use audsem_core::run::LeftOut;

/// A family of subtitle formats, one parser each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SubtitleFormat {
    /// YouTube's JSON, the most exact.
    Json3,
    /// `srv1`, `srv2`, `srv3`, TTML (once called DFXP).
    Xml,
    /// WebVTT.
    Vtt,
    /// SubRip.
    Srt,
    /// SubViewer, as YouTube takes it.
    Sbv,
    /// SubStation Alpha.
    Ass,
    /// Subtitles that are not read, unless the content is one of the others.
    Unread,
}

impl SubtitleFormat {
    /// The format a file extension stands for.
    #[must_use]
    pub fn from_extension(extension: &str) -> Option<Self> {
        match extension.to_ascii_lowercase().as_str() {
            "json3" => Some(Self::Json3),
            "srv1" | "srv2" | "srv3" | "ttml" | "dfxp" | "itt" => Some(Self::Xml),
            "vtt" | "webvtt" => Some(Self::Vtt),
            "srt" => Some(Self::Srt),
            "sbv" => Some(Self::Sbv),
            "ass" | "ssa" => Some(Self::Ass),
            "lrc" | "sami" | "scc" | "smi" | "sub" => Some(Self::Unread),
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
            b'[' if text.starts_with("[Script Info]") => Some(Self::Ass),
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
    match format {
        SubtitleFormat::Json3 => return json3::parse(text),
        SubtitleFormat::Xml => return xml::parse(text),
        _ => {}
    }
    let text = &*break_lines(text);
    let parsed = match format {
        SubtitleFormat::Vtt => vtt::parse(text),
        SubtitleFormat::Sbv => sbv::parse(text),
        SubtitleFormat::Ass => ass::parse(text),
        _ => srt::parse(text),
    };
    if !parsed.items.is_empty() || parsed.broken.is_some() {
        return parsed;
    }
    // An empty list of cues is a list where the signature says so, and nothing else is there.
    if text.contains("-->") {
        return Parsed::broken("there are arrows (`-->`), but no cue".to_owned());
    }
    let has_signature = text.trim_start().starts_with("WEBVTT") || format == SubtitleFormat::Ass;
    if !has_signature && !text.trim().is_empty() {
        return Parsed::broken("there is not one line of cue times".to_owned());
    }
    parsed
}

/// The text of a format of lines, where separators of lines may stand in place of every line end.
fn break_lines(text: &str) -> Cow<'_, str> {
    let is_separator = |c| matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}');
    if text.trim_end().contains('\n') || !text.contains(is_separator) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace(is_separator, "\n"))
}

/// A subtitle file that was read.
#[derive(Debug)]
pub struct SubtitleFile {
    format: SubtitleFormat,
    parsed: Parsed,
    mended: bool,
}

impl SubtitleFile {
    /// Reads the bytes of a file whose extension stands for `format`.
    #[must_use]
    pub fn read(bytes: &[u8], format: SubtitleFormat) -> Self {
        let (text, mended) = decode(bytes);
        Self { format, parsed: parse(&text, format), mended }
    }

    /// How much can be made of it: 2 if it has cues and is whole, 1 if it has some, else 0.
    #[must_use]
    pub fn worth(&self) -> u8 {
        let has_cue = self.parsed.items.iter().any(|item| matches!(item, Item::Cue(_)));
        u8::from(has_cue) + u8::from(has_cue && self.parsed.broken.is_none())
    }
}

/// Takes the cues of one subtitle file that no track of its video before it has; `path` names it in rejects.
#[must_use]
pub fn harvest(
    path: &str,
    track: &TrackName,
    file: SubtitleFile,
    options: &HarvestOptions,
    twins: &mut Twins,
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
    if let Some(language) = track.language.as_deref().filter(|_| !is_wanted(track, options)) {
        harvest.pass_over(language);
        return harvest;
    }
    harvest.tally.tracks_without_language = u64::from(track.language.is_none());
    harvest.tally.texts_mended = u64::from(file.mended);
    take_items(&mut harvest, path, video_id, file, options);
    twins.settle(&mut harvest, 0);
    harvest.tally.videos_with_cues = u64::from(!harvest.rows.is_empty());
    harvest
}

/// Whether the language of a track is one that is read; so is a track that does not tell.
#[must_use]
pub fn is_wanted(track: &TrackName, options: &HarvestOptions) -> bool {
    track.language.as_ref().is_none_or(|language| options.languages.contain(language))
}

fn take_items(harvest: &mut Harvest, path: &str, video_id: &str, file: SubtitleFile, options: &HarvestOptions) {
    let SubtitleFile { parsed, format, .. } = file;
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
        let is_unread = format == SubtitleFormat::Unread && parsed.items.is_empty();
        match is_unread {
            true => harvest.fault(path.to_owned(), Fault::UnreadFormat, format!("read as SubRip, {why}")),
            false => harvest.fault(path.to_owned(), Fault::MalformedFile, why),
        }
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
            let mended = matches!(text, Cow::Owned(_));
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
