//! The cause of a failure, which decides between a reject and a shard that stays open.
//!
//! A broken record is a reject: it is counted once and not tried again. A disk that cannot be read, a full disk or a
//! killed helper program says nothing about the record. A reject would then remove a good record from the data; so the
//! shard is not committed, and the same command tries it again.

use std::error::Error;
use std::io;

/// The cause of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The record is broken: every further attempt would fail too.
    Record,
    /// The disk, the memory or another process failed: a later attempt may succeed.
    Surroundings,
}

impl Blame {
    /// The cause of an I/O error. Errors that a decoder raised (they have no error number of the operating system) and
    /// files without read permission are blamed on the record; all others are not.
    pub fn of_io(error: &io::Error) -> Blame {
        use io::ErrorKind as Kind;
        match error.kind() {
            Kind::PermissionDenied | Kind::IsADirectory | Kind::NotADirectory | Kind::InvalidInput => Blame::Record,
            // Also behind a wrapper that hides the number.
            Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge | Kind::OutOfMemory => Blame::Surroundings,
            _ if error.raw_os_error().is_some() => Blame::Surroundings,
            // The source of an `io::Error` is that of the error inside it, which would be skipped.
            _ => error.get_ref().map_or(Blame::Record, |inner| Blame::of(inner)),
        }
    }

    /// The cause of any error: that of the I/O error in it, at any depth. Errors without an I/O error are blamed on the record.
    pub fn of(error: &(dyn Error + 'static)) -> Blame {
        if let Some(error) = error.downcast_ref() {
            return Blame::of_io(error);
        }
        of_csv(error).or_else(|| error.source().map(Blame::of)).unwrap_or(Blame::Record)
    }
}

/// The cause of an error of `csv`, which does not name its I/O error as its source.
#[cfg(feature = "tables")]
fn of_csv(error: &(dyn Error + 'static)) -> Option<Blame> {
    match error.downcast_ref::<csv::Error>()?.kind() {
        csv::ErrorKind::Io(error) => Some(Blame::of_io(error)),
        _ => None,
    }
}

#[cfg(not(feature = "tables"))]
fn of_csv(_: &(dyn Error + 'static)) -> Option<Blame> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_in_trouble_is_told_from_bytes_that_are_broken() {
        let check = |error: io::Error, expected: Blame| assert_eq!(Blame::of_io(&error), expected, "{error}");
        // EIO, ENOENT, ENOMEM, EMFILE, ENOSPC, ESTALE, EDQUOT
        for number in [5, 2, 12, 24, 28, 116, 122] {
            check(io::Error::from_raw_os_error(number), Blame::Surroundings);
        }
        // EACCES, EISDIR
        for number in [13, 21] {
            check(io::Error::from_raw_os_error(number), Blame::Record);
        }
        check(io::Error::other("corrupt deflate stream"), Blame::Record);
        check(io::ErrorKind::UnexpectedEof.into(), Blame::Record);
        check(io::Error::new(io::ErrorKind::StorageFull, "wrapped"), Blame::Surroundings);
    }

    #[test]
    fn the_cause_is_found_at_any_depth() {
        use crate::error::Error as CoreError;
        let path = std::path::Path::new("a");
        let eio = || io::Error::from_raw_os_error(5);
        let cut = || io::Error::from(io::ErrorKind::UnexpectedEof);
        for (error, expected) in [(eio as fn() -> io::Error, Blame::Surroundings), (cut, Blame::Record)] {
            assert_eq!(Blame::of(&error()), expected);
            assert_eq!(Blame::of(&io::Error::other(error())), expected);
            assert_eq!(Blame::of(&CoreError::read(path)(io::Error::other(CoreError::read(path)(error())))), expected);
            #[cfg(feature = "tables")]
            assert_eq!(Blame::of(&io::Error::from(csv::Error::from(error()))), expected);
        }
        assert_eq!(Blame::of(&CoreError::input(path, "not a tar")), Blame::Record);
    }
}
