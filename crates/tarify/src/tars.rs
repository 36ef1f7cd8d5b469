//! Tars as inputs: which ones a command line names, their order, and the kind of their members.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use audsem_core::input::file_bytes;
use audsem_core::progress::InputMeter;
use audsem_core::run::{Shard, ShardOutput};
pub use audsem_core::tar::TarInput;
use audsem_core::tar::{self, Grouping, MemberReader, MemberRole, split_ending};
use audsem_core::walk::numeric_order;

use crate::error::Error;

/// The tars that `inputs` name: tars themselves, and those directly in folders. Sorted by the number
/// in their names (`2.tar` before `10.tar`), then by name.
///
/// # Errors
/// An input does not exist, is a folder without tars or one whose run has not ended; two tars have the same file name.
pub fn list_tars(inputs: &[PathBuf]) -> Result<Vec<TarInput>, Error> {
    let mut tars = Vec::new();
    for input in inputs {
        tars.extend(tar::list_tars(input)?);
    }
    tars.sort_by_cached_key(|tar| (numeric_order(&tar.name), tar.path.clone()));
    refuse_equal_names(&tars)?;
    Ok(tars)
}

/// Outputs and tables refer to a tar by its file name, so names must be unique.
fn refuse_equal_names(tars: &[TarInput]) -> Result<(), Error> {
    let mut seen: BTreeMap<String, &TarInput> = BTreeMap::new();
    for tar in tars {
        if let Some(earlier) = seen.insert(plain_name(&tar.name), tar) {
            return Err(Error::SameName { first: earlier.path.clone(), second: tar.path.clone() });
        }
    }
    Ok(())
}

/// The name without the part that says how it is compressed: `3.tar.gz` is `3.tar`.
pub fn plain_name(name: &str) -> String {
    let stem = split_ending(name).map_or(name, |(stem, _)| stem);
    format!("{stem}.tar")
}

/// One shard for each tar, named after its place in the list: `00042`.
pub(crate) fn shard_name(index: usize) -> String {
    format!("{index:05}")
}

/// A tar and how much of it `--limit` leaves.
#[derive(Debug, Clone)]
pub(crate) struct TarWork {
    pub tar: TarInput,
    /// Records to take from its beginning.
    pub budget: u64,
}

impl TarWork {
    /// A meter of its bytes for the progress line. How many of them a limit leaves is not known.
    pub(crate) fn meter(&self, out: &ShardOutput) -> InputMeter {
        let whole = self.budget == u64::MAX;
        out.meter(if whole { file_bytes(&self.tar.path) } else { 0 })
    }
}

/// What a command counts as a record of a tar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Members,
    Samples,
}

/// The plan of a command that works on one tar after the other. With a limit the tars before the
/// last one needed are counted first, by their headers.
pub(crate) fn plan(tars: Vec<TarInput>, unit: Unit, limit: Option<u64>) -> Vec<Shard<TarWork>> {
    let mut left = limit.unwrap_or(u64::MAX);
    let mut shards = Vec::new();
    for (index, tar) in tars.into_iter().enumerate() {
        if left == 0 {
            break;
        }
        let budget = left;
        if limit.is_some() {
            left -= count(&tar.path, unit).min(left);
        }
        shards.push(Shard {
            name: shard_name(index),
            fingerprint: tar.fingerprint.clone(),
            work: TarWork { tar, budget },
        });
    }
    shards
}

/// Records of a tar, as far as it can be read; its shard reports what is wrong with it.
fn count(path: &Path, unit: Unit) -> u64 {
    let Ok(mut members) = MemberReader::scan(path) else { return 0 };
    let (mut n, mut grouping) = (0, Grouping::default());
    while let Ok(Some(member)) = members.next_member() {
        n += match (unit, grouping.role(&member)) {
            (Unit::Members, MemberRole::Keyless | MemberRole::Part { .. })
            | (Unit::Samples, MemberRole::Part { begins: true, .. }) => 1,
            _ => 0,
        };
    }
    n
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn t33_tars_are_listed_and_come_in_the_order_of_their_numbers() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["10.tar", "2.tar", "00003.tar", "b.tar", "a.tar", "4.tar.zst", "sizes.json", "tar_mp4_mapping.csv"]
        {
            tempfile::Builder::new().prefix(name).rand_bytes(0).tempfile_in(folder.path()).unwrap().keep().unwrap();
        }
        let tars = list_tars(&[folder.path().to_owned()]).unwrap();
        let names: Vec<&str> = tars.iter().map(|tar| tar.name.as_str()).collect();
        assert_eq!(names, ["2.tar", "00003.tar", "4.tar.zst", "10.tar", "a.tar", "b.tar"]);
        let error = list_tars(&[folder.path().to_owned(), folder.path().join("2.tar")]).unwrap_err().to_string();
        assert!(error.contains("2.tar"), "{error}");
        assert!(list_tars(&[folder.path().join("none")]).is_err());
    }

    #[test]
    fn compression_is_no_part_of_a_tars_name() {
        let check = |name: &str, expected: &str| assert_eq!(plain_name(name), expected);
        check("0.tar", "0.tar");
        check("0.tar.gz", "0.tar");
        check("0.tgz", "0.tar");
        check("a.b.tar.zst", "a.b.tar");
    }
}
