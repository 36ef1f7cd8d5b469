//! Calls of yt-dlp: one per video, at a bounded rate, with failures classified.
//!
//! Keys and passwords are never handled here. Users who need an account give yt-dlp their cookies,
//! by file or browser name, or a configuration file.

mod access;
mod fault;
mod pace;

pub use access::Access;
pub(crate) use access::check_id;
pub use fault::{FaultKind, FetchFault, Trouble, classify};
pub use pace::Pace;
