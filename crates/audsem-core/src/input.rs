//! Opening input files: plain, gzip or zstd by their first bytes, whatever they are called.

use std::fs::{self, File, Metadata};
use std::io::{self, BufReader, Chain, Cursor, Read};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use rustix::fs::OFlags;

use crate::error::{Error, Result};
use crate::progress::InputMeter;
use crate::walk::Walk;

/// Bytes per read from the kernel.
const BUFFER_BYTES: usize = 1 << 20;

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    Plain,
    /// gzip, one or more members.
    Gzip,
    /// Zstandard, one or more frames.
    Zstd,
}

impl Compression {
    /// Tells the compression from a file's first bytes.
    pub fn of(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::Plain,
        }
    }

    /// Tells the compression from a file's first bytes, as [`Compression::of`].
    ///
    /// # Errors
    /// An error of kind `Unsupported` that names the compression if it is one that is not read.
    pub fn of_readable(head: &[u8]) -> io::Result<Self> {
        let (name, program) = match head {
            [0xfd, b'7', b'z', b'X', ..] => ("xz", "xz"),
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => ("bzip2", "bzip2"),
            [0x04, 0x22, 0x4d, 0x18, ..] => ("lz4", "lz4"),
            _ => return Ok(Self::of(head)),
        };
        let problem = format!(
            "it is compressed with {name}, which is not read\n\
             hint: compress it with zstd instead: `{program} -dc FILE | zstd -o NEW_FILE`"
        );
        Err(io::Error::new(io::ErrorKind::Unsupported, problem))
    }

    /// Tells the compression of a file.
    ///
    /// # Errors
    /// [`Error::Read`] when it cannot be opened, [`Error::Input`] when it is a folder.
    pub fn of_file(path: &Path) -> Result<Self> {
        let mut head = Vec::with_capacity(4);
        open_file(path)?.take(4).read_to_end(&mut head).map_err(Error::read(path))?;
        Ok(Self::of(&head))
    }
}

/// Message for pipes and devices.
const NO_FILE: &str = "this is a pipe or a device, and inputs are read more than once\n\
     hint: write what comes from it to a file, and name that";

/// Opens a file for reading: one that can be read again from its beginning. Pipes and devices are refused, because
/// their content can be read only once, and a fingerprint needs it before the work does.
///
/// # Errors
/// [`Error::Read`] when it cannot be opened, [`Error::Input`] when it is a folder, a pipe or a device.
pub fn open_file(path: &Path) -> Result<File> {
    let file = open_at_once(path).map_err(Error::read(path))?;
    let kind = file.metadata().map_err(Error::read(path))?.file_type();
    match () {
        () if kind.is_file() => Ok(file),
        () if kind.is_dir() => Err(Error::input(path, "expected a file but this is a folder")),
        () => Err(Error::input(path, NO_FILE)),
    }
}

/// Opens a file as [`open_file`] does, for callers whose errors hold one of the operating system.
///
/// # Errors
/// The operating system's, or one of kind `InvalidInput` or `IsADirectory` for what is no file.
pub fn open_plain(path: &Path) -> io::Result<File> {
    let file = open_at_once(path)?;
    let kind = file.metadata()?.file_type();
    match () {
        () if kind.is_file() => Ok(file),
        () if kind.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        () => Err(io::Error::new(io::ErrorKind::InvalidInput, NO_FILE)),
    }
}

/// What a path leads to; `None` if nothing is there.
///
/// # Errors
/// [`Error::Read`] when that cannot be told. What a failing disk hides must not count as absent, or the caller would read
/// something else in its place.
pub fn look_at(path: &Path) -> Result<Option<Metadata>> {
    look_plain(path).map_err(Error::read(path))
}

