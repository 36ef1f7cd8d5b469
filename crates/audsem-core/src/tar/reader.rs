//! Sequential reading of samples.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::{Member, MemberReader, TarError, is_metadata, split_key};
use crate::progress::InputMeter;

/// Consecutive members with one key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sample {
    /// Key, folders included.
    pub key: String,
    /// Suffix and bytes of each member, in tar order.
    pub members: Vec<(String, Vec<u8>)>,
    /// Position of the first payload in the (uncompressed) tar, in bytes.
    pub offset: u64,
}

impl Sample {
    /// The bytes of the member with this (lower-case) suffix.
    pub fn get(&self, suffix: &str) -> Option<&[u8]> {
        self.members.iter().find(|(name, _)| name == suffix).map(|(_, bytes)| bytes.as_slice())
    }

    /// Takes the bytes of the member with this suffix out of the sample.
    pub fn take(&mut self, suffix: &str) -> Option<Vec<u8>> {
        let index = self.members.iter().position(|(name, _)| name == suffix)?;
        Some(self.members.remove(index).1)
    }
}

/// What a [`SampleReader`] has seen so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReadCounts {
    /// Members of any kind.
    pub members: u64,
    /// Samples handed out.
    pub samples: u64,
    /// Regular files whose name carries no key (no dot in the last component), skipped.
    pub keyless: u64,
    /// Folders, links, devices and archive metadata, skipped.
    pub ignored: u64,
    /// Payload bytes of the samples handed out.
    pub payload_bytes: u64,
}

/// Reads the samples of a tar in one pass.
///
/// Errors that concern one sample ([`TarError::is_fatal`] is false) leave the reader usable: the
/// sample is lost, the next call continues after it.
pub struct SampleReader {
    members: MemberReader,
    /// First member of the next sample, read while looking for the end of the last one.
    pending: Option<Sample>,
    /// Key of a sample that failed; its further members are skipped.
    refused: Option<String>,
    counts: ReadCounts,
    spare: Vec<Vec<u8>>,
    /// Error that occurred while a complete sample was pending, to be returned next.
    held: Option<TarError>,
}

impl SampleReader {
    /// Opens a tar (plain, gzip, zstd).
    ///
    /// # Errors
    /// As [`MemberReader::open`].
    pub fn open(path: &Path) -> Result<Self, TarError> {
        Ok(Self::new(MemberReader::open(path)?))
    }

    /// Reads a tar from a stream; `name` stands for it in messages.
    ///
    /// # Errors
    /// As [`MemberReader::from_reader`].
    pub fn from_reader(name: impl Into<PathBuf>, reader: impl Read + Send + 'static) -> Result<Self, TarError> {
        Ok(Self::new(MemberReader::from_reader(name, reader)?))
    }

    fn new(members: MemberReader) -> Self {
        Self { members, pending: None, refused: None, counts: ReadCounts::default(), spare: Vec::new(), held: None }
    }

    /// As [`MemberReader::metered`].
    #[must_use]
    pub fn metered(mut self, meter: InputMeter) -> Self {
        self.members = self.members.metered(meter);
        self
    }

    /// As [`MemberReader::max_member_bytes`].
    #[must_use]
    pub fn max_member_bytes(mut self, limit: u64) -> Self {
        self.members = self.members.max_member_bytes(limit);
        self
    }

    /// Counts so far.
    pub fn counts(&self) -> ReadCounts {
        ReadCounts { members: self.members.members(), ..self.counts }
    }

    /// Returns a sample's buffers to the reader, so that the next samples reuse their memory.
    pub fn recycle(&mut self, sample: Sample) {
        self.spare.extend(sample.members.into_iter().map(|(_, bytes)| bytes));
        self.spare.truncate(8);
    }

    /// The next sample; `None` at the end.
    ///
    /// # Errors
    /// Everything [`MemberReader::next_member`] gives, [`TarError::RepeatedSuffix`] and
    /// [`TarError::TooLarge`].
    pub fn next_sample(&mut self) -> Result<Option<Sample>, TarError> {
        if let Some(error) = self.held.take() {
            return Err(self.broken_off(error));
        }
        loop {
            let member = match self.members.next_member() {
                Ok(Some(member)) => member,
                Ok(None) => return Ok(self.pending.take().map(|sample| self.hand_out(sample))),
                // Members before the end are complete, whatever follows.
                Err(error @ (TarError::NoEndMarker { .. } | TarError::TrailingData { .. }))
                    if self.pending.is_some() =>
                {
                    self.held = Some(error);
                    return Ok(self.pending.take().map(|sample| self.hand_out(sample)));
                }
                Err(error) => return Err(self.broken_off(error)),
            };
            let Some((key, suffix)) = self.keyed(&member) else {
                continue;
            };
            if self.refused.as_deref() == Some(key) {
                continue;
            }
            self.refused = None;
            let finished = match &self.pending {
                Some(sample) if sample.key != key => self.pending.take(),
                _ => None,
            };
            let added = self.add(key, suffix, &member);
            match (finished, added) {
                (None, Ok(())) => {}
                (None, Err(error)) => return Err(self.broken_off(error)),
                (Some(sample), added) => {
                    self.held = added.err();
                    return Ok(Some(self.hand_out(sample)));
                }
            }
        }
    }

    /// Key and suffix of a member that belongs to a sample; others are counted.
    fn keyed<'a>(&mut self, member: &'a Member) -> Option<(&'a str, String)> {
        if !member.is_file || is_metadata(&member.name) {
            self.counts.ignored += 1;
            return None;
        }
        let split = split_key(&member.name);
        self.counts.keyless += u64::from(split.is_none());
        split
    }

    fn add(&mut self, key: &str, suffix: String, member: &Member) -> Result<(), TarError> {
        if self.pending.as_ref().is_some_and(|sample| sample.get(&suffix).is_some()) {
            self.refuse(key);
            return Err(TarError::RepeatedSuffix { path: self.members.path().to_owned(), key: key.to_owned(), suffix });
        }
        let mut bytes = self.spare.pop().unwrap_or_default();
        if let Err(error) = self.members.read_payload(&mut bytes) {
            if error.is_fatal() {
                self.pending.get_or_insert_with(|| Sample { key: key.to_owned(), ..Sample::default() });
            } else {
                self.refuse(key);
            }
            return Err(error);
        }
        let offset = member.offset;
        let sample = self.pending.get_or_insert_with(|| Sample { key: key.to_owned(), members: Vec::new(), offset });
        sample.members.push((suffix, bytes));
        Ok(())
    }

    /// Abandons the current sample: its further members are skipped.
    fn refuse(&mut self, key: &str) {
        self.pending = None;
        self.refused = Some(key.to_owned());
    }

    fn hand_out(&mut self, sample: Sample) -> Sample {
        self.counts.samples += 1;
        self.counts.payload_bytes += sample.members.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>();
        sample
    }

    /// Adds to a truncation what this level knows: samples handed out, and the one that is lost.
    fn broken_off(&mut self, error: TarError) -> TarError {
        let lost = self.pending.take().map(|sample| sample.key);
        match error {
            TarError::Truncated { path, offset, members, .. } => {
                TarError::Truncated { path, offset, members, samples: self.counts.samples, pending: lost }
            }
            other => other,
        }
    }
}
