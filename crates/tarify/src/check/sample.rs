//! Checks of one sample, member by member.

use std::path::Path;

use audsem_core::error::Error as CoreError;
use audsem_core::records::{Layout, Violation};
use audsem_core::run::ShardError;
use audsem_core::suffix::{is_cut, is_media, is_video};
use audsem_media::audio::{AudioError, Decoder};
use audsem_media::program::{MediaError, Program, Tool};
use audsem_media::video::decode_whole;
use serde_json::Value;

use super::{Config, Fault};

/// A problem, with the value that decided.
pub(super) type Problem = (Fault, String);

/// The state of the sample being read.
#[derive(Debug)]
pub(super) struct Gathered {
    /// Its key.
    pub key: String,
    suffixes: Vec<String>,
    problems: Vec<Problem>,
}

impl Gathered {
    pub(super) fn new(key: String) -> Self {
        Self { key, suffixes: Vec::new(), problems: Vec::new() }
    }

    /// Notes a member.
    pub(super) fn add(&mut self, suffix: String, size: u64) {
        if self.suffixes.contains(&suffix) {
            self.problem(Fault::RepeatedSuffix, suffix);
            return;
        }
        if is_media(&suffix) && size == 0 {
            self.problem(Fault::EmptyMedia, suffix.clone());
        }
        if is_cut(&suffix) {
            self.problem(Fault::CutName, format!("{}.{suffix}", self.key));
        }
        self.suffixes.push(suffix);
    }

    /// Notes a problem.
    pub(super) fn problem(&mut self, fault: Fault, detail: impl Into<String>) {
        self.problems.push((fault, detail.into()));
    }

    /// How many sounds and videos it has.
    pub(super) fn media(&self) -> usize {
        self.suffixes.iter().filter(|suffix| is_media(suffix)).count()
    }

    /// Whether it has JSON.
    pub(super) fn has_json(&self) -> bool {
        self.suffixes.iter().any(|suffix| suffix == "json")
    }

    /// All problems of the sample, of which the first one counts; empty if there are none.
    pub(super) fn finish(mut self) -> Vec<Problem> {
        let members = self.suffixes.join(", ");
        match self.media() {
            0 if !self.problems.iter().any(|(fault, _)| *fault == Fault::CutName) => {
                self.problem(Fault::NoMedia, &members)
            }
            0 | 1 => {}
            _ => self.problem(Fault::SeveralMedia, &members),
        }
        if !self.has_json() {
            self.problem(Fault::NoJson, members);
        }
        self.problems
    }
}

/// Looks at the JSON of a sample: an object of the task's format, in which all further fields say something.
pub(super) fn check_json(json: &[u8], config: &Config) -> Result<(), Problem> {
    let object = audsem_core::json::read_object(json).map_err(|error| (Fault::BadJson, error.to_string()))?.value;
    if let Some(task) = config.task {
        // A caption sample may carry the pairs of its record along; it has a question of its own.
        let is_together = object.contains_key("qa_pairs") && !object.contains_key("question");
        let layout = if is_together { Layout::Together } else { Layout::Repeat };
        task.sample(layout)
            .check(&object, config.semantic)
            .map_err(|fault| (fault_of(fault.violation), fault.detail))?;
    }
    let says_nothing = |name: &&str| match object.get(*name) {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.trim().is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Object(items)) => items.is_empty(),
        Some(_) => false,
    };
    let missing: Vec<&str> = config.fields.iter().map(String::as_str).filter(says_nothing).collect();
    if missing.is_empty() { Ok(()) } else { Err((Fault::MissingField, missing.join(", "))) }
}

fn fault_of(violation: Violation) -> Fault {
    match violation {
        Violation::Missing => Fault::MissingField,
        Violation::WrongType => Fault::WrongType,
        Violation::FewChoices => Fault::NoChoices,
        Violation::AnswerNotAmongChoices => Fault::AnswerNotAmongChoices,
    }
}

/// Decodes sound and video to their end.
#[derive(Debug)]
pub(super) struct Verifier {
    decoder: Decoder,
    /// Only ffmpeg decodes pictures.
    ffmpeg: Result<Program, MediaError>,
}

impl Verifier {
    /// Finds ffmpeg; a missing ffmpeg is an error of the first sample that needs it.
    pub(super) fn new(ffmpeg: Option<&Path>) -> Self {
        let ffmpeg = Program::find(Tool::Ffmpeg, ffmpeg);
        let decoder = match &ffmpeg {
            Ok(ffmpeg) => Decoder::new().with_ffmpeg(ffmpeg.clone()),
            Err(_) => Decoder::new(),
        };
        Self { decoder, ffmpeg }
    }

