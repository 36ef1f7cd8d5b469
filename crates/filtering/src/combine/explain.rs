//! `explain`: which rule decides about a caption, and what each makes of it.

use std::fmt;

use serde::Serialize;

use super::judge::Judge;
use super::pipeline::TraceLine;

/// The trace of one caption through the rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The caption as given.
    pub text: String,
    /// What the rules did, up to the one that decided.
    pub steps: Vec<TraceLine>,
    /// Whether it is kept.
    pub kept: bool,
    /// The clean caption, if it is kept.
    pub clean_text: Option<String>,
    /// Number of the rule that left it out.
    pub rule: Option<u8>,
    /// Why it was left out.
    pub reason: Option<&'static str>,
    /// The reason as a sentence.
    pub because: Option<&'static str>,
}

/// Follows a caption through labels and rules.
pub fn explain(judge: &Judge, text: &str) -> Explanation {
    use audsem_core::reason::Reason;

    let label = judge.label(text);
    let mut steps = Vec::new();
    let mut dropped = label.verdict(judge.policy, judge.thresholds);
    if judge.policy != super::Policy::None {
        let verdict = dropped.map_or("keep", Reason::name);
        steps.push(TraceLine { rule: 1, name: "labels", verdict, text: label.to_string() });
    }
    if dropped.is_none() {
        steps.extend(judge.rules.trace(text));
        let last = steps.last().map_or("keep", |step| step.verdict);
        dropped = super::DropReason::ALL.iter().copied().find(|reason| reason.name() == last);
    }
    let last = steps.last();
    Explanation {
        text: text.to_owned(),
        kept: dropped.is_none(),
        clean_text: last.filter(|_| dropped.is_none()).map(|step| step.text.clone()),
        rule: last.filter(|_| dropped.is_some()).map(|step| step.rule),
        reason: dropped.map(Reason::name),
        because: dropped.map(Reason::describe),
        steps,
    }
}

impl Explanation {
    /// One JSON object and a line break.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("an explanation is plain data") + "\n"
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>4}  {:<12} {:<18} text after the rule", "rule", "name", "verdict")?;
        writeln!(f, "{:>4}  {:<12} {:<18} {}", "", "", "", self.text)?;
        for TraceLine { rule, name, verdict, text } in &self.steps {
            writeln!(f, "{rule:>4}  {name:<12} {verdict:<18} {text}")?;
        }
        match (&self.clean_text, self.rule, self.because) {
            (Some(clean), ..) => writeln!(f, "kept: {clean}"),
            (None, Some(rule), Some(because)) => writeln!(f, "left out by rule {rule}: {because}"),
            _ => Ok(()),
        }
    }
}
