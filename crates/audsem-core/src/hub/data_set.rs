//! The Parquet files of a data set on the Hugging Face hub, through its usual cache
//! (`datasets--ORG--NAME/{refs,snapshots}`, shared with the Python libraries).

use std::fs;
use std::path::{Path, PathBuf};

use hf_hub::{Cache, Repo, RepoType};
use thiserror::Error;

use super::HubSettings;
use super::fetch::{FetchError, Source, api, checked};
use super::names::{self, is_hub_id};
use super::resolve::DEFAULT_REVISION;
use crate::terminal::counted;
use crate::walk::{NumericOrder, Walk, numeric_order};

/// Why the files of a data set are not there.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DataSetError {
    /// It is neither in the cache nor on the hub.
    #[error(
        "cannot find data set: `{repository}`, {part}\n  {problem}\nhint: name its Parquet files, if you have them"
    )]
    NotFound {
        /// The repository.
        repository: String,
        /// Folder and split.
        part: String,
        /// Where it was looked for, and what was there.
        problem: String,
    },
}

/// A part of a data set: the tables of a split, below a folder or anywhere.
#[derive(Debug, Clone, Copy)]
pub struct DataSetPart<'a> {
    /// The repository, `org/name`.
    pub repository: &'a str,
    /// Its folder.
    pub folder: Option<&'a str>,
    /// The split, with which the names of its files begin: `test-00000-of-00002.parquet`.
    pub split: &'a str,
}

impl DataSetPart<'_> {
    /// The tables in their order, from the hub, or without a network from the cache.
    ///
    /// # Errors
    /// [`DataSetError::NotFound`], which says where it was looked for.
    pub fn files(&self, hub: &HubSettings) -> Result<Vec<PathBuf>, DataSetError> {
        let found = match is_hub_id(self.repository) {
            false => Err("it is no id of the form `org/name`".to_owned()),
            true if hub.offline => self.cached(hub).map_err(|why| format!("HF_HUB_OFFLINE is set; {why}")),
            true => self.fetch(hub).map_err(|error| format!("hub: {error}")),
        };
        found.map_err(|problem| DataSetError::NotFound {
            repository: self.repository.to_owned(),
            part: format!(
                "split `{}`{}",
                self.split,
                self.folder.map(|name| format!(" of `{name}`")).unwrap_or_default()
            ),
            problem,
        })
    }

    fn cached(&self, hub: &HubSettings) -> Result<Vec<PathBuf>, String> {
        let repo = hub.cache.join(format!("datasets--{}", self.repository.replace('/', "--")));
        let commit = fs::read_to_string(repo.join("refs").join(DEFAULT_REVISION));
        let commit = commit.map_err(|error| format!("cache `{}`: {error}", repo.display()))?;
        let commit = commit.trim();
        if !names::is_component(commit) {
            return Err(format!("cache `{}`: `{commit}` is no commit", repo.display()));
        }
        let root = repo.join("snapshots").join(commit);
        let listed = Walk::deep().files(&root, |_| true).map_err(|error| error.to_string())?;
        let listed: Vec<String> = listed.into_iter().map(|file| file.name).collect();
        let names = self.chosen(&listed)?;
        complete(&names)?;
        Ok(names.iter().map(|name| root.join(name)).collect())
    }

    fn fetch(&self, hub: &HubSettings) -> Result<Vec<PathBuf>, FetchError> {
        let api = api(hub)?;
        let named = Repo::with_revision(self.repository.to_owned(), RepoType::Dataset, DEFAULT_REVISION.to_owned());
        let info = api.repo(named.clone()).info().map_err(Box::new)?;
        checked("the commit", &info.sha, names::is_component)?;
        let listed: Vec<String> = info.siblings.into_iter().map(|file| file.rfilename).collect();
        let names = self.chosen(&listed).map_err(FetchError::Lacks)?;
        let source = Source::new(hub, api, (RepoType::Dataset, self.repository), &info.sha);
        let mut files = Vec::with_capacity(names.len());
        for name in &names {
            tracing::info!(data_set = self.repository, file = name, "fetching a table");
            files.push(source.get(name)?);
        }
        let cache = Cache::new(hub.cache.clone()).repo(named);
        cache.create_ref(&info.sha).map_err(|error| Box::new(hf_hub::api::sync::ApiError::IoError(error)))?;
        Ok(files)
    }

    /// The tables of the split among the files of the repository.
    fn chosen(&self, listed: &[String]) -> Result<Vec<String>, String> {
        let is_below = |name: &str| match self.folder {
            Some(folder) => name.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')),
            None => true,
        };
        let is_of_split = |name: &str| {
            let file = Path::new(name).file_name().and_then(|file| file.to_str()).unwrap_or_default();
            let rest = file.strip_suffix(".parquet").and_then(|stem| stem.strip_prefix(self.split));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        let mut names: Vec<String> =
            listed.iter().filter(|name| is_below(name) && is_of_split(name)).cloned().collect();
        names.sort_by_cached_key(|name| -> (NumericOrder, String) { (numeric_order(name), name.clone()) });
        match names.is_empty() {
            false => Ok(names),
            true => {
                let shown = listed.iter().take(8).cloned().collect::<Vec<_>>().join(", ");
                Err(format!("no table of this split is among its {}: {shown}", counted(listed.len(), "files")))
            }
        }
    }
}

