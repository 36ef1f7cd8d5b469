//! Integration tests of `audsem-llm`.
#![allow(clippy::unwrap_used)]

mod settings;
mod step;
