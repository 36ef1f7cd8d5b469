//! The rows of a decoder and whose they are: all that generate step through the network here.

use super::CausalDecoder;
use crate::Result;

/// Sequences behind one prompt that are continued together.
pub(crate) trait Following {
    /// Number of them at the beginning.
    fn width(&self) -> usize;

    /// Takes the logits (V) after each of them. Returns which of them each one that goes on continues, and with which
    /// token; nothing once all have ended.
    ///
    /// # Errors
    /// What ends these sequences without a result, and says nothing about others.
    fn advance(&mut self, logits: &mut [Vec<f32>]) -> Result<Vec<(usize, u32)>>;
}

/// What is being continued, side by side. Whatever ends leaves; what is added may begin while others go on.
#[derive(Debug)]
pub(crate) struct Batch<S> {
    open: Vec<Open<S>>,
    /// Rows that the decoder holds.
    held: usize,
}

/// Sequences that have not ended.
#[derive(Debug)]
struct Open<S> {
    /// What the caller calls them.
    number: usize,
    sequences: S,
    /// The decoder's row of each.
    rows: Vec<usize>,
    /// The logits after each.
    logits: Vec<Vec<f32>>,
}

/// Takes the number of sequences that have ended, and how they did.
pub(crate) type Ended<'a, S> = dyn FnMut(usize, S, Result<()>) + 'a;

impl<S: Following> Batch<S> {
    /// A batch of nothing, for a decoder without rows.
    pub(crate) fn new() -> Self {
        Self { open: Vec::new(), held: 0 }
    }

    /// Prompts whose sequences have not all ended.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// Adds sequences behind a prompt that the decoder has read into its last row, and the logits after it.
    pub(crate) fn add(&mut self, number: usize, sequences: S, logits: Vec<f32>) {
        let width = sequences.width();
        let rows = vec![self.held; width];
        self.held += 1;
        self.open.push(Open { number, sequences, rows, logits: vec![logits; width] });
    }

    /// Continues all sequences by a token. Those that end, or cannot go on, are given to `ended`.
    ///
    /// # Errors
    /// The network fails, and no row can be relied on.
    pub(crate) fn advance(&mut self, decoder: &mut dyn CausalDecoder, ended: &mut Ended<'_, S>) -> Result<()> {
        let (mut selected, mut tokens, mut going) = (Vec::new(), Vec::new(), Vec::new());
        for mut open in std::mem::take(&mut self.open) {
            match open.sequences.advance(&mut open.logits) {
                Ok(next) if !next.is_empty() => {
                    let first = selected.len();
                    selected.extend(next.iter().map(|(parent, _)| open.rows[*parent]));
                    tokens.extend(next.iter().map(|(_, token)| *token));
                    open.rows = (first..selected.len()).collect();
                    going.push(open);
                }
                result => ended(open.number, open.sequences, result.map(|_| ())),
            }
        }
        self.open = going;
        if self.open.is_empty() {
            return Ok(());
        }
        if !selected.iter().copied().eq(0..self.held) {
            decoder.select(&selected)?;
            self.held = selected.len();
        }
        let mut logits = decoder.step(&tokens)?.into_iter();
        for open in &mut self.open {
            open.logits = logits.by_ref().take(open.rows.len()).collect();
        }
        Ok(())
    }

    /// Drops the rows of what has ended where nothing goes on, so that a decoder may be used further.
    ///
    /// # Errors
    /// As for [`CausalDecoder::select`].
    pub(crate) fn drop_ended(&mut self, decoder: &mut dyn CausalDecoder) -> Result<()> {
        if self.open.is_empty() && self.held > 0 {
            decoder.select(&[])?;
            self.held = 0;
        }
        Ok(())
    }

    /// The numbers of what has not ended, which is given up: the decoder needs to begin anew.
    pub(crate) fn give_up(&mut self) -> Vec<usize> {
        self.held = 0;
        std::mem::take(&mut self.open).into_iter().map(|open| open.number).collect()
    }
}

/// Continues the sequences of all prompts to their ends, in order.
///
/// # Errors
/// The network fails, or a sequence does: then all of them end.
pub(super) fn follow<S: Following>(
    decoder: &mut dyn CausalDecoder,
    prompts: &[&[u32]],
    sequences: Vec<S>,
) -> Result<Vec<S>> {
    let mut batch = Batch::new();
    let n = sequences.len();
    for (number, (sequences, logits)) in sequences.into_iter().zip(decoder.prefill(prompts)?).enumerate() {
        batch.add(number, sequences, logits);
    }
    let (mut all, mut problem): (Vec<Option<S>>, _) = ((0..n).map(|_| None).collect(), None);
    while batch.len() > 0 {
        batch.advance(decoder, &mut |number, sequences, result| match result {
            Ok(()) => all[number] = Some(sequences),
            Err(error) => problem = problem.take().or(Some(error)),
        })?;
        if let Some(error) = problem {
            return Err(error);
        }
    }
    Ok(all.into_iter().flatten().collect())
}
