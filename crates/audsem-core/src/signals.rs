//! Stop requests: after SIGINT or SIGTERM the shards in progress are committed; a second signal ends the process at once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

static STOP: LazyLock<Arc<AtomicBool>> = LazyLock::new(|| Arc::new(AtomicBool::new(false)));

/// Number of the signal that asked for the stop; 0 before one came.
static SIGNAL: LazyLock<Arc<AtomicUsize>> = LazyLock::new(|| Arc::new(AtomicUsize::new(0)));

/// Exit code of a process ended by a second SIGINT, as shells report it (128 + 2).
const EXIT_INTERRUPTED: i32 = 130;

/// How often a waiting thread checks for a stop request.
pub const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Installs the handlers. Call once, early in `main`.
///
/// # Errors
/// When the operating system refuses a handler.
pub fn install() -> std::io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        // The order matters: the conditional exit sees the flag of the *previous* signal.
        flag::register_conditional_shutdown(signal, EXIT_INTERRUPTED, Arc::clone(&STOP))?;
        flag::register(signal, Arc::clone(&STOP))?;
        flag::register_usize(signal, Arc::clone(&SIGNAL), usize::try_from(signal).unwrap_or_default())?;
    }
    Ok(())
}

/// Whether the user or the scheduler has asked this process to stop.
pub fn stop_requested() -> bool {
    STOP.load(Ordering::Relaxed)
}

/// The exit code of a process that a stop request kept from its work, as shells report it: 128 and the number of the
/// signal. `None` if no stop was requested.
pub fn stop_exit_code() -> Option<u8> {
    let signal = SIGNAL.load(Ordering::Relaxed);
    if signal == 0 { None } else { u8::try_from(128 + signal).ok() }
}

/// Sleeps until a point in time. Returns false, without further waiting, if a stop is requested before.
pub fn sleep_until(moment: Instant) -> bool {
    loop {
        if stop_requested() {
            return false;
        }
        match moment.checked_duration_since(Instant::now()) {
            Some(wait) if !wait.is_zero() => thread::sleep(wait.min(POLL_INTERVAL)),
            _ => return true,
        }
    }
}
