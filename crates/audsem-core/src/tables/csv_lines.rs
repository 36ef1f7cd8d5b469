//! Lines of CSV files of ours as rows.

use std::io::Read;

use ::csv::{DeserializeRecordsIntoIter, Reader, Result};
use serde::de::DeserializeOwned;

/// Lines of a CSV file, each by the names in its header.
///
/// The method of the library takes a file whose header cannot be read for one without lines, and says nothing.
///
/// # Errors
/// When the header cannot be read.
#[allow(clippy::disallowed_methods, reason = "this is what the ban points to")]
pub fn csv_lines<T: DeserializeOwned, R: Read>(text: R) -> Result<DeserializeRecordsIntoIter<R, T>> {
    let mut reader = Reader::from_reader(text);
    reader.headers()?;
    Ok(reader.into_deserialize())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io;

    use super::*;

    struct Broken;

    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::from_raw_os_error(libc::EIO))
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_not_an_empty_one() {
        type Row = (String, u8);
        assert!(csv_lines::<Row, _>(Broken).is_err());
        let after_header = csv_lines::<Row, _>((&b"a,b\nx,1\n"[..]).chain(Broken)).unwrap();
        assert!(after_header.collect::<Result<Vec<_>>>().is_err());
        let rows: Vec<Row> = csv_lines(&b"a,b\nx,1\n"[..]).unwrap().collect::<Result<_>>().unwrap();
        assert_eq!(rows, [("x".to_owned(), 1)]);
    }
}
