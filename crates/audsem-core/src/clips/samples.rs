//! The samples of a tar as clips.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::{Description, MAX_JSON_BYTES};
use crate::suffix::is_audio;
use crate::tar::{Member, MemberReader, TarError, is_metadata, split_key};

/// A sample of a tar, without the bytes of its sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClipEntry {
    /// The clip's tar key, or what names the sample in its place.
    pub key: String,
    /// The sample's own name in the tar.
    pub sample: String,
    /// The caption, where the JSON has one.
    pub text: Option<String>,
    /// Its sound, where it has one: the first, where it has several.
    pub sound: Option<SoundMember>,
    /// Why its JSON does not tell what the clip is called; its key is then a guess.
    pub problem: Option<String>,
}

/// The member of a sample that holds its sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoundMember {
    /// Its suffix in lower case: the format.
    pub suffix: String,
    /// Position of the payload in the (uncompressed) tar, in bytes; 0 if the tar cannot be read at a position.
    pub offset: u64,
    /// Its size in bytes.
    pub n_bytes: u64,
}

/// A sample while its members go by.
#[derive(Default)]
struct Gathered {
    sample: String,
    /// Suffixes of its members.
    suffixes: Vec<String>,
    described: Option<Description>,
    sound: Option<SoundMember>,
    /// The first bytes of its sound, in a tar that can only be read from the beginning.
    bytes: Vec<u8>,
}

impl Gathered {
    fn finish(self) -> (ClipEntry, Vec<u8>) {
        let described = self.described.unwrap_or_default();
        let key = described.clip_key(&self.sample);
        let Description { text, problem, .. } = described;
        (ClipEntry { key, sample: self.sample, text, sound: self.sound, problem }, self.bytes)
    }
}

/// Goes through the samples of a tar: consecutive members of one key. Headers and JSON are read, sounds are skipped.
/// A member whose suffix the sample has already begins another sample of the same key.
///
/// # Errors
/// The tar is damaged, lacks its end marker, or has data after it; samples before that have been visited.
pub fn scan(path: &Path, mut visit: impl FnMut(ClipEntry)) -> Result<(), TarError> {
    for_each_gathered(MemberReader::scan(path)?, 0, |gathered| {
        visit(gathered.finish().0);
        Ok(())
    })
}

/// Gathers the samples of a tar, each with the first `most` bytes of its sound.
fn for_each_gathered<E: From<TarError>>(
    mut members: MemberReader,
    most: usize,
    mut visit: impl FnMut(Gathered) -> Result<(), E>,
) -> Result<(), E> {
    let (mut current, mut buffer): (Option<Gathered>, Vec<u8>) = (None, Vec::new());
    let result = loop {
        let member = match members.next_member() {
            Ok(Some(member)) => member,
            Ok(None) => break Ok(()),
            // Samples before the end are complete; a sample that is cut off is lost.
            Err(error @ (TarError::NoEndMarker { .. } | TarError::TrailingData { .. })) => break Err(error),
            Err(error) => return Err(error.into()),
        };
        let Some((sample, suffix)) = keyed(&member) else { continue };
        let same = |gathered: &Gathered| gathered.sample == sample && !gathered.suffixes.contains(&suffix);
        if let Some(done) = current.take_if(|gathered| !same(gathered)) {
            visit(done)?;
        }
        let gathered = current.get_or_insert_with(|| Gathered { sample, ..Gathered::default() });
        gathered.take(&mut members, &member, &suffix, most, &mut buffer)?;
        gathered.suffixes.push(suffix);
    };
    if let Some(done) = current {
        visit(done)?;
    }
    Ok(result?)
}

impl Gathered {
    fn take(
        &mut self,
        members: &mut MemberReader,
        member: &Member,
        suffix: &str,
        most: usize,
        buffer: &mut Vec<u8>,
    ) -> Result<(), TarError> {
        if suffix == "json" && member.size > MAX_JSON_BYTES {
            self.described = Some(Description::too_large(member.size));
        } else if suffix == "json" {
            members.read_payload(buffer)?;
            self.described = Some(Description::parse(buffer));
        } else if self.sound.is_none() && is_audio(suffix) {
            let (suffix, n_bytes) = (suffix.to_owned(), member.size);
            self.sound = Some(SoundMember { suffix, offset: member.offset, n_bytes });
            if most > 0 {
                members.read_payload(&mut self.bytes)?;
                self.bytes.truncate(most);
            }
        }
        Ok(())
    }
}

fn keyed(member: &Member) -> Option<(String, String)> {
    if !member.is_file || is_metadata(&member.name) {
        return None;
    }
    split_key(&member.name).map(|(key, suffix)| (key.to_owned(), suffix))
}

/// Hands the sounds of the samples that `wanted` accepts to `visit`. In a plain tar only those are read.
///
/// # Errors
/// The tar is damaged, lacks its end marker or has data after it, or `visit` fails.
pub fn for_each_sound<E: From<TarError>>(
    path: &Path,
    wanted: impl FnMut(&ClipEntry) -> bool,
    visit: impl FnMut(&ClipEntry, &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    for_each_head(path, u64::MAX, wanted, visit)
}

/// Hands the first `most` bytes of each sound to `visit`.
///
/// # Errors
/// As [`for_each_sound`].
pub fn for_each_head<E: From<TarError>>(
    path: &Path,
    most: u64,
    mut wanted: impl FnMut(&ClipEntry) -> bool,
    mut visit: impl FnMut(&ClipEntry, &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let members = MemberReader::scan(path)?;
    if !members.is_seekable() {
        // Compressed: it can only be read from the beginning, and the JSON may come behind the sound.
        return for_each_gathered(members, usize::try_from(most).unwrap_or(usize::MAX), |gathered| {
            let (entry, bytes) = gathered.finish();
            if wanted(&entry) && entry.sound.is_some() { visit(&entry, &bytes) } else { Ok(()) }
        });
    }
    let mut entries = Vec::new();
    scan(path, |entry| {
        if wanted(&entry) {
            entries.push(entry);
        }
    })?;
    let failed = |source| TarError::Read { path: path.to_owned(), offset: 0, source };
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    for entry in &entries {
        let Some(SoundMember { offset, n_bytes, .. }) = &entry.sound else { continue };
        bytes.resize(usize::try_from(*n_bytes.min(&most)).unwrap_or(usize::MAX), 0);
        file.read_exact_at(&mut bytes, *offset).map_err(failed)?;
        visit(entry, &bytes)?;
    }
    Ok(())
}
