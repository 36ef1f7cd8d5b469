//! The fast reader of dump objects: one pass over the JSON text, without copies and without building values
//! that the rules do not use.
//!
//! It accepts a subset of JSON in the shape dumps have, and gives up (`None`) on anything unusual: an
//! escaped or repeated key, half a surrogate pair, a field of another type, deep nesting, any
//! syntax it does not know. [`super::dom`] then reads the object, or says that it is corrupt. What
//! this reader accepts, the other accepts with the same result; that is property-tested.

use std::borrow::Cow;

use audsem_core::json::plain_len;

use super::ParseOptions;
use super::prefilter::may_begin_bracketed;
use super::video::{DumpCue, Track, Video};

/// Nesting beyond this is left to the general parser.
const MAX_DEPTH: usize = 60;

/// Reads the object that `text` begins with, and tells its length; `None` if it is not of the known
/// shape, which says nothing about its validity.
#[must_use]
pub(super) fn scan(text: &str, options: ParseOptions) -> Option<(Video<'_>, usize)> {
    let mut scanner = Scanner { text, bytes: text.as_bytes(), pos: 0, options };
    let video = scanner.video()?;
    Some((video, scanner.pos))
}

/// A string token: the text between its quotes.
#[derive(Clone, Copy)]
struct Raw<'a> {
    text: &'a str,
    escaped: bool,
}

impl<'a> Raw<'a> {
    fn decode(self) -> Option<Cow<'a, str>> {
        if !self.escaped {
            return Some(Cow::Borrowed(self.text));
        }
        serde_json::from_str(&format!("\"{}\"", self.text)).ok().map(Cow::Owned)
    }
}

struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    pos: usize,
    options: ParseOptions,
}

impl<'a> Scanner<'a> {
    fn video(&mut self) -> Option<Video<'a>> {
        let mut head = None;
        let mut tracks = None;
        self.members(|scan, key| match key {
            "video" => set_once(&mut head, scan.video_id()?),
            "captions" => set_once(&mut tracks, scan.tracks()?),
            _ => scan.skip(1),
        })?;
        Some(Video { id: head.flatten(), tracks })
    }

    fn video_id(&mut self) -> Option<Option<Cow<'a, str>>> {
        let mut id = None;
        self.members(|scan, key| match key {
            "videoid" => set_once(&mut id, scan.string()?.decode()?),
            _ => scan.skip(2),
        })?;
        Some(id)
    }

    fn tracks(&mut self) -> Option<Vec<Track<'a>>> {
        let mut tracks = Vec::new();
        self.elements(|scan| {
            tracks.push(scan.track()?);
            Some(())
        })?;
        Some(tracks)
    }

    fn track(&mut self) -> Option<Track<'a>> {
        let mut lang = None;
        let mut body = None;
        self.members(|scan, key| match key {
            "lang" => set_once(&mut lang, scan.string()?.decode()?),
            "subtitles" => set_once(&mut body, scan.subtitles()?),
            _ => scan.skip(3),
        })?;
        Some(Track { lang, ..body.flatten().unwrap_or_default() })
    }

    fn subtitles(&mut self) -> Option<Option<Track<'a>>> {
        let mut body = None;
        self.members(|scan, key| match key {
            "transcript" => set_once(&mut body, scan.transcript()?),
            _ => scan.skip(4),
        })?;
        Some(body.flatten())
    }

    fn transcript(&mut self) -> Option<Option<Track<'a>>> {
        let mut body = None;
        self.members(|scan, key| match key {
            "text" => set_once(&mut body, scan.cues()?),
            _ => scan.skip(5),
        })?;
        Some(body)
    }

    fn cues(&mut self) -> Option<Track<'a>> {
        let mut track = Track { has_transcript: true, ..Track::default() };
        if self.peek() == Some(b'{') {
            self.cue(&mut track)?;
        } else {
            self.elements(|scan| scan.cue(&mut track))?;
        }
        Some(track)
    }

    fn cue(&mut self, track: &mut Track<'a>) -> Option<()> {
        let (mut text, mut start, mut dur) = (None, None, None);
        self.members(|scan, key| match key {
            "t" => set_once(&mut text, scan.string()?),
            "-start" => set_once(&mut start, scan.string()?),
            "-dur" => set_once(&mut dur, scan.string()?),
            _ => scan.skip(7),
        })?;
        let (Some(text), Some(start), Some(dur)) = (text, start, dur) else {
            track.incomplete += 1;
            return Some(());
        };
        if !self.options.list_all && !may_begin_bracketed(text.text) {
            track.plain += 1;
            return Some(());
        }
        let (text, start, dur) = (text.decode()?, start.decode()?, dur.decode()?);
        track.cues.push(DumpCue { text, start, dur, malformed: false });
        Some(())
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.pos).copied()
    }

    fn blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.pos += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek() == Some(byte)).then(|| self.pos += 1)
    }

    /// After a member or an element: true at the closing `end`, false at a comma.
    fn ended(&mut self, end: u8) -> Option<bool> {
        self.blanks();
        let byte = self.peek()?;
        self.pos += 1;
        match byte {
            b',' => {
                self.blanks();
                Some(false)
            }
            _ => (byte == end).then_some(true),
        }
    }

    /// Reads an object, handing each key to `each`, which reads the value.
    fn members(&mut self, mut each: impl FnMut(&mut Self, &'a str) -> Option<()>) -> Option<()> {
        self.expect(b'{')?;
        self.blanks();
        if self.peek() == Some(b'}') {
            self.pos += 1;
            return Some(());
        }
        loop {
            let key = self.string().filter(|key| !key.escaped)?;
            self.blanks();
            self.expect(b':')?;
            self.blanks();
            each(self, key.text)?;
            if self.ended(b'}')? {
                return Some(());
            }
        }
    }

    /// Reads a list, `each` reading one element.
    fn elements(&mut self, mut each: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.expect(b'[')?;
        self.blanks();
        if self.peek() == Some(b']') {
            self.pos += 1;
            return Some(());
        }
        loop {
            each(self)?;
            if self.ended(b']')? {
                return Some(());
            }
        }
    }

    /// Reads a value of no interest at nesting `depth`.
    fn skip(&mut self, depth: usize) -> Option<()> {
        match self.peek()? {
            b'"' => self.string().map(drop),
            b'{' if depth < MAX_DEPTH => self.members(|scan, _| scan.skip(depth + 1)),
            b'[' if depth < MAX_DEPTH => self.elements(|scan| scan.skip(depth + 1)),
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            b'-' | b'0'..=b'9' => self.number(),
            b'N' => self.literal("NaN"),
            b'I' => self.literal("Infinity"),
            _ => None,
        }
    }

    fn literal(&mut self, word: &str) -> Option<()> {
        self.bytes[self.pos..].starts_with(word.as_bytes()).then(|| self.pos += word.len())
    }

    /// A number, including Python's `NaN` and infinities; the caller checks what follows it.
    fn number(&mut self) -> Option<()> {
        if self.peek() == Some(b'-') {
            self.pos += 1;
            if self.peek() == Some(b'I') {
                return self.literal("Infinity");
            }
        }
        let whole = self.digits();
        let leading_zero = whole > 1 && self.bytes[self.pos - whole] == b'0';
        if whole == 0 || leading_zero {
            return None;
        }
        if self.peek() == Some(b'.') {
            self.pos += 1;
            if self.digits() == 0 {
                return None;
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.pos += 1;
            self.pos += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            return (self.digits() > 0).then_some(());
        }
        Some(())
    }

    fn digits(&mut self) -> usize {
        let begin = self.pos;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.pos += 1;
        }
        self.pos - begin
    }

    fn string(&mut self) -> Option<Raw<'a>> {
        self.expect(b'"')?;
        let begin = self.pos;
        let mut escaped = false;
        loop {
            self.pos += plain_len(self.bytes.get(self.pos..)?);
            match self.peek()? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.pos += escape_len(&self.bytes[self.pos..])?;
                }
                _ => return None, // a raw control character is not JSON
            }
        }
        let text = &self.text[begin..self.pos];
        self.pos += 1;
        Some(Raw { text, escaped })
    }
}

