//! How fast a training is, and how much memory it takes: for people and `log.jsonl`, never for data files.

use std::time::{Duration, Instant};

/// Measures tokens per second and estimates the time left.
#[derive(Debug)]
pub struct SpeedMeter {
    started: Instant,
    /// Share of the training that was done before this process began.
    done_before: f64,
    last: (Instant, f64),
}

impl SpeedMeter {
    /// Begins to measure; `done` is the share of the training that is done.
    #[must_use]
    pub fn start(done: f64) -> Self {
        let now = Instant::now();
        Self { started: now, done_before: done, last: (now, 0.0) }
    }

    /// Tokens per second since the last call, with `tokens` seen by this process in all, and the time left when `done`
    /// of the training is done.
    pub fn read(&mut self, tokens: f64, done: f64) -> (f64, Option<Duration>) {
        let now = Instant::now();
        let (then, before) = std::mem::replace(&mut self.last, (now, tokens));
        let rate = (tokens - before) / now.duration_since(then).as_secs_f64().max(1e-9);
        let own = done - self.done_before;
        let left = (own > 0.0).then(|| self.started.elapsed().mul_f64((1.0 - done).max(0.0) / own));
        (rate, left)
    }
}

/// The largest resident size of this process so far, in MiB, where the operating system tells it.
#[must_use]
pub fn peak_memory_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib / 1024)
}
