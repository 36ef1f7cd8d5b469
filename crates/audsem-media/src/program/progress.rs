//! ffmpeg's report of its progress.

use super::{MediaError, Tool, address_of};
use std::fs::File;
use std::io::{self, Read as _, Seek as _};

/// The report that ffmpeg writes with `-progress`. What ffmpeg writes into a pipe has no length, so that output which breaks
/// off without a word, even with exit code 0, looks whole: it counts when the report says that ffmpeg came to its end.
pub(crate) struct Progress {
    file: File,
}

impl Progress {
    /// A report without a name, of which nothing remains when this process is killed.
    ///
    /// # Errors
    /// [`MediaError::Temporary`].
    pub(crate) fn start() -> Result<Self, MediaError> {
        Ok(Self { file: temporary()? })
    }

    /// What ffmpeg is told, before its outputs.
    pub(crate) fn arguments(&self) -> [String; 3] {
        ["-y".to_owned(), "-progress".to_owned(), address_of(&self.file)]
    }

    /// Reads the report of an ffmpeg that has ended.
    ///
    /// # Errors
    /// [`MediaError::Pipe`]: it did not come to its end, or the report cannot be read.
    pub(crate) fn check(mut self) -> Result<(), MediaError> {
        let mut report = String::new();
        let read = self.file.rewind().and_then(|()| self.file.read_to_string(&mut report));
        match read {
            Ok(_) if report.trim_end().ends_with("progress=end") => Ok(()),
            Ok(_) => Err(lost(io::ErrorKind::UnexpectedEof.into())),
            Err(error) => Err(lost(error)),
        }
    }
}

/// A file for what ffmpeg reports, without a name.
///
/// # Errors
/// [`MediaError::Temporary`].
pub(crate) fn temporary() -> Result<File, MediaError> {
    let folder = std::env::temp_dir();
    tempfile::tempfile_in(&folder).map_err(|source| MediaError::Temporary { tool: Tool::Ffmpeg, folder, source })
}

/// An error of the exchange with ffmpeg.
pub(crate) fn lost(source: io::Error) -> MediaError {
    MediaError::Pipe { tool: Tool::Ffmpeg, source }
}
