//! Labelled captions: reading, cleaning, splitting.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use audsem_core::csv_records::CsvRecords;
use audsem_core::input::open_file;
use audsem_core::run::{LeftOut, Outcome, ShardOutput};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::beginning;
use super::scorer::without_brackets;
use crate::error::{Error, Result};

audsem_core::reasons! {
    /// Why a labelled caption is not used.
    pub enum DropReason {
        Empty = "empty_text": "there is no text once brackets are removed",
        Repeated = "repeated_text": "the same words with the same label stood in an earlier row",
    }
}

audsem_core::reasons! {
    /// What can be wrong with a labelled caption.
    pub enum Fault {
        BadRow = "bad_row": "the row cannot be read as CSV",
        BadLabel = "bad_label": "the label is neither true nor false",
        BadSplit = "bad_split": "the split is neither train nor held out",
        Contradiction = "contradiction": "the same words stood in an earlier row with the other label",
        TooLong = "too_long": "the text has more than 65536 bytes",
    }
}

/// Names of columns, the project's own first, then those of the published scripts.
const TEXT_COLUMNS: [&str; 2] = ["text", "Caption"];
const LABEL_COLUMNS: [&str; 2] = ["label", "matches_condition"];
const SPLIT_COLUMN: &str = "split";

/// Longest text that is no mistake.
const MAX_BYTES: usize = 1 << 16;

/// A caption and whether it names a sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// The caption as it stands in the file.
    pub text: String,
    /// Whether it names a sound.
    pub sound: bool,
}

/// Which part of the data a caption belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelledSplit {
    /// Used for training.
    Train,
    /// Used for evaluation only.
    HeldOut,
}

/// Captions for training and for evaluation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Examples {
    /// Used for training.
    pub train: Vec<Example>,
    /// Used for evaluation only.
    pub heldout: Vec<Example>,
}

/// Reads CSV files of labelled captions as if they were one. A column `split` decides what is held out; without one, a share
/// `heldout` of the rows, drawn with `seed`, is. Dropped and failed rows are filed in `out`, by their number in all files.
///
/// # Errors
/// A file cannot be read or lacks a column, some have a column `split` and some do not, or one of the parts comes out empty or
/// with one class only.
pub fn read_labelled(
    paths: &[PathBuf],
    heldout: f64,
    seed: u64,
    limit: Option<u64>,
    out: &mut ShardOutput,
) -> Result<Examples> {
    let broken = |path: &Path, problem: String| Error::Labelled { path: path.to_owned(), problem };
    let mut known = Known::default();
    let mut rows: Vec<SplitExample> = Vec::new();
    let (mut number, mut split_of_first) = (0, None);
    for path in paths {
        let (has_split, parsed) = parse(open_file(path)?).map_err(|problem| broken(path, problem))?;
        let (first, first_has_split) = *split_of_first.get_or_insert((path, has_split));
        if has_split != first_has_split {
            let (with, without) = if has_split { (path, first) } else { (first, path) };
            let problem = format!("no column split, which {} has: give it to all files or to none", with.display());
            return Err(broken(without, problem));
        }
        for row in parsed {
            if limit.is_some_and(|limit| number >= limit) {
                break;
            }
            number += 1;
            let row = row.map_err(|problem| broken(path, problem))?;
            let row = row.map_err(|(fault, detail)| LeftOut::fail(fault, detail));
            rows.extend(out.file(number, row.and_then(|row| known.judge(row))));
        }
    }
    let has_split = split_of_first.is_some_and(|(_, has_split)| has_split);
    let examples = if has_split { fixed(rows) } else { drawn(rows, heldout, seed) };
    for (name, part) in [("train", &examples.train), ("held-out", &examples.heldout)] {
        if part.iter().all(|e| e.sound) || part.iter().all(|e| !e.sound) {
            let all = paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
            let problem = format!("the {name} part needs captions of both classes; it has {}", part.len());
            return Err(broken(Path::new(&all), problem));
        }
    }
    Ok(examples)
}

/// A caption with its part, if the file tells it.
type SplitExample = (Example, Option<LabelledSplit>);

/// The words of earlier captions, and whether they name a sound.
#[derive(Default)]
struct Known(BTreeMap<String, bool>);

