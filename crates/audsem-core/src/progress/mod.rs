//! Progress of a step while it runs: a bar on a terminal, else a plain line from time to time.

mod counters;
mod text;

pub use counters::{Counters, InputMeter, ShardCounters};

use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use indicatif::{ProgressBar, ProgressStyle};

use crate::terminal::plain;
use text::Words;

/// How often the bar is redrawn.
const TICK: Duration = Duration::from_millis(200);

/// When the first plain line comes, so that nobody waits in doubt.
const FIRST_LINE: Duration = Duration::from_secs(5);

/// Positions of the bar.
const BAR_LENGTH: u64 = 1000;

/// The step that runs, and the time of the next plain line, for the whole process.
static SHOWN: Mutex<Shown> = Mutex::new(Shown { step: None, bar: None, next_line: None });

#[derive(Debug)]
struct Shown {
    step: Option<(Words, Arc<Counters>)>,
    bar: Option<ProgressBar>,
    next_line: Option<Instant>,
}

fn shown() -> std::sync::MutexGuard<'static, Shown> {
    SHOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProgressDisplay {
    /// Not at all.
    #[default]
    Hidden,
    /// As a bar that is drawn over itself, on a terminal.
    Bar,
    /// As lines, for files and logs.
    Lines {
        /// The time between two lines.
        every: Duration,
    },
}

/// What is shown of a step while it runs.
#[derive(Debug)]
pub struct Progress {
    counters: Arc<Counters>,
    display: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Progress {
    /// Shows a step of which this process has to do `shards` shards, whose records are `unit`s and whose work is measured
    /// in `physical`; `title` names it.
    pub fn new(
        title: String,
        unit: &'static str,
        physical: &'static str,
        shards: u64,
        display: ProgressDisplay,
    ) -> Self {
        let counters = Arc::new(Counters::default());
        let words = Words { title, unit, physical, shards };
        shown().step = Some((words.clone(), Arc::clone(&counters)));
        // With nothing to do there is nothing to show.
        let display = if shards == 0 { ProgressDisplay::Hidden } else { display };
        let (stop, stopped) = bounded::<()>(0);
        let ended = move |wait: Duration| stopped.recv_timeout(wait) != Err(RecvTimeoutError::Timeout);
        let (own, begun) = (Arc::clone(&counters), Instant::now());
        let show: Option<Box<dyn FnOnce() + Send>> = match display {
            ProgressDisplay::Hidden => None,
            ProgressDisplay::Bar => Some(Box::new(move || draw(&words, &own, begun, ended))),
            ProgressDisplay::Lines { every } => Some(Box::new(move || write_lines(&words, &own, begun, every, ended))),
        };
        // A machine that refuses a thread still does the work.
        let thread = show.and_then(|show| thread::Builder::new().name("progress".to_owned()).spawn(show).ok());
        Self { counters, display: thread.map(|thread| (stop, thread)) }
    }

    /// The counters that the shards add to.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Counts one shard that is done.
    pub fn shard_done(&self) {
        self.counters.shard_done();
    }

    /// Removes the bar, and ends the lines.
    pub fn finish(&mut self) {
        if let Some((stop, thread)) = self.display.take() {
            drop(stop);
            let _ = thread.join();
        }
        let mut shown = shown();
        if shown.step.as_ref().is_some_and(|(_, counters)| Arc::ptr_eq(counters, &self.counters)) {
            shown.step = None;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Draws the bar until the step ends.
fn draw(words: &Words, counters: &Counters, begun: Instant, ended: impl Fn(Duration) -> bool) {
    let style = ProgressStyle::with_template("{prefix} [{bar:20}] {wide_msg}").expect("the template is a constant");
    let bar = ProgressBar::new(BAR_LENGTH).with_style(style.progress_chars("=> ")).with_prefix(words.title.clone());
    shown().bar = Some(bar.clone());
    while !ended(TICK) {
        let now = counters.snapshot();
        bar.set_position((words.share(&now) * BAR_LENGTH as f64) as u64);
        bar.set_message(plain(&words.line(&now, begun.elapsed())).into_owned());
    }
    shown().bar = None;
    bar.finish_and_clear();
}

/// Writes a line from time to time until the step ends. The clock goes on from step to step.
fn write_lines(words: &Words, counters: &Counters, begun: Instant, every: Duration, ended: impl Fn(Duration) -> bool) {
    let due = *shown().next_line.get_or_insert(begun + FIRST_LINE.min(every));
    let mut wait = due.saturating_duration_since(Instant::now());
    while !ended(wait) {
        let line = words.line(&counters.snapshot(), begun.elapsed());
        let _ = writeln!(std::io::stderr(), "{}", plain(&format!("{}: {line}", words.title)));
        shown().next_line = Some(Instant::now() + every);
        wait = every;
    }
}

/// Writes to the terminal without damage to the bar that may be drawn there.
pub(crate) fn beside_the_bar<T>(write: impl FnOnce() -> T) -> T {
    let bar = shown().bar.clone();
    match bar {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// What is finished before a stop request ends the process.
pub(crate) fn what_is_finished() -> String {
    let step = shown().step.clone();
    step.map_or_else(
        || "nothing further is begun".to_owned(),
        |(words, counters)| format!("{}: {}", words.title, finished_first(&counters.active())),
    )
}

/// What becomes of the shards in progress.
fn finished_first(active: &[Arc<ShardCounters>]) -> String {
    const NAMED: usize = 4;
    if let Some(words) = active.iter().find_map(|shard| shard.on_stop()) {
        return words.to_owned();
    }
    let one = |shard: &Arc<ShardCounters>| match shard.fraction(None) {
        Some(share) => format!("{} ({:.0} % done)", shard.name(), 100.0 * share),
        None => shard.name().to_owned(),
    };
    let mut names: Vec<String> = active.iter().take(NAMED).map(one).collect();
    if active.len() > NAMED {
        names.push("…".to_owned());
    }
    match active.len() {
        0 => "no further shard is begun".to_owned(),
        1 => format!("the shard in progress is finished first: {}", names.join(", ")),
        n => format!("the {n} shards in progress are finished first: {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_request_names_what_is_finished() {
        let step = Arc::new(Counters::default());
        assert_eq!(finished_first(&step.active()), "no further shard is begun");
        let first = step.begin("00000");
        let second = step.begin("00001");
        second.expect(8);
        second.add_read(2);
        let said = finished_first(&step.active());
        assert_eq!(said, "the 2 shards in progress are finished first: 00000, 00001 (25 % done)");
        drop(first);
        assert_eq!(finished_first(&step.active()), "the shard in progress is finished first: 00001 (25 % done)");
        second.set_on_stop("no further text is asked about");
        assert_eq!(finished_first(&step.active()), "no further text is asked about");
    }
}
