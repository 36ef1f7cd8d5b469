//! Shared ground of the AudSem stages.

#[cfg(feature = "audio")]
pub mod audio;
pub mod cli;
pub mod clip_id;
#[cfg(feature = "nn")]
pub mod device;
pub mod error;
pub mod files;
#[cfg(feature = "nn")]
pub mod hub;
pub mod input;
pub mod log;
pub mod media;
pub mod parallel;
pub mod progress;
pub mod reason;
pub mod run;
pub mod signals;
#[cfg(feature = "tables")]
pub mod tables;
pub mod tar;
#[cfg(feature = "http")]
pub mod text;
#[cfg(feature = "nn")]
pub mod weights;
