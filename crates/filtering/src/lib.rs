//! AudSem stage 1: closed captions to a clean clip table, media and audio shards.

mod by_video;
pub mod classify;
pub mod cli;
pub mod clips;
pub mod combine;
pub mod download;
pub mod error;
pub mod explain;
pub mod extract;
pub mod fetch_captions;
pub mod label;
pub mod languages;
pub mod tables;
pub mod texts;
pub mod ytdlp;

/// The binary, as `run.json` has it.
const TOOL: &str = "audsem-filtering";
