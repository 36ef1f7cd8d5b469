//! AudSem stage 7: ask a model the questions of benchmarks, score its answers under every convention, and report them.
//!
//! `predict` reads a benchmark as [`item::EvaluationItem`]s and writes a [`prediction::Prediction`] for each way to ask each of
//! them; `score` reads these alone, and needs neither the model nor the sounds; `report` shows what was scored.

pub mod cli;
pub mod error;
pub mod export;
pub mod import;
pub mod item;
pub mod judge;
pub mod predict;
pub mod prediction;
pub mod report;
pub mod score;
pub mod sound_library;
pub mod tables;

/// Name of the binary, as `run.json` has it.
pub const TOOL: &str = "audsem-evaluate";
