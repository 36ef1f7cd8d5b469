//! The XML formats: YouTube's `srv1`, `srv2` and `srv3`, and TTML.
//!
//! They differ in the element and the attributes that hold the times:
//! `<text start="1.5" dur="2">` (srv1, seconds), `<text t="1500" d="2000">` (srv2, milliseconds),
//! `<p t="1500" d="2000">` (srv3), `<p begin="00:00:01.500" end="00:00:03.500">` (TTML).

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::markup::{resolve, resolve_name, tidy_lines};
use super::{Item, Parsed, TimedText, clock};

/// Reads a file of any of the four formats. Cues before a syntax error are kept.
#[must_use]
pub(super) fn parse(text: &str) -> Parsed {
    let mut reader = Reader::from_str(text);
    let mut state = State::default();
    let broken = loop {
        match reader.read_event() {
            Ok(Event::Eof) if state.depth > 0 || !state.known_root => {
                break Some("the document ends too soon".to_owned());
            }
            Ok(Event::Eof) => break None,
            Ok(event) => state.take(event),
            Err(error) => break Some(error.to_string()),
        }
        if state.depth > 0 && !state.known_root {
            break Some("not a subtitle document".to_owned());
        }
    };
    Parsed { items: state.items, broken, rolling: false }
}

#[derive(Default)]
struct State {
    items: Vec<Item>,
    depth: usize,
    known_root: bool,
    /// The cue whose text is being read, and the depth of its element.
    open: Option<(Times, usize)>,
    body: String,
}

/// What the attributes of an element say about its times.
struct Times {
    times: Option<(u64, u64)>,
    /// In srv1 the text is escaped twice.
    escaped_twice: bool,
}

impl State {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(element) => self.start(&element),
            Event::Empty(element) if is_line_break(&element) => self.body.push('\n'),
            Event::End(_) => self.end(),
            Event::Text(text) if self.open.is_some() => self.body.push_str(&text),
            Event::CData(text) if self.open.is_some() => self.body.push_str(&text),
            Event::GeneralRef(name) if self.open.is_some() => match resolve_name(&name) {
                Some(c) => self.body.push(c),
                None => self.body.push_str(&format!("&{};", &*name)),
            },
            _ => {}
        }
    }

    fn start(&mut self, element: &BytesStart<'_>) {
        let local = element.local_name();
        let name: &str = local.as_ref();
        if self.depth == 0 {
            self.known_root = matches!(name, "timedtext" | "transcript" | "tt");
        }
        self.depth += 1;
        if self.open.is_none() && matches!(name, "p" | "text") {
            self.open = Some((times(element), self.depth));
            self.body.clear();
        } else if is_line_break(element) {
            self.body.push('\n');
        }
    }

    fn end(&mut self) {
        if let Some((times, _)) = self.open.take_if(|(_, depth)| *depth == self.depth) {
            self.close(&times);
        }
        self.depth = self.depth.saturating_sub(1);
    }

    fn close(&mut self, times: &Times) {
        let text = if times.escaped_twice { resolve(&self.body) } else { std::mem::take(&mut self.body) };
        let text = tidy_lines(&text);
        if text.is_empty() {
            return;
        }
        self.items.push(match times.times {
            Some((start_ms, end_ms)) => Item::Cue(TimedText { start_ms, end_ms, text }),
            None => {
                let place = format!("cue {}", self.items.len());
                Item::Malformed { place, what: clock::UNREADABLE, text }
            }
        });
    }
}

fn is_line_break(element: &BytesStart<'_>) -> bool {
    element.local_name().as_ref().eq_ignore_ascii_case("br")
}