impl Known {
    fn judge(&mut self, (example, split): SplitExample) -> Outcome<SplitExample> {
        if example.text.len() > MAX_BYTES {
            return Err(LeftOut::fail(Fault::TooLong, beginning(&example.text).to_owned()));
        }
        let words = words(&example.text);
        match self.0.get(&words) {
            _ if words.is_empty() => return Err(LeftOut::drop(DropReason::Empty, example.text)),
            Some(&sound) if sound == example.sound => {
                return Err(LeftOut::drop(DropReason::Repeated, example.text));
            }
            Some(_) => return Err(LeftOut::fail(Fault::Contradiction, example.text)),
            None => self.0.insert(words, example.sound),
        };
        Ok((example, split))
    }
}

/// A caption, or what is wrong with the row.
type Row = Result<SplitExample, (Fault, String)>;

/// The rows of a CSV file, and whether it has a column `split`. An error among them says why the file cannot be read any further.
///
/// # Errors
/// The header cannot be read or lacks a column.
fn parse(file: impl Read) -> Result<(bool, impl Iterator<Item = Result<Row, String>>), String> {
    let mut reader = CsvRecords::new(csv::ReaderBuilder::new().flexible(true), file);
    let columns = Columns::find(&reader.headers().map_err(|error| error.to_string())?)?;
    let has_split = columns.split.is_some();
    let mut record = csv::StringRecord::new();
    let rows = std::iter::from_fn(move || match reader.read_record(&mut record) {
        Ok(false) => None,
        Ok(true) => Some(Ok(columns.parse(&record))),
        Err(error) if error.is_io_error() => Some(Err(error.to_string())),
        Err(error) => Some(Ok(Err((Fault::BadRow, error.to_string())))),
    });
    Ok((has_split, rows))
}

/// What makes two captions the same: their words, without case, brackets and punctuation.
fn words(text: &str) -> String {
    let text = without_brackets(text).to_lowercase();
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn fixed(rows: Vec<SplitExample>) -> Examples {
    let mut examples = Examples::default();
    for (example, split) in rows {
        match split {
            Some(LabelledSplit::HeldOut) => examples.heldout.push(example),
            _ => examples.train.push(example),
        }
    }
    examples
}

fn drawn(rows: Vec<SplitExample>, heldout: f64, seed: u64) -> Examples {
    let mut rows: Vec<Example> = rows.into_iter().map(|(example, _)| example).collect();
    rows.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let n_train = ((1.0 - heldout) * rows.len() as f64) as usize;
    let heldout = rows.split_off(n_train.min(rows.len()));
    Examples { train: rows, heldout }
}

/// Where the columns are.
struct Columns {
    text: usize,
    label: usize,
    split: Option<usize>,
}

impl Columns {
    fn find(header: &csv::StringRecord) -> Result<Self, String> {
        let position = |names: &[&str]| header.iter().position(|column| names.contains(&column));
        let need = |names: &[&str]| {
            let has = || header.iter().collect::<Vec<_>>().join(", ");
            position(names).ok_or_else(|| format!("no column {}; it has {}", names.join(" or "), has()))
        };
        Ok(Self { text: need(&TEXT_COLUMNS)?, label: need(&LABEL_COLUMNS)?, split: position(&[SPLIT_COLUMN]) })
    }

    fn parse(&self, record: &csv::StringRecord) -> Row {
        let cell = |i: usize| record.get(i).ok_or_else(|| (Fault::BadRow, format!("only {} cells", record.len())));
        let label = cell(self.label)?.trim();
        let sound = match label.to_ascii_lowercase().as_str() {
            "1" | "1.0" | "true" | "yes" => true,
            "0" | "0.0" | "false" | "no" => false,
            _ => return Err((Fault::BadLabel, label.to_owned())),
        };
        let split = match self.split.map(cell).transpose()? {
            None => None,
            Some("train") => Some(LabelledSplit::Train),
            Some("heldout" | "test" | "valid" | "validation") => Some(LabelledSplit::HeldOut),
            Some(other) => return Err((Fault::BadSplit, other.to_owned())),
        };
        Ok((Example { text: cell(self.text)?.to_owned(), sound }, split))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    static HEADERS: &[&[u8]] = &[b"", b"text,label\n", b"split,Caption,matches_condition\n"];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn foreign_bytes_as_labelled_captions_never_panic(
            bytes in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..200),
                "([01,\"\n]|true|text|label|split|heldout|\u{e9}){0,60}".prop_map(String::into_bytes),
            ],
            header in prop::sample::select(HEADERS),
        ) {
            if let Ok((_, rows)) = parse([header, &bytes].concat().as_slice()) {
                for (example, _) in rows.flatten().flatten() {
                    words(&example.text);
                }
            }
        }
    }
}
