//! What can be wrong with a tar.

use std::io;
use std::path::PathBuf;

use crate::blame::Blame;
use crate::terminal::{by_number, counted};

/// A failure while reading or writing a tar.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The tar cannot be opened.
    #[error("cannot open tar: {}: {source}", path.display())]
    Open {
        /// The tar.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A folder was given where a tar is expected.
    #[error("not a tar but a folder: {}\nhint: name the tars inside it, e.g. {}/*.tar", path.display(), path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
    },
    /// Reading failed, or the compressed stream around the tar is damaged: see [`TarError::blame`].
    #[error("cannot read tar at byte {offset}: {}: {source}", path.display())]
    Read {
        /// The tar.
        path: PathBuf,
        /// Position in the (uncompressed) tar, in bytes.
        offset: u64,
        /// The error of the operating system or the decompressor.
        source: io::Error,
    },
    /// The tar ends in the middle of a header or a payload.
    #[error(
        "tar ends early at byte {offset}: {}: {} and {} were complete\n\
         hint: copy or build this tar again; what was read before the break is valid",
        path.display(),
        counted(*members, "members"),
        counted(*samples, "samples")
    )]
    Truncated {
        /// The tar.
        path: PathBuf,
        /// Position in the (uncompressed) tar where bytes are missing.
        offset: u64,
        /// Members read completely before the break.
        members: u64,
        /// Samples handed out before the break (0 when members are read without grouping).
        samples: u64,
        /// Key of the incomplete sample that is lost.
        pending: Option<String>,
    },
    /// The bytes at a header position are not a tar header.
    #[error("not a tar header at byte {offset}: {}: {detail}\nhint: the file is damaged, or is not a tar (plain, gzip or zstd)", path.display())]
    BadHeader {
        /// The tar.
        path: PathBuf,
        /// Position of the header in the (uncompressed) tar.
        offset: u64,
        /// Which rule it breaks.
        detail: String,
    },
    /// A member that is stored with its holes left out. Reading cannot continue behind it.
    #[error(
        "the member `{member}` is stored sparse, which is not read: {}, at byte {offset}\n\
         hint: make this tar again without `--sparse` (`-S`)", path.display()
    )]
    Sparse {
        /// The tar.
        path: PathBuf,
        /// Position of its header in the (uncompressed) tar.
        offset: u64,
        /// Its name.
        member: String,
    },
    /// The tar ends between two members, without the two blocks of zeros that mark its end.
    #[error(
        "tar without end marker at byte {offset}: {}: {} {} complete, more may be missing\n\
         hint: copy or build this tar again; if it is known to be whole, `head -c 1024 /dev/zero >> FILE` on a plain tar \
         marks its end",
        path.display(),
        counted(*members, "members"),
        by_number(*members, "was", "were")
    )]
    NoEndMarker {
        /// The tar.
        path: PathBuf,
        /// Position in the (uncompressed) tar where the marker is missing.
        offset: u64,
        /// Members read before.
        members: u64,
    },
    /// Data follows the end marker, usually because two tars were concatenated. Readers stop at the marker and never see it.
    #[error(
        "tar has data after its end marker at byte {offset}: {}: readers stop at the marker, after {}\n\
         hint: if two tars were concatenated, split them or pack them again: `tar --ignore-zeros -xf FILE` unpacks all of it",
        path.display(),
        counted(*members, "members")
    )]
    TrailingData {
        /// The tar.
        path: PathBuf,
        /// Position in the (uncompressed) tar of the first byte behind the marker that is not zero.
        offset: u64,
        /// Members before the marker.
        members: u64,
    },
    /// Two members of one sample have the same suffix. Reading continues with the next sample.
    #[error("two members with suffix `{suffix}` in sample `{key}`: {}", path.display())]
    RepeatedSuffix {
        /// The tar.
        path: PathBuf,
        /// Key of the sample.
        key: String,
        /// The suffix that came twice.
        suffix: String,
    },
    /// A member is larger than what is read into memory. Its sample is left out; reading continues with the next one.
    #[error("member of {size} bytes exceeds the limit of {limit}: {}: `{member}`", path.display())]
    TooLarge {
        /// The tar.
        path: PathBuf,
        /// Name of the member.
        member: String,
        /// Key of its sample; its own name where it has none.
        key: String,
        /// Its size in bytes.
        size: u64,
        /// The cap in bytes.
        limit: u64,
    },
    /// A key or suffix that would not be read back unchanged.
    #[error("`{key}` with suffix `{suffix}` cannot be a tar sample: {detail}")]
    BadKey {
        /// The key.
        key: String,
        /// The suffix.
        suffix: String,
        /// Which rule it breaks.
        detail: String,
    },
    /// A member name that does not fit the name field.
    #[error(
        "member name of {length} bytes is longer than the {} bytes of a USTAR name: `{name}`\n\
         hint: use shorter keys; readers disagree on how longer names are stored",
        super::MAX_NAME_BYTES
    )]
    LongName {
        /// The member name.
        name: String,
        /// Its length in bytes.
        length: usize,
    },
    /// The key was already written to this shard.
    #[error("duplicate key in one tar: `{key}`\nhint: readers would merge or refuse the two samples; drop one of them")]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// Writing failed.
    #[error("cannot write tar: {source}")]
    Write {
        /// The error of the operating system.
        source: io::Error,
    },
}

impl TarError {
    /// Whether reading cannot continue after this error. Other errors concern one sample only.
    pub fn is_fatal(&self) -> bool {
        !matches!(self, Self::RepeatedSuffix { .. } | Self::TooLarge { .. })
    }
    /// The cause: the tar itself, or the disk it is stored on.
    pub fn blame(&self) -> Blame {
        match self {
            Self::Open { source, .. } | Self::Read { source, .. } => Blame::of_io(source),
            Self::Write { .. } => Blame::Surroundings,
            _ => Blame::Record,
        }
    }
}
