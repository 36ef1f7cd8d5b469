//! A cache of the vectors of repeated captions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Memory for vectors. Captions are heavily repeated and frequent ones occur early, so caching a fixed number of the
/// first ones is nearly as good as caching all.
const MAX_BYTES: usize = 256 << 20;

/// Vectors by caption, shared by all workers. Its content affects speed only: a caption's vector is the same
/// whenever it is computed.
#[derive(Debug)]
pub(super) struct CaptionCache {
    vectors: Mutex<HashMap<String, Arc<[f32]>>>,
    capacity: usize,
}

impl CaptionCache {
    /// For vectors of `dim` numbers.
    pub(super) fn new(dim: usize) -> Self {
        Self { vectors: Mutex::default(), capacity: MAX_BYTES / (dim * size_of::<f32>()).max(1) }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<[f32]>>> {
        self.vectors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The known ones among `captions`.
    pub(super) fn get(&self, captions: &[&str]) -> Vec<Option<Arc<[f32]>>> {
        let vectors = self.lock();
        captions.iter().map(|caption| vectors.get(*caption).cloned()).collect()
    }

    /// Keeps a vector, if there is room.
    pub(super) fn keep(&self, caption: &str, vector: &Arc<[f32]>) {
        let mut vectors = self.lock();
        if vectors.len() < self.capacity {
            vectors.insert(caption.to_owned(), Arc::clone(vector));
        }
    }
}
