//! The crate from outside, and the rules of the repository.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod repository;
mod repository_messages;
mod run;
mod run_folders;
mod run_outcomes;
mod run_tasks;
