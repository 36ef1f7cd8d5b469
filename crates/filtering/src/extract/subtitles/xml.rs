//! The XML formats: YouTube's `srv1`, `srv2` and `srv3`, and TTML.
//!
//! They differ in the element and the attributes that hold the times:
//! `<text start="1.5" dur="2">` (srv1, seconds), `<text t="1500" d="2000">` (srv2, milliseconds),
//! `<p t="1500" d="2000">` (srv3), `<p begin="00:00:01.500" end="00:00:03.500">` (TTML, where the elements around and
//! inside `p` may have times too). Text that was escaped twice, with its tags, is common in the first of them.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::markup::{plain_lines, resolve_name};
use super::ttml::{Interval, Rates};
use super::{Item, Parsed, TimedText, clock};

/// Most elements inside each other.
const MAX_DEPTH: usize = 1000;

/// Reads a file of any of the four formats. Cues before a syntax error are kept.
#[must_use]
pub(super) fn parse(text: &str) -> Parsed {
    let mut reader = Reader::from_str(text);
    let mut state = State::default();
    let broken = loop {
        match reader.read_event() {
            Ok(Event::Eof) if state.depth > 0 || state.dialect == Dialect::Unknown => {
                break Some("the document ends too soon".to_owned());
            }
            Ok(Event::Eof) => break None,
            Ok(event) => state.take(event),
            Err(error) => break Some(error.to_string()),
        }
        if state.depth > 0 && state.dialect == Dialect::Unknown {
            break Some("not a subtitle document".to_owned());
        }
        if state.depth > MAX_DEPTH {
            break Some(format!("more than {MAX_DEPTH} elements are inside each other"));
        }
    };
    Parsed { items: state.items, broken, rolling: false }
}

/// What the root element says.
#[derive(Clone, Copy, PartialEq, Default)]
enum Dialect {
    #[default]
    Unknown,
    YouTube,
    Ttml,
}

#[derive(Default)]
struct State {
    items: Vec<Item>,
    depth: usize,
    dialect: Dialect,
    /// The rates of the times, in TTML.
    rates: Option<Rates>,
    /// The elements that have times, and are not over.
    open: Vec<Timed>,
}

/// An element with times.
struct Timed {
    /// How deep it is.
    depth: usize,
    when: When,
    /// Its own text, which excludes that of elements inside that have times; none where it can have none.
    body: Option<String>,
}

enum When {
    YouTube(clock::Times),
    Ttml(Interval),
}

impl State {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(element) => self.start(&element),
            Event::Empty(element) if is_line_break(&element) => self.push("\n"),
            // Elements without content take time in a sequence.
            Event::Empty(element) => {
                self.start(&element);
                self.end();
            }
            Event::End(_) => self.end(),
            Event::Text(text) => self.push(&text),
            Event::CData(text) => self.push(&text),
            Event::GeneralRef(name) => match resolve_name(&name) {
                // What was escaped twice is resolved with the tags, at the end.
                Some(resolved) => self.push(&resolved),
                None => self.push(&format!("&{};", &*name)),
            },
            _ => {}
        }
    }

    /// Adds to the text of the innermost element that has one.
    fn push(&mut self, text: &str) {
        if let Some(body) = self.open.last_mut().and_then(|timed| timed.body.as_mut()) {
            body.push_str(text);
        }
    }

    fn start(&mut self, element: &BytesStart<'_>) {
        let local = element.local_name();
        let name: &str = local.as_ref();
        if self.depth == 0 {
            self.dialect = match name {
                "tt" => Dialect::Ttml,
                "timedtext" | "transcript" => Dialect::YouTube,
                _ => Dialect::Unknown,
            };
            self.rates = (self.dialect == Dialect::Ttml).then(|| Rates::of(element));
        }
        self.depth += 1;
        match self.rates {
            _ if is_line_break(element) => self.push("\n"),
            Some(rates) => self.start_of_ttml(name, element, &rates),
            None if self.open.is_empty() && matches!(name, "p" | "text") => {
                let when = When::YouTube(times_of_youtube(element));
                self.open.push(Timed { depth: self.depth, when, body: Some(String::new()) });
            }
            None => {}
        }
    }

    fn start_of_ttml(&mut self, name: &str, element: &BytesStart<'_>, rates: &Rates) {
        if !matches!(name, "body" | "div" | "p" | "span") {
            return;
        }
        let around = self.open.last();
        if name == "span" && (around.is_none_or(|timed| timed.body.is_none()) || !has_times(element)) {
            return;
        }
        let around = around.map_or_else(Interval::default, |timed| match timed.when {
            When::Ttml(interval) => interval,
            When::YouTube(_) => Interval::default(),
        });
        let when = When::Ttml(around.of_child(element, rates));
        let body = matches!(name, "p" | "span").then(String::new);
        self.open.push(Timed { depth: self.depth, when, body });
    }

    fn end(&mut self) {
        if let Some(timed) = self.open.pop_if(|timed| timed.depth == self.depth) {
            if let (When::Ttml(over), Some(Timed { when: When::Ttml(around), .. })) =
                (&timed.when, self.open.last_mut())
            {
                around.take_end_of(over);
            }
            self.close(timed);
        }
        self.depth = self.depth.saturating_sub(1);
    }

    fn close(&mut self, timed: Timed) {
        let text = plain_lines(&timed.body.unwrap_or_default());
        if text.is_empty() {
            return;
        }
        let times = match timed.when {
            When::YouTube(times) => times,
            When::Ttml(interval) => interval.times(),
        };
        self.items.push(match times {
            Ok((start_ms, end_ms)) => Item::Cue(TimedText { start_ms, end_ms, text }),
            Err(what) => Item::Malformed { place: format!("cue {}", self.items.len()), what, text },
        });
    }
}

