//! The hub and its cache.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use hf_hub::api::sync::{Api, ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, CacheRepo, Repo, RepoType};
use thiserror::Error;

use super::contents::{WeightIndex, list_files};
use super::file_names::{WEIGHT_FILES, side_files};
use super::open_clip::{OPEN_CLIP_CONFIG, is_of_tiktoken};
use super::{HubSettings, ModelDir, names};
use crate::files::{create_folder, write_atomically};
use crate::input::look_plain;
use crate::weights::ModelError;

/// Commit and folder of a snapshot in the cache, or why it cannot be used.
pub(super) type Cached = Result<(String, PathBuf), String>;

/// Looks a snapshot up in the cache.
///
/// # Errors
/// It cannot be told: the hub might have another commit by now, so that it is not asked instead.
pub(super) fn cached_snapshot(cache: &Path, model: &str, revision: &str) -> Result<Cached, ModelError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| ModelError::Read { path, source }
    };
    let is_folder = |path: &Path| -> Result<bool, ModelError> {
        Ok(look_plain(path).map_err(unreadable(path))?.is_some_and(|found| found.is_dir()))
    };
    let repo = cache.join(format!("models--{}", model.replace('/', "--")));
    if !is_folder(&repo)? {
        return Ok(Err(format!("cache `{}`: not there", repo.display())));
    }
    let reference = repo.join("refs").join(revision);
    let commit = match look_plain(&reference).map_err(unreadable(&reference))? {
        Some(found) if found.is_file() => {
            fs::read_to_string(&reference).map_err(unreadable(&reference))?.trim().to_owned()
        }
        _ => revision.to_owned(),
    };
    if !names::is_component(&commit) {
        return Ok(Err(format!("cache `{}`: `{commit}` is no commit", repo.display())));
    }
    let root = repo.join("snapshots").join(&commit);
    if !is_folder(&root)? {
        return Ok(Err(format!("cache `{}`: no revision `{revision}`", repo.display())));
    }
    let found = ModelDir { name: model.to_owned(), commit: None, root: root.clone() };
    let has_config = found.has("config.json")? || found.has(OPEN_CLIP_CONFIG)?;
    match found.weight_files() {
        Ok(_) if has_config => Ok(Ok((commit, root))),
        Err(error @ ModelError::Read { .. }) => Err(error),
        _ => Ok(Err(format!("cache `{}`: incomplete, it has {}", root.display(), list_files(&root).join(", ")))),
    }
}

/// Where the cache remembers that a commit does not have a file; the Python library keeps the same.
pub(super) fn absent_marker(cache: &Path, model: &str, commit: &str, name: &str) -> PathBuf {
    cache.join(format!("models--{}", model.replace('/', "--"))).join(".no_exist").join(commit).join(name)
}

/// Fetches the files beside the weights that a cached snapshot lacks. Where that does not work the snapshot
/// is used as it is: the missing files may not be needed, and are reported when they are.
pub(super) fn complete(hub: &HubSettings, found: &ModelDir, commit: &str) {
    if let Err(error) = fetch_side_files(hub, found, commit) {
        tracing::warn!(
            "{} is cached without tokenizer or preprocessor_config.json, and fetching them from the hub failed: {error}",
            found.name
        );
    }
}

fn fetch_side_files(hub: &HubSettings, found: &ModelDir, commit: &str) -> Result<(), FetchError> {
    let source = Source::new(hub, api(hub)?, (RepoType::Model, &found.name), commit);
    let info = source.repo.info().map_err(Box::new)?;
    let of_tiktoken = info.siblings.iter().map(|file| file.rfilename.as_str()).filter(|name| is_of_tiktoken(name));
    for name in side_files().chain(of_tiktoken).filter(|name| found.has(name).is_ok_and(|has| !has)) {
        if info.siblings.iter().any(|file| file.rfilename == name) {
            tracing::info!(model = found.name, file = name, "fetching a file that the cache lacks");
            source.get(name)?;
            continue;
        }
        // Remembered, so that the hub is asked once. A cache that cannot be written to is asked about again.
        let marker = absent_marker(&hub.cache, &found.name, commit, name);
        let folder = marker.parent().unwrap_or(&hub.cache);
        if let Err(error) = create_folder(folder).and_then(|()| write_atomically(&marker, b"")) {
            tracing::debug!("{error}");
        }
    }
    Ok(())
}

