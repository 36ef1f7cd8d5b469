//! Sequential reading of members, with payloads read on demand.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::source::{BULK_BUFFER, SCAN_BUFFER, Source};
use super::{BLOCK, TarError, split_key};
use crate::progress::InputMeter;
use crate::terminal::counted;

/// Extension headers (long names, PAX records) larger than this are treated as damage.
const MAX_EXTENSION: u64 = 1 << 20;

/// Largest member that is read into memory, in bytes: an hour of mono sound at 48 kHz as FLAC has 200 MB. A compressed tar
/// of a few kilobytes can state any size.
pub const MAX_MEMBER_BYTES: u64 = 256 << 20;

/// Bytes of the end marker: two blocks of zeros.
const END_BYTES: u64 = 2 * BLOCK as u64;

/// Bytes read at once behind the end marker; GNU tar fills up to 10,240.
const TAIL_BYTES: usize = 16 << 10;

/// A member of a tar, without its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Full name. A byte that is not UTF-8 is written as U+FFFD and its two hex digits, so that names stay apart that
    /// differ in such bytes only.
    pub name: String,
    /// Payload size in bytes.
    pub size: u64,
    /// Position of the payload in the (uncompressed) tar, in bytes.
    pub offset: u64,
    /// Whether it is a regular file (not a folder, link or device).
    pub is_file: bool,
}

/// Reads the members of a tar in order, once. GNU and PAX long names are resolved.
///
/// A payload that is not asked for is skipped: by seeking in a plain file, by decompressing and
/// discarding in a compressed one.
pub struct MemberReader {
    source: Source,
    path: PathBuf,
    /// Bytes consumed so far.
    position: u64,
    /// End of the current member including padding.
    next_header: u64,
    /// Payload bytes of the current member not yet read.
    unread: u64,
    /// Name of the current member.
    name: String,
    /// Largest payload that is read.
    max_member: u64,
    members: u64,
    meter: Option<InputMeter>,
    finished: bool,
}

/// Extension records gathered before the header they belong to.
#[derive(Default)]
struct Extensions {
    name: Option<Vec<u8>>,
    size: Option<u64>,
    /// Whether the member has holes; the name it then has, where that is another one.
    sparse: bool,
    sparse_name: Option<Vec<u8>>,
}

impl MemberReader {
    /// Opens a tar (plain, gzip, zstd) whose payloads will mostly be read.
    ///
    /// # Errors
    /// [`TarError::Open`] and [`TarError::Folder`].
    pub fn open(path: &Path) -> Result<Self, TarError> {
        Ok(Self::new(path.into(), Source::open(path, BULK_BUFFER)?))
    }

    /// Opens a tar whose payloads will mostly be skipped, as `check` and `index` do.
    ///
    /// # Errors
    /// As [`MemberReader::open`].
    pub fn scan(path: &Path) -> Result<Self, TarError> {
        Ok(Self::new(path.into(), Source::open(path, SCAN_BUFFER)?))
    }

    /// Reads a tar from a stream; `name` stands for it in messages.
    ///
    /// # Errors
    /// [`TarError::Open`] if the first bytes cannot be read.
    pub fn from_reader(name: impl Into<PathBuf>, reader: impl Read + Send + 'static) -> Result<Self, TarError> {
        let path = name.into();
        match Source::from_reader(reader) {
            Ok(source) => Ok(Self::new(path, source)),
            Err(source) => Err(TarError::Open { path, source }),
        }
    }

    fn new(path: PathBuf, source: Source) -> Self {
        Self {
            source,
            path,
            position: 0,
            next_header: 0,
            unread: 0,
            name: String::new(),
            max_member: MAX_MEMBER_BYTES,
            members: 0,
            meter: None,
            finished: false,
        }
    }

    /// Keeps a meter of the bytes of the file.
    #[must_use]
    pub fn metered(mut self, meter: InputMeter) -> Self {
        self.meter = Some(meter);
        self
    }

    /// The tar's path, or the name given for a stream.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether payloads are skipped by seeking, so that offsets can be read again later.
    pub fn is_seekable(&self) -> bool {
        self.source.length().is_some()
    }

    /// Members found so far, of any kind.
    pub fn members(&self) -> u64 {
        self.members
    }

    /// Advances to the next member; `None` at the end of the archive, which is the end marker followed by nothing but
    /// zeros.
    ///
    /// # Errors
    /// [`TarError::Read`], [`TarError::Truncated`], [`TarError::BadHeader`], [`TarError::Sparse`], and at the end [`TarError::NoEndMarker`] and
    /// [`TarError::TrailingData`]. After an error the reader is at its end.
    pub fn next_member(&mut self) -> Result<Option<Member>, TarError> {
        if self.finished {
            return Ok(None);
        }
        let result = self.advance();
        if let Some(meter) = &mut self.meter {
            meter.at(self.source.file_position(self.position));
        }
        self.finished = !matches!(result, Ok(Some(_)));
        result
    }

