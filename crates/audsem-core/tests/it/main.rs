//! The crate from outside, and the rules of the repository.
#![allow(clippy::unwrap_used)]

mod repository;
mod run;
