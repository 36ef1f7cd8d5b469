//! The words of the progress line.

use std::time::Duration;

use super::counters::Snapshot;
use crate::terminal::{counted, thousands};

/// What a step is called in its progress line, and what it counts.
#[derive(Debug, Clone)]
pub(super) struct Words {
    /// The command, with the step if it is not the main one.
    pub(super) title: String,
    /// What a record is, in the plural.
    pub(super) unit: &'static str,
    /// The unit of physical work; empty if there is none.
    pub(super) physical: &'static str,
    /// Shards that this process has to do.
    pub(super) shards: u64,
}

impl Words {
    /// How far the step is after `elapsed`, without its title.
    pub(super) fn line(&self, now: &Snapshot, elapsed: Duration) -> String {
        let seconds = elapsed.as_secs_f64().max(1e-3);
        let mut parts = Vec::new();
        if self.shards != 1 {
            parts.push(format!("{} of {} shards", thousands(now.shards), thousands(self.shards)));
        }
        if now.note.is_empty() {
            parts.extend(self.numbers(now, seconds));
            parts.extend(self.left(now, seconds).map(|left| format!("{} left", time(left))));
        } else {
            parts.push(now.note.clone());
        }
        parts.join(", ")
    }

    fn numbers(&self, now: &Snapshot, seconds: f64) -> Vec<String> {
        if now.records == 0 && now.physical == 0.0 {
            return vec![format!("no {} yet after {}", self.unit, time(seconds))];
        }
        // Of one shard the number of records may be known; of several only that of those in progress.
        let of = now.expected.filter(|_| self.shards == 1);
        let mut rates = vec![format!("{}/s", short(now.records as f64 / seconds))];
        if now.physical > 0.0 && !self.physical.is_empty() {
            rates.push(format!("{} {}/s", short(now.physical / seconds), self.physical));
        }
        let records = match of {
            Some(all) => format!("{} of {}", thousands(now.records), counted(all, self.unit)),
            None => counted(now.records, self.unit),
        };
        let mut parts = vec![format!("{records} ({})", rates.join(", "))];
        if now.read > 0 {
            parts.push(format!("{:.1} % kept", 100.0 * now.kept as f64 / now.read as f64));
        }
        parts
    }

    /// Seconds until the last shard is done, if all goes on as before.
    fn left(&self, now: &Snapshot, seconds: f64) -> Option<f64> {
        let passed = now.passed.filter(|passed| *passed > 0.0)?;
        Some((self.shards as f64 - passed).max(0.0) / passed * seconds)
    }

    /// The share of the step that is done, from 0 to 1.
    pub(super) fn share(&self, now: &Snapshot) -> f64 {
        (now.passed.unwrap_or(0.0) / (self.shards.max(1)) as f64).min(1.0)
    }
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

/// A time in one or two units: `42 s`, `7 min`, `3 h 20 min`, `2 d 4 h`.
fn time(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..120 => format!("{whole} s"),
        120..7_200 => format!("{} min", (whole + 30) / 60),
        7_200..172_800 => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(shards: u64) -> Words {
        Words { title: "extract".to_owned(), unit: "cues", physical: "MB", shards }
    }

    #[test]
    fn the_line_names_records_rates_the_share_kept_and_the_time_left() {
        let now = Snapshot {
            shards: 3,
            records: 3_000_000,
            read: 3_000_000,
            kept: 30_000,
            physical: 500.5,
            passed: Some(3.0),
            ..Snapshot::default()
        };
        let line = words(12).line(&now, Duration::from_secs(60));
        assert_eq!(line, "3 of 12 shards, 3,000,000 cues (50.0 k/s, 8.3 MB/s), 1.0 % kept, 3 min left");
        let noted = Snapshot { note: "step 3: loss 1.5".to_owned(), ..now };
        assert_eq!(words(1).line(&noted, Duration::from_secs(60)), "step 3: loss 1.5");
    }

    #[test]
    fn one_shard_of_known_length_tells_how_far_it_is() {
        let now = Snapshot { records: 250, passed: Some(0.25), expected: Some(1000), ..Snapshot::default() };
        let line = words(1).line(&now, Duration::from_secs(50));
        assert_eq!(line, "250 of 1,000 cues (5.0/s), 3 min left");
        assert_eq!(words(1).line(&Snapshot::default(), Duration::from_secs(5)), "no cues yet after 5 s");
    }

    #[test]
    fn times_have_at_most_two_units() {
        for (seconds, expected) in [(0.4, "0 s"), (119.0, "119 s"), (420.0, "7 min"), (12_000.0, "3 h 20 min")] {
            assert_eq!(time(seconds), expected);
        }
        assert_eq!(time(187_200.0), "2 d 4 h");
    }
}
