//! The content of a source tar: its samples, by the rule of [`Grouping`], and which clip each of them is.

use std::collections::HashMap;

use audsem_core::clip_id::ClipId;
use audsem_core::clips::{Description, MAX_JSON_BYTES, parse_clip};
use audsem_core::json::read_object;
use audsem_core::run::{LeftOut, Outcome};
use audsem_core::suffix::{is_cut, is_video};
use audsem_core::tar::{Grouping, Member, MemberReader, MemberRole, TarError};
use serde_json::{Map, Value};

use super::Task;
use super::reason::Fault;

/// Folders of tars that keep clips and their JSON apart: `tar/KEY.mp4` and, anywhere else in the tar, `json/KEY.json`.
const MEDIA_FOLDER: &str = "tar/";
const JSON_FOLDER: &str = "json/";

/// Where a payload lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Number of the member in its tar, from 0.
    pub member: u64,
    /// First byte of the payload in the (uncompressed) tar.
    pub offset: u64,
    /// Size in bytes.
    pub size: u64,
}

/// A sample of a source tar that has audio or video, or JSON.
#[derive(Debug, Default)]
pub(super) struct Clip {
    /// The key of the sample, folders included.
    pub sample: String,
    /// The audio or video: the first, where it has several.
    pub media: Option<Place>,
    /// The JSON's fields, or why it cannot be used; `None` without JSON.
    pub described: Option<Outcome<Map<String, Value>>>,
    /// Its audio or video by name, where it has only one whose name has more dots.
    pub cut: Option<String>,
}

impl Clip {
    /// Which clip this is, by the one rule of [`Description`].
    ///
    /// # Errors
    /// Why no name could be read.
    pub(super) fn id(&self) -> Outcome<ClipId> {
        if let (None, Some(name)) = (&self.media, &self.cut) {
            return Err(LeftOut::fail(Fault::CutName, name.clone()));
        }
        let described = match &self.described {
            Some(Err(why)) => return Err(why.clone()),
            Some(Ok(fields)) => Description::of_fields(fields),
            None => Description::default(),
        };
        if let Some(problem) = described.problem {
            return Err(LeftOut::fail(Fault::BadJson, problem));
        }
        if let Some((field, name)) = described.named() {
            return parse_clip(name).map_err(|error| LeftOut::fail(Fault::BadName, format!("{field}: {error}")));
        }
        let nameless = if self.described.is_some() { Fault::NoName } else { Fault::NoJson };
        parse_clip(&self.sample).map_err(|_| LeftOut::fail(nameless, String::new()))
    }
}

/// All clips of a tar, in its order.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    /// The clips.
    pub clips: Vec<Clip>,
    /// Members that are neither the media nor the JSON of a clip.
    pub other_members: u64,
}

impl Catalogue {
    /// Reads headers and JSON of a tar from its beginning, skipping the media.
    ///
    /// # Errors
    /// The tar is damaged, lacks its end marker or has data after it.
    pub(super) fn read(tar: &mut MemberReader, task: Task) -> Result<Self, TarError> {
        let mut catalogue = Self::default();
        let (mut grouping, mut sample, mut json) = (Grouping::default(), Clip::default(), Vec::new());
        let mut number = 0;
        while let Some(member) = tar.next_member()? {
            match grouping.role(&member) {
                MemberRole::Part { suffix, begins } => {
                    if begins {
                        catalogue.finish(std::mem::take(&mut sample));
                        grouping.key().clone_into(&mut sample.sample);
                    }
                    let place = Place { member: number, offset: member.offset, size: member.size };
                    if !sample.take(tar, &member, place, (&suffix, task), &mut json)? {
                        catalogue.other_members += 1;
                    }
                }
                MemberRole::Ignored | MemberRole::Keyless => catalogue.other_members += 1,
            }
            number += 1;
        }
        catalogue.finish(sample);
        catalogue.join_folders();
        Ok(catalogue)
    }

    fn finish(&mut self, sample: Clip) {
        if sample.media.is_some() || sample.described.is_some() || sample.cut.is_some() {
            self.clips.push(sample);
        }
    }

    /// Gives each clip below `tar/` that has no JSON the one of its name below `json/`.
    fn join_folders(&mut self) {
        let lacking: HashMap<String, usize> = (0..self.clips.len())
            .filter(|&i| self.clips[i].described.is_none())
            .filter_map(|i| Some((self.clips[i].sample.strip_prefix(MEDIA_FOLDER)?.to_owned(), i)))
            .collect();
        for i in 0..self.clips.len() {
            let clip = &self.clips[i];
            let wanted = clip.sample.strip_prefix(JSON_FOLDER).and_then(|key| lacking.get(key));
            if let Some(&wanted) = wanted.filter(|_| clip.media.is_none())
                && self.clips[wanted].described.is_none()
            {
                self.clips[wanted].described = self.clips[i].described.take();
            }
        }
        self.clips.retain(|clip| clip.media.is_some() || clip.described.is_some() || clip.cut.is_some());
    }
}

