//! The content of a source tar: clips by the stem of their members, in any order of members.

use std::collections::HashMap;

use audsem_core::clip_id::ClipId;
use audsem_core::clips::{Description, MAX_JSON_BYTES, parse_clip};
use audsem_core::json::read_object;
use audsem_core::suffix::is_video;
use audsem_core::tar::{Member, MemberReader, TarError};
use serde_json::{Map, Value};

use super::Task;
use super::reason::Fault;
use super::text::LeftOut;

/// Folders that packers put clips into; members match without them.
const FOLDERS: [&str; 2] = ["tar/", "json/"];

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

/// A clip of a source tar: the members of one stem.
#[derive(Debug, Default)]
pub(super) struct Clip {
    /// Member name without folder `tar/` or `json/` and without extension.
    pub stem: String,
    /// The audio or video.
    pub media: Option<Place>,
    /// The JSON's fields, or why it cannot be used; `None` without JSON.
    pub described: Option<Result<Map<String, Value>, LeftOut>>,
    /// Names of further members with sound or video; the first one counts.
    pub repeats: Vec<String>,
}

impl Clip {
    /// Which clip this is, by the one rule of [`Description`].
    ///
    /// # Errors
    /// Why no name could be read.
    pub(super) fn id(&self) -> Result<ClipId, LeftOut> {
        let described = match &self.described {
            Some(Err(why)) => return Err(why.clone()),
            Some(Ok(fields)) => Description::of_fields(fields),
            None => Description::default(),
        };
        if let Some(problem) = described.problem {
            return Err((Fault::BadJson.into(), problem));
        }
        if let Some((field, name)) = described.named() {
            return parse_clip(name).map_err(|error| (Fault::BadName.into(), format!("{field}: {error}")));
        }
        let nameless = if self.described.is_some() { Fault::NoName } else { Fault::NoJson };
        parse_clip(&self.stem).map_err(|_| (nameless.into(), String::new()))
    }
}

/// All clips of a tar, in the order their first members come in.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    /// The clips.
    pub clips: Vec<Clip>,
    /// Members that belong to no clip.
    pub other_members: u64,
}

impl Catalogue {
    /// Reads headers and JSON of a tar from its beginning, passing over the media.
    ///
    /// # Errors
    /// The tar is damaged, lacks its end marker or has data after it.
    pub(super) fn read(tar: &mut MemberReader, task: Task) -> Result<Self, TarError> {
        let mut catalogue = Self::default();
        let mut by_stem = HashMap::new();
        let mut json = Vec::new();
        let mut number = 0;
        while let Some(member) = tar.next_member()? {
            catalogue.take(tar, &member, number, task, &mut by_stem, &mut json)?;
            number += 1;
        }
        Ok(catalogue)
    }

    fn take(
        &mut self,
        tar: &mut MemberReader,
        member: &Member,
        number: u64,
        task: Task,
        by_stem: &mut HashMap<String, usize>,
        json: &mut Vec<u8>,
    ) -> Result<(), TarError> {
        let Some((stem, kind)) = kind_of(member, task) else {
            self.other_members += 1;
            return Ok(());
        };
        let index = *by_stem.entry(stem.to_owned()).or_insert_with(|| {
            self.clips.push(Clip { stem: stem.to_owned(), ..Clip::default() });
            self.clips.len() - 1
        });
        let clip = &mut self.clips[index];
        match kind {
            // The first of each counts; a second JSON belongs to the second sound.
            Kind::Media if clip.media.is_some() => clip.repeats.push(member.name.clone()),
            Kind::Json if clip.described.is_some() => {}
            Kind::Media => clip.media = Some(Place { member: number, offset: member.offset, size: member.size }),
            Kind::Json if member.size > MAX_JSON_BYTES => {
                clip.described = Some(Err((Fault::BadJson.into(), format!("{} bytes", member.size))));
            }
            Kind::Json => {
                tar.read_payload(json)?;
                clip.described = Some(parse(json));
            }
        }
        Ok(())
    }
}

enum Kind {
    Media,
    Json,
}

