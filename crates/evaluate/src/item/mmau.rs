//! Benchmarks whose questions have a list of options and the text of the right one: MMAU (Sakshi et al., 2024) and MMAR (Ma et
//! al., 2025).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::benchmark::{BenchmarkItems, PublishedRecord, records};
use super::{AnswerKind, EvaluationItem};
use crate::error::Error;

/// What the fields of a benchmark are called.
pub(super) struct ListedFields {
    name: &'static str,
    sound: &'static str,
    /// Fields that scores are told by.
    groups: &'static [&'static str],
}

/// MMAU: sounds, music and speech.
pub(super) const MMAU: ListedFields =
    ListedFields { name: "mmau", sound: "audio_id", groups: &["task", "difficulty", "sub-category", "category"] };

/// MMAR: questions that take several steps of reasoning.
pub(super) const MMAR: ListedFields =
    ListedFields { name: "mmar", sound: "audio_path", groups: &["modality", "category", "sub-category", "language"] };

/// Adds the questions of a file. Those of a test set come without their answers.
pub(super) fn read(path: &Path, fields_of: &ListedFields, into: &mut BenchmarkItems) -> Result<(), Error> {
    into.files.push(path.to_owned());
    for (n, fields) in records(path)?.into_iter().enumerate() {
        let record = PublishedRecord { path, number: n + 1, fields: &fields };
        into.items.push(EvaluationItem {
            benchmark: fields_of.name.to_owned(),
            id: record.text("id")?,
            kind: AnswerKind::Choice,
            sounds: vec![record.text(fields_of.sound)?],
            question: record.text("question")?,
            choices: record.texts("choices")?,
            references: record.optional("answer")?.into_iter().collect(),
            groups: record.groups(fields_of.groups)?,
            published: fields,
        });
    }
    Ok(())
}

/// What tells published versions of test-mini apart, whose results are not comparable. Their files cannot be shipped, so that
/// it is counted what is in them: three counts that no two versions share.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Signature {
    /// Easy, medium and hard questions.
    difficulties: [usize; 3],
    /// Questions by their number of options.
    options: BTreeMap<usize, usize>,
    /// Questions with an option twice.
    repeated: usize,
}

impl Signature {
    fn of(items: &[EvaluationItem]) -> Self {
        let difficulties = ["easy", "medium", "hard"].map(|name| {
            items.iter().filter(|item| item.groups.get("difficulty").is_some_and(|value| value == name)).count()
        });
        let mut options = BTreeMap::new();
        items.iter().for_each(|item| *options.entry(item.choices.len()).or_default() += 1);
        let is_repeated =
            |item: &&EvaluationItem| item.choices.iter().collect::<BTreeSet<_>>().len() < item.choices.len();
        Self { difficulties, options, repeated: items.iter().filter(is_repeated).count() }
    }

    /// The published versions.
    fn published() -> [(&'static str, Self); 2] {
        let version = |difficulties, options: &[(usize, usize)], repeated| Self {
            difficulties,
            options: options.iter().copied().collect(),
            repeated,
        };
        [
            ("v1 (March 2025)", version([258, 510, 232], &[(2, 10), (4, 990)], 20)),
            ("v05.15.25 (current)", version([224, 540, 236], &[(2, 27), (4, 948), (5, 24), (8, 1)], 27)),
        ]
    }
}

/// Says which published version the questions are.
pub(super) fn version(read: &BenchmarkItems) -> String {
    let own = Signature::of(&read.items);
    let [easy, medium, hard] = own.difficulties;
    let published = Signature::published();
    if let Some((name, _)) = published.iter().find(|(_, known)| *known == own) {
        return format!(
            "test-mini {name}, by its numbers of easy, medium and hard questions, of options, and of options that stand \
             twice; scores are comparable where the content is the same, too: SHA-256 {}",
            read.content_sha256
        );
    }
    if read.items.iter().all(|item| item.references.is_empty()) {
        return "a test set whose answers are withheld: it can be answered, and exported for its scorer".to_owned();
    }
    match published.iter().find(|(_, known)| known.difficulties == own.difficulties) {
        Some((name, _)) => format!(
            "it has as many easy, medium and hard questions as test-mini {name}, but other options: it was changed, and \
             scores are not comparable with published ones"
        ),
        None => format!(
            "no published version of MMAU test-mini has {easy} easy, {medium} medium and {hard} hard questions: scores are \
             not comparable with published ones"
        ),
    }
}
