//! The pages of an Ogg file (RFC 3533), walked without decoding.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

/// The result of walking over all pages.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pages {
    /// Whether a stream begins after the pages of another: symphonia would leave it out.
    pub(super) chained: bool,
    /// What is missing at the end, if the last page is cut.
    pub(super) gap: Option<String>,
}

/// Magic number, version, flags, position, serial number, sequence number, checksum, number of segments.
const HEADER_BYTES: usize = 27;

/// Walks the pages from the first to the last, or to the first bytes that are not a page.
///
/// # Errors
/// The source cannot be read.
pub(super) fn walk(source: &mut (impl Read + Seek)) -> io::Result<Pages> {
    let end = source.seek(SeekFrom::End(0))?;
    source.seek(SeekFrom::Start(0))?;
    let mut reader = BufReader::with_capacity(1 << 16, source);
    let (mut pages, mut position, mut in_data) = (Pages::default(), 0, false);
    while position < end {
        let cut = || Some(format!("an Ogg page that begins at byte {position} is cut"));
        let mut header = [0; HEADER_BYTES + 255];
        if end - position < HEADER_BYTES as u64 {
            pages.gap = cut();
            break;
        }
        reader.read_exact(&mut header[..HEADER_BYTES])?;
        let segments = usize::from(header[HEADER_BYTES - 1]);
        if !header.starts_with(b"OggS") {
            break;
        }
        if end - position < (HEADER_BYTES + segments) as u64 {
            pages.gap = cut();
            break;
        }
        let sizes = &mut header[HEADER_BYTES..HEADER_BYTES + segments];
        reader.read_exact(sizes)?;
        let body: i64 = sizes.iter().map(|&size| i64::from(size)).sum();
        let begins_stream = header[5] & 2 != 0;
        pages.chained |= begins_stream && in_data;
        in_data |= !begins_stream;
        let page = (HEADER_BYTES + segments) as u64 + body.unsigned_abs();
        if page > end - position {
            pages.gap = cut();
            break;
        }
        reader.seek_relative(body)?;
        position += page;
    }
    Ok(pages)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Cursor;

    fn page(flags: u8, body: &[u8]) -> Vec<u8> {
        let mut page = b"OggS\0".to_vec();
        page.push(flags);
        page.extend([0; 20]);
        page.push(1);
        page.push(body.len() as u8);
        page.extend(body);
        page
    }

    #[test]
    fn chains_and_cuts_are_seen() {
        let check = |bytes: &[u8], chained: bool, cut: bool| {
            let pages = walk(&mut Cursor::new(bytes)).unwrap();
            assert_eq!((pages.chained, pages.gap.is_some()), (chained, cut));
        };
        let stream = [page(2, b"head"), page(0, b"data"), page(4, b"last")].concat();
        check(&stream, false, false);
        // Two streams side by side, as sound and pictures.
        check(&[page(2, b"a"), page(2, b"b"), page(0, b"c")].concat(), false, false);
        check(&[&stream[..], &stream].concat(), true, false);
        check(&[&stream[..], b"something else that is no page at all"].concat(), false, false);
        for length in 1..stream.len() {
            let boundary = length == page(2, b"head").len() || length == 2 * page(2, b"head").len();
            check(&stream[..length], false, !boundary);
        }
    }
}
