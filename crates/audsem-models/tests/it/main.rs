//! Networks against goldens made by their reference implementations (`fixtures/regen`).
#![allow(clippy::unwrap_used)]

mod bert;
mod golden;
