//! AudSem stage 2: how far clips lie from reference sets.

pub mod cli;
pub mod contamination;
pub mod direction;
pub mod error;
pub mod extract;
pub mod matching;
pub mod merge;
pub mod nearest;
pub mod product;
pub mod reason;
pub mod reference;
mod rejects;
pub mod report;
pub mod score;
pub mod scores;
pub mod sets;
pub mod tars;
pub mod unit;
mod unit_rows;
