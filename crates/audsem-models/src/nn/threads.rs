//! The number of threads that networks run on.

/// Sets the number of threads of the pool that networks and matrix products run on; the default, all cores, is too many
/// for a job that has only a part of a machine. Call it once, before the first network is run.
pub fn limit_threads(threads: usize) {
    if let Err(error) = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global() {
        // A program that uses this library has a pool already, and has chosen its size.
        tracing::debug!("the number of threads was not changed: {error}");
    }
}

/// Leaves out the threads that candle has for its plain operations besides those that [`limit_threads`] counts. After each
/// sum of two tensors they wait in a loop for the next one and take a core from the product that follows instead: on a busy
/// machine that was a third of the time that the processor took for a training step. They heed an environment variable, and
/// nothing else; what it is set to
/// already stays.
///
/// # Safety
/// No other thread runs yet: to be called first in `main`.
#[allow(unsafe_code, reason = "an environment variable of this process")]
pub unsafe fn leave_out_spinning_threads() {
    const VARIABLE: &str = "CANDLE_NUM_THREADS";
    if std::env::var_os(VARIABLE).is_none() {
        // SAFETY: the caller vouches that nothing else reads or writes the environment.
        unsafe { std::env::set_var(VARIABLE, "1") };
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
