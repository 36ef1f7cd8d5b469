//! Sums over the processes of a data-parallel training.
//!
//! Every rank holds the same weights, takes its share of the batches of an update, and the gradients are summed before
//! each rank takes the same step. [`LoopBack`] connects threads of one process, each of which may train on a device of its
//! own: the sums are made in the memory of the machine, which takes milliseconds for the gradients of adapters. With the
//! feature `nccl` GPUs sum their gradients by NCCL. A transport between machines has the same interface.

#[cfg(feature = "nccl")]
mod nccl;

#[cfg(feature = "nccl")]
pub use nccl::{NcclId, NcclRank};

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use audsem_models::train::Accumulated;
use candle_core::Tensor;

use crate::error::{Error, Result};

/// A group of ranks that sum numbers.
pub trait AllReduce {
    /// Number of this rank, from 0.
    fn rank(&self) -> usize;

    /// Number of ranks.
    fn ranks(&self) -> usize;

    /// Replaces `values` by their sums over all ranks, which must call this alike. The order of summation is that of
    /// the ranks, so that every rank gets the same bits.
    ///
    /// # Errors
    /// The connection failed.
    fn sum(&self, values: &mut [f32]) -> Result<()>;

    /// As [`AllReduce::sum`], for counts and losses.
    ///
    /// # Errors
    /// The connection failed.
    fn sum_f64(&self, values: &mut [f64]) -> Result<()>;
}

/// A training in one process.
#[derive(Debug, Clone, Copy, Default)]
pub struct SingleRank;

impl AllReduce for SingleRank {
    fn rank(&self) -> usize {
        0
    }

    fn ranks(&self) -> usize {
        1
    }

    fn sum(&self, _: &mut [f32]) -> Result<()> {
        Ok(())
    }

    fn sum_f64(&self, _: &mut [f64]) -> Result<()> {
        Ok(())
    }
}

/// Ranks that are threads of one process.
#[derive(Debug, Clone)]
pub struct LoopBack {
    rank: usize,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    exchange: Mutex<Exchange>,
    changed: Condvar,
}

/// What the ranks have brought to the sum that is being made.
#[derive(Debug)]
struct Exchange {
    brought: Vec<Option<Vec<f64>>>,
    /// Ranks that have not taken the sum yet; while there are some, the next one cannot begin.
    to_take: usize,
    /// Whether a rank has left before its training was done.
    is_broken: bool,
}

impl LoopBack {
    /// The members of a group of `ranks`.
    #[must_use]
    pub fn group(ranks: usize) -> Vec<Self> {
        let exchange = Exchange { brought: vec![None; ranks], to_take: 0, is_broken: false };
        let shared = Arc::new(Shared { exchange: Mutex::new(exchange), changed: Condvar::new() });
        (0..ranks).map(|rank| Self { rank, shared: Arc::clone(&shared) }).collect()
    }

    /// Ends the sums of all ranks with an error, because this one goes no further.
    pub fn leave(&self) {
        self.lock().is_broken = true;
        self.shared.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Exchange> {
        self.shared.exchange.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `is_time`, or until a rank has left.
    fn wait(&self, is_time: impl Fn(&Exchange) -> bool) -> Result<MutexGuard<'_, Exchange>> {
        let waits = |exchange: &mut Exchange| !exchange.is_broken && !is_time(exchange);
        let waited = self.shared.changed.wait_while(self.lock(), waits);
        let exchange = waited.unwrap_or_else(PoisonError::into_inner);
        if exchange.is_broken { Err(Error::RankLeft) } else { Ok(exchange) }
    }

    /// What all ranks have brought, in their order.
    fn exchange(&self, own: Vec<f64>) -> Result<Vec<Vec<f64>>> {
        // Nobody brings the next numbers before all have taken the last ones.
        let mut exchange = self.wait(|exchange| exchange.to_take == 0)?;
        exchange.brought[self.rank] = Some(own);
        if exchange.brought.iter().all(Option::is_some) {
            exchange.to_take = exchange.brought.len();
            self.shared.changed.notify_all();
        }
        drop(exchange);
        let mut exchange = self.wait(|exchange| exchange.to_take > 0)?;
        let all = exchange.brought.iter().flatten().cloned().collect();
        exchange.to_take -= 1;
        if exchange.to_take == 0 {
            exchange.brought.fill(None);
            self.shared.changed.notify_all();
        }
        Ok(all)
    }
}

impl AllReduce for LoopBack {
    fn rank(&self) -> usize {
        self.rank
    }

