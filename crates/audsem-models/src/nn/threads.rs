//! How many threads networks run on.

/// Gives the pool that networks and matrix products run on so many threads: all there are is too many where a job has
/// been given a part of a machine. Call it once, before the first network is run.
pub fn limit_threads(threads: usize) {
    if let Err(error) = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global() {
        // A program that uses this library has a pool already, and has chosen its size.
        tracing::debug!("the threads stay as they are: {error}");
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