impl Clip {
    /// Takes a member of the sample; gives whether it is its media or its JSON.
    fn take(
        &mut self,
        tar: &mut MemberReader,
        member: &Member,
        place: Place,
        (suffix, task): (&str, Task),
        json: &mut Vec<u8>,
    ) -> Result<bool, TarError> {
        let is_media = match task {
            Task::Video => is_video(suffix),
            Task::Caption | Task::Qa | Task::McQa | Task::McQaLong => suffix == "flac",
        };
        if suffix != "json" {
            if is_media && self.media.is_none() {
                self.media = Some(place);
                return Ok(true);
            }
            if is_cut(suffix) {
                self.cut.get_or_insert_with(|| member.name.clone());
            }
            return Ok(false);
        }
        self.described = Some(if member.size > MAX_JSON_BYTES {
            Err(LeftOut::fail(Fault::BadJson, format!("{} bytes", member.size)))
        } else {
            tar.read_payload(json)?;
            read_object(json).map(|read| read.value).map_err(|error| LeftOut::fail(Fault::BadJson, error.to_string()))
        });
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Cursor;

    use super::*;

    fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, payload) in members {
            let mut header = tar::Header::new_ustar();
            header.set_size(payload.len() as u64);
            builder.append_data(&mut header, name, *payload).unwrap();
        }
        builder.into_inner().unwrap()
    }

    /// As [`tar`], with any names.
    fn raw_tar(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, payload) in members {
            let mut header = tar::Header::new_ustar();
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(tar::EntryType::Regular);
            header.set_size(payload.len() as u64);
            header.set_cksum();
            bytes.extend_from_slice(header.as_bytes());
            bytes.extend_from_slice(payload);
            bytes.resize(bytes.len().next_multiple_of(512), 0);
        }
        bytes.resize(bytes.len() + 1024, 0);
        bytes
    }

    fn read(bytes: Vec<u8>, task: Task) -> Catalogue {
        Catalogue::read(&mut MemberReader::from_reader("test", Cursor::new(bytes)).unwrap(), task).unwrap()
    }

    #[test]
    fn t8_members_of_a_sample_match_in_any_order() {
        let first = br#"{"original_filename": "x/AAA (1.0-2.0).webm"}"#;
        let second = br#"{"original_filename": "BBB (3.0-4.0).mp4"}"#;
        for members in [
            [("1.flac", &b"a"[..]), ("1.json", &first[..]), ("2.flac", b"b"), ("2.json", second)],
            [("1.json", first), ("1.flac", b"a"), ("2.json", second), ("2.flac", b"b")],
        ] {
            let bytes = tar(&members);
            let catalogue = read(bytes.clone(), Task::Caption);
            let found: Vec<_> = catalogue
                .clips
                .iter()
                .map(|clip| (clip.id().unwrap().tar_key(), bytes[clip.media.unwrap().offset as usize]))
                .collect();
            assert_eq!(found, [("AAA (1_0-2_0)".to_owned(), b'a'), ("BBB (3_0-4_0)".to_owned(), b'b')]);
        }
    }

    /// A tar is the same samples here as in `embed-audio`, `index` and Python's reader.
    #[test]
    fn samples_are_those_that_every_other_command_finds() {
        let json = br#"{"key": "AAA (1_0-2_0)"}"#;
        let bytes = tar(&[
            ("1.flac", b"a"),
            ("2.json", json),
            ("2.flac", b"b"),
            ("1.json", json),
            ("BBB (1.0-2.0).flac", b"c"),
            ("BBB (1.0-2.0).json", json),
            ("3.part.flac", b"d"),
            ("3.FLAC", b"e"),
        ]);
        let mut folder = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut folder, &bytes).unwrap();
        let mut others = Vec::new();
        audsem_core::clips::scan(folder.path(), audsem_core::clips::ClipContent::Sound, |entry| {
            let sound = entry.media.filter(|sound| sound.suffix == "flac").map(|sound| sound.offset);
            others.push((entry.sample, sound));
        })
        .unwrap();
        others.retain(|(_, sound)| sound.is_some());
        let catalogue = read(bytes, Task::Caption);
        let ours: Vec<_> =
            catalogue.clips.iter().filter_map(|clip| Some((clip.sample.clone(), Some(clip.media?.offset)))).collect();
        assert_eq!(ours, others);
        assert_eq!(ours.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["1", "2", "3"]);
    }

    #[test]
    fn t15_video_json_is_found_in_either_folder() {
        for folder in ["tar", "json"] {
            let json = format!("{folder}/AAA (1_0-2_0).json");
            let catalogue = read(tar(&[("tar/AAA (1_0-2_0).mp4", b"v"), (&json, br#"{"text": "x"}"#)]), Task::Video);
            assert_eq!(catalogue.clips.len(), 1, "{folder}");
            let clip = &catalogue.clips[0];
            assert!(clip.media.is_some() && matches!(&clip.described, Some(Ok(fields)) if fields["text"] == "x"));
        }
    }

    #[test]
    fn a_clip_is_named_by_its_json_or_by_its_stem() {
        let id = |stem: &str, json: &str| {
            let json = (!json.is_empty()).then_some(("x.json", json.as_bytes()));
            let described = json.and_then(|json| read(tar(&[json]), Task::Caption).clips.pop()?.described);
            let clip = Clip { sample: stem.to_owned(), described, ..Clip::default() };
            clip.id().map(|id| id.tar_key()).map_err(|why| why.reason())
        };
        let aaa = Ok("AAA (1_0-2_5)".to_owned());
        for (stem, json, expected) in [
            ("1", r#"{"original_filename": "tar/AAA (1.0-2.5).mkv"}"#, aaa.clone()),
            ("1", r#"{"original_filename": "BBB (1.0-2.0).mp4", "key": "AAA (1_0-2_5)"}"#, aaa.clone()),
            ("1", r#"{"original_filename": "AAA\n(1.0-2.5).mp4", "loudness": NaN}"#, aaa.clone()),
            ("AAA (1.0-2.5)", "", aaa.clone()),
            ("AAA (1.0-2.5)", r#"{"text": "dog"}"#, aaa),
            // What the JSON says is unknown, so the stem may be the name of another clip.
            ("AAA (1_0-2_5)", "not json", Err("bad_json")),
            ("AAA (1_0-2_5)", r#"{"key": 17}"#, Err("bad_json")),
            ("AAA (1_0-2_5)", r#"{"key": "17"}"#, Err("bad_name")),
            ("1", "", Err("no_json")),
            ("1", "not json", Err("bad_json")),
            ("1", "[]", Err("bad_json")),
            ("1", "{}", Err("no_name")),
            ("1", r#"{"original_filename": "AAA"}"#, Err("bad_name")),
        ] {
            assert_eq!(id(stem, json), expected, "{stem} {json}");
        }
    }

    #[test]
    fn a_tar_that_is_cut_or_goes_on_is_an_error() {
        let whole = tar(&[("1.flac", &[1; 600]), ("1.json", b"{}"), ("2.json", b"{}"), ("2.flac", &[2; 6000])]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cut.tar");
        let error = |bytes: &[u8]| {
            audsem_core::files::write_atomically(&path, bytes).unwrap();
            Catalogue::read(&mut MemberReader::scan(&path).unwrap(), Task::Caption).unwrap_err()
        };
        assert!(matches!(error(&whole[..whole.len() - 1024 - 3000]), TarError::Truncated { .. }));
        assert!(matches!(error(&whole[..whole.len() - 1024]), TarError::NoEndMarker { .. }));
        assert!(matches!(error(&[whole.clone(), whole.clone()].concat()), TarError::TrailingData { .. }));
    }

    #[test]
    fn the_first_of_several_sounds_counts() {
        let catalogue = read(tar(&[("1.flac", b"a"), ("1.flac", b"b"), ("x.txt", b"")]), Task::Caption);
        let offsets: Vec<u64> = catalogue.clips.iter().map(|clip| clip.media.unwrap().offset).collect();
        assert_eq!(offsets, [512, 1536]);
        assert_eq!(catalogue.other_members, 1);
    }

    proptest::proptest! {
        // Foreign bytes in names and JSON; the tar itself is damaged in the tests of its reader.
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(10_000))]

        #[test]
        fn any_members_are_catalogued(
            members in proptest::collection::vec(
                ("(tar/|json/|\\./)?[a-z .(){}]{1,20}(\\.(flac|json|JSON|mp4))?", proptest::collection::vec(proptest::prelude::any::<u8>(), 0..40)),
                0..5,
            ),
            named in ".{0,30}",
        ) {
            let json = serde_json::json!({ "original_filename": named, "key": 3 }).to_string();
            let mut all = vec![("1.json", json.as_bytes()), ("1.flac", b"a")];
            all.extend(members.iter().map(|(name, payload)| (name.as_str(), payload.as_slice())));
            let catalogue = read(raw_tar(&all), Task::Caption);
            catalogue.clips.iter().for_each(|clip| drop(clip.id()));
        }
    }
}
