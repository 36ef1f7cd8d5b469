//! Text for terminals: names of files, members and videos, and messages of other programs, are untrusted, and a
//! control sequence in one of them could hide lines, change the title or type in the user's place.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use crate::progress::beside_the_bar;

/// The text with control characters, except line breaks and tabs, and marks of writing direction made visible: `\u{1b}`.
///
/// ```
/// assert_eq!(audsem_core::terminal::plain("a\u{1b}[2Jb\rc\n"), "a\\u{1b}[2Jb\\rc\n");
/// ```
pub fn plain(text: &str) -> Cow<'_, str> {
    escaped(text, is_unsafe)
}

/// Whether a stream is a terminal that understands control sequences, so that a line may be drawn over itself there.
pub fn obeys(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && variable("TERM").is_some_and(|term| term != "dumb")
}

/// Whether text on a stream may be coloured: `NO_COLOR` (<https://no-color.org>) forbids it, and files and pipes get none.
pub fn may_be_coloured(stream: &impl IsTerminal) -> bool {
    obeys(stream) && variable("NO_COLOR").is_none()
}

/// A variable that is set to something.
#[allow(clippy::disallowed_methods, reason = "conventions of terminals, not settings of a command")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A number with its thousands apart: `1,234,567`.
///
/// ```
/// assert_eq!(audsem_core::terminal::thousands(83_000_001), "83,000,001");
/// ```
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How many there are of something that is named in the plural: `1 shard`, `1,200 entries`.
///
/// The names of what is counted here are regular; a plural in `-ches` is one of a word in `-ch`, as `batches`.
///
/// ```
/// use audsem_core::terminal::counted;
/// assert_eq!(format!("{} in {}", counted(1200, "clips"), counted(1, "batches")), "1,200 clips in 1 batch");
/// ```
pub fn counted(n: impl TryInto<u64>, many: &str) -> String {
    // What does not fit is no one either.
    let n = n.try_into().unwrap_or(u64::MAX);
    if n == 1 { format!("1 {}", singular(many)) } else { format!("{} {many}", thousands(n)) }
}

/// The word that agrees with a number: `by_number(n, "is", "are")`.
pub fn by_number<'a>(n: impl TryInto<u64>, one: &'a str, many: &'a str) -> &'a str {
    if n.try_into().is_ok_and(|n: u64| n == 1) { one } else { many }
}

/// One of what is named in the plural; see [`counted`].
pub fn singular(many: &str) -> String {
    if let Some(stem) = many.strip_suffix("ies") {
        return format!("{stem}y");
    }
    let is_es = ["sses", "xes", "ches", "shes"].iter().any(|ending| many.ends_with(ending));
    many.strip_suffix(if is_es { "es" } else { "s" }).unwrap_or(many).to_owned()
}

/// Standard error for the logger, which makes escape sequences in messages visible itself and adds its own for colours;
/// all other unsafe characters are made visible here.
#[derive(Debug)]
pub struct LogStream;

impl Write for LogStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let text = escaped(&text, |c| c != '\u{1b}' && is_unsafe(c));
        beside_the_bar(|| io::stderr().write_all(text.as_bytes()))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

fn is_unsafe(c: char) -> bool {
    let changes_direction = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}');
    (c.is_control() && !matches!(c, '\n' | '\t')) || changes_direction
}

fn escaped(text: &str, is_unsafe: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unsafe(c) {
            let _ = write!(plain, "{}", c.escape_default());
        } else {
            plain.push(c);
        }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        for (n, expected) in [(0, "0"), (999, "999"), (1000, "1,000"), (83_000_001, "83,000,001")] {
            assert_eq!(thousands(n), expected);
        }
    }

    #[test]
    fn one_of_a_kind_is_named_in_the_singular() {
        for (many, one) in [
            ("shards", "1 shard"),
            ("entries", "1 entry"),
            ("batches", "1 batch"),
            ("classes", "1 class"),
            ("pieces", "1 piece"),
            ("responses", "1 response"),
            ("run folders", "1 run folder"),
        ] {
            assert_eq!(counted(1, many), one);
            for n in [0, 2, 11] {
                assert_eq!(counted(n, many), format!("{n} {many}"));
            }
        }
        assert_eq!(counted(1_000_001_u64, "cues"), "1,000,001 cues");
        assert_eq!([0_usize, 1, 2].map(|n| by_number(n, "is", "are")), ["are", "is", "are"]);
    }

    #[test]
    fn no_control_character_but_line_breaks_and_tabs_is_left() {
        let all: String = ('\0'..='\u{9f}').chain(['\u{202e}', '\u{2066}', 'ü', '猫']).collect();
        let plain = plain(&all);
        assert!(plain.chars().all(|c| !c.is_control() || c == '\n' || c == '\t'), "{plain:?}");
        assert!(plain.contains("\\u{9b}") && plain.contains("\\u{202e}") && plain.ends_with("ü猫"), "{plain}");
        assert!(matches!(super::plain("quiet\n"), Cow::Borrowed(_)));
    }
}
