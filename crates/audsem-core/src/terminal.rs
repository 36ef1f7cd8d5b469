//! Text for terminals: names of files, members and videos, and messages of other programs, are untrusted, and a
//! control sequence in one of them could hide lines, change the title or type in the user's place.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

/// The text with control characters, except line breaks and tabs, and marks of writing direction made visible: `\u{1b}`.
///
/// ```
/// assert_eq!(audsem_core::terminal::plain("a\u{1b}[2Jb\rc\n"), "a\\u{1b}[2Jb\\rc\n");
/// ```
pub fn plain(text: &str) -> Cow<'_, str> {
    escaped(text, is_unsafe)
}

/// Standard error for the logger, which makes escape sequences in messages visible itself and adds its own for colours;
/// all other unsafe characters are made visible here.
#[derive(Debug)]
pub struct LogStream;

impl Write for LogStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        io::stderr().write_all(escaped(&text, |c| c != '\u{1b}' && is_unsafe(c)).as_bytes())?;
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
    fn no_control_character_but_line_breaks_and_tabs_is_left() {
        let all: String = ('\0'..='\u{9f}').chain(['\u{202e}', '\u{2066}', 'ü', '猫']).collect();
        let plain = plain(&all);
        assert!(plain.chars().all(|c| !c.is_control() || c == '\n' || c == '\t'), "{plain:?}");
        assert!(plain.contains("\\u{9b}") && plain.contains("\\u{202e}") && plain.ends_with("ü猫"), "{plain}");
        assert!(matches!(super::plain("quiet\n"), Cow::Borrowed(_)));
    }
}
