//! Steps that must keep at least one record, and the message if one keeps none.

use serde_json::Value;

use super::execute::Step;
use super::record::KnownReason;
use super::stats::Stats;
use crate::reason::Reason;
use crate::terminal::{by_number, counted, singular, thousands};

/// A step that must keep at least one record for the run to be useful.
#[derive(Debug, Clone)]
pub struct RequiredStep {
    pub(super) step: Step,
    reasons: Vec<Explained>,
}

/// A reason as the message of an empty run explains it.
#[derive(Debug, Clone, Copy)]
struct Explained {
    name: &'static str,
    sentence: &'static str,
    flag: Option<&'static str>,
    /// Where in the configuration the limit of the rule stands.
    limit: Option<&'static str>,
}

/// How the counts of a step are put into words.
#[derive(Debug, Clone)]
pub(super) struct StepWords {
    pub(super) step: &'static str,
    /// What is counted, such as `cues`.
    pub(super) unit: &'static str,
    /// Reasons and what they mean.
    reasons: Vec<(&'static str, &'static str)>,
}

impl StepWords {
    /// What a reason means, where that is known.
    pub(super) fn meaning(&self, reason: &str) -> Option<&'static str> {
        self.reasons.iter().find(|(name, _)| *name == reason).map(|(_, sentence)| *sentence)
    }
}

impl RequiredStep {
    pub(super) fn new(step: Step) -> Self {
        Self { step, reasons: Vec::new() }
    }

    /// Names reasons for which the step leaves records out.
    pub fn explain<R: Reason>(&mut self, reasons: &[R]) -> &mut Self {
        let explained = |reason: &R| Explained {
            name: reason.name(),
            sentence: reason.describe(),
            flag: reason.flag(),
            limit: reason.limit(),
        };
        self.reasons.extend(reasons.iter().map(explained));
        self
    }

    /// What is known of the reasons that stand in these counts of the step, with the limits of this configuration.
    pub(super) fn reasons_in(&self, stats: &Stats, config: &Value) -> Vec<(&'static str, KnownReason)> {
        let counted =
            |known: &&Explained| stats.dropped.contains_key(known.name) || stats.failed.contains_key(known.name);
        let known = |known: &Explained| KnownReason {
            meaning: known.sentence.to_owned(),
            flag: known.flag.map(str::to_owned),
            limit: known.limit.and_then(|place| config.pointer(place)).filter(|limit| !limit.is_null()).cloned(),
        };
        self.reasons.iter().filter(counted).map(|reason| (reason.name, known(reason))).collect()
    }

    /// What the step counts, and what its reasons mean.
    pub(super) fn words(&self) -> StepWords {
        let reason = |known: &Explained| (known.name, known.sentence);
        StepWords { step: self.step.name, unit: self.step.unit, reasons: self.reasons.iter().map(reason).collect() }
    }

    /// Why nothing was kept: the most frequent reason, what it means and which flag changes it. `None` if something was.
    pub(super) fn why_empty(&self, stats: &Stats) -> Option<String> {
        let unit = self.step.unit;
        if stats.kept > 0 {
            return None;
        }
        // Of equally common reasons the first by name, so that the message is the same in every run.
        let common = stats.dropped.iter().chain(&stats.failed).max_by(|(a, n), (b, m)| n.cmp(m).then(b.cmp(a)));
        let Some((reason, n)) = common else {
            return Some(format!("nothing was read: the input holds no {unit}"));
        };
        let mut text = match stats.read {
            1 => format!("the only {} was not kept: it is left out as `{reason}`", singular(unit)),
            read => {
                let (all, are) = (counted(read, unit), by_number(*n, "is", "are"));
                format!("none of {all} was kept; {} {are} left out as `{reason}`", thousands(*n))
            }
        };
        if let Some(known) = self.reasons.iter().find(|known| known.name == reason) {
            text.push_str(&format!(": {}", known.sentence));
            if let Some(flag) = known.flag {
                text.push_str(&format!("\n  hint: {flag} changes that"));
            }
        }
        Some(text)
    }
}
