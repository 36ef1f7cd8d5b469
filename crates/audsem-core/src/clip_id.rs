//! The clip key.
