//! Training shards, end to end through the library.

mod bad_input;
mod binary;
mod golden;
mod mapping;
mod python;
mod rows;
mod split;
mod video;
pub(crate) mod world;
