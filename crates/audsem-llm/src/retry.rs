//! Retry policy.

use std::time::Duration;

use serde::Serialize;

/// Exponential back-off with jitter. Waits never change an answer, but they are a deterministic function of the
/// request and the attempt, so that a run can be reproduced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RetryPolicy {
    /// Further attempts after the first.
    pub retries: u32,
    /// Wait before the first retry; doubles from there.
    pub base: Duration,
    /// Upper bound of one wait.
    pub cap: Duration,
}

impl Default for RetryPolicy {
    /// Six retries from half a second to half a minute, which bridges a server restart of about a minute.
    fn default() -> Self {
        Self { retries: 6, base: Duration::from_millis(500), cap: Duration::from_secs(30) }
    }
}

/// Longest `Retry-After` that is obeyed; a server that asks for more is treated as asking for this.
const RETRY_AFTER_CAP: Duration = Duration::from_secs(600);

impl RetryPolicy {
    /// The wait before retry number `attempt` (from 0) of the request filed under `key`: a share
    /// between half and all of `base · 2^attempt`, capped; what the server asked for wins if longer.
    #[must_use]
    pub fn wait(&self, key: &str, attempt: u32, retry_after: Option<Duration>) -> Duration {
        let full = self.base.saturating_mul(1u32.checked_shl(attempt).unwrap_or(u32::MAX)).min(self.cap);
        let hash = xxhash_rust::xxh3::xxh3_64_with_seed(key.as_bytes(), u64::from(attempt));
        // The upper 53 bits, as a fraction in [0, 1).
        let fraction = (hash >> 11) as f64 / (1u64 << 53) as f64;
        let own = full.mul_f64(0.5 + 0.5 * fraction);
        own.max(retry_after.unwrap_or_default().min(RETRY_AFTER_CAP))
    }
}

/// Statuses after which the same request may succeed: timeouts, conflicts with other requests, too
/// many requests, and all server errors.
pub(super) fn is_retryable(status: u16) -> bool {
    matches!(status, 408 | 409 | 425 | 429) || status >= 500
}

/// Reads a `Retry-After` header: seconds, or a date as HTTP writes it, seen from `now_unix_s`.
pub(super) fn retry_after(header: &str, now_unix_s: u64) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    Some(Duration::from_secs(http_date(header)?.saturating_sub(now_unix_s)))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7) as seconds since 1970.
fn http_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split_once(", ")?.1.split(' ');
    let day: u64 = words.next()?.parse().ok()?;
    let month = words.next()?;
    let month = MONTHS.iter().position(|m| *m == month)? as u64 + 1;
    let year: u64 = words.next().and_then(|y| y.parse().ok()).filter(|y| (1970..10_000).contains(y))?;
    let mut clock = words.next()?.split(':').map(str::parse::<u64>);
    let (hour, minute, second) = (clock.next()?.ok()?, clock.next()?.ok()?, clock.next()?.ok()?);
    // Days since 1970-01-01, counting years from March so that the leap day comes last.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_stay_under_the_cap_and_repeat() {
        let policy = RetryPolicy { retries: 9, base: Duration::from_secs(1), cap: Duration::from_secs(20) };
        for attempt in 0..40 {
            let full = (2f64.powi(attempt as i32)).min(20.0);
            let wait = policy.wait("k", attempt, None).as_secs_f64();
            assert!((full / 2.0..=full).contains(&wait), "attempt {attempt}: {wait} of {full}");
            assert_eq!(policy.wait("k", attempt, None), policy.wait("k", attempt, None));
        }
        assert_ne!(policy.wait("k", 3, None), policy.wait("other", 3, None), "no jitter between requests");
    }

    #[test]
    fn server_may_ask_for_a_longer_wait_but_not_for_a_day() {
        let policy = RetryPolicy { retries: 1, base: Duration::from_secs(1), cap: Duration::from_secs(2) };
        assert_eq!(policy.wait("k", 0, Some(Duration::from_secs(7))), Duration::from_secs(7));
        assert_eq!(policy.wait("k", 0, Some(Duration::from_secs(86_400))), RETRY_AFTER_CAP);
    }

    #[test]
    fn retry_after_forms() {
        let check = |header: &str, expected: Option<f64>| {
            assert_eq!(retry_after(header, 784_111_770).map(|d| d.as_secs_f64()), expected, "{header}");
        };
        check("7", Some(7.0));
        check(" 0.25 ", Some(0.25));
        check("Sun, 06 Nov 1994 08:49:37 GMT", Some(7.0));
        check("Sun, 06 Nov 1994 08:00:00 GMT", Some(0.0));
        check("Tue, 29 Feb 2000 00:00:00 GMT", Some(951_782_400.0 - 784_111_770.0));
        check("-3", None);
        check("soon", None);
        check("Sun, 06 Nov", None);
    }
}
