//! Integration tests of `audsem-llm`.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod settings;
mod step;