/// Whether all tables of `…-00000-of-00003.parquet` are there, as far as their names tell how many there are.
fn complete(names: &[String]) -> Result<(), String> {
    let stated = |name: &String| name.strip_suffix(".parquet")?.rsplit_once("-of-")?.1.parse::<usize>().ok();
    match names.first().and_then(stated) {
        Some(n) if n != names.len() => Err(format!("the cache has {} of its {n} tables", names.len())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::loopback::{Loopback, Reply};

    fn hub_of(names: &'static [&'static str]) -> Loopback {
        Loopback::start(move |call, _| {
            if call.path.starts_with("/api/datasets/org/sounds/revision/") {
                let files: Vec<_> = names.iter().map(|name| serde_json::json!({ "rfilename": name })).collect();
                let info = serde_json::json!({ "sha": "c1", "siblings": files });
                return Reply::Send(200, "content-type: application/json\r\n", info.to_string().into_bytes());
            }
            let known = names.iter().any(|name| call.path == format!("/datasets/org/sounds/resolve/c1/{name}"));
            let part = call.headers.iter().any(|(name, value)| name == "range" && value == "bytes=0-0");
            match (known, part) {
                (false, _) => Reply::Send(404, "", Vec::new()),
                (true, part) => {
                    let headers = "x-repo-commit: c1\r\netag: \"e1\"\r\ncontent-range: bytes 0-1/2\r\n";
                    Reply::Send(206, headers, if part { b"x".to_vec() } else { b"xy".to_vec() })
                }
            }
        })
    }

    #[test]
    fn tables_of_a_split_are_fetched_once_and_found_without_a_network() {
        let hub = hub_of(&[
            "README.md",
            "a/test-00000-of-00002.parquet",
            "a/test-00001-of-00002.parquet",
            "ab/test-00000-of-00001.parquet",
            "a/train-00000-of-00001.parquet",
            "a/testing-00000-of-00001.parquet",
        ]);
        let cache = tempfile::tempdir().unwrap();
        let online =
            HubSettings { cache: cache.path().to_owned(), offline: false, endpoint: Some(hub.url("")), token: None };
        let offline = HubSettings { offline: true, ..online.clone() };
        let part = DataSetPart { repository: "org/sounds", folder: Some("a"), split: "test" };
        assert!(part.files(&offline).unwrap_err().to_string().contains("HF_HUB_OFFLINE"));
        let fetched = |name: &str| hub.calls().iter().filter(|call| call.path.ends_with(name)).count();
        for (n, settings) in [&online, &online, &offline].into_iter().enumerate() {
            let before = fetched(".parquet");
            let files = part.files(settings).unwrap();
            assert_eq!(fetched(".parquet") > before, n == 0, "call {n} fetches what is there");
            let names: Vec<_> = files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
            assert_eq!(names, ["test-00000-of-00002.parquet", "test-00001-of-00002.parquet"]);
            assert_eq!(fs::read(&files[1]).unwrap(), b"xy");
        }
        assert_eq!(fetched("train-00000-of-00001.parquet"), 0);

        fs::remove_file(part.files(&offline).unwrap().pop().unwrap()).unwrap();
        let problem = part.files(&offline).unwrap_err().to_string();
        assert!(problem.contains("the cache has 1 of its 2 tables"), "{problem}");
        let absent = DataSetPart { split: "valid", ..part }.files(&online).unwrap_err().to_string();
        assert!(absent.contains("no table of this split is among its 6 files: README.md"), "{absent}");
        let private = DataSetPart { repository: "../out", ..part }.files(&online).unwrap_err().to_string();
        assert!(private.contains("no id of the form"), "{private}");
    }
}
