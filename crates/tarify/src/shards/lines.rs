//! Reading JSON-lines files in batches of whole lines, for parallel work in the order of the file.

use std::io::{self, Read};

use audsem_core::json::MAX_RECORD_BYTES;

/// Bytes gathered before a batch is handed out.
const BATCH_BYTES: usize = 1 << 20;

/// Whole lines of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Batch {
    /// Number of the first line, from 1.
    pub first_line: u64,
    /// The lines with their line breaks; only the file's last line may lack one.
    pub bytes: Vec<u8>,
    /// Number of a line that is too long to be read; there are no others in its batch.
    pub too_long: Option<u64>,
}

impl Batch {
    /// The lines that are not blank, with their numbers, without a byte order mark.
    pub(super) fn lines(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let numbered = (self.first_line..).zip(self.bytes.split(|&byte| byte == b'\n'));
        numbered.filter_map(|(number, line)| {
            let line = if number == 1 { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line };
            let line = line.trim_ascii();
            (!line.is_empty()).then_some((number, line))
        })
    }
}

/// Cuts a stream into [`Batch`]es.
pub(super) struct Batches<R> {
    reader: R,
    /// The beginning of an incomplete line.
    carry: Vec<u8>,
    next_line: u64,
    ended: bool,
    /// Why it ended, where the end has not been reached: told behind the lines before that place.
    broken: Option<io::Error>,
    max_line_bytes: usize,
}

impl<R: Read> Batches<R> {
    /// Starts at the beginning of `reader`.
    pub(super) fn new(reader: R) -> Self {
        Self { reader, carry: Vec::new(), next_line: 1, ended: false, broken: None, max_line_bytes: MAX_RECORD_BYTES }
    }

    /// The number of the next line, from 1.
    pub(super) fn next_line(&self) -> u64 {
        self.next_line
    }

    fn read(&mut self) -> Option<Batch> {
        let mut bytes = std::mem::take(&mut self.carry);
        loop {
            let before = bytes.len();
            let read = match (&mut self.reader).take(BATCH_BYTES as u64).read_to_end(&mut bytes) {
                Ok(read) => read,
                Err(error) => {
                    // Whole lines count; of the last one nobody knows how it ends.
                    self.broken = Some(error);
                    self.ended = true;
                    bytes.truncate(bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1));
                    return (!bytes.is_empty()).then(|| self.batch(bytes));
                }
            };
            if read < BATCH_BYTES {
                self.ended = true;
                return (!bytes.is_empty()).then(|| self.batch(bytes));
            }
            if let Some(end) = bytes[before..].iter().rposition(|&byte| byte == b'\n') {
                self.carry = bytes.split_off(before + end + 1);
                return Some(self.batch(bytes));
            }
            if bytes.len() > self.max_line_bytes {
                return Some(self.pass_over(bytes));
            }
        }
    }

    /// Reads on to the end of a line that is too long.
    fn pass_over(&mut self, mut bytes: Vec<u8>) -> Batch {
        let number = self.next_line;
        self.next_line += 1;
        loop {
            bytes.clear();
            let read = (&mut self.reader).take(BATCH_BYTES as u64).read_to_end(&mut bytes).unwrap_or_else(|error| {
                self.broken = Some(error);
                0
            });
            if let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
                self.carry = bytes.split_off(end + 1);
            } else if read == BATCH_BYTES {
                continue;
            } else {
                self.ended = true;
            }
            return Batch { first_line: number, bytes: Vec::new(), too_long: Some(number) };
        }
    }

    fn batch(&mut self, bytes: Vec<u8>) -> Batch {
        let first_line = self.next_line;
        self.next_line += bytes.iter().filter(|&&byte| byte == b'\n').count() as u64;
        Batch { first_line, bytes, too_long: None }
    }
}

impl<R: Read> Iterator for Batches<R> {
    type Item = io::Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = if self.ended { None } else { self.read() };
        batch.map(Ok).or_else(|| self.broken.take().map(Err))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn lines(text: &[u8]) -> Vec<(u64, String)> {
        let mut all = Vec::new();
        for batch in Batches::new(text) {
            let batch = batch.unwrap();
            all.extend(batch.lines().map(|(n, line)| (n, String::from_utf8(line.to_vec()).unwrap())));
        }
        all
    }

    #[test]
    fn lines_keep_their_numbers_across_batches() {
        let text: String = (1..=200_000).map(|n| format!("{n}\n\n")).collect();
        assert!(text.len() > BATCH_BYTES);
        let lines = lines(text.as_bytes());
        assert_eq!(lines.len(), 200_000);
        assert!(lines.iter().all(|(number, text)| *number == 2 * text.parse::<u64>().unwrap() - 1));
    }

    #[test]
    fn odd_files_are_read_too() {
        assert_eq!(lines(b""), []);
        assert_eq!(lines(b"\n\r\n \n"), []);
        assert_eq!(lines(b"\xef\xbb\xbf{}\r\nlast"), [(1, "{}".to_owned()), (2, "last".to_owned())]);
        let long = "x".repeat(3 * BATCH_BYTES + 7);
        assert_eq!(lines(format!("a\n{long}\nb").as_bytes()), [(1, "a".into()), (2, long), (3, "b".into())]);
    }

    #[test]
    fn lines_before_a_break_are_read_and_the_break_is_told_behind_them() {
        struct Breaks<'a>(&'a [u8]);
        impl Read for Breaks<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                if self.0.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { self.0.read(buffer) }
            }
        }
        for (text, whole, next) in
            [("a\nb\nc", vec![(1, "a"), (2, "b")], 3), ("", vec![], 1), ("a\n", vec![(1, "a")], 2)]
        {
            let mut batches = Batches::new(Breaks(text.as_bytes()));
            let (mut found, mut broken) = (Vec::new(), 0);
            for batch in batches.by_ref() {
                match batch {
                    Err(error) => broken += usize::from(error.kind() == io::ErrorKind::UnexpectedEof),
                    Ok(batch) => {
                        found.extend(batch.lines().map(|(n, line)| (n, String::from_utf8(line.to_vec()).unwrap())))
                    }
                }
            }
            let found: Vec<(u64, &str)> = found.iter().map(|(n, line)| (*n, line.as_str())).collect();
            assert_eq!((found, broken, batches.next_line()), (whole, 1, next), "{text:?}");
        }
    }

    #[test]
    fn a_line_without_an_end_is_told_and_the_others_are_read() {
        let long = "x".repeat(5 * BATCH_BYTES);
        for (text, expected) in [
            (format!("a\n{long}\nb\n"), vec![(Some(2), vec![]), (None, vec![(3, "b")])]),
            (format!("a\n{long}"), vec![(Some(2), vec![])]),
        ] {
            let batches = Batches { max_line_bytes: BATCH_BYTES + 1, ..Batches::new(text.as_bytes()) };
            let batches: Vec<Batch> = batches.map(Result::unwrap).collect();
            let found: Vec<_> = batches
                .iter()
                .map(|batch| {
                    let lines = batch.lines().map(|(number, line)| (number, std::str::from_utf8(line).unwrap()));
                    (batch.too_long, lines.collect::<Vec<_>>())
                })
                .collect();
            assert_eq!(found[0], (None, vec![(1, "a")]));
            assert_eq!(found[1..], expected);
        }
    }
}
