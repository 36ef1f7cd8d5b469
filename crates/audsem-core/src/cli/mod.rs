//! Command-line flags every stage shares.
