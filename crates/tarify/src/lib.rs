//! AudSem stage 4: pack, repair, transcode, check and index WebDataset tars, and build training shards.

pub mod error;