fn is_line_break(element: &BytesStart<'_>) -> bool {
    element.local_name().as_ref().eq_ignore_ascii_case("br")
}

/// Whether an element of TTML has times of its own.
fn has_times(element: &BytesStart<'_>) -> bool {
    let is_time = |name: &str| matches!(name, "begin" | "end" | "dur");
    element.html_attributes().flatten().any(|attribute| is_time(attribute.key.local_name().as_ref()))
}

/// The times of an element of `srv1` to `srv3`.
fn times_of_youtube(element: &BytesStart<'_>) -> clock::Times {
    let (mut begin, mut dur) = (None, None);
    for attribute in element.html_attributes().flatten() {
        let value = &*attribute.value;
        match attribute.key.local_name().as_ref() {
            "t" => begin = value.parse().ok(),
            "d" => dur = value.parse().ok(),
            "start" => begin = seconds(value),
            "dur" => dur = seconds(value),
            _ => {}
        }
    }
    clock::times(begin, begin.zip(dur).and_then(|(begin, dur): (u64, u64)| begin.checked_add(dur)))
}

/// Decimal seconds, not negative, below a billion.
fn seconds(text: &str) -> Option<u64> {
    let seconds: f64 = text.parse().ok()?;
    (0.0..1e9).contains(&seconds).then(|| (seconds * 1000.0).round() as u64)
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
                r#"<transcript><text start="1" dur="1">&lt;font color=&quot;#E5E5E5&quot;&gt;[rain]&lt;/font&gt;</text></transcript>"#,
                vec![cue(1_000, 2_000, "[rain]")],
            ),
            (
                r#"<timedtext><body><p t="1" d="2">&lt;i&gt;[caf&eacute;&hellip;]&lt;/i&gt;</p></body></timedtext>"#,
                vec![cue(1, 3, "[café…]")],
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
    fn times_of_ttml_count_from_those_around() {
        for (text, expected) in [
            (
                r#"<tt ttp:tickRate="10"><body begin="10s"><div begin="20t"><p begin="1s" dur="5t">[a]</p></div>
                   <p begin="0s" end="1s">[b]</p></body></tt>"#,
                vec![cue(13_000, 13_500, "[a]"), cue(10_000, 11_000, "[b]")],
            ),
            // Without times of its own a paragraph is shown as long as what it stands in, which cuts what is longer.
            (
                r#"<tt><body><div begin="1s" end="3s"><p>[a]</p><p begin="1s" dur="9s">[b]</p></div></body></tt>"#,
                vec![cue(1_000, 3_000, "[a]"), cue(2_000, 3_000, "[b]")],
            ),
            (
                r#"<tt><body><p begin="10s" end="20s"><span begin="0s" end="2s">[a<i/>]</span>
                   <span begin="2s" dur="2s"><span>[b]</span></span><br/></p></body></tt>"#,
                vec![cue(10_000, 12_000, "[a]"), cue(12_000, 14_000, "[b]")],
            ),
            (
                r#"<tt><body><p><span begin="1s" end="2s">[a]</span></p>
                   <p begin="3s" end="5s">said <span tts:color="red">so</span><span begin="1s">[b]</span></p></body></tt>"#,
                vec![cue(1_000, 2_000, "[a]"), cue(4_000, 5_000, "[b]"), cue(3_000, 5_000, "said so")],
            ),
            (
                r#"<tt><body timeContainer="seq"><p dur="2s">[a]</p><p dur="1s"/><div><p begin="1s" dur="1s">[b]</p></div>
                   <p begin="1s" dur="1s">[c]</p></body></tt>"#,
                vec![cue(0, 2_000, "[a]"), cue(4_000, 5_000, "[b]"), cue(6_000, 7_000, "[c]")],
            ),
        ] {
            let parsed = parse(text);
            assert_eq!(cues(&parsed), expected, "{text}");
            assert_eq!((parsed.broken, parsed.items.len()), (None, expected.len()), "{text}");
        }
        for text in [
            "<tt><body><p>[a]</p></body></tt>",
            r#"<tt><body><p begin="1s">[a]</p></body></tt>"#,
            r#"<tt><body begin="soon"><p begin="1s" end="2s">[a]</p></body></tt>"#,
            r#"<tt><body><p begin="3s" end="2s">[a]</p></body></tt>"#,
        ] {
            let parsed = parse(text);
            assert_eq!((cues(&parsed), parsed.items.len()), (vec![], 1), "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_broken() {
        let text = format!(r#"<tt><body><p begin="1s" end="2s">[a]</p>{}"#, "<div>".repeat(400_000));
        let parsed = parse(&text);
        assert!(parsed.broken.is_some_and(|why| why.contains("1000")));
        assert_eq!(cues(&Parsed { broken: None, ..parse(&text) }), [cue(1_000, 2_000, "[a]")]);
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
