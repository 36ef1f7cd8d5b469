//! Stop requests: after SIGINT or SIGTERM what is in progress is committed; a second signal ends the process at once.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Once};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;

use crate::progress;
use crate::terminal::plain;

static STOP: LazyLock<Arc<AtomicBool>> = LazyLock::new(|| Arc::new(AtomicBool::new(false)));

/// Whether people are told what a stop request does.
static TELL: AtomicBool = AtomicBool::new(false);

/// Keeps a second request from telling people again.
static TOLD: Once = Once::new();

/// Exit code of a process that ended on request before its work was done.
pub const EXIT_STOPPED: u8 = 3;

/// Exit code of a process ended by a second signal, as shells report SIGINT (128 + 2).
pub const EXIT_AT_ONCE: i32 = 130;

/// How often a waiting thread checks for a stop request.
pub const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Installs the handlers. Call once, early in `main`. With `tell`, the first signal says on stderr what is finished.
///
/// # Errors
/// When the operating system refuses a handler.
pub fn install(tell: bool) -> std::io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        // The order matters: the conditional exit sees the flag of the *previous* signal.
        flag::register_conditional_shutdown(signal, EXIT_AT_ONCE, Arc::clone(&STOP))?;
        flag::register(signal, Arc::clone(&STOP))?;
    }
    TELL.store(tell, Ordering::Relaxed);
    // A handler may not write; a thread does. Where there is none, `main` tells at its end.
    if let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) {
        let wait = move || {
            if signals.forever().next().is_some() {
                tell_of_stop();
            }
        };
        let _ = thread::Builder::new().name("signals".to_owned()).spawn(wait);
    }
    Ok(())
}

/// Tells once, on stderr, what the stop request does.
pub(crate) fn tell_of_stop() {
    if !TELL.load(Ordering::Relaxed) {
        return;
    }
    TOLD.call_once(|| {
        let text = format!(
            "stopping: {}\na second signal (Ctrl-C) ends at once; what is then in progress is done anew by the next run",
            progress::what_is_finished()
        );
        progress::beside_the_bar(|| {
            let _ = writeln!(std::io::stderr(), "{}", plain(&text));
        });
    });
}

/// Whether the user or the scheduler has asked this process to stop.
pub fn stop_requested() -> bool {
    STOP.load(Ordering::Relaxed)
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
