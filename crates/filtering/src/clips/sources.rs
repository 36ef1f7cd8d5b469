//! The candidates: which files the inputs hold, in a fixed order.

use std::fs;
use std::path::{Path, PathBuf};

use audsem_core::error::Error;
use audsem_core::run::{FileFingerprint, FileState, Fingerprint, check_growing};
use audsem_core::suffix::is_media;
use audsem_core::tar::{MemberReader, TarError, is_metadata, is_tar};
use audsem_core::walk::Walk;

use super::name::ClipName;
use super::rows::Row;
use crate::error::Result;

/// Extensions of unfinished downloads.
const PARTIAL: [&str; 3] = ["part", "ytdl", "temp"];

/// Where a candidate's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// A file of its own.
    File(PathBuf),
    /// The member of this number in a tar (index into [`Sources::tars`]).
    Member { tar: usize, number: u64 },
}

/// What is known of a candidate before it is read.
#[derive(Debug, Clone)]
pub(super) enum State {
    /// Its name is that of a clip; the row is found later.
    Named { name: ClipName, row: Option<Box<Row>> },
    /// An earlier candidate has the same row.
    Duplicate { of: String },
    /// Its name is not that of a clip.
    BadName(String),
    /// A download that did not end.
    Partial,
    /// Stands for all that is behind the damage in a tar.
    BrokenTar(String),
    /// Stands for all that may be missing at the end of a tar.
    NoEndMarker,
}

/// A file that may be a clip.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    /// Its name relative to the input, or in the tar.
    pub(super) file: String,
    pub(super) n_bytes: u64,
    pub(super) place: Place,
    pub(super) state: State,
}

/// All candidates.
#[derive(Debug, Default)]
pub(super) struct Sources {
    pub(super) candidates: Vec<Candidate>,
    /// The tars, in order.
    pub(super) tars: Vec<PathBuf>,
    /// Files that are not media by their name.
    pub(super) n_other: u64,
}

impl Candidate {
    fn new(file: &str, n_bytes: u64, place: Place) -> Candidate {
        let state = if has_ending(file, is_partial) {
            State::Partial
        } else {
            match ClipName::parse(file) {
                Ok(name) => State::Named { name, row: None },
                Err(error) => State::BadName(error.to_string()),
            }
        };
        Candidate { file: file.to_owned(), n_bytes, place, state }
    }

    /// Adds all that the candidate's sample depends on. Files of their own count by name and size:
    /// hashing them would read the whole input once more.
    pub(super) fn add_to(&self, sum: Fingerprint, tars: &[FileFingerprint]) -> Fingerprint {
        let sum = sum.with(&self.file).with(self.n_bytes.to_string());
        let sum = match &self.place {
            // One that has gone since the folder was listed is missed when it is to be read.
            Place::File(path) => match FileState::of(path) {
                Ok(state) => sum.watching(state),
                Err(_) => sum,
            },
            Place::Member { tar, number } => match tars.get(*tar) {
                Some(tar) => sum.with_file(tar).with(number.to_string()),
                None => sum,
            },
        };
        match &self.state {
            State::Named { row: Some(row), .. } => row.add_to(sum),
            State::Named { row: None, .. } => sum.with("no row"),
            State::Duplicate { of } => sum.with("duplicate").with(of),
            State::BadName(_) | State::Partial | State::BrokenTar(_) | State::NoEndMarker => sum,
        }
    }
}

impl Sources {
    /// Lists the inputs: folders by name, tars member by member.
    ///
    /// # Errors
    /// An input cannot be read, or holds nothing that may be a clip.
    pub(super) fn find(inputs: &[PathBuf]) -> Result<Sources> {
        let mut sources = Sources::default();
        for input in inputs {
            let before = (sources.candidates.len(), sources.tars.len());
            if fs::metadata(input).map_err(Error::read(input))?.is_dir() {
                check_growing(input)?;
                for file in Walk::deep().files(input, |_| true).map_err(Error::from)? {
                    sources.add(&file.path, &file.name, false)?;
                }
            } else {
                let name = input.file_name().unwrap_or_default().to_string_lossy().into_owned();
                sources.add(input, &name, true)?;
            }
            if before == (sources.candidates.len(), sources.tars.len()) {
                let problem = "there are no media and no tars\nhint: clips are files such as `VIDEO (1.5-4.0).mp4`; found none in";
                return Err(Error::Input { path: input.clone(), problem: problem.to_owned() }.into());
            }
        }
        Ok(sources)
    }

    /// Adds a file; a file named by the user is treated as media whatever its extension.
    fn add(&mut self, path: &Path, name: &str, named: bool) -> Result<()> {
        if is_tar(name) {
            self.list_tar(path);
        } else if named || has_ending(name, is_media) || has_ending(name, is_partial) {
            let n_bytes = fs::metadata(path).map_err(Error::read(path))?.len();
            self.candidates.push(Candidate::new(name, n_bytes, Place::File(path.to_owned())));
        } else {
            self.n_other += 1;
        }
        Ok(())
    }

    /// Lists a tar's members; damage, or the lack of an end, becomes a candidate that fails.
    fn list_tar(&mut self, path: &Path) {
        let tar = self.tars.len();
        self.tars.push(path.to_owned());
        let whole = |state, number| Candidate {
            file: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            n_bytes: 0,
            place: Place::Member { tar, number },
            state,
        };
        let mut members = match MemberReader::scan(path) {
            Ok(members) => members,
            Err(error) => return self.candidates.push(whole(State::BrokenTar(error.to_string()), 0)),
        };
        for number in 0.. {
            match members.next_member() {
                Ok(Some(member)) if !member.is_file || is_metadata(&member.name) => {}
                Ok(Some(member)) if has_ending(&member.name, is_media) || has_ending(&member.name, is_partial) => {
                    let place = Place::Member { tar, number };
                    self.candidates.push(Candidate::new(&member.name, member.size, place));
                }
                Ok(Some(_)) => self.n_other += 1,
                Ok(None) => return,
                Err(TarError::NoEndMarker { .. }) => return self.candidates.push(whole(State::NoEndMarker, number)),
                Err(error) => return self.candidates.push(whole(State::BrokenTar(error.to_string()), number)),
            }
        }
    }
}

fn has_ending(name: &str, wanted: impl Fn(&str) -> bool) -> bool {
    name.rsplit_once('.').is_some_and(|(_, ending)| wanted(ending))
}

fn is_partial(ending: &str) -> bool {
    PARTIAL.iter().any(|known| known.eq_ignore_ascii_case(ending))
}