    /// Sets the largest payload that is read into memory, in bytes (default [`MAX_MEMBER_BYTES`]).
    #[must_use]
    pub fn max_member_bytes(mut self, limit: u64) -> Self {
        self.max_member = limit;
        self
    }

    /// Reads the payload of the member just returned into `buffer` (cleared first).
    ///
    /// # Errors
    /// [`TarError::TooLarge`] without reading anything, so that the next member can be read; [`TarError::Read`],
    /// [`TarError::Truncated`].
    pub fn read_payload(&mut self, buffer: &mut Vec<u8>) -> Result<(), TarError> {
        buffer.clear();
        if self.unread > self.max_member {
            let (path, member) = (self.path.clone(), self.name.clone());
            let key = split_key(&member).map_or(&*member, |(key, _)| key).to_owned();
            return Err(TarError::TooLarge { path, member, key, size: self.unread, limit: self.max_member });
        }
        let wanted = std::mem::take(&mut self.unread);
        self.read_exactly(wanted, buffer).inspect_err(|_| self.finished = true)
    }

    fn advance(&mut self) -> Result<Option<Member>, TarError> {
        self.pass_over(self.next_header - self.position)?;
        self.unread = 0;
        let mut extensions = Extensions::default();
        loop {
            let at = self.position;
            let Some(header) = self.read_header()? else {
                return Ok(None);
            };
            let stored = header.entry_size().map_err(|error| self.bad_header(at, error.to_string()))?;
            let kind = header.entry_type();
            if kind.is_gnu_longname() || kind.is_pax_local_extensions() {
                let record = self.read_extension(at, stored)?;
                if kind.is_gnu_longname() {
                    extensions.name = Some(without_nul(&record).to_vec());
                } else {
                    self.apply_pax(at, &record, &mut extensions)?;
                }
                continue;
            }
            if kind.is_gnu_longlink() || kind.is_pax_global_extensions() {
                self.read_extension(at, stored)?;
                continue;
            }
            if kind.is_gnu_sparse() || extensions.sparse {
                let name =
                    extensions.sparse_name.or(extensions.name).unwrap_or_else(|| header.path_bytes().into_owned());
                return Err(TarError::Sparse { path: self.path.clone(), offset: at, member: name_of(&name) });
            }
            return self.member(at, &header, stored, extensions).map(Some);
        }
    }

    fn member(
        &mut self,
        at: u64,
        header: &tar::Header,
        stored: u64,
        extensions: Extensions,
    ) -> Result<Member, TarError> {
        let size = extensions.size.unwrap_or(stored);
        let name = extensions.name.unwrap_or_else(|| header.path_bytes().into_owned());
        let kind = header.entry_type();
        // Links, folders and devices carry a size field at times, but never a payload.
        let has_payload = !(kind.is_hard_link()
            || kind.is_symlink()
            || kind.is_dir()
            || kind.is_character_special()
            || kind.is_block_special()
            || kind.is_fifo());
        let size = if has_payload { size } else { 0 };
        let next_header = padded(size).and_then(|padded| self.position.checked_add(padded));
        self.next_header = next_header.ok_or_else(|| self.bad_header(at, format!("impossible size: {size}")))?;
        self.unread = size;
        self.members += 1;
        let name = name_of(&name);
        self.name.clone_from(&name);
        // Before POSIX, a regular file whose name ends in a slash meant a folder.
        let is_file = (kind.is_file() || kind.is_contiguous()) && !name.ends_with('/');
        Ok(Member { name, size, offset: self.position, is_file })
    }

    /// The next header; `None` at the end of the archive.
    fn read_header(&mut self) -> Result<Option<tar::Header>, TarError> {
        let at = self.position;
        let mut block = Vec::with_capacity(BLOCK);
        let read = self.read_upto(BLOCK as u64, &mut block)?;
        if read == 0 {
            return match at {
                0 => Err(self.bad_header(0, "the file is empty".to_owned())),
                _ => Err(self.no_end_marker(at)),
            };
        }
        if read < BLOCK as u64 {
            // Too short for a header from the start: not a tar at all rather than a cut one.
            return Err(if at == 0 {
                self.bad_header(0, format!("only {}", counted(read, "bytes")))
            } else {
                self.truncated()
            });
        }
        if block.iter().all(|&byte| byte == 0) {
            return self.read_end(at).map(|()| None);
        }
        let mut header = tar::Header::new_old();
        header.as_mut_bytes().copy_from_slice(&block);
        let stated = header.cksum().map_err(|error| self.bad_header(at, error.to_string()))?;
        if stated != checksum(&block) {
            return Err(self.bad_header(at, "the checksum does not match".to_owned()));
        }
        Ok(Some(header))
    }

