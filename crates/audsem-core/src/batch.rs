//! Batches for networks: items of similar length together, and smaller batches where memory runs out.
//!
//! ```
//! use audsem_core::batch::{BatchError, Batches};
//!
//! let mut batches = Batches::new(8);
//! let texts = ["four", "a", "three", "to"];
//! let lengths = batches.run(&texts, |text| text.len(), |batch| {
//!     if batch.len() > 2 {
//!         return Err(BatchError::OutOfMemory("8 GiB are in use".to_owned()));
//!     }
//!     Ok::<_, BatchError>(batch.iter().map(|text| text.len()).collect())
//! })?;
//! assert_eq!(lengths, [Ok(4), Ok(1), Ok(5), Ok(2)]);
//! assert_eq!(batches.size(), 2);
//! # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//! ```

/// Any error, for networks of any kind.
pub type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Why a network gave no results for a batch.
#[derive(Debug)]
pub enum BatchError<E = AnyError> {
    /// The batch does not fit into memory, for the reason given. A smaller one may.
    OutOfMemory(String),
    /// The network failed in a way that does not depend on the size of the batch.
    Failed(E),
}

impl BatchError {
    /// A failure that does not depend on the size of the batch, from any error.
    pub fn failed(error: impl Into<AnyError>) -> Self {
        Self::Failed(error.into())
    }
}

/// Runs a network over many items in batches.
///
/// The results come in the order of the items. They do not depend on the size of the batches as far as those of the
/// network do not: which items share a batch is decided by their cost and their order alone.
#[derive(Debug, Clone)]
pub struct Batches {
    size: usize,
}

impl Batches {
    /// Starts with batches of at most `size` items.
    pub fn new(size: usize) -> Self {
        Self { size: size.max(1) }
    }

    /// The current maximum batch size: smaller than the initial one if memory ran out.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Runs `forward` over all items, those of similar `cost` (their length, say) together, so that little is padded.
    ///
    /// If memory runs out, the batch size is halved for this and all later batches. An item that does not fit into memory
    /// even alone gets the error's text in place of a result; the others are unaffected.
    ///
    /// # Errors
    /// What [`BatchError::Failed`] carries.
    ///
    /// # Panics
    /// If the network does not give one result for each item.
    pub fn run<T, O, E>(
        &mut self,
        items: &[T],
        cost: impl Fn(&T) -> usize,
        mut forward: impl FnMut(&[&T]) -> Result<Vec<O>, BatchError<E>>,
    ) -> Result<Vec<Result<O, String>>, E> {
        let mut order: Vec<usize> = (0..items.len()).collect();
        order.sort_by_key(|index| cost(&items[*index]));
        let mut results: Vec<Option<Result<O, String>>> = items.iter().map(|_| None).collect();
        let mut rest = order.as_slice();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(self.size.min(rest.len()));
            let batch: Vec<&T> = now.iter().map(|index| &items[*index]).collect();
            match forward(&batch) {
                Ok(outputs) => {
                    assert_eq!(outputs.len(), now.len(), "a network gives one result for each item");
                    now.iter().zip(outputs).for_each(|(index, output)| results[*index] = Some(Ok(output)));
                    rest = later;
                }
                Err(BatchError::OutOfMemory(detail)) if now.len() > 1 => {
                    self.size = now.len() / 2;
                    tracing::warn!(
                        "batches of {} items do not fit into memory ({detail}); continuing with {}",
                        now.len(),
                        self.size
                    );
                }
                Err(BatchError::OutOfMemory(detail)) => {
                    results[now[0]] = Some(Err(detail));
                    rest = later;
                }
                Err(BatchError::Failed(error)) => return Err(error),
            }
        }
        Ok(results.into_iter().map(|result| result.expect("each item was in a batch")).collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn memory_that_runs_out_halves_the_batch_and_loses_nothing() {
        let items: Vec<usize> = (0..20).collect();
        let mut sizes = Vec::new();
        let mut batches = Batches::new(16);
        let results = batches.run(
            &items,
            |_| 1,
            |batch| {
                sizes.push(batch.len());
                match batch.len() {
                    4.. => Err(BatchError::OutOfMemory("full".to_owned())),
                    _ => Ok::<_, BatchError>(batch.iter().map(|item| *item * 10).collect()),
                }
            },
        );
        let expected: Vec<Result<usize, String>> = (0..20).map(|n| Ok(n * 10)).collect();
        assert_eq!(results.unwrap(), expected);
        assert_eq!(sizes[..4], [16, 8, 4, 2]);
        assert!(sizes[4..].iter().all(|size| *size == 2), "it stays halved: {sizes:?}");
    }

    #[test]
    fn an_item_that_fits_nowhere_fails_alone() {
        let items = [1, 2, 99, 3];
        let mut batches = Batches::new(4);
        let results = batches.run(
            &items,
            |item| *item,
            |batch| match batch.iter().any(|item| **item == 99) {
                true => Err(BatchError::OutOfMemory("99 is too long".to_owned())),
                false => Ok::<_, BatchError>(batch.iter().map(|item| **item).collect()),
            },
        );
        assert_eq!(results.unwrap(), [Ok(1), Ok(2), Err("99 is too long".to_owned()), Ok(3)]);
    }

    #[test]
    fn items_of_one_length_come_together_and_results_in_the_order_of_the_items() {
        let items = ["ccc", "a", "bb", "d", "eee", "ff"];
        let run = |size: usize| {
            let mut batches = Vec::new();
            let results = Batches::new(size).run(
                &items,
                |item| item.len(),
                |batch| {
                    batches.push(batch.iter().map(|item| item.len()).collect::<Vec<_>>());
                    Ok::<_, BatchError>(batch.iter().map(|item| item.to_uppercase()).collect())
                },
            );
            (results.unwrap(), batches)
        };
        assert_eq!(run(2).1, [[1, 1], [2, 2], [3, 3]]);
        for size in [1, 2, 3, 6, 100] {
            assert_eq!(run(size).0, run(2).0);
        }
        assert_eq!(run(2).0[0], Ok("CCC".to_owned()));
    }

    #[test]
    fn other_failures_end_the_run() {
        let failed = Batches::new(2).run(&[1], |_| 1, |_| Err::<Vec<()>, _>(BatchError::failed("no kernel")));
        assert_eq!(failed.unwrap_err().to_string(), "no kernel");
    }
}
