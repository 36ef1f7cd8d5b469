//! CSV files whose records have a limited size: one quote without a partner, or a compressed file of a few kilobytes, can
//! make a record of any size, and a record is held in memory.

use std::io::{self, Read};

use csv::ReaderBuilder;

use crate::json::MAX_RECORD_BYTES;

/// A stream that gives [`MAX_RECORD_BYTES`] for each record, and then an error.
#[derive(Debug)]
pub struct RecordBudget<R> {
    stream: R,
    left: usize,
}

impl<R: Read> RecordBudget<R> {
    /// Gives as much again, for the next record.
    pub fn renew(&mut self) {
        self.left = MAX_RECORD_BYTES;
    }
}

impl<R: Read> Read for RecordBudget<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !buffer.is_empty() {
            let problem = format!("a record has no end within {} MiB", MAX_RECORD_BYTES >> 20);
            return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
        }
        let most = buffer.len().min(self.left);
        let read = self.stream.read(&mut buffer[..most])?;
        self.left -= read;
        Ok(read)
    }
}

/// Reads CSV from a stream. Call [`RecordBudget::renew`] before each record: `reader.get_mut().renew()`.
pub fn csv_reader<R: Read>(builder: &ReaderBuilder, stream: R) -> csv::Reader<RecordBudget<R>> {
    builder.from_reader(RecordBudget { stream, left: MAX_RECORD_BYTES })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn records(stream: impl Read) -> (usize, Option<String>) {
        let mut reader = csv_reader(ReaderBuilder::new().has_headers(false), stream);
        let (mut n, mut record) = (0, csv::ByteRecord::new());
        loop {
            reader.get_mut().renew();
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
        assert_eq!((n, error.unwrap().as_str()), (1, "a record has no end within 16 MiB"));
    }
}
