//! The crate and its binary from outside.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod chaos;
mod checkpoint;
mod classify;
mod clips;
mod combine;
mod download;
mod empty;
mod extract;
mod fetch_captions;
mod full_disk;
mod identity;
mod kill;
mod label;
mod label_answers;
mod label_local;
mod languages;
mod programs;
mod stops;
