//! `explain`: the way of a caption through the rules of `extract` and `combine`, up to the one that decides.

use std::fmt;

use audsem_core::reason::Reason;
use audsem_core::terminal::counted;
use serde::Serialize;

use crate::combine::{Judge, LABELS_NUMBER, Policy};
use crate::extract::explain::CueLimits;

/// What one rule did to a caption. The rules of each command are numbered from 1, as in its rejects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TraceLine {
    /// The command whose rule it is.
    pub command: &'static str,
    /// Number of the rule.
    pub rule: u8,
    /// Its name.
    pub name: &'static str,
    /// What it decided.
    pub verdict: TraceVerdict,
    /// What was measured, and the limits.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// The caption after the rule.
    pub text: String,
}

/// What a rule decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraceVerdict {
    /// The caption stays as it is.
    Keep,
    /// The caption is changed.
    Rewrite,
    /// The rule is not asked.
    Off,
    /// The caption is left out.
    Drop {
        /// The reason's name.
        reason: &'static str,
        /// The reason as a sentence.
        because: &'static str,
    },
}

impl TraceVerdict {
    /// The caption is left out for a reason.
    pub fn drop(reason: impl Reason) -> Self {
        Self::Drop { reason: reason.name(), because: reason.describe() }
    }

    /// `keep`, `rewrite`, `off`, or the name of the reason.
    pub fn name(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Rewrite => "rewrite",
            Self::Off => "off",
            Self::Drop { reason, .. } => reason,
        }
    }
}

impl Serialize for TraceVerdict {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// A number and its limits in words: `1 word, minimum 2 (--min-words)`. A limit that is kept is not told.
pub fn measured(n: usize, units: &str, limits: &[(&str, usize, &str)]) -> String {
    let is_broken = |(side, limit, _): &&(&str, usize, &str)| if *side == "minimum" { n < *limit } else { n > *limit };
    let told = limits.iter().filter(is_broken).map(|(side, limit, flag)| format!(", {side} {limit} ({flag})"));
    format!("{}{}", counted(n, units), told.collect::<String>())
}

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
    /// The command whose rule left it out.
    pub command: Option<&'static str>,
    /// Number of the rule that left it out.
    pub rule: Option<u8>,
    /// Why it was left out.
    pub reason: Option<&'static str>,
    /// The reason as a sentence.
    pub because: Option<&'static str>,
}

/// Follows a caption through the rules of `extract`, if there are limits for it, then through labels and rules of
/// `combine`.
pub fn explain(judge: &Judge, limits: Option<&CueLimits>, text: &str) -> Explanation {
    let mut steps = limits.map(|limits| limits.trace(text)).unwrap_or_default();
    let is_out = |steps: &[TraceLine]| steps.iter().any(|step| matches!(step.verdict, TraceVerdict::Drop { .. }));
    if !is_out(&steps) {
        let line = steps.last().map_or_else(|| text.to_owned(), |step| step.text.clone());
        steps.push(labels(judge, &line));
        if !is_out(&steps) {
            steps.extend(judge.rules.trace(&line));
        }
    }
    let last = steps.last();
    let out = last.and_then(|step| match step.verdict {
        TraceVerdict::Drop { reason, because } => Some((step.command, step.rule, reason, because)),
        _ => None,
    });
    Explanation {
        text: text.to_owned(),
        kept: out.is_none(),
        clean_text: last.filter(|_| out.is_none()).map(|step| step.text.clone()),
        command: out.map(|out| out.0),
        rule: out.map(|out| out.1),
        reason: out.map(|out| out.2),
        because: out.map(|out| out.3),
        steps,
    }
}

/// What the labels say.
fn labels(judge: &Judge, text: &str) -> TraceLine {
    let label = judge.label(text);
    let (verdict, detail) = match judge.policy {
        Policy::None => (TraceVerdict::Off, "--policy none".to_owned()),
        _ => {
            let dropped = label.verdict(judge.policy, judge.thresholds);
            (dropped.map_or(TraceVerdict::Keep, TraceVerdict::drop), label.to_string())
        }
    };
    TraceLine { command: "combine", rule: LABELS_NUMBER, name: "labels", verdict, detail, text: text.to_owned() }
}

impl Explanation {
    /// One JSON object and a line break.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("an explanation is plain data") + "\n"
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "command  rule  {:<12} {:<18} text after the rule", "name", "verdict")?;
        writeln!(f, "{:<46} {}", "", self.text)?;
        for TraceLine { command, rule, name, verdict, detail, text } in &self.steps {
            let detail = if detail.is_empty() { String::new() } else { format!("  ({detail})") };
            writeln!(f, "{command:<8} {rule:>4}  {name:<12} {:<18} {text}{detail}", verdict.name())?;
        }
        let detail = self.steps.last().map(|step| &*step.detail).filter(|detail| !detail.is_empty());
        let detail = detail.map(|detail| format!(": {detail}")).unwrap_or_default();
        match (&self.clean_text, self.command, self.rule, self.because) {
            (Some(clean), ..) => writeln!(f, "kept: {clean}"),
            (None, Some(command), Some(rule), Some(because)) => {
                writeln!(f, "left out by rule {rule} of {command}: {because}{detail}")
            }
            _ => Ok(()),
        }
    }
}
