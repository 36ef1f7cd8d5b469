//! The general reader of dump objects: parses any JSON object and takes from it what it can.

use std::borrow::Cow;

use serde_json::Value;

use super::super::text::{is_opener, trim};
use super::video::{Cue, Listing, Track, Video};

/// Why some text is no object of a dump.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// The JSON parser stopped.
    #[error("{0}")]
    Syntax(String),
    /// Valid JSON, but not an object.
    #[error("not a JSON object")]
    NotAnObject,
}

/// Reads the object that `text` begins with, and tells its length.
///
/// # Errors
/// If `text` does not begin with a valid JSON object.
pub(super) fn read(text: &str, listing: Listing) -> Result<(Video<'static>, usize), ObjectError> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let value = match values.next() {
        Some(Ok(value)) => value,
        Some(Err(error)) => return Err(ObjectError::Syntax(error.to_string())),
        None => return Err(ObjectError::NotAnObject),
    };
    if !value.is_object() {
        return Err(ObjectError::NotAnObject);
    }
    let id = value.pointer("/video/videoid").and_then(Value::as_str);
    let tracks = value.get("captions").map(|captions| {
        let list = captions.as_array().map_or(&[][..], Vec::as_slice);
        list.iter().map(|track| read_track(track, listing)).collect()
    });
    let id = id.map(|id| Cow::Owned(id.to_owned()));
    Ok((Video { id, tracks }, values.byte_offset()))
}

fn read_track(value: &Value, listing: Listing) -> Track<'static> {
    let lang = value.get("lang").and_then(Value::as_str).map(|lang| Cow::Owned(lang.to_owned()));
    let mut track = Track { lang, ..Track::default() };
    let Some(text) = value.pointer("/subtitles/transcript/text") else { return track };
    track.has_transcript = text.is_array() || text.is_object();
    match text {
        Value::Array(cues) => cues.iter().for_each(|cue| read_cue(cue, listing, &mut track)),
        Value::Object(_) => read_cue(text, listing, &mut track),
        _ => {}
    }
    track
}

fn read_cue(value: &Value, listing: Listing, track: &mut Track<'static>) {
    let fields = (value.get("t"), value.get("-start"), value.get("-dur"));
    let (Some(text), Some(start), Some(dur)) = fields else {
        track.incomplete += 1;
        return;
    };
    let (Value::String(text), Some(start), Some(dur)) = (text, seconds(start), seconds(dur)) else {
        let text = Cow::Owned(value.to_string());
        track.cues.push(Cue { text, start: "".into(), dur: "".into(), malformed: true });
        return;
    };
    if listing == Listing::MayBeBracketed && !trim(text).starts_with(is_opener) {
        track.plain += 1;
        return;
    }
    track.cues.push(Cue { text: Cow::Owned(text.clone()), start, dur, malformed: false });
}

/// A time as text; dumps write them as strings, a number is understood too.
fn seconds(value: &Value) -> Option<Cow<'static, str>> {
    match value {
        Value::String(text) => Some(Cow::Owned(text.clone())),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        _ => None,
    }
}

/// `text` with every half of a surrogate pair that stands alone (`\ud83d` without its partner)
/// replaced by the replacement character, if there is any; the length does not change. Programs that
/// cut texts at a fixed number of UTF-16 units leave such halves behind.
#[must_use]
pub(super) fn mend_surrogates(text: &str) -> Option<String> {
    let mut mended: Option<Vec<u8>> = None;
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', &bytes[at..]) {
        at += found;
        let here = surrogate(&bytes[at..]);
        let pair =
            here == Some(Half::High) && bytes.get(at + 6..).is_some_and(|next| surrogate(next) == Some(Half::Low));
        if here.is_some() && !pair {
            let copy = mended.get_or_insert_with(|| bytes.to_vec());
            copy[at..at + 6].copy_from_slice(b"\\ufffd");
        }
        at += match here {
            Some(_) if pair => 12,
            Some(_) => 6,
            None => 2, // an escaped backslash hides what follows it
        };
        at = at.min(bytes.len());
    }
    mended.map(|copy| String::from_utf8(copy).expect("only ASCII was put in place of ASCII"))
}

#[derive(PartialEq, Eq, Clone, Copy)]
enum Half {
    High,
    Low,
}

/// Which half of a pair the escape sequence at the start of `bytes` names.
fn surrogate(bytes: &[u8]) -> Option<Half> {
    match bytes {
        [b'\\', b'u', b'd' | b'D', b'8'..=b'9' | b'a' | b'b' | b'A' | b'B', x, y, ..] => {
            (x.is_ascii_hexdigit() && y.is_ascii_hexdigit()).then_some(Half::High)
        }
        [b'\\', b'u', b'd' | b'D', b'c'..=b'f' | b'C'..=b'F', x, y, ..] => {
            (x.is_ascii_hexdigit() && y.is_ascii_hexdigit()).then_some(Half::Low)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lone_surrogates_are_mended_in_place() {
        for (input, expected) in [
            (r"plain \n", None),
            (r"\ud83d\ude00", None),
            (r"\\ud83d", None),
            (r"a\ud83d", Some(r"a\ufffd")),
            (r"\ude00\ud83d", Some(r"\ufffd\ufffd")),
            (r"\ud83d\ud83d\ude00", Some(r"\ufffd\ud83d\ude00")),
            (r"\ud8", None),
            (r"\", None),
        ] {
            assert_eq!(mend_surrogates(input).as_deref(), expected, "{input}");
        }
    }

    #[test]
    fn missing_and_odd_fields_are_no_error() {
        let read = |text: &str| read(text, Listing::MayBeBracketed).unwrap().0;
        assert_eq!(read("{}"), Video::default());
        assert_eq!(read(r#"{"video":null,"captions":null}"#).tracks, Some(vec![]));
        let odd = read(
            r#"{"captions":[{"lang":1,"subtitles":null},7,{"lang":"en","subtitles":{"transcript":{"text":
               [{"t":null,"-start":"1","-dur":"1"},"x",{"t":"[a]","-start":1.5,"-dur":2}]}}}]}"#,
        );
        let tracks = odd.tracks.unwrap();
        assert_eq!(tracks.len(), 3);
        assert!(!tracks[0].has_transcript && tracks[0].lang.is_none());
        assert_eq!((tracks[2].incomplete, tracks[2].cues.len()), (1, 2));
        assert!(tracks[2].cues[0].malformed);
        assert_eq!((&*tracks[2].cues[1].start, &*tracks[2].cues[1].dur), ("1.5", "2"));
    }

    #[test]
    fn corrupt_text_is_an_error() {
        for text in ["", "{", "[1]", "7", r#"{"a":1"#, "{\"a\":\"\n\"}", "nul"] {
            assert!(read(text, Listing::All).is_err(), "{text}");
        }
    }
}