/// Why a file did not come from the hub.
#[derive(Debug, Error)]
pub(super) enum FetchError {
    /// What the library says.
    #[error(transparent)]
    Api(#[from] Box<ApiError>),
    /// A name that would become part of a path in the cache, and would lead out of it.
    #[error("the hub names {what} `{name}`, which must not become part of a path")]
    Name { what: &'static str, name: String },
    /// The repository lacks what is wanted.
    #[error("{0}")]
    Lacks(String),
}

pub(super) fn checked(what: &'static str, name: &str, is_good: impl Fn(&str) -> bool) -> Result<(), FetchError> {
    if is_good(name) { Ok(()) } else { Err(FetchError::Name { what, name: name.escape_debug().to_string() }) }
}

/// One commit of a repository.
pub(super) struct Source<'a> {
    api: Api,
    repo: ApiRepo,
    cache: CacheRepo,
    commit: &'a str,
}

impl<'a> Source<'a> {
    pub(super) fn new(hub: &HubSettings, api: Api, (kind, name): (RepoType, &str), commit: &'a str) -> Self {
        let repo = Repo::with_revision(name.to_owned(), kind, commit.to_owned());
        Self { repo: api.repo(repo.clone()), api, cache: Cache::new(hub.cache.clone()).repo(repo), commit }
    }

    /// A file, from the cache if it is there. The library builds paths in the cache from the file's metadata on the hub, so
    /// that is checked first.
    pub(super) fn get(&self, name: &str) -> Result<PathBuf, FetchError> {
        checked("the file", name, names::is_relative)?;
        if let Some(path) = self.cache.get(name) {
            return Ok(path);
        }
        let metadata = self.api.metadata(&self.repo.url(name)).map_err(Box::new)?;
        checked("the etag", metadata.etag(), names::is_relative)?;
        checked("the commit", metadata.commit_hash(), |commit| commit == self.commit)?;
        Ok(self.repo.get(name).map_err(Box::new)?)
    }
}

pub(super) fn api(hub: &HubSettings) -> Result<Api, Box<ApiError>> {
    let mut builder = ApiBuilder::from_cache(Cache::new(hub.cache.clone()))
        .with_progress(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_retries(3);
    if let Some(endpoint) = &hub.endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    if hub.token.is_some() {
        builder = builder.with_token(hub.token.clone());
    }
    Ok(builder.build()?)
}

/// Downloads what a model needs into the cache.
pub(super) fn fetch(hub: &HubSettings, model: &str, revision: &str) -> Result<(String, PathBuf), FetchError> {
    let api = api(hub)?;
    let named = Repo::with_revision(model.to_owned(), RepoType::Model, revision.to_owned());
    let info = api.repo(named.clone()).info().map_err(Box::new)?;
    checked("the commit", &info.sha, names::is_component)?;
    // The commit is pinned first, so that files of two commits are never mixed when the branch moves meanwhile.
    let source = Source::new(hub, api, (RepoType::Model, model), &info.sha);
    let has = |name: &str| info.siblings.iter().any(|file| file.rfilename == name);
    let of_tiktoken = info.siblings.iter().map(|file| file.rfilename.as_str()).filter(|name| is_of_tiktoken(name));
    for name in side_files().filter(|name| has(name)).chain(of_tiktoken) {
        source.get(name)?;
    }
    for name in fetch_weight_names(&source, &has)? {
        tracing::info!(model, file = name, "fetching weights");
        source.get(&name)?;
    }
    let cache = Cache::new(hub.cache.clone()).repo(named);
    cache.create_ref(&info.sha).map_err(|error| Box::new(ApiError::IoError(error)))?;
    Ok((info.sha.clone(), cache.pointer_path(&info.sha)))
}

/// Names of the weight files to fetch; fetches the index on the way where there is one.
fn fetch_weight_names(source: &Source<'_>, has: &dyn Fn(&str) -> bool) -> Result<BTreeSet<String>, FetchError> {
    let Some(name) = WEIGHT_FILES.into_iter().find(|name| has(name)) else {
        return Ok(BTreeSet::new());
    };
    if !name.ends_with(".index.json") {
        return Ok([name.to_owned()].into());
    }
    let bytes = fs::read(source.get(name)?).map_err(|error| Box::new(ApiError::IoError(error)))?;
    let index: Result<WeightIndex, _> = serde_json::from_slice(&bytes);
    Ok(index.map(|index| index.weight_map.into_values().collect()).unwrap_or_default())
}