fn kind_of(member: &Member, task: Task) -> Option<(&str, Kind)> {
    if !member.is_file {
        return None;
    }
    let name = member.name.strip_prefix("./").unwrap_or(&member.name);
    let name = FOLDERS.iter().find_map(|folder| name.strip_prefix(folder)).unwrap_or(name);
    let (stem, suffix) = name.rsplit_once('.')?;
    let is = |known: &str| suffix.eq_ignore_ascii_case(known);
    let kind = match task {
        _ if is("json") => Kind::Json,
        Task::Video if is_video(suffix) => Kind::Media,
        Task::Caption | Task::Qa | Task::McQa | Task::McQaLong if is("flac") => Kind::Media,
        _ => return None,
    };
    Some((stem, kind))
}

fn parse(json: &[u8]) -> Result<Map<String, Value>, LeftOut> {
    read_object(json).map(|read| read.value).map_err(|error| (Fault::BadJson.into(), error.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Cursor;

    use super::super::reason::Cause;
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
    fn t8_members_match_by_stem_in_any_order() {
        let first = br#"{"original_filename": "x/AAA (1.0-2.0).webm"}"#;
        let second = br#"{"original_filename": "BBB (3.0-4.0).mp4"}"#;
        for members in [
            [("1.flac", &b"a"[..]), ("1.json", &first[..]), ("2.flac", b"b"), ("2.json", second)],
            [("1.json", first), ("1.flac", b"a"), ("2.json", second), ("2.flac", b"b")],
            [("2.json", second), ("1.json", first), ("1.flac", b"a"), ("2.flac", b"b")],
        ] {
            let bytes = tar(&members);
            let catalogue = read(bytes.clone(), Task::Caption);
            let mut found: Vec<_> = catalogue
                .clips
                .iter()
                .map(|clip| (clip.id().unwrap().tar_key(), bytes[clip.media.unwrap().offset as usize]))
                .collect();
            found.sort();
            assert_eq!(found, [("AAA (1_0-2_0)".to_owned(), b'a'), ("BBB (3_0-4_0)".to_owned(), b'b')]);
        }
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
            let described = (!json.is_empty()).then(|| parse(json.as_bytes()));
            let clip = Clip { stem: stem.to_owned(), described, ..Clip::default() };
            clip.id().map(|id| id.tar_key()).map_err(|(cause, _)| cause)
        };
        let aaa = Ok("AAA (1_0-2_5)".to_owned());
        for (stem, json, expected) in [
            ("1", r#"{"original_filename": "tar/AAA (1.0-2.5).mkv"}"#, aaa.clone()),
            ("1", r#"{"original_filename": "BBB (1.0-2.0).mp4", "key": "AAA (1_0-2_5)"}"#, aaa.clone()),
            ("1", r#"{"original_filename": "AAA\n(1.0-2.5).mp4", "loudness": NaN}"#, aaa.clone()),
            ("AAA (1.0-2.5)", "", aaa.clone()),
            ("AAA (1.0-2.5)", r#"{"text": "dog"}"#, aaa),
            // What the JSON says is unknown, so the stem may be the name of another clip.
            ("AAA (1_0-2_5)", "not json", Err(Cause::Fail(Fault::BadJson))),
            ("AAA (1_0-2_5)", r#"{"key": 17}"#, Err(Cause::Fail(Fault::BadJson))),
            ("AAA (1_0-2_5)", r#"{"key": "17"}"#, Err(Cause::Fail(Fault::BadName))),
            ("1", "", Err(Cause::Fail(Fault::NoJson))),
            ("1", "not json", Err(Cause::Fail(Fault::BadJson))),
            ("1", "[]", Err(Cause::Fail(Fault::BadJson))),
            ("1", "{}", Err(Cause::Fail(Fault::NoName))),
            ("1", r#"{"original_filename": "AAA"}"#, Err(Cause::Fail(Fault::BadName))),
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
        assert_eq!((catalogue.clips.len(), catalogue.clips[0].media.unwrap().offset), (1, 512));
        assert_eq!(catalogue.clips[0].repeats, ["1.flac"]);
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
