//! The score by which clips are judged, and which side of a threshold is suspicious.

use audsem_core::error::Error as CoreError;
use serde::Serialize;

use crate::error::Error;

/// A column of numbers in a table of scores or matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Column {
    /// 1 minus the mean cosine to the reference (`score`)
    Dissimilarity,
    /// The largest cosine to a reference vector (`score --score knn`)
    Nearest,
    /// The mean of the largest cosines to reference vectors (`score --score knn`)
    MeanTopK,
    /// The cosine of a clip and its caption (`match`)
    Cosine,
}

/// A side of a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Larger values are suspicious
    Over,
    /// Smaller values are suspicious
    Under,
}

impl Side {
    /// Name of this side in file names and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Over => "over",
            Self::Under => "under",
        }
    }
}

impl Column {
    /// Name of this column in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dissimilarity => "dissimilarity",
            Self::Nearest => "nearest",
            Self::MeanTopK => "mean_top_k",
            Self::Cosine => "cosine",
        }
    }

    /// Definition of the column, for readers of a report.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Dissimilarity => "1 minus the mean cosine to the reference, from 0 to 2",
            Self::Nearest => "the largest cosine to a reference vector, from -1 to 1",
            Self::MeanTopK => "the mean of the largest cosines to reference vectors, from -1 to 1",
            Self::Cosine => "the cosine of a clip and its caption, from -1 to 1",
        }
    }

    /// Title of a report about it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Dissimilarity => "Dissimilarity to the reference",
            Self::Nearest | Self::MeanTopK => "Nearest neighbours in the reference",
            Self::Cosine => "Clips and their captions",
        }
    }

    /// What its largest and its smallest values mean for a clip.
    pub fn ends(self) -> (&'static str, &'static str) {
        match self {
            Self::Dissimilarity => ("Most dissimilar", "Most similar"),
            Self::Nearest | Self::MeanTopK => ("Nearest to the reference", "Farthest from the reference"),
            Self::Cosine => ("Best matches", "Worst matches"),
        }
    }

    /// The side that is suspicious by default: far from the reference, or unlike the caption.
    pub fn side(self) -> Side {
        if self == Self::Dissimilarity { Side::Over } else { Side::Under }
    }

    /// Default thresholds of a report, and the default threshold of `extract`.
    pub fn thresholds(self) -> ([f32; 3], f32) {
        match self {
            Self::Dissimilarity => ([0.9, 0.95, 0.99], 0.95),
            Self::Nearest | Self::MeanTopK => ([0.3, 0.5, 0.7], 0.5),
            Self::Cosine => ([0.1, 0.2, 0.3], 0.2),
        }
    }

    fn range(self) -> std::ops::RangeInclusive<f32> {
        if self == Self::Dissimilarity { 0.0..=2.0 } else { -1.0..=1.0 }
    }
}

/// A criterion from the command line; what it leaves open depends on the tables.
#[derive(Debug, Clone, Default)]
pub struct CriterionArgs {
    /// The column.
    pub column: Option<Column>,
    /// The suspicious side.
    pub side: Option<Side>,
    /// The thresholds; none for those of the column.
    pub thresholds: Vec<f32>,
}

/// A column, a side and some thresholds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Criterion {
    /// The column.
    pub column: Column,
    /// The suspicious side.
    pub side: Side,
    /// Different thresholds within the column's range, in the order they were asked for.
    pub thresholds: Vec<f32>,
}

impl Criterion {
    /// What is asked for of tables that have `columns`, the first of which is the usual one. Without
    /// thresholds it has those of `default`.
    ///
    /// # Errors
    /// The tables have no such column, or a threshold lies beyond its range.
    pub fn of(columns: &[Column], asked: &CriterionArgs, default: impl Fn(Column) -> Vec<f32>) -> Result<Self, Error> {
        let column = asked.column.unwrap_or(columns[0]);
        if !columns.contains(&column) {
            let names: Vec<&str> = columns.iter().map(|column| column.name()).collect();
            let problem =
                format!("the input has {}\nhint: `score` and `match` write different tables", names.join(", "));
            return Err(CoreError::Config { what: format!("--column {}", column.name()), problem }.into());
        }
        let wanted = if asked.thresholds.is_empty() { default(column) } else { asked.thresholds.clone() };
        let mut thresholds = Vec::new();
        for threshold in wanted {
            if !column.range().contains(&threshold) {
                let (low, high) = column.range().into_inner();
                let problem = format!("`{}` goes from {low} to {high}", column.name());
                return Err(CoreError::Config { what: format!("--threshold {threshold}"), problem }.into());
            }
            // −0 and 0 are the same number.
            let threshold = threshold + 0.0;
            if !thresholds.contains(&threshold) {
                thresholds.push(threshold);
            }
        }
        Ok(Self { column, side: asked.side.unwrap_or(column.side()), thresholds })
    }

    /// Whether a value lies on the suspicious side of a threshold; the threshold itself does not.
    pub fn beyond(&self, value: f32, threshold: f32) -> bool {
        match self.side {
            Side::Over => value > threshold,
            Side::Under => value < threshold,
        }
    }
}

/// A threshold in names and tables: with two decimals, or as many as tell it from its neighbours.
pub fn label(threshold: f32) -> String {
    let text = threshold.to_string();
    let decimals = text.find('.').map_or(0, |dot| text.len() - dot - 1);
    if decimals < 2 { format!("{threshold:.2}") } else { text }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SCORES: [Column; 3] = [Column::Dissimilarity, Column::Nearest, Column::MeanTopK];

    fn of(asked: &CriterionArgs) -> Result<Criterion, Error> {
        Criterion::of(&SCORES, asked, |column| column.thresholds().0.to_vec())
    }

    #[test]
    fn labels_have_two_decimals_or_as_many_as_it_takes() {
        for (threshold, text) in
            [(0.95, "0.95"), (0.9, "0.90"), (1.0, "1.00"), (0.951, "0.951"), (-0.5, "-0.50"), (0.0, "0.00")]
        {
            assert_eq!(label(threshold), text);
        }
    }

    #[test]
    fn what_is_left_open_depends_on_the_column() {
        let usual = of(&CriterionArgs::default()).unwrap();
        assert_eq!(
            (usual.column, usual.side, usual.thresholds),
            (Column::Dissimilarity, Side::Over, vec![0.9, 0.95, 0.99])
        );
        let nearest = of(&CriterionArgs { column: Some(Column::Nearest), ..CriterionArgs::default() }).unwrap();
        assert_eq!((nearest.side, nearest.beyond(0.2, 0.3), nearest.beyond(0.3, 0.3)), (Side::Under, true, false));
    }

    #[test]
    fn equal_thresholds_are_one_and_impossible_ones_are_refused() {
        let asked = |thresholds: &[f32]| CriterionArgs { thresholds: thresholds.to_vec(), ..CriterionArgs::default() };
        assert_eq!(of(&asked(&[0.95, 0.5, 0.95, 0.0, -0.0])).unwrap().thresholds, [0.95, 0.5, 0.0]);
        assert!(of(&asked(&[-0.1])).unwrap_err().to_string().contains("`dissimilarity` goes from 0 to 2"));
        assert!(of(&asked(&[f32::NAN])).is_err());
        let other = CriterionArgs { column: Some(Column::Cosine), ..CriterionArgs::default() };
        assert!(of(&other).unwrap_err().to_string().contains("the input has dissimilarity, nearest"));
    }
}
