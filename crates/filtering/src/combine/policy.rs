//! The labels of one text, and the policy that reads them.

use std::fmt;

use clap::ValueEnum;
use serde::Serialize;

use super::reason::DropReason;

/// Which labelers must say yes (the caption names a sound) for a caption to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Labels are ignored; only the text rules decide.
    None,
    /// The classifier says yes.
    Bert,
    /// The language model says yes.
    Llm,
    /// Both labelers say yes.
    Both,
    /// Either labeler says yes.
    Either,
}

impl Policy {
    /// Whether it reads the classifier's labels.
    pub fn reads_bert(self) -> bool {
        matches!(self, Self::Bert | Self::Both | Self::Either)
    }

    /// Whether it reads the language model's labels.
    pub fn reads_llm(self) -> bool {
        matches!(self, Self::Llm | Self::Both | Self::Either)
    }
}

/// The lowest probability that counts as yes; without a threshold the label itself counts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Thresholds {
    /// For `bert_prob`.
    pub bert: Option<f32>,
    /// For `llm_yes_prob`; a row without one is judged by its label.
    pub llm: Option<f32>,
}

/// The labels of one text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Label {
    /// `NONE` when the classifier has not seen the text.
    pub(super) bert_label: i8,
    /// NaN when unknown.
    pub(super) bert_prob: f32,
    /// `NONE` when the language model has not seen the text.
    pub(super) llm_label: i8,
    /// NaN when unknown.
    pub(super) llm_prob: f32,
}

/// Marks the absence of a label.
const NONE: i8 = i8::MIN;

/// What one label says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    Yes,
    No,
    Unknown,
    Nothing,
}

impl Label {
    pub(super) const ABSENT: Self = Self { bert_label: NONE, bert_prob: f32::NAN, llm_label: NONE, llm_prob: f32::NAN };

    pub(super) fn is_absent(&self) -> bool {
        self.bert_label == NONE && self.llm_label == NONE
    }

    /// The classifier's probability.
    pub fn bert_prob(&self) -> Option<f32> {
        (!self.bert_prob.is_nan()).then_some(self.bert_prob)
    }

    /// The language model's probability.
    pub fn llm_yes_prob(&self) -> Option<f32> {
        (!self.llm_prob.is_nan()).then_some(self.llm_prob)
    }

    fn bert(&self, threshold: Option<f32>) -> Says {
        match (self.bert_label, threshold, self.bert_prob()) {
            (NONE, ..) => Says::Nothing,
            (_, Some(threshold), Some(prob)) if prob >= threshold => Says::Yes,
            (_, Some(_), Some(_)) => Says::No,
            (1, ..) => Says::Yes,
            _ => Says::No,
        }
    }

    fn llm(&self, threshold: Option<f32>) -> Says {
        match (self.llm_label, threshold, self.llm_yes_prob()) {
            (NONE, ..) => Says::Nothing,
            (_, Some(threshold), Some(prob)) if prob >= threshold => Says::Yes,
            (_, Some(_), Some(_)) => Says::No,
            (1, ..) => Says::Yes,
            (0, ..) => Says::No,
            _ => Says::Unknown,
        }
    }

    /// Why the policy drops the text; `None` if it keeps it.
    pub fn verdict(&self, policy: Policy, thresholds: Thresholds) -> Option<DropReason> {
        let (bert, llm) = (self.bert(thresholds.bert), self.llm(thresholds.llm));
        let votes: &[Says] = match policy {
            Policy::None => return None,
            Policy::Bert => &[bert],
            Policy::Llm => &[llm],
            Policy::Both | Policy::Either => &[bert, llm],
        };
        let passes = match policy {
            Policy::Either => votes.contains(&Says::Yes),
            _ => votes.iter().all(|vote| *vote == Says::Yes),
        };
        if passes {
            return None;
        }
        // A clear no takes precedence over a missing label, a missing label over an unclear answer.
        Some(match () {
            () if votes.contains(&Says::No) => DropReason::NotASound,
            () if votes.contains(&Says::Nothing) => DropReason::NoLabel,
            () => DropReason::UnknownLabel,
        })
    }

