//! `rewards`.

use std::path::PathBuf;

use audsem_core::instructions::InstructionProfile;
use clap::{Args, ValueEnum};

use crate::data::TargetStyle;
use crate::error::Result;
use crate::rewards::workbench::{Config, run};
use crate::rewards::{AnswerForm, AnswerRule, RewardConfig};

/// The published scripts whose accuracy is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "kebab-case")]
pub enum CompatChoice {
    /// The audio script: partial credit for the first three characters and for the rest
    ReferenceAudio,
    /// The omni script: the same text on one line; its comparison of mathematical expressions is left out
    ReferenceOmni,
}

impl From<CompatChoice> for AnswerRule {
    fn from(choice: CompatChoice) -> Self {
        match choice {
            CompatChoice::ReferenceAudio => Self::ReferenceAudio,
            CompatChoice::ReferenceOmni => Self::ReferenceOmni,
        }
    }
}

/// Which rewards, and for which completions.
#[derive(Debug, Clone, Args)]
pub struct RewardFlags {
    /// TOML file of the rewards and their weights [default: accuracy, and format where answers have tags]
    #[arg(long, value_name = "FILE")]
    pub rewards: Option<PathBuf>,
    /// Form of the answers
    #[arg(long, value_enum, default_value = "think")]
    pub target: TargetStyle,
    /// Instruction that completions follow: none, think, semantic, or with a number of words as in think:25, which is the
    /// target of the reward `length`
    #[arg(long, value_name = "PROFILE", default_value = "none")]
    pub instruction: InstructionProfile,
}

impl RewardFlags {
    /// The form of completions.
    pub fn form(&self) -> AnswerForm {
        AnswerForm::new(self.target, self.instruction)
    }

    /// The rewards.
    ///
    /// # Errors
    /// The file cannot be read or is not of the form.
    pub fn config(&self) -> Result<RewardConfig> {
        match &self.rewards {
            Some(path) => Ok(RewardConfig::open(path)?),
            None => Ok(RewardConfig::usual(self.form())),
        }
    }
}

/// Flags of `rewards`.
#[derive(Debug, Clone, Args)]
pub struct RewardsArgs {
    /// Files of completions (JSON lines with `key`, `completion`, `answer`, and `choices` or options in `question`), such
    /// as `completions.jsonl` of `grpo`
    #[arg(short, long, value_name = "FILE", required = true, num_args = 1..)]
    pub completions: Vec<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub rewards: RewardFlags,
    /// Compute accuracy as a published script does
    #[arg(long, value_enum)]
    pub compat: Option<CompatChoice>,
    /// Write each completion with its rewards to this file (JSON lines)
    #[arg(long, value_name = "FILE")]
    pub table: Option<PathBuf>,
    /// Examples shown of each fault
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub examples: usize,
}

impl RewardsArgs {
    /// The report, for people or as JSON.
    ///
    /// # Errors
    /// A file cannot be read, or the rewards contradict each other.
    pub fn text(&self, as_json: bool) -> Result<String> {
        let mut rewards = self.rewards.config()?;
        if let Some(compat) = self.compat {
            rewards = rewards.with_rule(compat.into());
        }
        let report = run(&Config {
            completions: self.completions.clone(),
            rewards,
            form: self.rewards.form(),
            table: self.table.clone(),
            examples: self.examples,
        })?;
        Ok(if as_json { report.to_json() } else { report.to_string() })
    }
}
