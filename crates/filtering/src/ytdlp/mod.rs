//! yt-dlp, called politely: one call a video, at a bounded rate, with failures told apart.
//!
//! Keys and passwords never pass through here. Who needs an account gives yt-dlp their own cookies,
//! by file or browser name, or a configuration file of their own.

mod access;
mod fault;
mod pace;

pub use access::Access;
pub(crate) use access::check_id;
pub use fault::{FaultKind, FetchFault, Trouble, classify};
pub use pace::Pace;
