//! The samples of a tar as clips.

use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::{ClipContent, ClipFault, Description, MAX_JSON_BYTES};
use crate::input::open_plain;
use crate::suffix::is_cut;
use crate::tar::{Grouping, MAX_MEMBER_BYTES, Member, MemberReader, MemberRole, TarError};

/// A sample of a tar, without the bytes of its media.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClipEntry {
    /// The clip's tar key, or what names the sample in its place.
    pub key: String,
    /// The sample's own name in the tar.
    pub sample: String,
    /// The caption: that of the JSON, else the text of the sample's `.txt`.
    pub text: Option<String>,
    /// The member that has what is asked for, as [`ClipContent::prefers`] chooses it.
    pub media: Option<MediaMember>,
    /// Why it cannot be used: its JSON does not tell what the clip is called, and its key is a guess; or its media are too
    /// large.
    pub problem: Option<(ClipFault, String)>,
}

impl ClipEntry {
    /// Whether it has media that are not larger than what is read into memory.
    fn has_usable_media(&self) -> bool {
        self.media.as_ref().is_some_and(|media| media.n_bytes <= MAX_MEMBER_BYTES)
    }
}

/// The member of a sample that holds its sound or its pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaMember {
    /// Its suffix in lower case: the format.
    pub suffix: String,
    /// Position of the payload in the (uncompressed) tar, in bytes; 0 if the tar cannot be read at a position.
    pub offset: u64,
    /// Its size in bytes.
    pub n_bytes: u64,
}

/// A sample while its members go by.
struct Gathered {
    sample: String,
    content: ClipContent,
    described: Option<Description>,
    media: Option<MediaMember>,
    /// The content of its `.txt`.
    caption: Option<String>,
    /// A member whose name has a dot before its extension.
    cut: Option<String>,
    /// The first bytes of its media, in a tar that can only be read from the beginning.
    bytes: Vec<u8>,
}

impl Gathered {
    fn new(sample: &str, content: ClipContent) -> Self {
        let sample = sample.to_owned();
        Self { sample, content, described: None, media: None, caption: None, cut: None, bytes: Vec::new() }
    }

    fn finish(self) -> (ClipEntry, Vec<u8>) {
        let described = self.described.unwrap_or_default();
        let key = described.clip_key(&self.sample);
        let Description { text, problem, .. } = described;
        let too_large = self.media.as_ref().filter(|media| media.n_bytes > MAX_MEMBER_BYTES);
        let too_large =
            too_large.map(|media| (ClipFault::TooLarge, format!("its {} has {} bytes", media.suffix, media.n_bytes)));
        let text = text.or(self.caption);
        let lacks = if self.content == ClipContent::Caption { text.is_none() } else { self.media.is_none() };
        let cut = self.cut.filter(|_| lacks).map(|name| (ClipFault::CutName, name));
        let problem = problem.map(|problem| (ClipFault::BadJson, problem)).or(too_large).or(cut);
        (ClipEntry { key, sample: self.sample, text, media: self.media, problem }, self.bytes)
    }
}

/// Goes through the samples of a tar, as [`Grouping`] forms them, for a part of their clips. Headers and JSON are read, media
/// are skipped.
///
/// # Errors
/// The tar is damaged, lacks its end marker, or has data after it; samples before that have been visited.
pub fn scan(path: &Path, content: ClipContent, mut visit: impl FnMut(ClipEntry)) -> Result<(), TarError> {
    for_each_gathered(MemberReader::scan(path)?, content, 0, |gathered| {
        visit(gathered.finish().0);
        Ok(())
    })
}

