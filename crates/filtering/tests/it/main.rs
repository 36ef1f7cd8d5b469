//! The crate and its binary from outside.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod chaos;
mod checkpoint;
mod classify;
mod clips;
mod combine;
mod download;
mod download_files;
mod empty;
mod extract;
mod fetch_captions;
mod full_disk;
mod identity;
mod kill;
mod label;
mod label_answers;
mod label_local;
mod label_open;
mod languages;
mod programs;
mod progress;
mod stops;
mod verbosity;
