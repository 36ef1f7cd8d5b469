//! Rate limiting and retries of requests to a site.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use audsem_core::reason::Reason as _;
use audsem_core::signals::sleep_until;
use audsem_llm::RetryPolicy;

use super::{FaultKind, FetchFault, Trouble};
use crate::error::Error;

/// Spreads requests of all workers evenly over time.
#[derive(Debug)]
pub struct Pace {
    interval: Duration,
    retry: RetryPolicy,
    next: Mutex<Option<Instant>>,
}

impl Pace {
    /// At most this many requests an hour; `retry` says how often and after what waits a failure is
    /// tried again.
    pub fn new(requests_per_hour: f64, retry: RetryPolicy) -> Self {
        Self { interval: Duration::from_secs_f64(3600.0 / requests_per_hour), retry, next: Mutex::new(None) }
    }

    /// Reserves the next free slot at or after `now`.
    fn reserve(&self, now: Instant) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = next.map_or(now, |next| next.max(now));
        *next = Some(slot + self.interval);
        slot
    }

    /// Keeps every worker from asking for a while.
    fn hold(&self, wait: Duration) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        *next = (*next).max(Some(Instant::now() + wait));
    }

    /// Runs `attempt` on the video `key` until it succeeds, fails for good, or the retries are used up.
    /// A site that blocks us ends the run: at once if it suspects a bot, after the retries
    /// if it only asks for fewer requests.
    ///
    /// # Errors
    /// The last [`Trouble`].
    pub fn attempts<T>(&self, key: &str, mut attempt: impl FnMut() -> Result<T, Trouble>) -> Result<T, Trouble> {
        for n in 0.. {
            if !sleep_until(self.reserve(Instant::now())) {
                return Err(Trouble::Stopped);
            }
            let (fault, detail) = match attempt() {
                Err(Trouble::Fetch(fault, detail)) => (fault, detail),
                other => return other,
            };
            let last = n >= self.retry.retries;
            match fault.kind() {
                FaultKind::Blocked if last || fault == FetchFault::BotCheck => {
                    return Err(Trouble::Fatal(Error::Blocked { key: key.to_owned(), detail }));
                }
                FaultKind::Refused | FaultKind::Permanent => return Err(Trouble::Fetch(fault, detail)),
                FaultKind::Retryable if last => return Err(Trouble::Fetch(fault, detail)),
                kind => {
                    let wait = self.retry.wait(key, n, None);
                    tracing::info!(key, fault = fault.name(), detail, wait_s = wait.as_secs_f64(), "will try again");
                    if kind == FaultKind::Blocked {
                        self.hold(wait);
                    } else if !sleep_until(Instant::now() + wait) {
                        return Err(Trouble::Stopped);
                    }
                }
            }
        }
        Err(Trouble::Stopped)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn pace(retries: u32) -> Pace {
        Pace::new(3.6e9, RetryPolicy { retries, base: Duration::from_micros(1), cap: Duration::from_micros(2) })
    }

    #[test]
    fn requests_are_spread_over_the_hour() {
        let pace = Pace::new(360.0, RetryPolicy::default());
        let start = Instant::now();
        let slots: Vec<u64> = (0..4).map(|_| (pace.reserve(start) - start).as_secs()).collect();
        assert_eq!(slots, [0, 10, 20, 30]);
        // A long pause does not allow a burst afterwards.
        let later = start + Duration::from_secs(1000);
        assert_eq!([pace.reserve(later), pace.reserve(later)], [later, later + Duration::from_secs(10)]);
    }

    #[test]
    fn budget_depends_on_the_kind_of_failure() {
        let check = |fault: FetchFault, tries: u32, blocked: bool| {
            let mut n = 0;
            let result: Result<(), Trouble> = pace(2).attempts("v", || {
                n += 1;
                Err(Trouble::Fetch(fault, "said".into()))
            });
            assert_eq!(n, tries, "{fault:?}");
            assert_eq!(matches!(result, Err(Trouble::Fatal(Error::Blocked { .. }))), blocked, "{fault:?}");
        };
        check(FetchFault::Gone, 1, false);
        check(FetchFault::Network, 3, false);
        check(FetchFault::Throttled, 3, true);
        check(FetchFault::BotCheck, 1, true);
    }

    #[test]
    fn success_after_failures_is_a_success() {
        let mut n = 0;
        let result = pace(2).attempts("v", || {
            n += 1;
            if n < 3 { Err(Trouble::Fetch(FetchFault::Incomplete, String::new())) } else { Ok(n) }
        });
        assert_eq!(result.unwrap(), 3);
    }
}
