//! The crate from outside, and the rules of the repository.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

#[cfg(feature = "audio")]
mod audio_decoding;
#[cfg(feature = "audio")]
mod audio_encoding;
#[cfg(feature = "audio")]
mod audio_foreign_bytes;
#[cfg(feature = "audio")]
mod goldens;
mod repository;
mod run;
