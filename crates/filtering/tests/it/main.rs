//! The crate and its binary from outside.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod classify;
mod clips;
mod combine;
mod download;
mod extract;
mod fetch_captions;
mod kill;
mod label;
#[path = "../../../audsem-core/src/text/server/loopback.rs"]
mod loopback;
mod programs;
