//! Captions dump or subtitle files to bracketed cues.
