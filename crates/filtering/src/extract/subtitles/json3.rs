//! YouTube's `json3`: `{"events": [{"tStartMs", "dDurationMs", "segs": [{"utf8"}]}]}`.

use audsem_core::json;
use serde_json::Value;

use super::markup::plain_lines;
use super::{Item, Parsed, TimedText, clock};

/// Reads a `json3` file. Events without text (window definitions, line feeds of rolling captions) are
/// not cues.
#[must_use]
pub(super) fn parse(text: &str) -> Parsed {
    let value = match json::read(text.as_bytes()) {
        Ok(read) => read.value,
        Err(error) => return Parsed::broken(error.to_string()),
    };
    let Some(events) = value.get("events").and_then(Value::as_array) else {
        return Parsed::broken("there is no list `events`".to_owned());
    };
    let items = events.iter().enumerate().filter_map(|(i, event)| read_event(i, event)).collect();
    Parsed { items, ..Parsed::default() }
}

fn read_event(index: usize, event: &Value) -> Option<Item> {
    let segments = event.get("segs")?.as_array()?;
    let pieces = segments.iter().filter_map(|segment| segment.get("utf8")?.as_str());
    let text = plain_lines(&pieces.collect::<String>());
    if text.is_empty() {
        return None;
    }
    let time = |name: &str| event.get(name).map(Value::as_u64);
    // The start is omitted if it is 0.
    let (Some(start_ms), Some(Some(dur_ms))) = (time("tStartMs").unwrap_or(Some(0)), time("dDurationMs")) else {
        return Some(Item::Malformed { place: format!("event {index}"), what: clock::UNREADABLE, text });
    };
    Some(Item::Cue(TimedText { start_ms, end_ms: start_ms.saturating_add(dur_ms), text }))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{cue, cues};
    use super::*;

    #[test]
    fn reads_events_with_text() {
        let parsed = parse(
            r#"{"wireMagic":"pb3","events":[
                {"tStartMs":0,"dDurationMs":9000,"id":1,"wpWinPosId":1},
                {"dDurationMs":1500,"segs":[{"utf8":"[Music"},{"utf8":"]","tOffsetMs":300}]},
                {"tStartMs":1500,"dDurationMs":10,"aAppend":1,"segs":[{"utf8":"\n"}]},
                {"tStartMs":2000,"segs":[{"utf8":"[rain]"}]},
                {"tStartMs":-5,"dDurationMs":9,"segs":[{"utf8":"[rain]"}]},
                {"tStartMs":3000,"dDurationMs":2000,"segs":[{"utf8":" a\nb "}]}]}"#,
        );
        assert_eq!(cues(&parsed), [cue(0, 1_500, "[Music]"), cue(3_000, 5_000, "a\nb")]);
        assert_eq!(parsed.items.len(), 4);
    }

    #[test]
    fn what_only_python_reads_is_no_obstacle() {
        let parsed = parse(
            r#"{"wireMagic":NaN,"events":[{"id":1e999,"tStartMs":1000,"dDurationMs":1500,"segs":[{"utf8":"[a\ud83d]"}]},
                {"tStartMs":NaN,"dDurationMs":1500,"segs":[{"utf8":"[b]"}]}]}"#,
        );
        assert_eq!(cues(&parsed), [cue(1_000, 2_500, "[a\u{fffd}]")]);
        assert_eq!(parsed.items.len(), 2);
    }

    #[test]
    fn another_file_is_broken() {
        for text in ["", "{}", "[1]", r#"{"events":{}}"#, r#"{"events":["#] {
            assert!(parse(text).broken.is_some(), "{text}");
        }
    }
}
