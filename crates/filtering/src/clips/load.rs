//! Sequential reading of the bytes of candidates.

use std::path::PathBuf;

use audsem_core::tar::{MemberReader, TarError};

use super::sources::{Candidate, Place, State};

/// What a worker gets of a candidate.
pub(super) enum Media {
    /// Nothing: it is left out for its name or place.
    None,
    /// A file, to be opened by the worker.
    File(PathBuf),
    /// The bytes of a tar's member.
    Bytes(Vec<u8>),
    /// The member cannot be read.
    Failed(TarError),
}

/// Hands out candidates with their media; tars are read front to back, each once for a shard.
pub(super) struct Loader<'a> {
    candidates: std::slice::Iter<'a, Candidate>,
    tars: &'a [PathBuf],
    /// The open tar, its index, and the number of its next member.
    open: Option<(usize, MemberReader, u64)>,
    /// Whether media are to be read at all.
    wanted: bool,
}

impl<'a> Loader<'a> {
    pub(super) fn new(candidates: &'a [Candidate], tars: &'a [PathBuf], wanted: bool) -> Loader<'a> {
        Loader { candidates: candidates.iter(), tars, open: None, wanted }
    }

    fn member(&mut self, tar: usize, number: u64) -> Result<Vec<u8>, TarError> {
        let (mut reader, mut next) = match self.open.take() {
            Some((open, reader, next)) if open == tar && next <= number => (reader, next),
            _ => (MemberReader::open(&self.tars[tar])?, 0),
        };
        let mut size = 0;
        while next <= number {
            let path = || self.tars[tar].clone();
            let gone = || TarError::Open { path: path(), source: std::io::Error::other("the file has become shorter") };
            size = reader.next_member()?.ok_or_else(gone)?.size;
            next += 1;
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0).min(64 << 20));
        reader.read_payload(&mut bytes)?;
        self.open = Some((tar, reader, next));
        Ok(bytes)
    }
}

impl<'a> Iterator for Loader<'a> {
    type Item = (&'a Candidate, Media);

    fn next(&mut self) -> Option<Self::Item> {
        let candidate = self.candidates.next()?;
        let media = match (&candidate.state, &candidate.place) {
            _ if !self.wanted => Media::None,
            (State::Named { row: Some(_), .. }, Place::File(path)) => Media::File(path.clone()),
            (State::Named { row: Some(_), .. }, &Place::Member { tar, number }) => {
                self.member(tar, number).map_or_else(Media::Failed, Media::Bytes)
            }
            _ => Media::None,
        };
        Some((candidate, media))
    }
}
