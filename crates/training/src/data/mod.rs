//! Examples as a trainer takes them.

mod target;

pub use target::TargetStyle;
