//! The row type of the index of tars.

use audsem_core::row;

row! {
    table "tar index";
    /// One file inside a tar. Written by `audsem-tarify index`.
    pub struct TarMember / TarMemberRef / TarMemberColumns / TarMemberBuffers {
        /// File name of the tar, relative to the indexed folder.
        pub tar: String,
        /// WebDataset key of the sample the file belongs to.
        pub key: String,
        /// What follows the key in the member's name, lower-cased, without the first dot.
        pub suffix: String,
        /// Id of the video, where the sample names a clip.
        pub video_id: Option<String>,
        /// Start of the clip in the video, milliseconds.
        pub start_ms: Option<u32>,
        /// End of the clip in the video, milliseconds.
        pub end_ms: Option<u32>,
        /// Where the file's bytes begin in the (uncompressed) tar.
        pub offset: u64,
        /// Number of bytes in the file.
        pub n_bytes: u64,
    }
}

#[cfg(test)]
mod tests {
    use audsem_core::tables::schema_markdown;
    use audsem_core::testing::assert_formats_part;

    use super::*;

    #[test]
    fn docs_formats_md_is_current() {
        let fresh = schema_markdown::<TarMember>();
        assert_formats_part("tables of audsem-tarify", &fresh);
    }
}
