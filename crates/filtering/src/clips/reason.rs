//! Why a clip is left out.

audsem_core::reasons! {
    /// Why a clip that can be read is dropped.
    pub enum DropReason {
        NoClipRow = "no_clip_row": "no row of the clip table has this video and start" => "--table",
        Duplicate = "duplicate": "an earlier file is the same clip",
        TooShort = "too_short": "it lasts less than the minimum" => "--min-duration" ["/limits/min_s"],
        TooLong = "too_long": "it lasts longer than the maximum" => "--max-duration" ["/limits/max_s"],
        NoAudio = "no_audio": "it has no audio track",
        SoundEndsEarly = "sound_ends_early": "its sound ends before its pictures, so the end of the clip is not heard",
    }
}

audsem_core::reasons! {
    /// Why a clip cannot be read.
    pub enum Fault {
        BadName = "bad_name": "the file name does not tell video, start and end, as in `VIDEO (1.0-4.0).mp4`; whole videos are cut with `audsem-filtering download --source` first",
        Partial = "partial_file": "the download of the file did not end",
        Unreadable = "unreadable": "the file cannot be read",
        NoEndMarker = "no_end_marker": "the tar lacks its end marker: it may be cut between two members",
        Truncated = "truncated": "the media are cut short",
        Empty = "empty": "there is no sound in it, not one sample",
        NanSamples = "nan_samples": "a sample is not a finite number",
        Undecodable = "undecodable": "no decoder can read it",
    }
}
