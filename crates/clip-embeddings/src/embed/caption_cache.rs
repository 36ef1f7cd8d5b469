//! A cache of the vectors of repeated captions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Memory for vectors. Captions are heavily repeated and frequent ones occur early, so caching a fixed number of the
/// first ones is nearly as good as caching all.
const MAX_BYTES: usize = 256 << 20;

/// What the model makes of a caption.
#[derive(Debug, Clone)]
pub(super) struct EmbeddedCaption {
    pub vector: Arc<[f32]>,
    /// Whether the caption has more tokens than the model takes, so that its end is not in the vector.
    pub truncated: bool,
}

/// Vectors by caption, shared by all workers. Its content affects speed only: a caption's vector is the same
/// whenever it is computed.
#[derive(Debug)]
pub(super) struct CaptionCache {
    captions: Mutex<HashMap<String, EmbeddedCaption>>,
    capacity: usize,
}

impl CaptionCache {
    /// For vectors of `dim` numbers.
    pub(super) fn new(dim: usize) -> Self {
        Self { captions: Mutex::default(), capacity: MAX_BYTES / (dim * size_of::<f32>()).max(1) }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, EmbeddedCaption>> {
        self.captions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Divides captions into those that are known and the others.
    pub(super) fn divide<'a>(
        &self,
        captions: impl Iterator<Item = &'a str>,
    ) -> (HashMap<&'a str, EmbeddedCaption>, Vec<&'a str>) {
        let known = self.lock();
        let (mut found, mut unknown) = (HashMap::new(), Vec::new());
        for caption in captions {
            match known.get(caption) {
                Some(embedded) => drop(found.insert(caption, embedded.clone())),
                None => unknown.push(caption),
            }
        }
        (found, unknown)
    }

    /// Keeps what the model made of a caption, if there is room.
    pub(super) fn keep(&self, caption: &str, embedded: &EmbeddedCaption) {
        let mut captions = self.lock();
        if captions.len() < self.capacity {
            captions.insert(caption.to_owned(), embedded.clone());
        }
    }
}
