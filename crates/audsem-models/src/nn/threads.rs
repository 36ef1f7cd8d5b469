//! The number of threads that networks run on.

/// Sets the number of threads of the pool that networks and matrix products run on; the default, all cores, is too many
/// for a job that has only a part of a machine. Call it once, before the first network is run.
pub fn limit_threads(threads: usize) {
    if let Err(error) = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global() {
        // A program that uses this library has a pool already, and has chosen its size.
        tracing::debug!("the number of threads was not changed: {error}");
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
