//! Why a clip has no row.

use super::ClipError;
use crate::audio::{AudioError, FrontEndError};

audsem_core::reasons! {
    /// The clip is broken, or the network cannot use it.
    pub enum MediaFault {
        Undecodable = "undecodable": "the sound or the pictures cannot be decoded",
        Empty = "empty": "the sound has no samples",
        NotFinite = "not_finite": "the sound or what the network made of it holds NaN or infinite numbers",
        ZeroVector = "zero_vector": "all numbers of the vector are 0, so it has no direction",
        OutOfMemory = "out_of_memory": "the clip does not fit into memory, even in a batch of its own",
        Silent = "silent": "all samples of the sound are 0",
        TooShort = "too_short": "the sound has too few samples for the network",
        Black = "black": "no frame of the video is brighter than black",
        Unusable = "unusable": "the network cannot use the clip",
    }
}

impl From<&AudioError> for ClipError {
    fn from(error: &AudioError) -> Self {
        let fault = match error {
            AudioError::NotFinite { .. } => MediaFault::NotFinite,
            AudioError::Empty => MediaFault::Empty,
            _ => MediaFault::Undecodable,
        };
        Self::new(fault, error.to_string())
    }
}

impl From<AudioError> for ClipError {
    fn from(error: AudioError) -> Self {
        Self::from(&error)
    }
}

impl From<FrontEndError> for ClipError {
    fn from(error: FrontEndError) -> Self {
        let fault = match error {
            FrontEndError::Empty => MediaFault::Empty,
            FrontEndError::NotFinite { .. } => MediaFault::NotFinite,
            FrontEndError::TooShort { .. } => MediaFault::TooShort,
            FrontEndError::Config { .. } | FrontEndError::Overflow { .. } => MediaFault::Unusable,
        };
        Self::new(fault, error.to_string())
    }
}