/// Looks as [`look_at`] does, for callers whose errors hold one of the operating system.
///
/// # Errors
/// The operating system's, when it cannot be told whether something is there.
pub fn look_plain(path: &Path) -> io::Result<Option<Metadata>> {
    use io::ErrorKind::{InvalidFilename, NotADirectory, NotFound};
    match fs::metadata(path) {
        Ok(found) => Ok(Some(found)),
        // A name that is too long is that of no file.
        Err(error) if [NotFound, NotADirectory, InvalidFilename].contains(&error.kind()) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a path leads to a folder; see [`look_at`].
///
/// # Errors
/// [`Error::Read`] when that cannot be told.
pub fn is_folder(path: &Path) -> Result<bool> {
    Ok(look_at(path)?.is_some_and(|found| found.is_dir()))
}

/// Whether a path leads to a file; see [`look_at`].
///
/// # Errors
/// [`Error::Read`] when that cannot be told.
pub fn is_file(path: &Path) -> Result<bool> {
    Ok(look_at(path)?.is_some_and(|found| found.is_file()))
}

/// Reads so many bytes from a place of a file, all of them: a disk on the network may give fewer than were asked for.
///
/// # Errors
/// The operating system's, or `UnexpectedEof` where the file ends before.
pub fn read_at(file: &File, offset: u64, bytes: u64) -> io::Result<Vec<u8>> {
    let mut read = vec![0; usize::try_from(bytes).map_err(io::Error::other)?];
    file.read_exact_at(&mut read, offset)?;
    Ok(read)
}

/// Opens without blocking: opening a pipe without a writer would wait for one and ignore requests to stop.
fn open_at_once(path: &Path) -> io::Result<File> {
    File::options().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)
}

/// Reads a file to its end and discards the bytes, to find out whether a program failed on it because of the disk.
///
/// # Errors
/// The file cannot be opened or read.
pub fn read_through(path: &Path) -> io::Result<u64> {
    io::copy(&mut BufReader::with_capacity(BUFFER_BYTES, File::open(path)?), &mut io::sink())
}

/// Opens a file and decompresses it on the way.
///
/// # Errors
/// As [`open_file`].
pub fn open(path: &Path) -> Result<Box<dyn Read + Send>> {
    decompress(open_file(path)?).map_err(Error::read(path))
}

/// Largest file that is read whole, in bytes, decompressed: lists of words, settings.
const MAX_WHOLE_BYTES: u64 = 256 << 20;

/// Reads a file that is needed whole, decompressed.
///
/// # Errors
/// As [`open_file`], and [`Error::Input`] when it has more than 256 MiB.
pub fn read_whole(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(MAX_WHOLE_BYTES + 1).read_to_end(&mut bytes).map_err(Error::read(path))?;
    if bytes.len() as u64 > MAX_WHOLE_BYTES {
        return Err(Error::input(path, format!("more than {} MiB, decompressed", MAX_WHOLE_BYTES >> 20)));
    }
    Ok(bytes)
}

/// Opens a file as [`open`] does, and tells a meter how far the file has been read.
///
/// # Errors
/// As [`open_file`].
pub fn open_metered(path: &Path, meter: InputMeter) -> Result<Box<dyn Read + Send>> {
    decompress(meter.reader(open_file(path)?)).map_err(Error::read(path))
}

/// Bytes of a file; 0 where that cannot be told, for what is only shown.
pub fn file_bytes(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |about| about.len())
}

/// Decompresses a stream by its first bytes. A stream that breaks off inside a compressed frame
/// gives an error of kind `UnexpectedEof`, never a silent end.
///
/// # Errors
/// When the first bytes cannot be read, or are those of a compression that is not read.
pub fn decompress(mut stream: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
    let mut head = Vec::with_capacity(4);
    stream.by_ref().take(4).read_to_end(&mut head)?;
    let compression = Compression::of_readable(&head)?;
    let whole: Chain<Cursor<Vec<u8>>, _> = Cursor::new(head).chain(Uninterrupted(stream));
    Ok(match compression {
        Compression::Plain => Box::new(BufReader::with_capacity(BUFFER_BYTES, whole)),
        Compression::Gzip => Box::new(MultiGzDecoder::new(BufReader::with_capacity(BUFFER_BYTES, whole))),
        Compression::Zstd => {
            Box::new(zstd::stream::read::Decoder::with_buffer(BufReader::with_capacity(BUFFER_BYTES, whole))?)
        }
    })
}

