//! The row types of what is computed from embeddings. Those of the embeddings themselves are in [`audsem_core::tables`].

use audsem_core::row;

row! {
    table "scores";
    /// How one clip or caption lies to a reference. Written by `audsem-clip-embeddings score`.
    pub struct Score / ScoreRef / ScoreColumns / ScoreBuffers {
        /// The clip's tar key, as in the embeddings.
        pub key: String,
        /// Name of the set the embedding came from.
        pub source: String,
        /// `audio` or `text`.
        pub modality: String,
        /// 1 − the mean cosine to the reference, 0 to 2: above 0.95 the mean cosine is below 0.05.
        pub dissimilarity: f32,
        /// The largest cosine to a reference vector, with `--score knn`.
        pub nearest: Option<f32>,
        /// The mean of the `--top-k` largest cosines to reference vectors, with `--score knn`.
        pub mean_top_k: Option<f32>,
    }
}

row! {
    table "contamination";
    /// A clip or caption that comes near an item of a benchmark. Written by
    /// `audsem-clip-embeddings contamination`.
    pub struct Contamination / ContaminationRef / ContaminationColumns / ContaminationBuffers {
        /// The clip's tar key, as in the embeddings.
        pub key: String,
        /// Name of the set the embedding came from.
        pub source: String,
        /// Name of the benchmark.
        pub benchmark: String,
        /// The benchmark's item.
        pub benchmark_key: String,
        /// 0 for the nearest item of that benchmark, 1 for the next.
        pub rank: u32,
        /// Their cosine.
        pub cosine: f32,
    }
}

row! {
    table "duplicates";
    /// A clip or caption that repeats an earlier one of the same run. Written by
    /// `audsem-clip-embeddings contamination`.
    pub struct Duplicate / DuplicateRef / DuplicateColumns / DuplicateBuffers {
        /// The later one.
        pub key: String,
        /// Name of the set it came from.
        pub source: String,
        /// The earlier one.
        pub of_key: String,
        /// Name of the set the earlier one came from.
        pub of_source: String,
        /// `key` (the same key), `vector` (the same numbers) or `near` (a cosine of at least
        /// `--near-duplicates`).
        pub kind: String,
        /// Their cosine; absent for `key`, whose vectors are not compared.
        pub cosine: Option<f32>,
    }
}

row! {
    table "matches";
    /// How well a clip matches its own caption. Written by `audsem-clip-embeddings match`.
    pub struct CaptionMatch / CaptionMatchRef / CaptionMatchColumns / CaptionMatchBuffers {
        /// The clip's tar key.
        pub key: String,
        /// Name of the set the clip's embedding came from.
        pub source: String,
        /// The caption.
        pub text: String,
        /// Cosine of the two embeddings.
        pub cosine: f32,
    }
}

#[cfg(test)]
mod tests {
    use audsem_core::tables::schema_markdown;
    use audsem_core::testing::assert_formats_part;

    use super::*;

    #[test]
    fn docs_formats_md_is_current() {
        let fresh = [
            schema_markdown::<Score>(),
            schema_markdown::<Contamination>(),
            schema_markdown::<Duplicate>(),
            schema_markdown::<CaptionMatch>(),
        ]
        .concat();
        assert_formats_part("tables of audsem-clip-embeddings", &fresh);
    }
}
