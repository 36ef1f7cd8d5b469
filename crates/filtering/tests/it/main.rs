//! The crate and its binary from outside.
#![allow(clippy::unwrap_used)]

mod label;
#[path = "../../../audsem-core/src/text/server/loopback.rs"]
mod loopback;
