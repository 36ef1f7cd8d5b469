//! Threads that prepare examples ahead of the training.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use audsem_core::parallel::ordered_map;
use audsem_core::run::{LeftOut, Outcome};

use super::{BatchConfig, Cursor, DataSet, EpochOrder, Prepared, Preparer};
use crate::error::Result;

/// Windows that are prepared ahead of the one in use.
const WINDOWS_AHEAD: usize = 1;

/// How examples are loaded.
#[derive(Debug, Clone, Copy)]
pub struct LoaderConfig {
    /// What is a batch.
    pub batches: BatchConfig,
    /// Seed of the order of batches.
    pub seed: u64,
    /// Threads; no number of them changes a batch.
    pub workers: usize,
    /// Epochs.
    pub epochs: usize,
}

/// Examples of one forward pass.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MicroBatch {
    /// The examples; none where all of a window were left out.
    pub examples: Vec<Prepared>,
    /// Where the training stands behind this batch.
    pub next: Cursor,
    /// Examples that the order has up to the end of this batch, over all epochs, those left out included: how far the
    /// training is.
    pub reached: usize,
    /// Examples of the window that were left out, with row and key; they come with its first batch.
    pub left_out: Vec<(usize, String, LeftOut)>,
    /// Whether it is the last of its epoch.
    pub ends_epoch: bool,
}

/// Batches in their order, prepared by threads.
#[derive(Debug)]
pub struct Loader {
    batches: Option<Receiver<Result<MicroBatch>>>,
    thread: Option<JoinHandle<()>>,
}

impl Loader {
    /// Begins to load from a place.
    #[must_use]
    pub fn start(
        data: Arc<DataSet>,
        preparer: Arc<Preparer>,
        order: EpochOrder,
        config: LoaderConfig,
        from: Cursor,
    ) -> Self {
        // A window of examples and one batch of the next are enough to keep the training busy.
        let (sender, receiver) = sync_channel(WINDOWS_AHEAD);
        let windows = Windows { data, preparer, order, config };
        let thread = thread::spawn(move || windows.feed(from, &sender));
        Self { batches: Some(receiver), thread: Some(thread) }
    }

    /// The next batch; none at the end of the last epoch.
    ///
    /// # Errors
    /// A shard has changed or cannot be read.
    pub fn next_batch(&mut self) -> Result<Option<MicroBatch>> {
        self.batches.as_ref().and_then(|batches| batches.recv().ok()).transpose()
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        // The thread ends when nobody receives.
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Windows {
    data: Arc<DataSet>,
    preparer: Arc<Preparer>,
    order: EpochOrder,
    config: LoaderConfig,
}

impl Windows {
    fn feed(&self, from: Cursor, sender: &SyncSender<Result<MicroBatch>>) {
        let length = self.config.batches.window_len();
        let mut from = from;
        for epoch in from.epoch..self.config.epochs {
            let order = self.order.epoch(epoch);
            let windows = order.len().div_ceil(length);
            for window in from.window..windows {
                let place = Cursor { epoch, window, batch: from.batch };
                let rows = &order[window * length..order.len().min((window + 1) * length)];
                let last = window + 1 == windows;
                let sent = match self.window(rows, place, last) {
                    Ok(batches) => batches.into_iter().try_for_each(|batch| sender.send(Ok(batch)).map_err(drop)),
                    Err(error) => sender.send(Err(error)).map_err(drop).and(Err(())),
                };
                if sent.is_err() {
                    return;
                }
                from.batch = 0;
            }
            from = Cursor { epoch: epoch + 1, ..Cursor::default() };
        }
    }

    /// The batches of a window from `place` on.
    fn window(&self, rows: &[usize], place: Cursor, last: bool) -> Result<Vec<MicroBatch>> {
        let (mut examples, mut left_out) = (Vec::new(), Vec::new());
        for (row, outcome) in self.prepared(rows)? {
            match outcome {
                Ok(example) => examples.push(Some(example)),
                Err(why) => left_out.push((row, self.key(row), why)),
            }
        }
        let tokens: Vec<usize> = examples.iter().flatten().map(|example| example.sequence.tokens.len()).collect();
        let mut batches = self.config.batches.batches(&tokens, self.config.seed, place);
        if batches.is_empty() {
            batches.push(Vec::new());
        }
        let n = batches.len();
        let before = place.epoch * self.order.len() + place.window * self.config.batches.window_len();
        let mut taken = left_out.len();
        let mut made = Vec::new();
        for (number, batch) in batches.into_iter().enumerate() {
            taken += batch.len();
            let examples = batch.into_iter().filter_map(|at| examples[at].take()).collect();
            if number < place.batch {
                continue;
            }
            let ends_window = number + 1 == n;
            let next = match (ends_window, last) {
                (false, _) => Cursor { batch: number + 1, ..place },
                (true, false) => Cursor { epoch: place.epoch, window: place.window + 1, batch: 0 },
                (true, true) => Cursor { epoch: place.epoch + 1, ..Cursor::default() },
            };
            let left_out = if number == 0 { std::mem::take(&mut left_out) } else { Vec::new() };
            let (reached, ends_epoch) = (before + taken, ends_window && last);
            made.push(MicroBatch { examples, next, reached, left_out, ends_epoch });
        }
        Ok(made)
    }

    fn prepared(&self, rows: &[usize]) -> Result<Vec<(usize, Outcome<Prepared>)>> {
        let threads = self.config.workers.clamp(1, rows.len().max(1));
        let mut all = Vec::with_capacity(rows.len());
        ordered_map(
            rows.iter().copied(),
            threads,
            2 * threads,
            |row| self.preparer.prepare(row, &self.data.rows[row]).map(|outcome| (row, outcome)),
            |prepared| {
                all.push(prepared?);
                Ok::<_, crate::error::Error>(())
            },
        )?;
        Ok(all)
    }

    fn key(&self, row: usize) -> String {
        let place = &self.data.rows[row];
        crate::manifest::example_key(&place.key, place.pair)
    }
}
