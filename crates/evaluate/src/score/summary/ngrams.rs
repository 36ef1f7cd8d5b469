//! Metrics of all texts together: their counts are sums over rows, they themselves are not.

use audsem_metrics::bleu::BleuCounts;
use audsem_metrics::caption::{CocoBleu, words};

use super::metrics::MetricKind;
use crate::score::translations::BleuTokens;
use crate::tables::ItemScore;

/// The counts behind BLEU, of translations or of captions.
#[derive(Debug, Clone, Copy)]
pub(super) enum NgramCounts {
    Translations(BleuCounts),
    Captions(CocoBleu),
}

impl NgramCounts {
    /// The counts of no row for a metric; `None` where it is a sum over rows.
    pub(super) fn empty(kind: MetricKind) -> Option<Self> {
        match kind {
            MetricKind::Bleu => Some(Self::Translations(BleuCounts::default())),
            MetricKind::CaptionBleu1
            | MetricKind::CaptionBleu2
            | MetricKind::CaptionBleu3
            | MetricKind::CaptionBleu4 => Some(Self::Captions(CocoBleu::default())),
            _ => None,
        }
    }

    /// Whether a row counts: it is of the kind, and its right answers are known.
    pub(super) fn counts(&self, row: &ItemScore) -> bool {
        let kind = match self {
            Self::Translations(_) => "translation",
            Self::Captions(_) => "caption",
        };
        row.kind == kind && !row.references.is_empty()
    }

    /// Adds the rows whose right answers are known.
    pub(super) fn with_rows(mut self, rows: &[&ItemScore], tokens: BleuTokens<'_>) -> Self {
        for row in rows {
            if !self.counts(row) {
                continue;
            }
            match &mut self {
                Self::Translations(all) => all.add(&tokens.counts(row)),
                Self::Captions(all) => {
                    let references: Vec<Vec<String>> = row.references.iter().map(|text| words(text)).collect();
                    all.add(&CocoBleu::of(&words(row.answer.as_deref().unwrap_or_default()), &references));
                }
            }
        }
        self
    }

    /// Adds counts of the same metric.
    pub(super) fn add(&mut self, other: &Self) {
        match (self, other) {
            (Self::Translations(all), Self::Translations(other)) => all.add(other),
            (Self::Captions(all), Self::Captions(other)) => all.add(other),
            _ => unreachable!("counts of one metric are of one kind"),
        }
    }

    /// The metric.
    pub(super) fn score(&self, kind: MetricKind) -> f64 {
        let captions = |place: usize| match self {
            Self::Captions(all) => all.scores()[place],
            Self::Translations(all) => all.score(),
        };
        match kind {
            MetricKind::CaptionBleu2 => captions(1),
            MetricKind::CaptionBleu3 => captions(2),
            MetricKind::CaptionBleu4 => captions(3),
            _ => captions(0),
        }
    }
}
