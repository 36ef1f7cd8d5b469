//! AudSem stage 4: pack, repair, transcode, check and index WebDataset tars, and build training shards.

pub mod check;
pub mod cli;
pub mod encode;
pub mod error;
pub mod index;
pub mod pack;
pub mod reason;
pub mod rename;
pub mod shards;
mod sink;
pub mod sizes;
pub mod tars;
pub mod transcode;
