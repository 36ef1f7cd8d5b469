//! Scores of one row group.

use crate::tables::{Score, ScoreBuffers, ScoreRef};
use audsem_core::tables::{GroupEncoder, ParquetFile, Row as _, RowGroup, TableError, VectorFile, VectorScratch};

use crate::nearest::{Hits, VectorIndex};
use crate::rejects::BadRows;
use crate::repeats::Repeats;
use crate::sets::{EmbeddingFile, Modality, RowKey};
use crate::vector_math::{dot_and_square, push_unit, scale};

/// What to do with one table.
pub(super) struct Scorer<'a> {
    pub(super) file: &'a EmbeddingFile,
    pub(super) modality: Modality,
    /// The mean direction of the reference.
    pub(super) mean: &'a [f64],
    /// Where to look for neighbours, and how many.
    pub(super) index: Option<(&'a VectorIndex, usize)>,
    /// Rows to score from the beginning.
    pub(super) limit: u64,
    /// Rows of all inputs that repeat a key.
    pub(super) repeats: &'a Repeats,
    /// Number of its first row among those of all inputs.
    pub(super) first_row: u64,
}

/// A table that is being scored, by several threads.
pub(super) struct Opened<'a> {
    scorer: &'a Scorer<'a>,
    vectors: VectorFile,
    keys: ParquetFile<RowKey>,
    encoder: GroupEncoder<Score>,
}

/// A row group with as many of its rows as are wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    number: usize,
    n_rows: usize,
    /// Number of its first row among those of all inputs.
    first_row: u64,
}

/// A row group, done.
pub(super) struct ScoredGroup {
    pub(super) n_rows: usize,
    pub(super) rows: RowGroup<Score>,
    pub(super) bad: BadRows,
}

/// Scores of a row with a direction.
#[derive(Debug, Clone, Copy)]
struct RowScore {
    row: usize,
    dissimilarity: f32,
}

impl Scorer<'_> {
    pub(super) fn open(&self) -> Result<Opened<'_>, TableError> {
        Ok(Opened {
            scorer: self,
            vectors: self.file.vectors()?,
            keys: self.file.keys()?,
            encoder: GroupEncoder::new()?,
        })
    }
}

impl Opened<'_> {
    /// The row groups, as far as the limit goes.
    pub(super) fn groups(&self) -> Vec<Group> {
        let (mut left, mut first_row) = (self.scorer.limit, self.scorer.first_row);
        let mut groups = Vec::new();
        for number in 0..self.vectors.n_groups() {
            let n_rows = (self.vectors.n_rows_in(number) as u64).min(left);
            groups.push(Group { number, n_rows: n_rows as usize, first_row });
            left -= n_rows;
            first_row += n_rows;
        }
        groups
    }

    /// Scores one of them.
    pub(super) fn score(&self, group: Group) -> Result<ScoredGroup, TableError> {
        let mut scratch = VectorScratch::default();
        let mut bad = BadRows::new(group.number);
        let mut scores = Vec::with_capacity(group.n_rows.min(self.vectors.room(group.number)));
        let mut queries = Vec::new();
        let mut repeats = self.scorer.repeats.within(group.first_row, group.n_rows as u64).iter().peekable();
        self.vectors.for_each_block(group.number, &mut scratch, |first, rows| {
            let rows = rows.chunks_exact(self.vectors.dim()).enumerate().map(|(i, x)| (first + i, x));
            for (row, x) in rows.take_while(|(row, _)| *row < group.n_rows) {
                if repeats.next_if_eq(&&(group.first_row + row as u64)).is_some() {
                    bad.add_repeated(row);
                    continue;
                }
                let (dot, square) = dot_and_square(x, self.scorer.mean);
                match scale(square) {
                    Err(fault) => bad.add(row, fault),
                    Ok(factor) => {
                        // The mean of unit vectors is no longer than they are; rounding may make it so.
                        #[expect(clippy::cast_possible_truncation, reason = "scores are kept in 32 bits")]
                        let dissimilarity = (1.0 - (dot * factor).clamp(-1.0, 1.0)) as f32;
                        scores.push(RowScore { row, dissimilarity });
                        if self.scorer.index.is_some() {
                            push_unit(x, &mut queries).expect("it has a direction");
                        }
                    }
                }
            }
        })?;
        let hits = match self.scorer.index {
            Some((index, k)) => Some(index.nearest(&queries, k, None)?),
            None => None,
        };
        let rows = self.rows(group, &scores, hits.as_deref())?;
        Ok(ScoredGroup { n_rows: group.n_rows, rows, bad })
    }

    fn rows(&self, group: Group, scores: &[RowScore], hits: Option<&[Hits]>) -> Result<RowGroup<Score>, TableError> {
        let keys = self.keys.group(group.number)?;
        let mut buffers = ScoreBuffers::default();
        for (i, score) in scores.iter().enumerate() {
            let hits = hits.map(|hits| hits[i].as_slice()).filter(|hits| !hits.is_empty());
            #[expect(clippy::cast_possible_truncation, reason = "scores are kept in 32 bits")]
            let mean = |hits: &[crate::nearest::Hit]| {
                (hits.iter().map(|hit| f64::from(hit.cosine)).sum::<f64>() / hits.len() as f64) as f32
            };
            let row = ScoreRef {
                key: keys.key.get(score.row),
                source: &self.scorer.file.set,
                modality: self.scorer.modality.name(),
                dissimilarity: score.dissimilarity,
                nearest: hits.map(|hits| hits[0].cosine),
                mean_top_k: hits.map(mean),
            };
            Score::push(&mut buffers, row);
        }
        self.encoder.encode(&mut buffers)
    }
}
