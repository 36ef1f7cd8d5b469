//! The progress line of a step: shards, records per second, physical rate, time left, keep rate.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// How often the line is redrawn.
const TICK: Duration = Duration::from_millis(200);

/// Fractions of a physical unit are counted in thousandths.
const PHYSICAL_SCALE: f64 = 1000.0;

/// Progress of all shards of a step in this process.
#[derive(Debug, Default)]
pub struct Counters {
    read: AtomicU64,
    kept: AtomicU64,
    physical: AtomicU64,
    note: Mutex<String>,
}

impl Counters {
    /// Counts records read.
    pub fn add_read(&self, n: u64) {
        self.read.fetch_add(n, Relaxed);
    }

    /// Counts records kept.
    pub fn add_kept(&self, n: u64) {
        self.kept.fetch_add(n, Relaxed);
    }

    /// Counts physical work (MB, seconds of audio, tokens).
    pub fn add_physical(&self, amount: f64) {
        self.physical.fetch_add((amount * PHYSICAL_SCALE) as u64, Relaxed);
    }

    /// Shows a short text behind the rates until the next one, such as the loss of a training.
    pub fn set_note(&self, note: String) {
        *self.note.lock().unwrap_or_else(PoisonError::into_inner) = note;
    }
}

/// The line on the terminal; silent when stderr is not a terminal or the user asked for silence.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    counters: Arc<Counters>,
}

impl Progress {
    /// A line for `shards` shards whose records are `unit`s and whose work is measured in `physical`.
    pub fn new(step: &str, unit: &'static str, physical: &'static str, shards: u64, wanted: bool) -> Self {
        let counters = Arc::new(Counters::default());
        let bar = ProgressBar::new(shards);
        if !wanted || !std::io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
            return Self { bar, counters };
        }
        let (shared, start) = (Arc::clone(&counters), Instant::now());
        let rates = move |_: &ProgressState, line: &mut dyn std::fmt::Write| {
            let _ = line.write_str(&rate_text(&shared, start.elapsed(), unit, physical));
        };
        let style = ProgressStyle::with_template("{prefix} [{bar:24}] {pos}/{len} shards  {rates}  ETA {eta}")
            .expect("the template is a constant")
            .progress_chars("=> ")
            .with_key("rates", rates);
        bar.set_style(style);
        bar.set_prefix(step.to_owned());
        bar.enable_steady_tick(TICK);
        Self { bar, counters }
    }

    /// The counters the shards add to.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Counts one committed shard.
    pub fn shard_done(&self) {
        self.bar.inc(1);
    }

    /// Removes the line.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn rate_text(counters: &Counters, elapsed: Duration, unit: &str, physical: &str) -> String {
    let seconds = elapsed.as_secs_f64().max(1e-3);
    let (read, kept) = (counters.read.load(Relaxed), counters.kept.load(Relaxed));
    let work = counters.physical.load(Relaxed) as f64 / PHYSICAL_SCALE / seconds;
    let mut text = format!("{} {unit}/s", short(read as f64 / seconds));
    if work > 0.0 {
        let _ = write!(text, "  {} {physical}/s", short(work));
    }
    if read > 0 {
        let _ = write!(text, "  keep {:.1} %", 100.0 * kept as f64 / read as f64);
    }
    let note = counters.note.lock().unwrap_or_else(PoisonError::into_inner);
    if !note.is_empty() {
        let _ = write!(text, "  {note}");
    }
    text
}

/// A number with about three significant digits: `942`, `1.2 k`, `3.4 M`.
fn short(number: f64) -> String {
    match number {
        n if n >= 1e6 => format!("{:.1} M", n / 1e6),
        n if n >= 1e3 => format!("{:.1} k", n / 1e3),
        n if n >= 10.0 => format!("{n:.0}"),
        n => format!("{n:.1}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_names_both_rates_and_the_keep_rate() {
        let counters = Counters::default();
        counters.add_read(3_000_000);
        counters.add_kept(30_000);
        counters.add_physical(500.5);
        let text = rate_text(&counters, Duration::from_secs(2), "cues", "MB");
        assert_eq!(text, "1.5 M cues/s  250 MB/s  keep 1.0 %");
        counters.set_note("loss 1.5".to_owned());
        assert!(rate_text(&counters, Duration::from_secs(2), "cues", "MB").ends_with("%  loss 1.5"));
    }
}
