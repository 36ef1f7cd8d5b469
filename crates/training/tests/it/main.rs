//! Tests of this crate through its public interface and its binary.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod bytes;
mod chaos;
mod data;
mod export;
mod generate;
mod grpo;
mod hand_over;
mod index;
mod rewards;
mod sft;
mod shards;
mod skeleton;
mod sounds;
