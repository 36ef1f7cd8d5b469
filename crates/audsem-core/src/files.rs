//! Atomic file writing.
