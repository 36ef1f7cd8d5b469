//! Where tar bytes come from: a seekable plain file, or a stream (decompressor, pipe, memory).

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::TarError;
use crate::input::{Compression, Counting, open_plain};

/// Read-ahead for streams and for reading every payload. Payloads larger than this go straight into
/// their own buffer.
pub(super) const BULK_BUFFER: usize = 256 * 1024;
/// Read-ahead when most payloads are skipped: more would read bytes that are not needed.
pub(super) const SCAN_BUFFER: usize = 4 * 1024;

pub(super) enum Source {
    /// A plain tar of known length: payloads are skipped by seeking.
    File { reader: BufReader<File>, length: u64 },
    /// Anything else: payloads are read and thrown away.
    Stream {
        reader: Box<dyn BufRead + Send>,
        /// Bytes taken from what is decompressed.
        taken: Arc<AtomicU64>,
    },
}

impl Source {
    /// Opens a tar, plain, gzip or zstd as its first bytes say (never its name).
    pub(super) fn open(path: &Path, buffer: usize) -> Result<Self, TarError> {
        let failed = |source| TarError::Open { path: path.into(), source };
        let mut file = open_plain(path).map_err(|error| match error.kind() {
            io::ErrorKind::IsADirectory => TarError::Folder { path: path.into() },
            _ => failed(error),
        })?;
        let metadata = file.metadata().map_err(failed)?;
        let mut magic = Vec::with_capacity(4);
        Read::by_ref(&mut file).take(4).read_to_end(&mut magic).map_err(failed)?;
        let compression = Compression::of_readable(&magic).map_err(failed)?;
        if compression == Compression::Plain {
            io::Seek::rewind(&mut file).map_err(failed)?;
            let reader = BufReader::with_capacity(buffer, file);
            return Ok(Self::File { reader, length: metadata.len() });
        }
        Self::compressed(Cursor::new(magic).chain(file), compression).map_err(failed)
    }

    /// Reads a tar from a stream, decompressing it if its first bytes say so.
    pub(super) fn from_reader(mut reader: impl Read + Send + 'static) -> io::Result<Self> {
        let mut magic = Vec::with_capacity(4);
        Read::by_ref(&mut reader).take(4).read_to_end(&mut magic)?;
        let compression = Compression::of_readable(&magic)?;
        Self::compressed(Cursor::new(magic).chain(reader), compression)
    }

    fn compressed(reader: impl Read + Send + 'static, compression: Compression) -> io::Result<Self> {
        let taken = Arc::new(AtomicU64::default());
        let told = Arc::clone(&taken);
        let reader = Counting::new(reader, move |bytes| told.store(bytes, Relaxed));
        let reader: Box<dyn BufRead + Send> = match compression {
            Compression::Plain => Box::new(BufReader::with_capacity(BULK_BUFFER, reader)),
            Compression::Gzip => {
                let decoder = flate2::read::MultiGzDecoder::new(BufReader::with_capacity(BULK_BUFFER, reader));
                Box::new(BufReader::with_capacity(BULK_BUFFER, decoder))
            }
            Compression::Zstd => {
                let decoder = zstd::stream::read::Decoder::new(reader)?;
                Box::new(BufReader::with_capacity(BULK_BUFFER, decoder))
            }
        };
        Ok(Self::Stream { reader, taken })
    }

    /// Skips `n` bytes from position `at`; returns how many there were.
    pub(super) fn skip(&mut self, at: u64, n: u64) -> io::Result<u64> {
        match self {
            Self::File { reader, length } => {
                let there = length.saturating_sub(at).min(n);
                reader.seek_relative(i64::try_from(there).map_err(io::Error::other)?)?;
                Ok(there)
            }
            Self::Stream { reader, .. } => {
                let mut left = n;
                while left > 0 {
                    let chunk = match reader.fill_buf() {
                        Ok([]) => break,
                        Ok(chunk) => left.min(chunk.len() as u64),
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                        Err(error) => return Err(error),
                    };
                    reader.consume(chunk as usize);
                    left -= chunk;
                }
                Ok(n - left)
            }
        }
    }

    /// Appends up to `n` bytes from position `at` to `buffer`; returns how many there were.
    pub(super) fn read_into(&mut self, at: u64, n: u64, buffer: &mut Vec<u8>) -> io::Result<u64> {
        // A damaged size field must not cause a huge allocation: of a file the length is known,
        // for a stream a small buffer is reserved and grows as data arrives.
        let reserve = match self {
            Self::File { length, .. } => length.saturating_sub(at).min(n),
            Self::Stream { .. } => n.min(8 * 1024 * 1024),
        };
        buffer.reserve_exact(usize::try_from(reserve).map_err(io::Error::other)?);
        let read = match self {
            Self::File { reader, .. } => reader.take(n).read_to_end(buffer)?,
            Self::Stream { reader, .. } => reader.take(n).read_to_end(buffer)?,
        };
        Ok(read as u64)
    }

    /// Bytes in the file, where that is known.
    pub(super) fn length(&self) -> Option<u64> {
        match self {
            Self::File { length, .. } => Some(*length),
            Self::Stream { .. } => None,
        }
    }

    /// How far the file has been read, in its own bytes, when `position` bytes of the tar have been.
    pub(super) fn file_position(&self, position: u64) -> u64 {
        match self {
            Self::File { .. } => position,
            Self::Stream { taken, .. } => taken.load(Relaxed),
        }
    }
}
