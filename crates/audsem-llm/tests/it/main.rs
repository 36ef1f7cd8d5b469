//! Integration tests of `audsem-llm`.
#![allow(clippy::unwrap_used)]

mod step;
