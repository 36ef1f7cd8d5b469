//! The general reader of dump objects: walks through any JSON object and takes from it what it can.

use std::borrow::Cow;

use audsem_core::json::{JsonError, JsonKind, Reader};

use super::super::pandas::python_float;
use super::super::subtitles::strip_markup;
use super::super::text::begins_bracketed;
use super::ParseOptions;
use super::video::{DumpCue, Track, Video};

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

impl From<JsonError> for ObjectError {
    fn from(error: JsonError) -> Self {
        Self::Syntax(error.to_string())
    }
}

/// An object of a dump.
#[derive(Debug, PartialEq)]
pub(super) struct Object<'a> {
    pub(super) video: Video<'a>,
    /// Its length in bytes.
    pub(super) len: usize,
    /// Whether halves of surrogate pairs were replaced in what was read.
    pub(super) mended: bool,
}

/// Reads the object that `text` begins with. What Python's `json` reads is read (see [`audsem_core::json`]); of
/// a repeated key the last counts.
///
/// # Errors
/// If `text` does not begin with a valid JSON object.
pub(super) fn read(text: &str, options: ParseOptions) -> Result<Object<'_>, ObjectError> {
    let mut json = Reader::new(text);
    if json.kind()? != JsonKind::Object {
        json.skip()?;
        return Err(ObjectError::NotAnObject);
    }
    let mut video = Video::default();
    json.object(|json, key| {
        match &*key {
            "video" => video.id = read_id(json)?,
            "captions" => video.tracks = Some(read_tracks(json, options)?),
            _ => drop(json.skip()?),
        }
        Ok(())
    })?;
    Ok(Object { video, len: json.position(), mended: json.repairs().surrogates > 0 })
}

/// Reads an object with `each` for its values; a value of another kind is skipped.
fn members<'a>(
    json: &mut Reader<'a>,
    each: impl FnMut(&mut Reader<'a>, Cow<'a, str>) -> Result<(), JsonError>,
) -> Result<(), JsonError> {
    if json.kind()? == JsonKind::Object { json.object(each) } else { json.skip().map(drop) }
}

/// Reads the value of one key of an object; the default unless the key is there.
fn member<'a, T: Default>(
    json: &mut Reader<'a>,
    name: &str,
    read: impl Fn(&mut Reader<'a>) -> Result<T, JsonError>,
) -> Result<T, JsonError> {
    let mut value = T::default();
    members(json, |json, key| {
        if key == name {
            value = read(json)?;
        } else {
            json.skip()?;
        }
        Ok(())
    })?;
    Ok(value)
}

fn read_id<'a>(json: &mut Reader<'a>) -> Result<Option<Cow<'a, str>>, JsonError> {
    member(json, "videoid", |json| match json.kind()? {
        // An id of digits alone may have become a number on its way.
        JsonKind::Number => json.number().map(|number| Some(python_number(number))),
        _ => text_or_none(json),
    })
}

fn text_or_none<'a>(json: &mut Reader<'a>) -> Result<Option<Cow<'a, str>>, JsonError> {
    if json.kind()? == JsonKind::Text { json.text().map(Some) } else { json.skip().map(|_| None) }
}

fn read_tracks<'a>(json: &mut Reader<'a>, options: ParseOptions) -> Result<Vec<Track<'a>>, JsonError> {
    let mut tracks = Vec::new();
    if json.kind()? != JsonKind::List {
        json.skip()?;
        return Ok(tracks);
    }
    json.list(|json| {
        let (mut lang, mut body) = (None, Track::default());
        members(json, |json, key| {
            match &*key {
                "lang" => lang = text_or_none(json)?,
                "subtitles" => {
                    let transcript = |json: &mut Reader<'a>| member(json, "text", |json| read_cues(json, options));
                    body = member(json, "transcript", transcript)?;
                }
                _ => drop(json.skip()?),
            }
            Ok(())
        })?;
        tracks.push(Track { lang, ..body });
        Ok(())
    })?;
    Ok(tracks)
}

/// Reads a list of captions, or a single one.
fn read_cues<'a>(json: &mut Reader<'a>, options: ParseOptions) -> Result<Track<'a>, JsonError> {
    let mut track = Track::default();
    match json.kind()? {
        JsonKind::List => {
            track.has_transcript = true;
            json.list(|json| read_cue(json, options, &mut track))?;
        }
        JsonKind::Object => {
            track.has_transcript = true;
            read_cue(json, options, &mut track)?;
        }
        _ => drop(json.skip()?),
    }
    Ok(track)
}

