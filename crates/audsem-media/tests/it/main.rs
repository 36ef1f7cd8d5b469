//! The crate from outside.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod audio_decoding;
mod audio_encoding;
mod audio_foreign_bytes;
mod batch;
mod cross_check;
mod front_end;
mod goldens;
mod hostile;
mod image;
mod trouble;
