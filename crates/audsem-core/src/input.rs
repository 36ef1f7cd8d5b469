//! Opening input files, plain or compressed.