fn times(element: &BytesStart<'_>) -> Times {
    let (mut begin, mut end, mut dur) = (None, None, None);
    let mut escaped_twice = false;
    for attribute in element.html_attributes().flatten() {
        let value = &*attribute.value;
        match attribute.key.local_name().as_ref() {
            "t" => begin = value.parse().ok(),
            "d" => dur = value.parse().ok(),
            "start" => (begin, escaped_twice) = (seconds(value), true),
            "dur" => dur = offset(value).or_else(|| seconds(value)),
            "begin" => begin = offset(value),
            "end" => end = offset(value),
            _ => {}
        }
    }
    let end = end.or_else(|| begin.zip(dur).and_then(|(begin, dur): (u64, u64)| begin.checked_add(dur)));
    Times { times: begin.zip(end).filter(|(begin, end)| begin <= end), escaped_twice }
}

/// Decimal seconds, not negative, below a billion.
fn seconds(text: &str) -> Option<u64> {
    let seconds: f64 = text.parse().ok()?;
    (0.0..1e9).contains(&seconds).then(|| (seconds * 1000.0).round() as u64)
}

/// A TTML time: a clock time, or a number with its unit.
fn offset(text: &str) -> Option<u64> {
    if text.contains(':') {
        return clock::parse(text);
    }
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit_at);
    let factor = match unit {
        "h" => 3600.0,
        "m" => 60.0,
        "s" => 1.0,
        "ms" => 0.001,
        _ => return None, // frames and ticks need the rates of the document's head
    };
    let number: f64 = number.parse().ok()?;
    (0.0..1e6).contains(&number).then(|| (number * factor * 1000.0).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{cue, cues};
    use super::*;

    #[test]
    fn reads_all_four_formats() {
        for (text, expected) in [
            (
                r#"<?xml version="1.0" encoding="utf-8" ?><timedtext format="3"><head><pen id="1"/></head><body>
                   <p t="1500" d="2000" wp="1">[door<br/>slams &amp; &#39;shuts&#39;]</p>
                   <p t="4000" d="10" a="1">
</p><p t="5000" d="1000"><s>[mu</s><s t="200" ac="0">sic]</s></p></body></timedtext>"#,
                vec![cue(1_500, 3_500, "[door\nslams & 'shuts']"), cue(5_000, 6_000, "[music]")],
            ),
            (
                r#"<transcript><text start="1.5" dur="2.25">[it&amp;#39;s &amp;lt;rain]</text><text start="4"/></transcript>"#,
                vec![cue(1_500, 3_750, "[it's <rain]")],
            ),
            (
                r#"<timedtext><text t="100" d="900"><![CDATA[(a & b)]]></text></timedtext>"#,
                vec![cue(100, 1_000, "(a & b)")],
            ),
            (
                r#"<tt xmlns="http://www.w3.org/ns/ttml"><body><div>
                   <p begin="00:00:01.500" end="00:00:03.500" style="s2"><span>[rain]</span><br/>x</p>
                   <p begin="2.5s" dur="1500ms">[wind]</p></div></body></tt>"#,
                vec![cue(1_500, 3_500, "[rain]\nx"), cue(2_500, 4_000, "[wind]")],
            ),
        ] {
            let parsed = parse(text);
            assert_eq!(cues(&parsed), expected, "{text}");
            assert_eq!(parsed.broken, None, "{text}");
        }
    }

    #[test]
    fn cues_without_readable_times_are_malformed() {
        let parsed =
            parse(r#"<timedtext><body><p t="x" d="1">[a]</p><p t="1">[b]</p><p d="1"></p></body></timedtext>"#);
        assert_eq!(parsed.items.len(), 2);
        assert_eq!(cues(&parsed), []);
    }

    #[test]
    fn what_ends_too_soon_is_broken_but_its_cues_count() {
        let text = r#"<timedtext><body><p t="1" d="2">[a]</p><p t="3" d="4">[b"#;
        let parsed = parse(text);
        assert!(parsed.broken.is_some());
        assert_eq!(cues(&parsed), [cue(1, 3, "[a]")]);
        for text in ["", "<html></html>", "<tt>", "<tt></p>", "text"] {
            assert!(parse(text).broken.is_some(), "{text}");
        }
    }
}
