//! Which tars an input names, and in which order.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::input::{files_of, is_folder};
use crate::run::{CompletedRun, FileFingerprint, Fingerprint, Reads};
use crate::walk::Walk;

/// Extensions of tars; the compression is detected by the first bytes. The last four are of compressions that are not read:
/// such tars are not skipped, but say so when they are opened.
const ENDINGS: [&str; 8] = [".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.xz", ".txz", ".tar.bz2", ".tbz2"];

/// The name of a tar before its ending, and the ending in lower case; `None` for what is not a tar by its name.
pub fn split_ending(name: &str) -> Option<(&str, &'static str)> {
    ENDINGS.into_iter().find_map(|ending| {
        let stem = name.len().checked_sub(ending.len())?;
        let (stem, its) = name.split_at_checked(stem)?;
        its.eq_ignore_ascii_case(ending).then_some((stem, ending))
    })
}

/// Whether a file is a tar, by its name.
pub fn is_tar(name: &str) -> bool {
    split_ending(name).is_some()
}

/// The tars that an input names: itself if it is a file, or those directly in the folder, by the numbers in their names.
/// Of a run folder, and of a folder in one, those that the run has made.
///
/// # Errors
/// It does not exist, is a folder without tars, or one whose run has not ended or has lost something.
pub fn tars_under(path: &Path) -> Result<Vec<PathBuf>> {
    let of_run = if is_folder(path)? { CompletedRun::outputs_under(path, is_tar)? } else { None };
    let tars = match of_run {
        Some(tars) => tars,
        None => files_of(path, Walk::flat().by_number(), is_tar)?,
    };
    if tars.is_empty() {
        let problem =
            "this folder holds no tar\nhint: name tars (.tar, .tar.gz, .tar.zst) or the folder that holds them";
        return Err(Error::input(path, problem));
    }
    Ok(tars)
}

/// A tar to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarInput {
    /// Where it is.
    pub path: PathBuf,
    /// Its file name.
    pub name: String,
    /// Hash of its name and content.
    pub fingerprint: Reads,
}

/// The tars that an input names, as [`tars_under`], with their fingerprints.
///
/// # Errors
/// As [`tars_under`]; or a tar cannot be read.
pub fn list_tars(path: &Path) -> Result<Vec<TarInput>> {
    let input = |path: PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let fingerprint = Fingerprint::new().with(&name).with_file(&FileFingerprint::of(&path)?).finish();
        Ok(TarInput { path, name, fingerprint })
    };
    tars_under(path)?.into_iter().map(input).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]
    use super::*;

    #[test]
    fn tars_come_in_the_order_of_their_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let in_order = ["1.tar", "2.TAR", "00003.tar", "clips-0004.tar.gz", "5.tar.zst", "10.tgz", "a.tar", "b.tar"];
        for name in in_order.iter().rev().chain(&["sizes.json", "6.tar.tmp", ".7.tar", "tar"]) {
            std::fs::write(path(name), "").unwrap();
        }
        let names = || -> Vec<String> {
            let name = |tar: PathBuf| tar.file_name().unwrap().to_str().unwrap().to_owned();
            tars_under(folder.path()).unwrap().into_iter().map(name).collect()
        };
        assert_eq!(names(), in_order);
        assert_eq!(tars_under(&path("sizes.json")).unwrap(), [path("sizes.json")], "what a user names is read");
        assert!(tars_under(&path("none")).unwrap_err().to_string().contains("none"));

        std::fs::write(path("run.json"), "{}").unwrap();
        assert!(matches!(tars_under(folder.path()), Err(Error::Unfinished(_))));
        assert_eq!(tars_under(&path("1.tar")).unwrap().len(), 1);
        let empty = tempfile::tempdir().unwrap();
        assert!(tars_under(empty.path()).unwrap_err().to_string().contains("this folder holds no tar"));
    }

    #[test]
    fn the_tars_of_a_run_are_those_it_has_made_all_of_them() {
        let folder = tempfile::tempdir().unwrap();
        let train = folder.path().join("train");
        let made: [(&str, &[u8]); 3] = [("train/10.tar", b"ten"), ("train/9.tar", b"nine"), ("sizes.json", b"{}")];
        crate::testing::finished_run(folder.path(), &made).unwrap();
        std::fs::write(train.join("0.tar"), "of an earlier plan").unwrap();
        assert_eq!(tars_under(&train).unwrap(), [train.join("9.tar"), train.join("10.tar")]);
        std::fs::create_dir(folder.path().join("mine")).unwrap();
        std::fs::write(folder.path().join("mine/1.tar"), "beside it").unwrap();
        std::fs::remove_file(train.join("9.tar")).unwrap();
        let error = tars_under(&train).unwrap_err().to_string();
        assert!(error.contains("train/9.tar is missing"), "{error}");
        assert_eq!(tars_under(&folder.path().join("mine")).unwrap().len(), 1, "no shard has made anything there");
    }

    #[test]
    fn an_ending_says_how_a_tar_is_compressed() {
        for (name, expected) in [
            ("a.b.tar.zst", Some(("a.b", ".tar.zst"))),
            ("0.TGZ", Some(("0", ".tgz"))),
            ("0.tar.xz", Some(("0", ".tar.xz"))),
            ("0.tbz2", Some(("0", ".tbz2"))),
            ("0.tar", Some(("0", ".tar"))),
            ("\u{e9}r", None),
            ("tar", None),
            ("0.tar.part", None),
        ] {
            assert_eq!(split_ending(name), expected, "{name}");
        }
    }
}
