//! The row types of embeddings, which more than one stage makes and reads.
//!
//! Tables of embeddings have a further column `vec`, which [`super::VectorFile`] reads and
//! [`super::VectorWriter`] writes.

use crate::row;

row! {
    table "audio embeddings";
    /// The embedding of one clip. Written by `audsem-clip-embeddings embed-audio`.
    pub struct AudioEmbedding / AudioEmbeddingRef / AudioEmbeddingColumns / AudioEmbeddingBuffers {
        /// The clip's tar key, or the name of a sound that is not a clip.
        pub key: String,
        /// File name of the shard it lies in, or the sound's own path in its folder.
        pub shard: String,
        /// Samples of the clip at the model's sampling rate, before it was cut or repeated.
        pub n_samples: u32,
        /// Whether it is longer than the input window of the model.
        pub is_longer: bool,
    }
}

row! {
    table "text embeddings";
    /// The embedding of the caption of one clip. Written by `audsem-clip-embeddings embed-text`.
    pub struct TextEmbedding / TextEmbeddingRef / TextEmbeddingColumns / TextEmbeddingBuffers {
        /// The clip's tar key.
        pub key: String,
        /// The caption.
        pub text: String,
        /// XXH3 of the caption (64 bits, seed 0).
        pub text_hash: u64,
    }
}

row! {
    table "embedding keys";
    /// The one column that all tables of embeddings share.
    pub struct EmbeddingKey / EmbeddingKeyRef / EmbeddingKeyColumns / EmbeddingKeyBuffers {
        /// The clip's tar key.
        pub key: String,
    }
}
