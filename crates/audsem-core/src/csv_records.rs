//! CSV files that anyone may have written. Their records have a limited size: one quote without a partner, or a compressed
//! file of a few kilobytes, can make a record of any size, and a record is held in memory. A quote without a partner is an
//! error that names its line, and not a last record that has swallowed all those behind it.

use std::io::{self, Read};

use csv::{ByteRecord, Position, ReaderBuilder, StringRecord};

use crate::json::MAX_RECORD_BYTES;

/// What is read behind the end of a file: a record of its own, unless a quote is still open there.
const END: &[u8] = b"\n\x1e\x1d end of the file \x1d\x1e\n";

/// [`END`] as the only field of its record, or at the end of the text of an open quote.
const END_FIELD: &[u8] = b"\x1e\x1d end of the file \x1d\x1e";

/// A record of which nobody knows where it ends.
#[derive(Debug, thiserror::Error)]
#[error("a record has no end within {} MiB", .most >> 20)]
struct TooLong {
    most: usize,
}

/// A stream that gives so many bytes for each record, and then an error; and [`END`] behind its end.
#[derive(Debug)]
struct RecordBudget<R> {
    stream: R,
    /// Bytes for each record.
    most: usize,
    left: usize,
    /// What is left of [`END`]; none before the end of the stream.
    end: Option<&'static [u8]>,
}

impl<R: Read> Read for RecordBudget<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(end) = &mut self.end {
            return end.read(buffer);
        }
        if self.left == 0 && !buffer.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, TooLong { most: self.most }));
        }
        let most = buffer.len().min(self.left);
        let read = self.stream.read(&mut buffer[..most])?;
        self.left -= read;
        if read == 0 && !buffer.is_empty() {
            return self.end.insert(END).read(buffer);
        }
        Ok(read)
    }
}

/// The records of a CSV stream.
#[derive(Debug)]
pub struct CsvRecords<R> {
    reader: csv::Reader<RecordBudget<R>>,
}

impl<R: Read> CsvRecords<R> {
    /// Reads a stream as `builder` says.
    pub fn new(builder: &ReaderBuilder, stream: R) -> Self {
        Self::with_limit(builder, stream, MAX_RECORD_BYTES)
    }

    /// Reads a stream whose records may have so many bytes.
    pub fn with_limit(builder: &ReaderBuilder, stream: R, most: usize) -> Self {
        Self { reader: builder.from_reader(RecordBudget { stream, most, left: most, end: None }) }
    }

    /// Begins the next record.
    fn renew(&mut self) {
        let budget = self.reader.get_mut();
        budget.left = budget.most;
    }

    /// The names of the columns; none in an empty file.
    ///
    /// # Errors
    /// The stream cannot be read, or a quote of the header has no partner.
    pub fn byte_headers(&mut self) -> csv::Result<ByteRecord> {
        let header = self.reader.byte_headers()?.clone();
        Ok(if whole(&header)? { header } else { ByteRecord::new() })
    }

    /// The names of the columns; none in an empty file.
    ///
    /// # Errors
    /// As [`CsvRecords::byte_headers`], or they are not UTF-8.
    pub fn headers(&mut self) -> csv::Result<StringRecord> {
        let header = self.reader.headers()?.clone();
        Ok(if whole(header.as_byte_record())? { header } else { StringRecord::new() })
    }

    /// Reads the next record; false at the end.
    ///
    /// # Errors
    /// The stream cannot be read, a quote has no partner (no record follows then), or the record has another number of
    /// fields than the header where `builder` does not allow that.
    pub fn read_byte_record(&mut self, record: &mut ByteRecord) -> csv::Result<bool> {
        self.renew();
        match self.reader.read_byte_record(record) {
            Ok(false) => Ok(false),
            Ok(true) => whole(record),
            // The end differs from the header in the number of its fields, too.
            Err(error) if matches!(error.kind(), csv::ErrorKind::UnequalLengths { .. }) => {
                if whole(record)? {
                    Err(error)
                } else {
                    Ok(false)
                }
            }
            Err(error) => Err(with_line(error, record.position())),
        }
    }

    /// Reads the next record as text; false at the end.
    ///
    /// # Errors
    /// As [`CsvRecords::read_byte_record`], or a field is not UTF-8.
    pub fn read_record(&mut self, record: &mut StringRecord) -> csv::Result<bool> {
        self.renew();
        match self.reader.read_record(record) {
            Ok(false) => Ok(false),
            Ok(true) => whole(record.as_byte_record()),
            Err(error) if matches!(error.kind(), csv::ErrorKind::UnequalLengths { .. }) => {
                if whole(record.as_byte_record())? { Err(error) } else { Ok(false) }
            }
            Err(error) => Err(with_line(error, record.position())),
        }
    }

