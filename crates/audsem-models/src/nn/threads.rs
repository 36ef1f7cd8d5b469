//! The number of threads that networks run on.

/// Sets the number of threads of the pool that networks and matrix products run on; the default, all cores, is too many
/// for a job that has only a part of a machine. Call it once, before the first network is run.
pub fn limit_threads(threads: usize) {
    if let Err(error) = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global() {
        // A program that uses this library has a pool already, and has chosen its size.
        tracing::debug!("the number of threads was not changed: {error}");
    }
}

/// Settles how many threads candle uses, by the environment variables that it heeds and nothing else; what they are set to
/// already stays.
///
/// For plain operations it has threads besides those that [`limit_threads`] counts. After each sum of two tensors they
/// wait in a loop for the next one and take a core from the product that follows instead: on a busy machine that was a third
/// of the time that the processor took for a training step. They are left out. For products it reads all of `/proc/cpuinfo`
/// before each one, unless it is told a number: that was a tenth of what a training step does on one thread.
///
/// # Safety
/// No other thread runs yet: to be called first in `main`.
#[allow(unsafe_code, reason = "environment variables of this process")]
pub unsafe fn settle_candle_threads() {
    let products = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    for (variable, threads) in [("CANDLE_NUM_THREADS", 1), ("RAYON_NUM_THREADS", products)] {
        if std::env::var_os(variable).is_none() {
            // SAFETY: the caller vouches that nothing else reads or writes the environment.
            unsafe { std::env::set_var(variable, threads.to_string()) };
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn networks_keep_to_the_number_of_workers() {
        super::limit_threads(3);
        assert_eq!(rayon::current_num_threads(), 3);
        super::limit_threads(5);
        assert_eq!(rayon::current_num_threads(), 3, "there is one pool, and it stays");
    }
}
