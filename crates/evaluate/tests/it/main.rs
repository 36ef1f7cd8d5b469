//! Tests of this crate through its public interface and its binary.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod answers;
mod audiobench;
mod chaos;
mod export;
mod import;
mod instructions;
mod judge;
mod kill;
mod models_of_metrics;
mod predict;
mod real_server;
mod report;
mod score;
mod settings;
mod several;
mod whisper_real;
mod workbench;
