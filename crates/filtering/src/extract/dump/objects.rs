//! Reads the objects of a block, one segment (what stands between two boundaries) after the other.

use std::borrow::Cow;

use super::boundary::first_boundary;
use super::dom::{self, Object, ObjectError};
use super::prefilter::may_hold_bracketed;
use super::scan::scan;
use super::video::Video;

/// How objects are read.
#[derive(Debug, Clone, Copy)]
pub struct ParseOptions {
    /// List all complete captions one by one, not just those whose text may begin with a bracket.
    pub list_all: bool,
    /// Parse even what cannot hold a bracketed caption.
    pub parse_all: bool,
    /// Longest segment that is parsed, in bytes.
    pub max_object: usize,
}

/// What was found in a block.
#[derive(Debug, PartialEq)]
pub enum Found<'a> {
    /// An object. `mended` if bytes that are no UTF-8, or halves of surrogate pairs, were replaced.
    Video {
        /// The object.
        video: Video<'a>,
        /// Whether its text had to be repaired.
        mended: bool,
    },
    /// A segment that was not parsed since it cannot hold a bracketed caption.
    Unparsed,
    /// Text that is no object, up to the next line that begins one.
    Corrupt {
        /// Where it begins in the block.
        at: usize,
        /// The text, from there to where reading continues.
        text: Cow<'a, str>,
        /// What is wrong with it.
        error: ObjectError,
    },
    /// A segment longer than [`ParseOptions::max_object`].
    TooLarge {
        /// Where it begins in the block.
        at: usize,
        /// Its length in bytes.
        len: usize,
    },
}

/// Reads all objects of `block`, in order.
pub fn for_each_object<'a>(block: &'a [u8], options: ParseOptions, mut each: impl FnMut(Found<'a>)) {
    let mut at = 0;
    while at < block.len() {
        let next = first_boundary(block, at + 1).unwrap_or(block.len());
        let segment = &block[at..next];
        if segment.len() > options.max_object {
            each(Found::TooLarge { at, len: segment.len() });
        } else if !options.parse_all && segment[0] == b'{' && !may_hold_bracketed(segment) {
            each(Found::Unparsed);
        } else {
            read_segment(segment, at, options, &mut each);
        }
        at = next;
    }
}

fn read_segment<'a>(bytes: &'a [u8], at: usize, options: ParseOptions, each: &mut impl FnMut(Found<'a>)) {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    // Validation is many times faster than replacement, which is rarely needed.
    match std::str::from_utf8(bytes) {
        Ok(text) => read_text(text, options, |found| each(found.moved(at))),
        Err(_) => {
            let text = String::from_utf8_lossy(bytes);
            read_text(&text, options, |found| each(found.into_owned().moved(at)));
        }
    }
}

fn read_text<'a>(text: &'a str, options: ParseOptions, mut each: impl FnMut(Found<'a>)) {
    let bytes = text.as_bytes();
    let mut pos = 0;
    loop {
        pos += bytes[pos..].iter().take_while(|b| b.is_ascii_whitespace()).count();
        if pos == bytes.len() {
            return;
        }
        let rest = &text[pos..];
        if let Some((video, used)) = scan(rest, options) {
            each(Found::Video { video, mended: false });
            pos += used;
            continue;
        }
        match dom::read(rest, options) {
            Ok(Object { video, len, mended }) => {
                each(Found::Video { video, mended });
                pos += len;
            }
            Err(error) => {
                let next = next_line_start(bytes, pos + 1).unwrap_or(bytes.len());
                each(Found::Corrupt { at: pos, text: text[pos..next].into(), error });
                pos = next;
            }
        }
    }
}

/// First line at or after `from` that begins with `{`.
fn next_line_start(bytes: &[u8], from: usize) -> Option<usize> {
    let lines = memchr::memchr_iter(b'\n', &bytes[from - 1..]).map(|i| from + i);
    lines.into_iter().find(|&start| bytes.get(start) == Some(&b'{'))
}

impl<'a> Found<'a> {
    /// Moves the place of what was found by `by` bytes, from the part to the block.
    fn moved(mut self, by: usize) -> Self {
        if let Self::Corrupt { at, .. } | Self::TooLarge { at, .. } = &mut self {
            *at += by;
        }
        self
    }

    /// Copies what was found out of a text that had bytes replaced.
    fn into_owned<'b>(self) -> Found<'b> {
        match self {
            Found::Video { video, .. } => Found::Video { video: video.into_owned(), mended: true },
            Found::Unparsed => Found::Unparsed,
            Found::Corrupt { at, text, error } => Found::Corrupt { at, text: Cow::Owned(text.into_owned()), error },
            Found::TooLarge { at, len } => Found::TooLarge { at, len },
        }
    }
}
