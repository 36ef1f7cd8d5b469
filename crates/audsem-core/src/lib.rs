//! Shared ground of the AudSem stages.

pub mod cli;
pub mod clip_id;
#[cfg(feature = "nn")]
pub mod device;
pub mod error;
pub mod files;
#[cfg(feature = "nn")]
pub mod hub;
pub mod input;
pub mod json;
pub mod log;
pub mod parallel;
pub mod progress;
pub mod reason;
pub mod records;
pub mod run;
pub mod signals;
pub mod suffix;
#[cfg(feature = "tables")]
pub mod tables;
pub mod tar;
#[cfg(feature = "testing")]
pub mod testing;
pub mod walk;
#[cfg(feature = "nn")]
pub mod weights;
