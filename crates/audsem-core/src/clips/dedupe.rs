//! Which records of a source are used, and why the others are not.

use std::collections::HashSet;

use super::key_index::KeyIndex;
use super::source::{ClipContent, ClipRow, ClipSource};
use super::{ClipDrop, ClipEntry, ClipFault};
use crate::run::{LeftOut, ShardOutput};
use crate::tables::text_hash;

/// A record that may be used.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// The key of its clip; empty where nothing names it.
    pub key: &'a str,
    /// Where it stands: the name of its sample, its line, or its path.
    pub place: &'a str,
    /// Whether it has what is asked for: a sound, pictures, or a caption.
    pub has_content: bool,
    /// Why it cannot be used.
    pub problem: Option<(ClipFault, &'a str)>,
}

impl<'a> Candidate<'a> {
    /// A candidate from a sample of a tar.
    pub fn of_entry(entry: &'a ClipEntry, content: ClipContent) -> Self {
        let has_content = match content {
            ClipContent::Sound | ClipContent::Pictures => entry.media.is_some(),
            ClipContent::Caption => has_text(entry.text.as_deref()),
        };
        let problem = entry.problem.as_ref().map(|(fault, problem)| (*fault, problem.as_str()));
        Self { key: &entry.key, place: &entry.sample, has_content, problem }
    }

    /// A candidate from a row of a list or a folder.
    pub fn of_row(row: &'a ClipRow, content: ClipContent) -> Self {
        let has_content = match content {
            ClipContent::Sound | ClipContent::Pictures => row.media.is_some(),
            ClipContent::Caption => has_text(row.text.as_deref()),
        };
        let problem = row.problem.as_deref().map(|problem| (ClipFault::BadRow, problem));
        Self { key: &row.key, place: &row.place, has_content, problem }
    }
}

fn has_text(text: Option<&str>) -> bool {
    text.is_some_and(|text| !text.trim().is_empty())
}

/// Accepts the first usable record of each key; later records of the key and unusable ones become rejects.
#[derive(Debug)]
pub struct Deduplicator<'a> {
    source: &'a ClipSource,
    number: usize,
    content: ClipContent,
    index: Option<&'a KeyIndex>,
    keys: HashSet<u64, foldhash::fast::FixedState>,
    read: u64,
    left_out: Vec<(String, LeftOut)>,
}

impl<'a> Deduplicator<'a> {
    /// Starts with source number `number`. Without an index, keys are unique within the source alone.
    pub fn new(source: &'a ClipSource, number: usize, content: ClipContent, index: Option<&'a KeyIndex>) -> Self {
        Self { source, number, content, index, keys: HashSet::default(), read: 0, left_out: Vec::new() }
    }

    /// The part of the clips that is read.
    pub(super) fn content(&self) -> ClipContent {
        self.content
    }

    /// Whether the next record is used.
    pub fn accept(&mut self, record: Candidate<'_>) -> bool {
        if self.read == self.source.limit {
            return false;
        }
        self.read += 1;
        let named = if record.key.is_empty() { record.place } else { record.key };
        let left_out = match record {
            Candidate { problem: Some((fault, problem)), .. } => {
                LeftOut::fail(fault, format!("{}: {problem}", record.place))
            }
            Candidate { has_content: false, .. } => LeftOut::drop(self.nothing(), record.place.to_owned()),
            Candidate { key: "", .. } => {
                LeftOut::fail(ClipFault::NoKey, format!("{}: neither a key nor a file name", record.place))
            }
            Candidate { key, .. } => match self.earlier(key) {
                None => return true,
                Some(earlier) => LeftOut::drop(ClipDrop::RepeatedKey, format!("{}; first in {earlier}", record.place)),
            },
        };
        self.left_out.push((named.to_owned(), left_out));
        false
    }

    /// Why a record without content is left out.
    fn nothing(&self) -> ClipDrop {
        match self.content {
            ClipContent::Sound => ClipDrop::NoAudio,
            ClipContent::Pictures => ClipDrop::NoPictures,
            ClipContent::Caption => ClipDrop::NoCaption,
        }
    }

    /// The source that already has the key; `None` if there is none, in which case the key now belongs to this source.
    fn earlier(&mut self, key: &str) -> Option<String> {
        let hash = text_hash(key);
        if let Some((number, name)) = self.index.and_then(|index| index.owner(hash))
            && number != self.number
        {
            return Some(place_of(number, name));
        }
        (!self.keys.insert(hash)).then(|| place_of(self.number, &self.source.name))
    }

    /// Records that an accepted record turned out to be unreadable.
    pub fn fail(&mut self, key: &str, fault: ClipFault, detail: String) {
        self.left_out.push((key.to_owned(), LeftOut::fail(fault, detail)));
    }

    /// Announces what was read and files what was not used. Accepted records are filed by the caller; the shard cannot be
    /// committed before all of them are.
    pub fn report(&self, out: &mut ShardOutput) {
        out.announce(self.read);
        for (key, left_out) in &self.left_out {
            out.file_left_out(key, left_out.borrowed());
        }
    }
}

fn place_of(number: usize, name: &str) -> String {
    format!("part {number:05}, {name}")
}

#[cfg(test)]
mod tests {
    use super::super::source::SourceKind;
    use super::*;

    #[test]
    fn a_key_goes_through_once_and_everything_else_has_a_reason() {
        let source = ClipSource {
            name: "0.tar".to_owned(),
            fingerprint: "".into(),
            kind: SourceKind::Rows(Vec::new()),
            limit: 6,
        };
        let mut dedupe = Deduplicator::new(&source, 3, ClipContent::Caption, None);
        let record = |key, has_content| Candidate { key, place: "7", has_content, problem: None };
        assert!(dedupe.accept(record("a", true)));
        assert!(!dedupe.accept(record("b", false)));
        assert!(!dedupe.accept(record("a", true)));
        assert!(!dedupe.accept(record("", true)));
        assert!(!dedupe.accept(Candidate { problem: Some((ClipFault::BadJson, "no JSON")), ..record("c", true) }));
        assert!(dedupe.accept(record("b", true)), "the first b had no caption");
        assert!(!dedupe.accept(record("d", true)), "over the limit");
        let left_out: Vec<(&str, &str)> =
            dedupe.left_out.iter().map(|(key, why)| (key.as_str(), why.detail().as_str())).collect();
        let expected = [
            ("b", "7"),
            ("a", "7; first in part 00003, 0.tar"),
            ("7", "7: neither a key nor a file name"),
            ("c", "7: no JSON"),
        ];
        assert_eq!(left_out, expected);
        assert_eq!(dedupe.read, 6);
    }
}
