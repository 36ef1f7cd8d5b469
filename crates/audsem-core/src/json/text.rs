//! Strings of a JSON text.

use std::borrow::Cow;

use super::{JsonError, Reader};

/// A string as it stands between its quotes.
#[derive(Clone, Copy)]
pub(super) struct Raw<'a> {
    text: &'a str,
    escaped: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn string(&mut self) -> Result<Raw<'a>, JsonError> {
        self.expect(b'"', "expected a string")?;
        let begin = self.at;
        let mut escaped = false;
        loop {
            self.at += plain_len(&self.text.as_bytes()[self.at..]);
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return self.fail("a raw control character in a string"),
                None => return self.fail("the text ends in a string"),
            }
        }
        let text = &self.text[begin..self.at];
        self.at += 1;
        Ok(Raw { text, escaped })
    }

    /// Skips the escape sequence that begins here.
    fn escape(&mut self) -> Result<(), JsonError> {
        let bytes = &self.text.as_bytes()[self.at..];
        self.at += match bytes.get(1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
            Some(b'u') if bytes.get(2..6).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) => 6,
            _ => return self.fail("invalid escape sequence"),
        };
        Ok(())
    }

    pub(super) fn decode(&mut self, raw: Raw<'a>) -> Cow<'a, str> {
        if !raw.escaped {
            return Cow::Borrowed(raw.text);
        }
        let mut text = String::with_capacity(raw.text.len());
        let mut rest = raw.text;
        while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
            text.push_str(&rest[..at]);
            let (c, len) = unescape(&rest.as_bytes()[at..]);
            self.repairs.surrogates += u64::from(c.is_none());
            text.push(c.unwrap_or(char::REPLACEMENT_CHARACTER));
            rest = &rest[at + len..];
        }
        text.push_str(rest);
        Cow::Owned(text)
    }
}

/// The character that the (valid) escape sequence at the beginning of `bytes` names, and its length; `None` for
/// a lone surrogate.
fn unescape(bytes: &[u8]) -> (Option<char>, usize) {
    let c = match bytes[1] {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let high = unit(bytes).expect("the sequence was checked");
            let low = bytes.get(6..).and_then(unit);
            if let (0xD800..0xDC00, Some(low @ 0xDC00..0xE000)) = (high, low) {
                return (char::from_u32(0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00)), 12);
            }
            return (char::from_u32(high), 6);
        }
        other => char::from(other),
    };
    (Some(c), 2)
}

/// The UTF-16 unit that `bytes` begin with as `\uXXXX`.
fn unit(bytes: &[u8]) -> Option<u32> {
    let digits = bytes.strip_prefix(b"\\u")?.get(..4)?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Number of leading bytes that are plain inside a JSON string: no quote, backslash or control
/// character. Eight bytes at a time, with the usual carry-free tests for "has a byte equal to" and
/// "has a byte less than" (a false hit can only come after a true one).
#[inline]
#[must_use]
pub fn plain_len(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES * 0x80;
    let (chunks, rest) = bytes.as_chunks::<8>();
    for (i, chunk) in chunks.iter().enumerate() {
        let word = u64::from_le_bytes(*chunk);
        let quote = word ^ (ONES * b'"' as u64);
        let backslash = word ^ (ONES * b'\\' as u64);
        let hits = (quote.wrapping_sub(ONES) & !quote)
            | (backslash.wrapping_sub(ONES) & !backslash)
            | (word.wrapping_sub(ONES * 0x20) & !word);
        if hits & HIGH != 0 {
            return i * 8 + ((hits & HIGH).trailing_zeros() / 8) as usize;
        }
    }
    let tail = rest.iter().position(|&b| b == b'"' || b == b'\\' || b < 0x20);
    bytes.len() - rest.len() + tail.unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_runs_stop_at_the_first_special_byte() {
        for special in [b'"', b'\\', 0, b'\n', 0x1f] {
            for at in 0..40 {
                let mut bytes = "é".repeat(20).into_bytes();
                bytes[at] = special;
                assert_eq!(plain_len(&bytes), at);
                bytes[39] = b'"';
                assert_eq!(plain_len(&bytes), at.min(39));
            }
        }
        assert_eq!(plain_len(b" !#[]~\x7f"), 7);
    }
}