    /// Reads what follows the first block of zeros, which began at `at`: a second one, and zeros that fill up a record.
    fn read_end(&mut self, at: u64) -> Result<(), TarError> {
        let mut block = Vec::with_capacity(TAIL_BYTES);
        let mut zeros = BLOCK as u64;
        loop {
            block.clear();
            let from = self.position;
            let read = self.read_upto(TAIL_BYTES as u64, &mut block)?;
            if let Some(place) = block.iter().position(|&byte| byte != 0) {
                let (path, members) = (self.path.clone(), self.members);
                return Err(TarError::TrailingData { path, offset: from + place as u64, members });
            }
            if read == 0 {
                return if zeros < END_BYTES { Err(self.no_end_marker(at)) } else { Ok(()) };
            }
            zeros += read;
        }
    }

    fn read_extension(&mut self, at: u64, size: u64) -> Result<Vec<u8>, TarError> {
        if size > MAX_EXTENSION {
            return Err(self.bad_header(at, format!("extension record of {}", counted(size, "bytes"))));
        }
        let mut record = Vec::new();
        self.read_exactly(size, &mut record)?;
        self.pass_over(size.next_multiple_of(BLOCK as u64) - size)?;
        Ok(record)
    }

    fn apply_pax(&self, at: u64, record: &[u8], extensions: &mut Extensions) -> Result<(), TarError> {
        for pair in tar::PaxExtensions::new(record) {
            let pair = pair.map_err(|error| self.bad_header(at, error.to_string()))?;
            match pair.key_bytes() {
                b"path" => extensions.name = Some(pair.value_bytes().to_vec()),
                b"size" => {
                    let size = pair.value().ok().and_then(|value| value.parse().ok());
                    extensions.size =
                        Some(size.ok_or_else(|| self.bad_header(at, "PAX size is not a number".to_owned()))?);
                }
                key if key.starts_with(b"GNU.sparse.") => {
                    extensions.sparse = true;
                    if key == b"GNU.sparse.name" {
                        extensions.sparse_name = Some(pair.value_bytes().to_vec());
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn read_exactly(&mut self, wanted: u64, buffer: &mut Vec<u8>) -> Result<(), TarError> {
        if self.source.length().is_some_and(|length| length.saturating_sub(self.position) < wanted) {
            self.position = self.source.length().unwrap_or(self.position);
            return Err(self.truncated());
        }
        match self.read_upto(wanted, buffer)? {
            read if read == wanted => Ok(()),
            _ => Err(self.truncated()),
        }
    }

    fn read_upto(&mut self, wanted: u64, buffer: &mut Vec<u8>) -> Result<u64, TarError> {
        let read = self.source.read_into(self.position, wanted, buffer).map_err(|error| self.failed(error))?;
        self.position += read;
        Ok(read)
    }

    fn pass_over(&mut self, n: u64) -> Result<(), TarError> {
        let passed = self.source.skip(self.position, n).map_err(|error| self.failed(error))?;
        self.position += passed;
        if passed < n { Err(self.truncated()) } else { Ok(()) }
    }

    /// A decompressor reports a cut stream as an unexpected end; that is a truncated tar too.
    fn failed(&self, source: io::Error) -> TarError {
        if source.kind() == io::ErrorKind::UnexpectedEof {
            return self.truncated();
        }
        TarError::Read { path: self.path.clone(), offset: self.position, source }
    }

    fn truncated(&self) -> TarError {
        // The member in hand, if any, is not complete.
        let members = self.members.saturating_sub(u64::from(self.position < self.next_header));
        TarError::Truncated { path: self.path.clone(), offset: self.position, members, samples: 0, pending: None }
    }

    fn no_end_marker(&self, offset: u64) -> TarError {
        TarError::NoEndMarker { path: self.path.clone(), offset, members: self.members }
    }

    fn bad_header(&self, offset: u64, detail: String) -> TarError {
        TarError::BadHeader { path: self.path.clone(), offset, detail }
    }
}

/// A name as text, see [`Member::name`].
fn name_of(bytes: &[u8]) -> String {
    let mut name = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        name.push_str(chunk.valid());
        for byte in chunk.invalid() {
            name.push_str(&format!("\u{fffd}{byte:02X}"));
        }
    }
    name
}

fn padded(size: u64) -> Option<u64> {
    size.checked_next_multiple_of(BLOCK as u64)
}

fn without_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or(bytes)
}

/// Sum of the header's bytes with the checksum field (148..156) read as blanks.
fn checksum(block: &[u8]) -> u32 {
    let sum = |bytes: &[u8]| bytes.iter().map(|&byte| u32::from(byte)).sum::<u32>();
    sum(&block[..148]) + 8 * u32::from(b' ') + sum(&block[156..])
}
