//! The thread that trains.

use audsem_core::run::ShardError;

/// Stack of the thread that trains: candle drops long graphs by recursion.
pub const STACK_BYTES: usize = 64 << 20;

/// Does the work of a shard in a thread whose stack is large enough for the graphs of a network.
///
/// # Errors
/// Those of `work`; or there is no memory for the thread.
pub fn in_training_thread<T: Send>(work: impl FnOnce() -> Result<T, ShardError> + Send) -> Result<T, ShardError> {
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().name("training".to_owned()).stack_size(STACK_BYTES);
        let thread = builder.spawn_scoped(scope, work).map_err(ShardError::fatal)?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Uses more stack than the threads of tests have.
    fn deep(n: usize) -> u64 {
        let block = std::hint::black_box([n as u8; 1024]);
        let below = if n == 0 { 0 } else { deep(n - 1) };
        below + u64::from(block[n % 1024])
    }

    #[test]
    fn there_is_room_for_deep_graphs_and_errors_come_back() {
        assert!(in_training_thread(|| Ok(deep(30_000))).unwrap() > 0);
        let failed = in_training_thread(|| Err::<(), _>(ShardError::Stopped));
        assert!(matches!(failed, Err(ShardError::Stopped)));
    }
}
