//! Reinforcement learning from groups of completions (GRPO and its relatives): the arithmetic, as plain functions of
//! numbers, and who writes the completions ([`rollout`]).
//!
//! ```
//! use audsem_training::grpo::advantage::{AdvantageScale, advantages};
//!
//! // Four completions of one question; the last one has no reward.
//! let groups = [vec![Some(1.0), Some(0.0), Some(0.5), None]];
//! let advantages = advantages(&groups, AdvantageScale::None);
//! assert_eq!(advantages, [vec![Some(0.5), Some(-0.5), Some(0.0), None]]);
//! ```

pub mod advantage;
pub mod mismatch;
pub mod objective;
pub mod rollout;
pub mod schedule;
