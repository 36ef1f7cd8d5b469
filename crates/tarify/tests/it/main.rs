//! Tests of this crate through its public interface and its binary.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod chaos;
mod check;
mod empty;
mod index;
mod pack;
mod progress;
mod rename;
mod shards;
mod tasks;
mod transcode;
mod trouble;
mod why;
mod workbench;