/// Gathers the samples of a tar, each with the first `most` bytes of its media.
fn for_each_gathered<E: From<TarError>>(
    mut members: MemberReader,
    content: ClipContent,
    most: usize,
    mut visit: impl FnMut(Gathered) -> Result<(), E>,
) -> Result<(), E> {
    let (mut current, mut buffer): (Option<Gathered>, Vec<u8>) = (None, Vec::new());
    let mut grouping = Grouping::default();
    let result = loop {
        let member = match members.next_member() {
            Ok(Some(member)) => member,
            Ok(None) => break Ok(()),
            // Samples before the end are complete; a sample that is cut off is lost.
            Err(error @ (TarError::NoEndMarker { .. } | TarError::TrailingData { .. })) => break Err(error),
            Err(error) => return Err(error.into()),
        };
        let MemberRole::Part { suffix, begins } = grouping.role(&member) else { continue };
        if let Some(done) = current.take_if(|_| begins) {
            visit(done)?;
        }
        current.get_or_insert_with(|| Gathered::new(grouping.key(), content)).take(
            &mut members,
            &member,
            &suffix,
            most,
            &mut buffer,
        )?;
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
        } else if suffix == "txt" && member.size <= MAX_JSON_BYTES {
            members.read_payload(buffer)?;
            self.caption =
                std::str::from_utf8(buffer).ok().map(|text| text.trim_start_matches('\u{feff}').trim().to_owned());
        } else if is_cut(suffix) {
            self.cut.get_or_insert_with(|| member.name.clone());
        } else if self.content.prefers(suffix, self.media.as_ref().map(|taken| taken.suffix.as_str())) {
            self.bytes.clear();
            let (suffix, n_bytes) = (suffix.to_owned(), member.size);
            self.media = Some(MediaMember { suffix, offset: member.offset, n_bytes });
            if most > 0 && n_bytes <= MAX_MEMBER_BYTES {
                members.read_payload(&mut self.bytes)?;
                self.bytes.truncate(most);
            }
        }
        Ok(())
    }
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
    for_each_head(path, ClipContent::Sound, u64::MAX, wanted, visit)
}