/// Stores the value of a key that must not come twice: JSON readers differ on which one counts.
fn set_once<T>(slot: &mut Option<T>, value: T) -> Option<()> {
    slot.replace(value).is_none().then_some(())
}

/// Length of the escape sequence `bytes` begins with; `None` if it is not valid or names half a
/// surrogate pair, which the general reader judges.
fn escape_len(bytes: &[u8]) -> Option<usize> {
    match bytes.get(1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' => {
            let digits = bytes.get(2..6)?;
            let half = matches!(digits, [b'd' | b'D', b'8'..=b'9' | b'a'..=b'f' | b'A'..=b'F', ..]);
            (!half && digits.iter().all(u8::is_ascii_hexdigit)).then_some(6)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: ParseOptions = ParseOptions { list_all: false, parse_all: true, max_object: 1 << 20 };

    #[test]
    fn reads_the_known_shape_in_any_order_and_layout() {
        let text = r#" "#.to_owned()
            + r#"{ "captions" : [ {"subtitles":{"transcript":{"x":[1,{}],"text":[
                {"-start":"1","-dur":"2","t":"[a\n\"b\"]"},{"t":"hi","-dur":"1","-start":"0"},{"-dur":"1"}]}},
                "lang":"en"} ], "video":{"videoid":"abc","views":12,"live":false},
                "odd":[NaN,Infinity,-Infinity,1.5e-7,1E999,123456789012345678901234567890] }{}"#;
        let (video, used) = scan(&text[1..], OPTIONS).unwrap();
        assert_eq!(&text[1 + used..], "{}");
        assert_eq!(video.id.as_deref(), Some("abc"));
        let [track] = video.tracks.as_deref().unwrap() else { panic!("one track") };
        assert_eq!((track.lang.as_deref(), track.plain, track.incomplete), (Some("en"), 1, 1));
        assert_eq!(track.cues[0].text, "[a\n\"b\"]");
    }

    #[test]
    fn gives_up_on_what_is_unusual() {
        for text in [
            "",
            "[]",
            "{",
            r#"{"a":1e}"#,
            r#"{"a":01}"#,
            r#"{"a":-NaN}"#,
            r#"{"a":nan}"#,
            r#"{"a":.5}"#,
            r#"{"a":1,}"#,
            r#"{"a":"\x"}"#,
            r#"{"a":"\ud800"}"#,
            "{\"a\":\"b\nc\"}",
            r#"{"\u0061":1}"#,
            r#"{"video":null}"#,
            r#"{"video":{"videoid":1}}"#,
            r#"{"video":{},"video":{}}"#,
        ] {
            assert!(scan(text, OPTIONS).is_none(), "{text}");
        }
    }
}
