//! What can go wrong with pictures.

use audsem_core::blame::Blame;
use audsem_core::run::ShardError;

use crate::program::MediaError;

/// Why a picture or the pictures of a video could not be decoded or resized.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The first bytes are those of no supported format.
    #[error("it is neither PNG nor JPEG")]
    Unknown,
    /// The picture has no pixels, or more than are accepted.
    #[error("a picture of {width} × {height} pixels: from 1 to {} are accepted", super::MAX_PIXELS)]
    Size {
        /// Width in pixels.
        width: u64,
        /// Height in pixels.
        height: u64,
    },
    /// The data break the rules of their format, or end early.
    #[error("the picture is damaged: {what}")]
    Malformed {
        /// What was found.
        what: String,
    },
    /// The file has no track of pictures, or one without a single picture.
    #[error("it holds no pictures")]
    NoPictures,
    /// A video, where there is no ffmpeg.
    #[error("it is neither PNG nor JPEG, and without ffmpeg no video can be decoded")]
    NoProgram,
    /// A frame was chosen that the video does not have.
    #[error("frame {index} of a video of {frames}")]
    NoSuchFrame {
        /// Number of the frame, from 0.
        index: usize,
        /// Number of frames.
        frames: usize,
    },
    /// ffmpeg failed on the video, or could not run; [`ImageError::blame`] tells which.
    #[error(transparent)]
    Program(#[from] MediaError),
    /// The list of times that ffmpeg wrote could not be read.
    #[error("cannot read a temporary file: {0}")]
    Temporary(#[source] std::io::Error),
}

impl ImageError {
    /// The cause: the picture itself, or the disk or program that should have read it.
    pub fn blame(&self) -> Blame {
        match self {
            ImageError::Program(error) => error.blame(),
            ImageError::Temporary(_) => Blame::Surroundings,
            _ => Blame::Record,
        }
    }

    /// Returns the error to be filed as a reject, if the record is the cause.
    ///
    /// # Errors
    /// As [`MediaError::of_record`]: otherwise the shard stays open.
    pub fn of_record(self, record: &str) -> Result<ImageError, ShardError> {
        match self {
            ImageError::Program(error) => error.of_record(record).map(ImageError::Program),
            error if error.blame() == Blame::Record => Ok(error),
            error => Err(ShardError::Input(format!("{record}: {error}"))),
        }
    }
}