/// Hands the first `most` bytes of the media of each sample to `visit`.
///
/// # Errors
/// As [`for_each_sound`].
pub fn for_each_head<E: From<TarError>>(
    path: &Path,
    content: ClipContent,
    most: u64,
    mut wanted: impl FnMut(&ClipEntry) -> bool,
    mut visit: impl FnMut(&ClipEntry, &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let members = MemberReader::scan(path)?;
    if !members.is_seekable() {
        // Compressed: it can only be read from the beginning, and the JSON may come behind the media.
        return for_each_gathered(members, content, usize::try_from(most).unwrap_or(usize::MAX), |gathered| {
            let (entry, bytes) = gathered.finish();
            if wanted(&entry) && entry.has_usable_media() { visit(&entry, &bytes) } else { Ok(()) }
        });
    }
    let mut entries = Vec::new();
    scan(path, content, |entry| {
        if wanted(&entry) && entry.has_usable_media() {
            entries.push(entry);
        }
    })?;
    let failed = |source| TarError::Read { path: path.to_owned(), offset: 0, source };
    let file = open_plain(path).map_err(failed)?;
    let mut bytes = Vec::new();
    for entry in &entries {
        let Some(MediaMember { offset, n_bytes, .. }) = &entry.media else { continue };
        bytes.resize(usize::try_from(*n_bytes.min(&most)).unwrap_or(usize::MAX), 0);
        file.read_exact_at(&mut bytes, *offset).map_err(failed)?;
        visit(entry, &bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::{Read as _, Write as _};

    use super::*;
    use crate::clips::{Candidate, ClipContent};

    /// A compressed tar of some kilobytes, of which one sound tells of more than is read into memory.
    fn bomb(path: &Path) {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        for (name, size) in [("1.flac", 3), ("2.flac", MAX_MEMBER_BYTES + 1), ("3.flac", 3)] {
            let mut header = ::tar::Header::new_ustar();
            header.set_path(name).unwrap();
            header.set_size(size);
            header.set_cksum();
            encoder.write_all(header.as_bytes()).unwrap();
            std::io::copy(&mut std::io::repeat(0).take(size.next_multiple_of(512)), &mut encoder).unwrap();
        }
        encoder.write_all(&[0; 1024]).unwrap();
        crate::files::write_atomically(path, &encoder.finish().unwrap()).unwrap();
    }

    #[test]
    fn a_video_is_the_sound_of_a_sample_that_has_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let mut tar = crate::tar::ShardWriter::new(Vec::new(), crate::tar::ShardOptions::default());
        for (key, members) in [
            ("1", &[("mp4", &b"video"[..]), ("json", b"{}")][..]),
            ("2", &[("mp4", b"video"), ("flac", b"sound")]),
            ("3", &[("flac", b"sound"), ("mp4", b"video")]),
            ("4", &[("json", b"{}")]),
        ] {
            tar.write_sample(key, members).unwrap();
        }
        let bytes = tar.finish().unwrap().0;
        for (name, bytes) in [("0.tar", bytes.clone()), ("0.tar.zst", zstd::encode_all(&bytes[..], 1).unwrap())] {
            let path = folder.path().join(name);
            crate::files::write_atomically(&path, &bytes).unwrap();
            let mut sounds = Vec::new();
            for_each_sound(
                &path,
                |_| true,
                |entry, bytes| {
                    sounds.push((entry.sample.clone(), String::from_utf8_lossy(bytes).into_owned()));
                    Ok::<_, TarError>(())
                },
            )
            .unwrap();
            let expected = [("1", "video"), ("2", "sound"), ("3", "sound")];
            assert_eq!(sounds, expected.map(|(key, sound)| (key.to_owned(), sound.to_owned())), "{name}");
        }
    }

    /// Datasets of other people hold captions as text files, and names with dots.
    #[test]
    fn texts_beside_sounds_are_captions_and_cut_names_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.tar");
        let mut tar = ::tar::Builder::new(Vec::new());
        for (name, bytes) in [
            ("1.flac", &b"sound"[..]),
            ("1.txt", b"\xef\xbb\xbf a dog barks\n".as_slice()),
            ("2.flac", b"sound"),
            ("2.json", b"{\"text\": \"rain\"}"),
            ("2.txt", b"not this"),
            ("3.flac", b"sound"),
            ("3.txt", b"\xff\xfe"),
            ("clip.4.flac", b"sound"),
            ("clip.4.txt", b"hail"),
            ("clip.5.flac", b"sound"),
        ] {
            let mut header = ::tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            tar.append_data(&mut header, name, bytes).unwrap();
        }
        crate::files::write_atomically(&path, &tar.into_inner().unwrap()).unwrap();
        let entries = |content| {
            let mut entries = Vec::new();
            scan(&path, content, |entry| entries.push((entry.sample, entry.text, entry.problem))).unwrap();
            entries
        };
        let cut = || Some((ClipFault::CutName, "clip.4.flac".to_owned()));
        let text = |text: &str| Some(text.to_owned());
        let sample = |name: &str, text, problem| (name.to_owned(), text, problem);
        for content in [ClipContent::Sound, ClipContent::Caption] {
            let expected = [
                sample("1", text("a dog barks"), None),
                sample("2", text("rain"), None),
                sample("3", None, None),
                sample("clip", None, cut()),
            ];
            assert_eq!(entries(content), expected, "{content:?}");
        }
    }

    #[test]
    fn a_sound_of_any_size_is_a_fault_of_its_sample() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.tar.zst");
        bomb(&path);
        let (mut visited, mut faults) = (Vec::new(), Vec::new());
        for_each_sound(
            &path,
            |entry| {
                let fault = Candidate::of_entry(entry, ClipContent::Sound).problem.map(|(fault, _)| fault);
                faults.push(fault);
                true
            },
            |entry, bytes| {
                visited.push((entry.sample.clone(), bytes.len()));
                Ok::<_, TarError>(())
            },
        )
        .unwrap();
        assert_eq!(visited, [("1".to_owned(), 3), ("3".to_owned(), 3)]);
        assert_eq!(faults, [None, Some(ClipFault::TooLarge), None]);
    }
}
