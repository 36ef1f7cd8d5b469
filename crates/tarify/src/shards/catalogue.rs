//! What a source tar holds: clips by the stem of their members, whatever order those come in.

use std::collections::HashMap;

use audsem_core::clip_id::ClipId;
use audsem_core::suffix::is_video;
use audsem_core::tar::{Member, MemberReader, TarError};
use serde_json::{Map, Value};

use super::Task;
use super::reason::Fault;
use super::text::{LeftOut, clean};

/// A clip's JSON is a few hundred bytes; more than this is something else.
const MAX_JSON_BYTES: u64 = 16 << 20;

/// Fields of a clip's JSON that may name it, the most trustworthy first.
const NAME_FIELDS: [&str; 3] = ["original_filename", "key", "clip"];

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
    /// A member name that came twice.
    pub duplicate: Option<String>,
}

impl Clip {
    /// Which clip this is: from the JSON if it says so, else from the stem.
    ///
    /// # Errors
    /// Why no name could be read.
    pub(super) fn id(&self) -> Result<ClipId, LeftOut> {
        let mut wrong = None;
        if let Some(Ok(fields)) = &self.described {
            for name in NAME_FIELDS {
                let Some(Value::String(text)) = fields.get(name) else { continue };
                match clean(text).parse() {
                    Ok(clip) => return Ok(clip),
                    Err(error) => _ = wrong.get_or_insert((Fault::BadName.into(), format!("{name}: {error}"))),
                }
            }
        }
        let from_stem = self.stem.parse();
        match (&self.described, wrong, from_stem) {
            (_, _, Ok(clip)) => Ok(clip),
            (_, Some(wrong), Err(_)) => Err(wrong),
            (None, None, Err(_)) => Err((Fault::NoJson.into(), String::new())),
            (Some(Err(why)), None, Err(_)) => Err(why.clone()),
            (Some(Ok(_)), None, Err(_)) => Err((Fault::NoName.into(), String::new())),
        }
    }
}

/// All clips of a tar, in the order their first members come in.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    /// The clips.
    pub clips: Vec<Clip>,
    /// Members that belong to no clip.
    pub other_members: u64,
    /// What broke the tar off, if anything did. The clips above are whole.
    pub broken: Option<TarError>,
}

impl Catalogue {
    /// Reads headers and JSON of a tar from its beginning, passing over the media.
    pub(super) fn read(tar: &mut MemberReader, task: Task) -> Self {
        let mut catalogue = Self::default();
        let mut by_stem = HashMap::new();
        let mut json = Vec::new();
        for number in 0.. {
            let result = match tar.next_member() {
                Ok(None) => return catalogue,
                Ok(Some(member)) => catalogue.take(tar, &member, number, task, &mut by_stem, &mut json),
                Err(error) => Err(error),
            };
            if let Err(error) = result {
                catalogue.break_off(error);
                return catalogue;
            }
        }
        catalogue
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
        let twice = match kind {
            Kind::Media => clip.media.is_some(),
            Kind::Json => clip.described.is_some(),
        };
        if twice {
            clip.duplicate = Some(member.name.clone());
            return Ok(());
        }
        match kind {
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

    /// The media that the end of the tar cuts off is none.
    fn break_off(&mut self, error: TarError) {
        if let TarError::Truncated { offset, .. } = &error {
            for clip in &mut self.clips {
                if clip.media.is_some_and(|place| place.offset + place.size > *offset) {
                    clip.media = None;
                }
            }
        }
        self.broken = Some(error);
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
    serde_json::from_slice(json).map_err(|error| (Fault::BadJson.into(), error.to_string()))
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
        Catalogue::read(&mut MemberReader::from_reader("test", Cursor::new(bytes)).unwrap(), task)
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
            ("1", r#"{"original_filename": "AAA (1.0-NA).mp4", "key": "AAA (1_0-2_5)"}"#, aaa.clone()),
            ("AAA (1.0-2.5)", "", aaa.clone()),
            ("AAA (1_0-2_5)", "not json", aaa),
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
    fn a_cut_tar_keeps_what_is_whole() {
        let whole = tar(&[("1.flac", &[1; 600]), ("1.json", b"{}"), ("2.json", b"{}"), ("2.flac", &[2; 6000])]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cut.tar");
        let end = whole.len() - 1024 - 3000;
        audsem_core::files::write_atomically(&path, &whole[..end]).unwrap();
        let catalogue = Catalogue::read(&mut MemberReader::scan(&path).unwrap(), Task::Caption);
        assert!(matches!(catalogue.broken, Some(TarError::Truncated { .. })));
        assert!(catalogue.clips[0].media.is_some());
        assert!(catalogue.clips[1].media.is_none(), "its payload is cut");
    }

    #[test]
    fn members_of_one_name_are_reported() {
        let catalogue = read(tar(&[("1.flac", b"a"), ("1.flac", b"b"), ("x.txt", b"")]), Task::Caption);
        assert_eq!(catalogue.clips[0].duplicate.as_deref(), Some("1.flac"));
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
            assert!(catalogue.broken.is_none());
            catalogue.clips.iter().for_each(|clip| drop(clip.id()));
        }
    }
}
