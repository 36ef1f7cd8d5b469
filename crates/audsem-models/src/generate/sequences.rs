//! The sequences of a request: one that is greedy or drawn, or beams.

use super::batch::Following;
use super::beams::Search;
use super::sample::Row;
use super::{Continuation as _, Generated, GenerationConfig, GenerationError, GenerationRequest};
use crate::Result;

/// What is followed for a request.
pub(crate) enum Sequences<'a> {
    /// The likeliest token each time, or a drawn one.
    One(Box<Row<'a>>),
    /// Beams.
    Beams(Box<Search<'a>>),
}

impl<'a> Sequences<'a> {
    /// The sequences of a request, before the first token. The configuration is a valid one.
    ///
    /// # Errors
    /// The prompt is empty or leaves no room.
    pub(crate) fn new(request: &GenerationRequest, config: &'a GenerationConfig) -> Result<Self> {
        if request.prompt.is_empty() {
            return Err(GenerationError::EmptyPrompt.into());
        }
        Ok(match config.num_beams {
            ..=1 => Self::One(Box::new(Row::new(&request.prompt, request.seed, config)?)),
            _ => Self::Beams(Box::new(Search::new(request, config)?)),
        })
    }

    /// The continuations, the best first, once all have ended.
    pub(crate) fn generated(self) -> Vec<Generated> {
        match self {
            Self::One(row) => vec![row.generated()],
            Self::Beams(search) => search.best(),
        }
    }
}

impl Following for Sequences<'_> {
    fn width(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Beams(search) => search.beams(),
        }
    }

    fn advance(&mut self, logits: &mut [Vec<f32>]) -> Result<Vec<(usize, u32)>> {
        match (self, logits) {
            (Self::One(row), [logits, ..]) => Ok(row.advance(logits)?.map(|token| (0, token)).into_iter().collect()),
            (Self::One(_), []) => Ok(Vec::new()),
            (Self::Beams(search), logits) => search.advance(logits),
        }
    }
}
