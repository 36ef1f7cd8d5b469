//! Pictures as ffmpeg pipes them: binary PPM files in a row.

use std::io::{self, BufRead, Read};

use super::{ImageError, RgbImage, checked_len};

/// The longest header: magic number, two sizes of ten digits, the largest value, and a space behind each.
const MAX_HEADER_BYTES: u64 = 64;

/// Reads the next picture; none at the end.
///
/// # Errors
/// [`ImageError::Malformed`] for what is no PPM or ends early; [`ImageError::Size`].
pub(super) fn read(pipe: &mut impl BufRead) -> Result<Option<RgbImage>, ImageError> {
    let Some(magic) = word(pipe)? else { return Ok(None) };
    let mut number = || word(pipe)?.and_then(|text| text.parse::<u64>().ok()).ok_or_else(broken);
    let (width, height, largest) = (number()?, number()?, number()?);
    if magic != "P6" || largest != 255 {
        return Err(broken());
    }
    let mut values = vec![0; checked_len(width, height)?];
    pipe.read_exact(&mut values).map_err(|_| broken())?;
    RgbImage::new(width as usize, height as usize, values).map(Some)
}

/// The characters up to the next white space, which is read too; none at the end.
fn word(pipe: &mut impl BufRead) -> Result<Option<String>, ImageError> {
    let mut text = String::new();
    for byte in pipe.by_ref().take(MAX_HEADER_BYTES).bytes() {
        match byte {
            Ok(byte) if byte.is_ascii_whitespace() => return Ok(Some(text)),
            Ok(byte) => text.push(char::from(byte)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(broken()),
        }
    }
    if text.is_empty() { Ok(None) } else { Err(broken()) }
}

fn broken() -> ImageError {
    ImageError::Malformed { what: "the pictures that ffmpeg decoded break off".to_owned() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn pictures_follow_each_other_until_the_end() {
        let mut bytes = &b"P6\n2 1\n255\n\n234567P6\n1 1\n255\nabc"[..];
        let first = read(&mut bytes).unwrap().unwrap();
        // The first value is a line feed, which is no white space here.
        assert_eq!((first.width(), first.values()), (2, &b"\n23456"[..]));
        assert!(read(&mut bytes).is_err(), "one byte too many");
        let mut bytes = &b"P6\n1 1\n255\nabcP6\n1 1\n255\ndef"[..];
        assert_eq!(read(&mut bytes).unwrap().unwrap().values(), b"abc");
        assert_eq!(read(&mut bytes).unwrap().unwrap().values(), b"def");
        assert!(read(&mut bytes).unwrap().is_none());
    }

    #[test]
    fn what_breaks_off_or_claims_too_much_is_an_error() {
        let headers = ["P6\n1 1\n255\nab", "P6\n1 1\n25", "P5\n1 1\n255\nabc", "P6\n99999999 99999999\n255\n", "P6"];
        for bytes in headers {
            assert!(read(&mut bytes.as_bytes()).is_err(), "{bytes:?}");
        }
    }
}
