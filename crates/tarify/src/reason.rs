//! Why `pack`, `rename` or `transcode` drop or fail a clip or a member.

audsem_core::reasons! {
    /// A rule left it out.
    pub enum DropReason {
        BadName = "bad_name": "the file name is not a clip name: VIDEO_ID (START-END).EXTENSION",
        DuplicateKey = "duplicate_key": "an earlier clip has the same key",
        NoMetadata = "no_metadata": "the clip table has no row for this clip" => "--table",
        NoAudio = "no_audio": "the clip has no sound track",
        NoVideo = "no_video": "the clip has no picture track",
        NotAClip = "not_a_clip": "the member names no clip, and --unmatched is `drop`, or else its name has no dot to make a key of" => "--unmatched",
    }
}

audsem_core::reasons! {
    /// Why a sample is broken.
    pub enum Fault {
        Undecodable = "undecodable": "ffmpeg cannot read or write the clip",
        Truncated = "truncated": "the clip is truncated",
        Incomplete = "incomplete": "the transcoded clip is shorter than the clip",
        TimedOut = "timed_out": "ffmpeg did not end within --timeout" => "--timeout",
        Unreadable = "unreadable": "the clip's file cannot be read",
        Unwritable = "unwritable": "a tar cannot hold the sample under this key",
        BadTableRow = "bad_table_row": "the row of the clip table names no video, or its times cannot be parsed",
        BadSample = "bad_sample": "the sample of the input tar has a repeated, oversized or wrongly named member; `audsem-tarify rename` mends names",
    }
}
