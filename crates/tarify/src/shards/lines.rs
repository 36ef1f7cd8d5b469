//! Reading JSON-lines files in batches of whole lines, for parallel work in the order of the file.

use std::io::{self, Read};

/// Bytes gathered before a batch is handed out.
const BATCH_BYTES: usize = 1 << 20;

/// Maximum length of a line, in bytes; longer lines are skipped, because a line is held in memory.
const MAX_LINE_BYTES: usize = 256 << 20;

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
    max_line_bytes: usize,
}

impl<R: Read> Batches<R> {
    /// Starts at the beginning of `reader`.
    pub(super) fn new(reader: R) -> Self {
        Self { reader, carry: Vec::new(), next_line: 1, ended: false, max_line_bytes: MAX_LINE_BYTES }
    }

    fn read(&mut self) -> io::Result<Option<Batch>> {
        let mut bytes = std::mem::take(&mut self.carry);
        loop {
            let before = bytes.len();
            let read = (&mut self.reader).take(BATCH_BYTES as u64).read_to_end(&mut bytes)?;
            if read < BATCH_BYTES {
                self.ended = true;
                return Ok((!bytes.is_empty()).then(|| self.batch(bytes)));
            }
            if let Some(end) = bytes[before..].iter().rposition(|&byte| byte == b'\n') {
                self.carry = bytes.split_off(before + end + 1);
                return Ok(Some(self.batch(bytes)));
            }
            if bytes.len() > self.max_line_bytes {
                return self.pass_over(bytes).map(Some);
            }
        }
    }

    /// Reads on to the end of a line that is too long.
    fn pass_over(&mut self, mut bytes: Vec<u8>) -> io::Result<Batch> {
        let number = self.next_line;
        self.next_line += 1;
        loop {
            bytes.clear();
            let read = (&mut self.reader).take(BATCH_BYTES as u64).read_to_end(&mut bytes)?;
            if let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
                self.carry = bytes.split_off(end + 1);
            } else if read == BATCH_BYTES {
                continue;
            } else {
                self.ended = true;
            }
            return Ok(Batch { first_line: number, bytes: Vec::new(), too_long: Some(number) });
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
        if self.ended {
            return None;
        }
        let batch = self.read();
        self.ended |= batch.is_err();
        batch.transpose()
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