    fn ranks(&self) -> usize {
        self.lock().brought.len()
    }

    fn sum(&self, values: &mut [f32]) -> Result<()> {
        let all = self.exchange(values.iter().map(|value| f64::from(*value)).collect())?;
        for (place, value) in values.iter_mut().enumerate() {
            // In f32, as one process adds up the gradients of its batches.
            let mut parts = all.iter().map(|rank| rank[place] as f32);
            let first = parts.next().unwrap_or_default();
            *value = parts.fold(first, |sum, part| sum + part);
        }
        Ok(())
    }

    fn sum_f64(&self, values: &mut [f64]) -> Result<()> {
        let all = self.exchange(values.to_vec())?;
        for (place, value) in values.iter_mut().enumerate() {
            *value = all.iter().map(|rank| rank[place]).sum();
        }
        Ok(())
    }
}

/// Sums the gradients of all ranks, in one message.
///
/// # Errors
/// The connection failed; memory, device.
pub fn sum_gradients(reduce: &dyn AllReduce, sum: Accumulated) -> Result<Accumulated> {
    if reduce.ranks() == 1 {
        return Ok(sum);
    }
    let tensor = |error: candle_core::Error| audsem_models::Error::from(error);
    let mut flat: Vec<f32> = Vec::new();
    for (_, gradient) in sum.iter() {
        let values = gradient.to_dtype(candle_core::DType::F32).and_then(|values| values.flatten_all());
        flat.extend(values.and_then(|values| values.to_vec1::<f32>()).map_err(tensor)?);
    }
    reduce.sum(&mut flat)?;
    let (mut reduced, mut at) = (Accumulated::default(), 0);
    for (name, gradient) in sum.iter() {
        let n = gradient.elem_count();
        let values = Tensor::from_slice(&flat[at..at + n], gradient.shape(), gradient.device());
        let values = values.and_then(|values| values.to_dtype(gradient.dtype())).map_err(tensor)?;
        reduced.add_tensor(name, &values)?;
        at += n;
    }
    Ok(reduced)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_rank_gets_the_sum() {
        let group = LoopBack::group(3);
        let sums: Vec<(Vec<f32>, f64)> = std::thread::scope(|scope| {
            let run = |rank: LoopBack| {
                scope.spawn(move || {
                    let own = rank.rank() as f32;
                    let once = || {
                        let (mut values, mut count) = ([own, 0.1 * own], [f64::from(own)]);
                        rank.sum(&mut values).unwrap();
                        rank.sum_f64(&mut count).unwrap();
                        (values.to_vec(), count[0])
                    };
                    (0..50).map(|_| once()).collect::<Vec<_>>().swap_remove(49)
                })
            };
            let threads: Vec<_> = group.into_iter().map(run).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let expected = (vec![3.0, 0.0 + 0.1 + 0.1 * 2.0], 3.0);
        assert!(sums.iter().all(|sum| *sum == expected), "{sums:?}");
    }

    #[test]
    fn nobody_waits_for_a_rank_that_has_left() {
        let group = LoopBack::group(2);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| group[0].sum_f64(&mut [1.0]));
            group[1].leave();
            assert!(matches!(waiting.join().unwrap(), Err(Error::RankLeft)));
        });
    }
}
