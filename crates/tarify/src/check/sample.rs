//! One sample, member by member.

use audsem_core::suffix::is_media;
use audsem_media::audio::Decoder;
use serde_json::Value;

use super::Fault;

/// What was found wrong, with the value that decided.
pub(super) type Problem = (Fault, String);

/// What is known of a sample so far.
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
        if suffix.rsplit_once('.').is_some_and(|(_, last)| is_media(last)) {
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

    /// Everything that is wrong, the first problem counting; empty if all is well.
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

/// Looks at the JSON of a sample: an object in which all `fields` say something.
pub(super) fn check_json(json: &[u8], fields: &[impl AsRef<str>]) -> Result<(), Problem> {
    let object = match serde_json::from_slice(json) {
        Ok(Value::Object(object)) => object,
        Ok(_) => return Err((Fault::BadJson, "not an object".to_owned())),
        Err(error) => return Err((Fault::BadJson, error.to_string())),
    };
    let says_nothing = |name: &&str| match object.get(*name) {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.trim().is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Object(items)) => items.is_empty(),
        Some(_) => false,
    };
    let missing: Vec<&str> = fields.iter().map(AsRef::as_ref).filter(says_nothing).collect();
    if missing.is_empty() { Ok(()) } else { Err((Fault::MissingField, missing.join(", "))) }
}

/// Decodes the sound of a member to its end.
pub(super) fn check_sound(decoder: &Decoder, media: &[u8], suffix: &str) -> Result<(), Problem> {
    match decoder.decode_bytes(media, Some(suffix)) {
        Ok(audio) if audio.frames() == 0 => Err((Fault::Undecodable, "no samples".to_owned())),
        Ok(_) => Ok(()),
        Err(error) => Err((Fault::Undecodable, error.to_string())),
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn required_fields_must_say_something() {
        let check = |json: &str, expected: Option<(Fault, &str)>| {
            let got = check_json(json.as_bytes(), &["question", "choices"]).err();
            assert_eq!(got.as_ref().map(|(fault, detail)| (*fault, detail.as_str())), expected, "{json}");
        };
        check(r#"{"question": "q", "choices": {"A": "x"}}"#, None);
        check(r#"{"question": "q", "choices": ["x"]}"#, None);
        check(r#"{"question": " ", "choices": {}}"#, Some((Fault::MissingField, "question, choices")));
        check(r#"{"question": "q"}"#, Some((Fault::MissingField, "choices")));
        check(r#"{"question": null, "choices": 1}"#, Some((Fault::MissingField, "question")));
        check("[]", Some((Fault::BadJson, "not an object")));
        assert!(check_json(b"{", &["a"]).is_err());
    }
}