    /// Decodes the sound of a member, as every other command does, and its pictures, if it is a video.
    ///
    /// # Errors
    /// The disk or ffmpeg failed: the shard stays open.
    pub(super) fn check(&self, name: &str, media: &[u8], suffix: &str) -> Result<Result<(), Problem>, ShardError> {
        let sound = self.decoder.decode_bytes(media, Some(suffix)).map(drop);
        let checked = match sound {
            // A film may be silent.
            Err(AudioError::NoAudioTrack) | Ok(()) if is_video(suffix) => self.pictures(name, media)?,
            sound => sound,
        };
        match checked {
            Ok(()) => Ok(Ok(())),
            Err(error) => Ok(Err((Fault::Undecodable, error.of_record(name)?.to_string()))),
        }
    }

    fn pictures(&self, name: &str, media: &[u8]) -> Result<Result<(), AudioError>, ShardError> {
        match &self.ffmpeg {
            Ok(ffmpeg) => Ok(decode_whole(ffmpeg, media)),
            Err(error) => Err(ShardError::Fatal(CoreError::Config {
                what: "--verify full".to_owned(),
                problem: format!("the pictures of {name} cannot be decoded: {error}"),
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use audsem_core::records::Task;

    use super::super::MediaCheck;
    use super::*;

    fn faults(members: &[(&str, u64)]) -> Vec<Fault> {
        let mut sample = Gathered::new("k".to_owned());
        members.iter().for_each(|(suffix, size)| sample.add((*suffix).to_owned(), *size));
        sample.finish().into_iter().map(|(fault, _)| fault).collect()
    }

    #[test]
    fn a_sample_is_one_sound_or_video_and_one_json() {
        let check = |members: &[(&str, u64)], expected: &[Fault]| assert_eq!(faults(members), expected, "{members:?}");
        check(&[("flac", 9), ("json", 2)], &[]);
        check(&[("json", 2), ("mp4", 9)], &[]);
        check(&[("flac", 9), ("json", 2), ("txt", 1)], &[]);
        check(&[("json", 2)], &[Fault::NoMedia]);
        check(&[("flac", 9)], &[Fault::NoJson]);
        check(&[("flac", 0), ("json", 2)], &[Fault::EmptyMedia]);
        check(&[("flac", 9), ("mp4", 9), ("json", 2)], &[Fault::SeveralMedia]);
        check(&[("flac", 9), ("flac", 9), ("json", 2)], &[Fault::RepeatedSuffix]);
        check(&[("0-2.5).mp4", 9), ("0-2.5).json", 2)], &[Fault::CutName, Fault::NoJson]);
    }

    fn config(task: Option<Task>, fields: &[&str]) -> Config {
        let fields = fields.iter().map(ToString::to_string).collect();
        Config { inputs: Vec::new(), task, semantic: false, fields, verify: MediaCheck::Headers, ffmpeg: None }
    }

    #[test]
    fn required_fields_must_say_something() {
        let check = |json: &str, expected: Option<(Fault, &str)>| {
            let got = check_json(json.as_bytes(), &config(None, &["question", "choices"])).err();
            assert_eq!(got.as_ref().map(|(fault, detail)| (*fault, detail.as_str())), expected, "{json}");
        };
        check(r#"{"question": "q", "choices": {"A": "x"}}"#, None);
        check(r#"{"question": "q", "choices": ["x"], "loudness": NaN}"#, None);
        check(r#"{"question": " ", "choices": {}}"#, Some((Fault::MissingField, "question, choices")));
        check(r#"{"question": "q"}"#, Some((Fault::MissingField, "choices")));
        check(r#"{"question": null, "choices": 1}"#, Some((Fault::MissingField, "question")));
        for json in ["[]", "{"] {
            assert_eq!(check_json(json.as_bytes(), &config(None, &["a"])).unwrap_err().0, Fault::BadJson, "{json}");
        }
    }

    #[test]
    fn the_json_is_of_the_format_of_the_task() {
        let pair = |answer: &str| serde_json::json!({ "question": "q", "thinking": "t", "answer": answer, "choices": { "A": "a dog", "B": "a cat" } });
        let few = serde_json::json!({ "question": "q", "thinking": "t", "answer": "a", "choices": { "A": "a" } });
        for (json, expected) in [
            (pair("A. a dog"), None),
            (pair("A"), None),
            (pair("a mouse"), Some(Fault::AnswerNotAmongChoices)),
            (few, Some(Fault::NoChoices)),
            (serde_json::json!({ "qa_pairs": [pair("B. a cat"), pair("A. a dog")] }), None),
            (
                serde_json::json!({ "qa_pairs": [pair("B. a cat"), pair("B. a dog")] }),
                Some(Fault::AnswerNotAmongChoices),
            ),
            (serde_json::json!({ "qa_pairs": [] }), Some(Fault::MissingField)),
            (serde_json::json!({ "qa_pairs": 3 }), Some(Fault::WrongType)),
        ] {
            for task in [Task::McQa, Task::McQaLong] {
                let got = check_json(json.to_string().as_bytes(), &config(Some(task), &[]));
                assert_eq!(got.err().map(|(fault, _)| fault), expected, "{json}");
            }
        }
    }
}