/// Tells after each read how many bytes have been taken from a reader in all.
pub(crate) struct Counting<R, F> {
    inner: R,
    taken: u64,
    tell: F,
}

impl<R, F: FnMut(u64)> Counting<R, F> {
    pub(crate) fn new(inner: R, tell: F) -> Self {
        Self { inner, taken: 0, tell }
    }
}

impl<R: Read, F: FnMut(u64)> Read for Counting<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.taken += n as u64;
        (self.tell)(self.taken);
        Ok(n)
    }
}

/// Reads again what a signal has interrupted, as not every reader of lines does.
struct Uninterrupted<R>(R);

impl<R: Read> Read for Uninterrupted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }
}

/// The files an `--input` names: itself if it is a file, or the files directly in it whose name
/// `wanted` accepts, sorted by name, by the rules of [`Walk`].
///
/// # Errors
/// [`Error::Read`] when it does not exist or cannot be listed.
pub fn list_files(path: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>> {
    files_of(path, Walk::flat(), wanted)
}

/// The files an `--input` names: itself if it is a file, or those whose name below it `wanted` accepts.
///
/// # Errors
/// [`Error::Read`] when it does not exist or cannot be listed.
pub fn files_of(path: &Path, walk: Walk, wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>> {
    if !fs::metadata(path).map_err(Error::read(path))?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    Ok(walk.files(path, wanted)?.into_iter().map(|file| file.path).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write;

    use super::*;

    fn gz(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn read(bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        decompress(Cursor::new(bytes))?.read_to_end(&mut text)?;
        Ok(text)
    }

    #[test]
    fn reads_plain_gzip_and_zstd_and_their_concatenations() {
        let zst = zstd::encode_all(&b"one"[..], 3).unwrap();
        let cases = [
            (b"one".to_vec(), &b"one"[..]),
            (gz(b"one"), b"one"),
            ([gz(b"one"), gz(b"two")].concat(), b"onetwo"),
            (zst.clone(), b"one"),
            ([zst.clone(), zst].concat(), b"oneone"),
            (Vec::new(), b""),
            (b"x".to_vec(), b"x"),
        ];
        for (bytes, text) in cases {
            assert_eq!(read(bytes).unwrap(), text);
        }
    }

    #[test]
    fn a_truncated_stream_is_an_error() {
        let long: Vec<u8> = (0..100_000u32).flat_map(|n| n.to_le_bytes()).collect();
        for whole in [gz(&long), zstd::encode_all(&long[..], 3).unwrap()] {
            let error = read(whole[..whole.len() / 2].to_vec()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{error}");
        }
    }

    #[test]
    fn what_cannot_be_looked_at_is_not_absent() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::os::unix::fs::symlink(path("circle"), path("circle")).unwrap();
        assert!(is_folder(folder.path()).unwrap() && !is_file(folder.path()).unwrap());
        for name in ["nothing", "nothing/below", &"long".repeat(100)] {
            assert!(look_at(&path(name)).unwrap().is_none(), "{name}");
        }
        // Neither is it read in another way.
        let error = |error: Error| assert!(error.to_string().contains("circle"), "{error}");
        error(look_at(&path("circle")).unwrap_err());
        error(crate::run::CompletedRun::open(&path("circle")).unwrap_err());
    }

    #[test]
    fn a_read_at_a_place_has_all_bytes_or_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tar");
        crate::files::write_atomically(&path, b"0123456789").unwrap();
        let file = open_file(&path).unwrap();
        assert_eq!(read_at(&file, 3, 4).unwrap(), b"3456");
        assert_eq!(read_at(&file, 10, 0).unwrap(), b"");
        for (offset, bytes) in [(7, 4), (10, 1), (99, 1)] {
            let error = read_at(&file, offset, bytes).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{bytes} bytes at {offset}");
        }
    }

    #[test]
    fn a_folder_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let error = open(folder.path()).err().unwrap().to_string();
        assert!(error.contains("this is a folder"), "{error}");
    }
}