    /// All further records as text; each may be an error as [`CsvRecords::read_record`] gives it.
    pub fn records(&mut self) -> impl Iterator<Item = csv::Result<StringRecord>> {
        std::iter::from_fn(|| {
            let mut record = StringRecord::new();
            self.read_record(&mut record).map(|more| more.then_some(record)).transpose()
        })
    }

    /// All further records as bytes; each may be an error as [`CsvRecords::read_byte_record`] gives it.
    pub fn byte_records(&mut self) -> impl Iterator<Item = csv::Result<ByteRecord>> {
        std::iter::from_fn(|| {
            let mut record = ByteRecord::new();
            self.read_byte_record(&mut record).map(|more| more.then_some(record)).transpose()
        })
    }

    /// Where the next record begins.
    pub fn position(&self) -> &Position {
        self.reader.position()
    }
}

/// Whether a record is one of the file; false for what stands for its end.
///
/// # Errors
/// It has swallowed the end, as a quote in it is open.
fn whole(record: &ByteRecord) -> csv::Result<bool> {
    let Some(last) = record.len().checked_sub(1).and_then(|last| record.get(last)) else { return Ok(true) };
    let Some(begin) = last.trim_ascii_end().strip_suffix(END_FIELD) else { return Ok(true) };
    if record.len() == 1 && begin.is_empty() {
        return Ok(false);
    }
    let fields_before = record.iter().take(record.len() - 1);
    let n_breaks: usize = fields_before.map(|field| field.iter().filter(|byte| **byte == b'\n').count()).sum();
    let line = record.position().map_or(1, Position::line) + n_breaks as u64;
    let problem = format!("line {line}: a quote has no partner up to the end of the file");
    Err(io::Error::new(io::ErrorKind::InvalidData, problem).into())
}

/// Names the line in which a record without an end begins.
fn with_line(error: csv::Error, begin: Option<&Position>) -> csv::Error {
    match (error.kind(), begin) {
        (csv::ErrorKind::Io(error), Some(begin)) if error.get_ref().is_some_and(|error| error.is::<TooLong>()) => {
            let problem = format!("line {}: {error}; a quote may lack its partner", begin.line());
            io::Error::new(io::ErrorKind::InvalidData, problem).into()
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn records(stream: impl Read) -> (usize, Option<String>) {
        let mut reader = CsvRecords::new(ReaderBuilder::new().has_headers(false), stream);
        let (mut n, mut record) = (0, ByteRecord::new());
        loop {
            match reader.read_byte_record(&mut record) {
                Ok(true) => n += 1,
                Ok(false) => return (n, None),
                Err(error) => return (n, Some(error.to_string())),
            }
        }
    }

    #[test]
    fn a_record_without_an_end_is_an_error_and_many_records_are_none() {
        let short = b"a,b\n".repeat(MAX_RECORD_BYTES / 2);
        assert_eq!(records(&short[..]), (MAX_RECORD_BYTES / 2, None));
        let open = b"a,b\na,\"".chain(io::repeat(b'\n'));
        let (n, error) = records(open);
        let expected = "line 2: a record has no end within 16 MiB; a quote may lack its partner";
        assert_eq!((n, error.unwrap().as_str()), (1, expected));
    }

    #[test]
    fn a_quote_without_a_partner_is_told_with_its_line() {
        for (text, n, line) in [
            ("a,b\nc,\"d\ne,f\n", 1, Some(2)),
            ("a,b\nc,\"d", 1, Some(2)),
            ("\"a,b\nc,d\n", 0, Some(1)),
            ("a,b\n\"c\nc\",\"d\n", 1, Some(3)),
            ("a,b\nc,\"d\"\n", 2, None),
            ("a,b\nc,\"d\"", 2, None),
            ("a,b\nc,d\"e\n", 2, None),
            ("a\n\nb", 2, None),
            ("", 0, None),
            ("\n", 0, None),
        ] {
            let expected = line.map(|line| format!("line {line}: a quote has no partner up to the end of the file"));
            assert_eq!(records(text.as_bytes()), (n, expected), "{text:?}");
            let mut reader = CsvRecords::new(ReaderBuilder::new().flexible(true), text.as_bytes());
            let n_headers = reader.byte_headers().map_or(0, |header| header.len());
            assert_eq!(n_headers > 0, !text.trim().is_empty() && line != Some(1), "{text:?}");
        }
    }
}
