//! Which records of a source are embedded, and why the others are not.

use std::collections::HashSet;

use audsem_core::run::ShardOutput;
use audsem_core::tables::text_hash;

use super::owners::Owners;
use super::sources::{Row, Source};
use crate::reason::{DropReason, Fault};
use crate::sets::Modality;
use crate::tars::ClipEntry;

/// A record as the gate sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate<'a> {
    pub key: &'a str,
    pub place: &'a str,
    /// Whether it has what is embedded: a sound, or a caption.
    pub has_content: bool,
    pub problem: Option<(Fault, &'a str)>,
}

impl<'a> Candidate<'a> {
    /// A sample of a tar.
    pub(super) fn of_entry(entry: &'a ClipEntry, modality: Modality) -> Self {
        let has_content = match modality {
            Modality::Audio => entry.sound.is_some(),
            Modality::Text => has_text(entry.text.as_deref()),
        };
        let problem = entry.problem.as_deref().map(|problem| (Fault::BadJson, problem));
        Self { key: &entry.key, place: &entry.sample, has_content, problem }
    }

    /// A row of a list or a folder.
    pub(super) fn of_row(row: &'a Row, modality: Modality) -> Self {
        let has_content = match modality {
            Modality::Audio => row.sound.is_some(),
            Modality::Text => has_text(row.text.as_deref()),
        };
        let problem = row.problem.as_deref().map(|problem| (Fault::BadRow, problem));
        Self { key: &row.key, place: &row.place, has_content, problem }
    }
}

fn has_text(text: Option<&str>) -> bool {
    text.is_some_and(|text| !text.trim().is_empty())
}

/// Why a record stays out.
#[derive(Debug, Clone, Copy)]
enum Why {
    Dropped(DropReason),
    Failed(Fault),
}

/// Lets each key through once, if there is something to embed under it.
#[derive(Debug)]
pub(super) struct Gate<'a> {
    source: &'a Source,
    number: usize,
    modality: Modality,
    owners: Option<&'a Owners>,
    keys: HashSet<u64, foldhash::fast::FixedState>,
    read: u64,
    left_out: Vec<(String, Why, String)>,
}

impl<'a> Gate<'a> {
    /// For source number `number`. Without owners, keys are unique in the source alone.
    pub(super) fn new(source: &'a Source, number: usize, modality: Modality, owners: Option<&'a Owners>) -> Self {
        Self { source, number, modality, owners, keys: HashSet::default(), read: 0, left_out: Vec::new() }
    }

    /// Whether the next record is embedded.
    pub(super) fn accept(&mut self, record: Candidate<'_>) -> bool {
        if self.read == self.source.limit {
            return false;
        }
        self.read += 1;
        let named = if record.key.is_empty() { record.place } else { record.key };
        let (why, detail) = match record {
            Candidate { problem: Some((fault, problem)), .. } => {
                (Why::Failed(fault), format!("{}: {problem}", record.place))
            }
            Candidate { has_content: false, .. } => (Why::Dropped(self.nothing()), record.place.to_owned()),
            Candidate { key: "", .. } => {
                (Why::Failed(Fault::NoKey), format!("{}: neither a key nor a file name", record.place))
            }
            Candidate { key, .. } => match self.earlier(key) {
                None => return true,
                Some(earlier) => {
                    (Why::Dropped(DropReason::RepeatedKey), format!("{}; first in {earlier}", record.place))
                }
            },
        };
        self.left_out.push((named.to_owned(), why, detail));
        false
    }

    /// Why a record without content is left out.
    fn nothing(&self) -> DropReason {
        match self.modality {
            Modality::Audio => DropReason::NoAudio,
            Modality::Text => DropReason::NoCaption,
        }
    }

    /// The source that has the key already; otherwise it is this one's from now on.
    fn earlier(&mut self, key: &str) -> Option<String> {
        let hash = text_hash(key);
        if let Some((number, name)) = self.owners.and_then(|owners| owners.of(hash))
            && number != self.number
        {
            return Some(place_of(number, name));
        }
        (!self.keys.insert(hash)).then(|| place_of(self.number, &self.source.name))
    }

    /// Notes a record that was let through and turned out not to be readable.
    pub(super) fn fail(&mut self, key: &str, fault: Fault, detail: String) {
        self.left_out.push((key.to_owned(), Why::Failed(fault), detail));
    }

    /// Counts what was read, and files what stayed out.
    pub(super) fn report(&self, out: &mut ShardOutput) {
        out.read(self.read);
        for (key, why, detail) in &self.left_out {
            match why {
                Why::Dropped(reason) => out.drop(key, *reason, detail),
                Why::Failed(fault) => out.fail(key, *fault, detail),
            }
        }
    }
}

fn place_of(number: usize, name: &str) -> String {
    format!("part {number:05}, {name}")
}

#[cfg(test)]
mod tests {
    use super::super::sources::Kind;
    use super::*;

    #[test]
    fn a_key_goes_through_once_and_everything_else_has_a_reason() {
        let source =
            Source { name: "0.tar".to_owned(), fingerprint: String::new(), kind: Kind::Rows(Vec::new()), limit: 6 };
        let mut gate = Gate::new(&source, 3, Modality::Text, None);
        let record = |key, has_content| Candidate { key, place: "7", has_content, problem: None };
        assert!(gate.accept(record("a", true)));
        assert!(!gate.accept(record("b", false)));
        assert!(!gate.accept(record("a", true)));
        assert!(!gate.accept(record("", true)));
        assert!(!gate.accept(Candidate { problem: Some((Fault::BadJson, "no JSON")), ..record("c", true) }));
        assert!(gate.accept(record("b", true)), "the first b had no caption");
        assert!(!gate.accept(record("d", true)), "over the limit");
        let left_out: Vec<(&str, &str)> =
            gate.left_out.iter().map(|(key, _, detail)| (key.as_str(), detail.as_str())).collect();
        let expected = [
            ("b", "7"),
            ("a", "7; first in part 00003, 0.tar"),
            ("7", "7: neither a key nor a file name"),
            ("c", "7: no JSON"),
        ];
        assert_eq!(left_out, expected);
        assert_eq!(gate.read, 6);
    }
}
