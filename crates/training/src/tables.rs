//! The row type of manifests.

use audsem_core::row;

row! {
    /// A numeric field of an example's JSON.
    pub struct NamedNumber / NamedNumberRef / NamedNumberColumns / NamedNumberBuffers {
        /// Name of the field.
        pub name: String,
        /// Value of the field.
        pub value: f64,
    }
}

row! {
    table "training manifest";
    /// One training example: where its text and its sound lie in a shard. Written by `audsem-training index`.
    pub struct ManifestRow / ManifestRef / ManifestColumns / ManifestBuffers {
        /// Path of the shard, as `index` was told it.
        pub tar: String,
        /// WebDataset key of the sample.
        pub key: String,
        /// Number of the pair in `qa_pairs`, from 0, where the sample holds several.
        pub pair: Option<u32>,
        /// Key of the clip: that of the sample without `_qa_N`.
        pub clip: String,
        /// Id of the video, where the clip is named after one.
        pub video_id: Option<String>,
        /// Where the JSON begins in the shard.
        pub json_offset: u64,
        /// Bytes of the JSON.
        pub json_bytes: u64,
        /// SHA-256 of the JSON, hexadecimal.
        pub json_sha256: String,
        /// Where the sound begins in the shard.
        pub audio_offset: u64,
        /// Bytes of the sound.
        pub audio_bytes: u64,
        /// Suffix of the sound's name, such as `flac`.
        pub audio_suffix: String,
        /// Length of the sound as its FLAC header states it, milliseconds; used for sorting and estimates alone.
        pub duration_ms: Option<u32>,
        /// Bytes of question, reasoning, semantic elements and answer together.
        pub text_bytes: u32,
        /// Numeric fields of the JSON, by which a curriculum can be sorted.
        pub numbers: Vec<NamedNumber>,
    }
}

#[cfg(test)]
mod tests {
    use audsem_core::tables::schema_markdown;
    use audsem_core::testing::assert_formats_part;

    use super::*;
    use crate::hand_over::VerlRow;

    #[test]
    fn docs_formats_md_is_current() {
        let fresh = [schema_markdown::<ManifestRow>(), schema_markdown::<VerlRow>()].concat();
        assert_formats_part("tables of audsem-training", &fresh);
    }
}
