//! Rewards: how good a completion is, as numbers that GRPO learns from.
//!
//! A [`RewardSet`] is made from a TOML file and scores completions by each of its rewards. The total is the weighted sum of
//! those that apply; what a reward cannot score is counted with its reason, and never taken for a zero.
//!
//! ```
//! use audsem_training::rewards::{AnswerForm, RewardConfig, RewardItem, RewardSet};
//!
//! let config = RewardConfig::parse("[accuracy]\n[format]\n[length]\ntarget_words = 4\n")?;
//! let mut rewards = RewardSet::new(&config, AnswerForm { is_tagged: true, ..AnswerForm::default() })?;
//! let right = "<think>It has four words.</think>\n<answer>B. A dog</answer>";
//! let item = RewardItem { answer: "B. A dog", completion: right, ..RewardItem::default() };
//! let scored = rewards.score(&[item])?;
//! assert_eq!(scored[0].total, Some(1.0 + 0.5 + 1.0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod accuracy;
mod answer_form;
pub mod caption;
mod config;
mod foreign;
mod form;
mod length;
mod program;
pub mod workbench;

pub use accuracy::{Accuracy, AnswerRule};
pub use answer_form::AnswerForm;
pub use config::{RewardConfig, RewardConfigError};
pub use foreign::ForeignRewards;
pub use form::{FormatReward, TagReward};
pub use length::{LengthReward, LengthShape};
pub use program::{ProgramReward, RewardProgramError};

use audsem_core::records::Choices;

/// A completion, and what is known about its question.
#[derive(Debug, Clone, Copy, Default)]
pub struct RewardItem<'a> {
    /// Names the question: completions with the same key are a group.
    pub key: &'a str,
    /// The question as the record has it.
    pub question: &'a str,
    /// The options, where the question has some.
    pub choices: Option<&'a Choices>,
    /// The right answer, or the reference caption.
    pub answer: &'a str,
    /// Further reference captions.
    pub further_references: &'a [String],
    /// What the model wrote.
    pub completion: &'a str,
}

/// What a reward says about a completion: a value, `None` where it does not apply, or why it cannot tell.
pub type RewardValue = Result<Option<f64>, String>;

/// A rule that scores completions.
pub trait Reward: Send {
    /// The name in metrics and reports.
    fn name(&self) -> &str;

    /// Scores completions: one value for each, in order.
    ///
    /// # Errors
    /// Nothing can be scored at all, such as when a helper program has ended.
    fn score(&mut self, items: &[RewardItem<'_>]) -> Result<Vec<RewardValue>, RewardProgramError>;
}

/// A reward with its weight in the sum.
struct Weighted {
    reward: Box<dyn Reward>,
    weight: f64,
    /// The place of the reward whose value multiplies this one.
    gate: Option<usize>,
}

/// The rewards of a training, with their weights.
pub struct RewardSet {
    rewards: Vec<Weighted>,
}

/// The rewards of one completion.
#[derive(Debug, Clone, PartialEq)]
pub struct RewardBreakdown {
    /// The weighted sum of the values that are there; `None` if there is none.
    pub total: Option<f64>,
    /// The values in the order of the rewards, after gates and before weights.
    pub values: Vec<Option<f64>>,
    /// Number of the reward that failed, and why.
    pub faults: Vec<(usize, String)>,
}

impl RewardSet {
    /// Names and weights of the rewards, in order.
    pub fn weights(&self) -> impl Iterator<Item = (&str, f64)> {
        self.rewards.iter().map(|weighted| (weighted.reward.name(), weighted.weight))
    }

    /// Scores completions by every reward.
    ///
    /// # Errors
    /// A helper program has ended or is silent.
    pub fn score(&mut self, items: &[RewardItem<'_>]) -> Result<Vec<RewardBreakdown>, RewardProgramError> {
        let mut columns = Vec::with_capacity(self.rewards.len());
        for weighted in &mut self.rewards {
            columns.push(weighted.reward.score(items)?);
        }
        Ok((0..items.len()).map(|row| self.breakdown(&columns, row)).collect())
    }

    fn breakdown(&self, columns: &[Vec<RewardValue>], row: usize) -> RewardBreakdown {
        let raw = |column: usize| columns[column][row].as_ref().ok().copied().flatten();
        let values: Vec<Option<f64>> = (self.rewards.iter().enumerate())
            .map(|(n, weighted)| match weighted.gate {
                Some(gate) => raw(n).zip(raw(gate)).map(|(value, gate)| value * gate),
                None => raw(n),
            })
            .collect();
        let faults = columns.iter().enumerate().filter_map(|(n, column)| Some((n, column[row].clone().err()?)));
        RewardBreakdown { total: self.total(&values), faults: faults.collect(), values }
    }

    fn total(&self, values: &[Option<f64>]) -> Option<f64> {
        let weighted = values.iter().zip(&self.rewards).filter_map(|(value, own)| Some((*value)? * own.weight));
        weighted.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
    }
}

/// Scores each item by itself.
fn each(items: &[RewardItem<'_>], score: impl Fn(&RewardItem<'_>) -> RewardValue) -> Vec<RewardValue> {
    items.iter().map(score).collect()
}

#[cfg(test)]
mod tests;
