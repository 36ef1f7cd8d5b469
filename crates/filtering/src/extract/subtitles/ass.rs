//! SubStation Alpha (ASS and SSA): lines `Dialogue:` whose fields a line `Format:` names.

use super::markup::plain_lines;
use super::{Item, Parsed, TimedText, clock};

/// The fields of a dialogue where the file does not name them.
const FIELDS: &str = "Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text";

/// Where a dialogue has what is read of it; its text is the last field, commas included.
#[derive(Clone, Copy)]
struct Fields {
    n: usize,
    start: usize,
    end: usize,
}

impl Fields {
    /// `None` if these are not the fields of dialogues, as those of styles are not.
    fn of(names: &str) -> Option<Self> {
        let names: Vec<String> = names.split(',').map(|name| name.trim().to_ascii_lowercase()).collect();
        let place = |wanted: &str| names.iter().position(|name| name == wanted);
        let (start, end) = (place("start")?, place("end")?);
        (names.last()? == "text").then_some(Self { n: names.len(), start, end })
    }
}

/// Reads a file. Comments and everything that is not an event are skipped.
#[must_use]
pub(super) fn parse(text: &str) -> Parsed {
    let mut parsed = Parsed::default();
    let mut fields = Fields::of(FIELDS).expect("they are those of a dialogue");
    for (at, line) in text.lines().enumerate() {
        let Some((kind, rest)) = line.split_once(':') else { continue };
        match kind.trim() {
            "Format" => fields = Fields::of(rest).unwrap_or(fields),
            "Dialogue" => parsed.items.push(item(at + 1, rest, fields)),
            _ => {}
        }
    }
    parsed
}

fn item(line: usize, dialogue: &str, fields: Fields) -> Item {
    let parts: Vec<&str> = dialogue.splitn(fields.n, ',').collect();
    let time = |at: usize| parts.get(at).and_then(|time| clock::parse(time.trim()));
    let text = parts.get(fields.n - 1).map_or_else(String::new, |text| shown(text));
    match clock::times(time(fields.start), time(fields.end)) {
        Ok((start_ms, end_ms)) => Item::Cue(TimedText { start_ms, end_ms, text }),
        Err(what) => Item::Malformed { place: format!("line {line}"), what, text },
    }
}

/// The text of a dialogue as players show it: without what stands in braces, be it an override or a comment.
fn shown(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, block)) = rest.split_once('{') {
        plain.push_str(before);
        match block.split_once('}') {
            Some((_, behind)) => rest = behind,
            None => {
                plain.push('{');
                plain.push_str(block);
                rest = "";
            }
        }
    }
    plain.push_str(rest);
    plain_lines(&plain.replace("\\N", "\n").replace("\\n", "\n").replace("\\h", "\u{a0}"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{cue, cues};
    use super::*;

    #[test]
    fn reads_what_players_show() {
        let text = "[Script Info]\nTitle: a: b\nScriptType: v4.00+\n\n[V4+ Styles]\n\
            Format: Name, Fontname, Fontsize\nStyle: Default,Arial,20\n\n[Events]\n\
            Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n\
            Dialogue: 0,0:00:01.00,0:00:03.50,Default,,0,0,0,,{\\an8}[door slams, loudly]\\N{a comment}(rain)\n\
            Comment: 0,0:00:01.00,0:00:03.50,Default,,0,0,0,,[not shown]\n\
            Dialogue: 0,1:00:04.25,1:00:06.00,Default,,0,0,0,,<i>[wind]</i>\\h{unclosed\n\
            Dialogue: 0,later,0:00:06.00,Default,,0,0,0,,[lost]\nDialogue: 0,0:00:07.00\n";
        let parsed = parse(text);
        assert_eq!(
            cues(&parsed),
            [cue(1_000, 3_500, "[door slams, loudly]\n(rain)"), cue(3_604_250, 3_606_000, "[wind]\u{a0}{unclosed")]
        );
        assert_eq!(parsed.items.len(), 4);
        let Item::Malformed { place, text, .. } = &parsed.items[2] else { panic!("{parsed:?}") };
        assert_eq!((place.as_str(), text.as_str()), ("line 14", "[lost]"));
    }

    #[test]
    fn the_fields_stand_where_the_file_says() {
        let text = "Format: Start, End, Text\nDialogue: 0:00:01.00,0:00:02.00,[a, b]\n";
        assert_eq!(cues(&parse(text)), [cue(1_000, 2_000, "[a, b]")]);
        let ssa = "Dialogue: Marked=0,0:00:01.00,0:00:02.00,Default,NTP,0000,0000,0000,!Effect,[a]\n";
        assert_eq!(cues(&parse(ssa)), [cue(1_000, 2_000, "[a]")]);
    }
}
