//! Tests of this crate through its public interface and its binary.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod audio;
mod audio_caption;
mod busy;
mod chaos;
mod combine;
mod convert_weights;
mod empty;
mod filter;
mod guided;
mod image;
mod import;
mod kill;
mod language_model;
mod music;
mod originals;
mod real_sounds;
mod settings;
mod video;
mod workbench;
mod write;