    /// Adds another verdict on the same text: of several of one kind the first counts, but a clear
    /// answer of a language model replaces an unclear one.
    pub(super) fn add(&mut self, other: Self) {
        if self.bert_label == NONE {
            (self.bert_label, self.bert_prob) = (other.bert_label, other.bert_prob);
        }
        if self.llm_label == NONE || (self.llm_label < 0 && other.llm_label >= 0) {
            (self.llm_label, self.llm_prob) = (other.llm_label, other.llm_prob);
        }
    }
}

/// The labels in words, for rejects and `explain`: `bert 1 (0.912), llm none`.
impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [("bert ", self.bert_label, self.bert_prob()), (", llm ", self.llm_label, self.llm_yes_prob())];
        for (name, label, prob) in parts {
            f.write_str(name)?;
            if label == NONE {
                f.write_str("none")?;
                continue;
            }
            f.write_str(itoa::Buffer::new().format(label))?;
            match prob {
                None => f.write_str(" (no probability)")?,
                Some(prob) => write_prob(f, prob)?,
            }
        }
        Ok(())
    }
}

/// Writes a probability as `{:.3}` does, several times as fast, because most lines of the rejects hold one.
fn write_prob(f: &mut fmt::Formatter<'_>, prob: f32) -> fmt::Result {
    if !(0.0..1.0).contains(&prob) {
        return write!(f, " ({prob:.3})");
    }
    // Exact: the product of 24 and 10 bits fits a double.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 0 and 1000")]
    let thousandths = (f64::from(prob) * 1000.0).round_ties_even() as u32;
    let mut text = *b" (0.000)";
    for (at, divisor) in [(2, 1000), (4, 100), (5, 10), (6, 1)] {
        text[at] += u8::try_from(thousandths / divisor % 10).expect("a decimal digit");
    }
    f.write_str(std::str::from_utf8(&text).expect("decimal digits are ASCII"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_THRESHOLD: Thresholds = Thresholds { bert: None, llm: None };

    fn label(bert_label: i8, bert_prob: f32, llm_label: i8, llm_prob: f32) -> Label {
        Label { bert_label, bert_prob, llm_label, llm_prob }
    }

    #[test]
    fn probabilities_are_printed_as_the_standard_library_does() {
        for i in 0..=20_000u16 {
            // Multiples of 1/16000 hit every tie between two thousandths.
            let prob = f32::from(i) / 16_000.0;
            let text = label(1, prob, NONE, f32::NAN).to_string();
            assert_eq!(text, format!("bert 1 ({prob:.3}), llm none"));
        }
        assert_eq!(label(NONE, f32::NAN, -1, f32::NAN).to_string(), "bert none, llm -1 (no probability)");
    }

    #[test]
    fn f1_each_policy_asks_the_labels_it_names() {
        use DropReason::{NoLabel, NotASound, UnknownLabel};
        use Policy::{Bert, Both, Either, Llm};
        let nan = f32::NAN;
        for (labels, policy, expected) in [
            (label(1, 0.9, 0, 0.1), Bert, None),
            (label(1, 0.9, 0, 0.1), Llm, Some(NotASound)),
            (label(1, 0.9, 0, 0.1), Both, Some(NotASound)),
            (label(1, 0.9, 0, 0.1), Either, None),
            (label(0, 0.2, 1, nan), Either, None),
            (label(0, 0.2, NONE, nan), Either, Some(NotASound)),
            (label(1, 0.9, NONE, nan), Both, Some(NoLabel)),
            (label(1, 0.9, -1, nan), Both, Some(UnknownLabel)),
            (label(NONE, nan, -1, nan), Either, Some(NoLabel)),
            (Label::ABSENT, Bert, Some(NoLabel)),
            (Label::ABSENT, Policy::None, None),
        ] {
            assert_eq!(labels.verdict(policy, NO_THRESHOLD), expected, "{labels:?} under {policy:?}");
        }
    }

    #[test]
    fn a_threshold_replaces_the_label_where_there_is_a_probability() {
        let strict = Thresholds { bert: Some(0.95), llm: Some(0.3) };
        assert_eq!(label(1, 0.9, 1, 0.9).verdict(Policy::Bert, strict), Some(DropReason::NotASound));
        assert_eq!(label(1, 0.9, 0, 0.4).verdict(Policy::Llm, strict), None);
        assert_eq!(label(1, 0.9, 1, f32::NAN).verdict(Policy::Llm, strict), None);
    }
}
