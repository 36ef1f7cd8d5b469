//! Which examples are a batch, and where a training stands among the batches.

use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::order::seeded;

/// What is a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchConfig {
    /// Most examples in a batch.
    pub batch_size: usize,
    /// Most tokens in a batch, except that an example of more is a batch by itself.
    pub batch_tokens: Option<usize>,
    /// Examples among which those of similar length are put together; no more than a batch leaves them in their order.
    pub window: usize,
}

/// The next batch of a training.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Epoch, from 0.
    pub epoch: usize,
    /// Window of the epoch, from 0.
    pub window: usize,
    /// Batch of the window, from 0.
    pub batch: usize,
}

impl BatchConfig {
    /// Examples of a window.
    #[must_use]
    pub fn window_len(&self) -> usize {
        self.window.max(self.batch_size).max(1)
    }

    /// Divides a window of examples with these numbers of tokens into batches of places in it.
    ///
    /// Where a window is larger than a batch, examples are sorted by length and the batches shuffled, so that a batch
    /// has similar lengths and a training meets all lengths at any time.
    pub(super) fn batches(&self, tokens: &[usize], seed: u64, place: Cursor) -> Vec<Vec<usize>> {
        let mut order: Vec<usize> = (0..tokens.len()).collect();
        let sorts = self.window_len() > self.batch_size;
        if sorts {
            order.sort_by_key(|at| tokens[*at]);
        }
        let (mut batches, mut batch, mut sum): (Vec<Vec<usize>>, Vec<usize>, usize) = (Vec::new(), Vec::new(), 0);
        for at in order {
            let is_full = batch.len() >= self.batch_size.max(1)
                || self.batch_tokens.is_some_and(|most| !batch.is_empty() && sum + tokens[at] > most);
            if is_full {
                batches.push(std::mem::take(&mut batch));
                sum = 0;
            }
            sum += tokens[at];
            batch.push(at);
        }
        if !batch.is_empty() {
            batches.push(batch);
        }
        if sorts {
            batches.shuffle(&mut seeded(seed, &format!("batches {} {}", place.epoch, place.window)));
        }
        batches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_keep_to_both_limits_and_lose_nothing() {
        let tokens = [5, 90, 10, 40, 35, 20, 300, 5, 5, 60];
        for (batch_size, batch_tokens, window) in
            [(4, Some(100), 1), (4, Some(100), 10), (3, None, 10), (1, Some(7), 1)]
        {
            let config = BatchConfig { batch_size, batch_tokens, window };
            let batches = config.batches(&tokens, 1, Cursor::default());
            let mut all: Vec<usize> = batches.concat();
            if window <= batch_size {
                assert!(all.is_sorted(), "the order stays: {all:?}");
            }
            all.sort_unstable();
            assert_eq!(all, (0..10).collect::<Vec<_>>());
            for batch in &batches {
                let sum: usize = batch.iter().map(|at| tokens[*at]).sum();
                assert!(batch.len() <= batch_size && (batch.len() == 1 || batch_tokens.is_none_or(|most| sum <= most)));
            }
        }
    }

    #[test]
    fn lengths_of_a_batch_are_similar_and_batches_shuffled() {
        let tokens: Vec<usize> = (0..64).map(|n| (n * 37) % 64).collect();
        let config = BatchConfig { batch_size: 8, batch_tokens: None, window: 64 };
        let batches = config.batches(&tokens, 1, Cursor::default());
        let spans = batches.iter().map(|batch| {
            let lengths = || batch.iter().map(|at| tokens[*at]);
            (lengths().min().unwrap_or(0), lengths().max().unwrap_or(0))
        });
        let spans: Vec<(usize, usize)> = spans.collect();
        assert!(spans.iter().all(|(low, high)| high - low == 7), "{spans:?}");
        assert!(!spans.is_sorted());
        assert_ne!(batches, config.batches(&tokens, 1, Cursor { window: 1, ..Cursor::default() }));
    }
}
