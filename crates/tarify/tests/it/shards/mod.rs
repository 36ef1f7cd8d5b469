//! Training shards, end to end through the library.

mod agree;
mod bad_input;
mod binary;
mod empty;
mod golden;
mod mapping;
pub(crate) mod python;
mod record_files;
mod rows;
mod split;
mod table;
mod video;
pub(crate) mod world;