/// A field of a caption.
enum Field<'a> {
    Text(Cow<'a, str>),
    /// A number, as Python prints it.
    Number(Cow<'a, str>),
    Other,
}

fn read_cue<'a>(json: &mut Reader<'a>, options: ParseOptions, track: &mut Track<'a>) -> Result<(), JsonError> {
    let (mut text, mut start, mut dur) = (None, None, None);
    let whole = json.rest();
    members(json, |json, key| {
        match &*key {
            "t" => text = Some(read_field(json)?),
            "-start" => start = Some(read_field(json)?),
            "-dur" => dur = Some(read_field(json)?),
            _ => drop(json.skip()?),
        }
        Ok(())
    })?;
    let (Some(text), Some(start), Some(dur)) = (text, start, dur) else {
        track.incomplete += 1;
        return Ok(());
    };
    let time = |field| match field {
        Field::Text(text) | Field::Number(text) => Some(text),
        Field::Other => None,
    };
    let (Field::Text(text), Some(start), Some(dur)) = (text, time(start), time(dur)) else {
        let text = whole[..whole.len() - json.rest().len()].trim_ascii_start();
        track.cues.push(DumpCue { text: text.into(), start: "".into(), dur: "".into(), malformed: true });
        return Ok(());
    };
    if !options.list_all && !begins_bracketed(&strip_markup(&text)) {
        track.plain += 1;
    } else {
        track.cues.push(DumpCue { text, start, dur, malformed: false });
    }
    Ok(())
}

fn read_field<'a>(json: &mut Reader<'a>) -> Result<Field<'a>, JsonError> {
    Ok(match json.kind()? {
        JsonKind::Text => Field::Text(json.text()?),
        JsonKind::Number | JsonKind::NotFinite => Field::Number(python_number(json.number()?)),
        _ => {
            json.skip()?;
            Field::Other
        }
    })
}

/// A number of a JSON text as Python prints it once it has read it.
fn python_number(number: &str) -> Cow<'_, str> {
    match number {
        "-0" => "0".into(),
        "NaN" => "nan".into(),
        _ if number.contains(['.', 'e', 'E', 'I']) => {
            // `Infinity` and what overflows are the same to Python as to `parse`.
            python_float(number.parse().expect("a number of JSON is one of Rust")).into()
        }
        whole => whole.into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const OPTIONS: ParseOptions = ParseOptions { list_all: false, parse_all: true, max_object: 1 << 20 };

    #[test]
    fn missing_and_odd_fields_are_no_error() {
        fn video(text: &str) -> Video<'_> {
            read(text, OPTIONS).unwrap().video
        }
        assert_eq!(video("{}"), Video::default());
        assert_eq!(video(r#"{"video":null,"captions":null}"#).tracks, Some(vec![]));
        let odd = video(
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
        for text in ["", "{", "[1]", "7", "NaN", r#"{"a":1"#, "{\"a\":\"\n\"}", "nul"] {
            assert!(read(text, OPTIONS).is_err(), "{text}");
        }
    }

    #[test]
    fn what_python_writes_is_read() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        let text = format!(
            r#"{{"score":NaN,"x":{deep},"n":[1e999,-Infinity,123456789012345678901234567890],"\ude00":"\ud83d",
               "video":{{"videoid":"a","y":{deep}}},"captions":[{{"lang":"en","z":{deep},"subtitles":{{"transcript":{{"text":[
               {{"t":"[a\ud83d]","-start":NaN,"-dur":-1e999,"w":{deep}}},
               {{"t":"[b]","-start":-0,"-dur":2.50}},
               {{"t":"[c]","-start":1e16,"-dur":123456789012345678901234567890}}]}}}}}}]}} and more"#
        );
        let object = read(&text, OPTIONS).unwrap();
        assert_eq!((object.video.id.as_deref(), object.mended, &text[object.len..]), (Some("a"), true, " and more"));
        let cues = &object.video.tracks.unwrap()[0].cues;
        let cues: Vec<_> = cues.iter().map(|cue| (&*cue.text, &*cue.start, &*cue.dur)).collect();
        let long = "123456789012345678901234567890";
        assert_eq!(cues, [("[a\u{fffd}]", "nan", "-inf"), ("[b]", "0", "2.5"), ("[c]", "1e+16", long)]);
    }
}
