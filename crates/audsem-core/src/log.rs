//! Human-readable logging on stderr.

use crate::terminal::{LogStream, may_be_coloured};
use tracing_subscriber::filter::{EnvFilter, LevelFilter};

/// Starts logging to stderr. Warnings by default; `verbose` adds info, debug, then everything;
/// `quiet` leaves only errors. `AUDSEM_LOG` (in `tracing`'s filter syntax) overrides both.
pub fn init(verbose: u8, quiet: bool) {
    let level = match (quiet, verbose) {
        (true, _) => LevelFilter::ERROR,
        (false, 0) => LevelFilter::WARN,
        (false, 1) => LevelFilter::INFO,
        (false, 2) => LevelFilter::DEBUG,
        (false, _) => LevelFilter::TRACE,
    };
    let filter = EnvFilter::builder().with_default_directive(level.into()).with_env_var("AUDSEM_LOG").from_env_lossy();
    let logger =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| LogStream).with_target(false).without_time();
    let logger = logger.with_ansi(may_be_coloured(&std::io::stderr()));
    // A second call (tests run the library more than once in a process) keeps the first logger.
    let _ = logger.try_init();
}
