//! Model folders and data sets: a local path, or a repository of the Hugging Face hub through its usual cache.
//!
//! Layout of the cache (shared with the Python libraries): `models--ORG--NAME/refs/REVISION` holds a commit,
//! `models--ORG--NAME/snapshots/COMMIT/` the files.

mod data_set;
mod fetch;
mod names;
mod open_clip;
mod push;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::input::look_at;
use crate::run::ModelFingerprint;
use crate::walk::{Walk, WalkError};
use crate::weights::ModelError;
pub use data_set::{DataSetError, DataSetPart};
use fetch::{absent_marker, cached_snapshot, complete, fetch};
pub use open_clip::OPEN_CLIP_CONFIG;
pub use push::{PushError, PushedModel, push_folder};

/// Files beside the weights that are fetched where the repository has them.
const SIDE_FILES: [&str; 16] = [
    "config.json",
    OPEN_CLIP_CONFIG,
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "preprocessor_config.json",
    "processor_config.json",
    "generation_config.json",
    "chat_template.jinja",
    "chat_template.json",
    "modules.json",
    "1_Pooling/config.json",
];

/// Files beside the weights on which results depend.
const HASHED_FILES: [&str; 14] = [
    "config.json",
    OPEN_CLIP_CONFIG,
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "generation_config.json",
    "chat_template.jinja",
    "chat_template.json",
];

/// Names of weight files, in the order in which they are preferred.
const WEIGHT_FILES: [&str; 6] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.bin",
];

/// Largest JSON file that is read; tokenizers with a million tokens have a tenth of it.
const MAX_JSON_BYTES: u64 = 1 << 28;

/// The branch meant when no revision is named.
const DEFAULT_REVISION: &str = "main";

/// A folder with a checkpoint: `config.json`, weights, tokenizer.
#[derive(Debug, Clone)]
pub struct ModelDir {
    name: String,
    commit: Option<String>,
    root: PathBuf,
}

/// Where models are looked for, apart from local folders.
#[derive(Debug, Clone)]
pub struct HubSettings {
    /// The hub cache folder.
    pub cache: PathBuf,
    /// Never use the network.
    pub offline: bool,
    /// Base address of the hub, where it is not the public one.
    pub endpoint: Option<String>,
    /// Access token for private repositories.
    pub token: Option<String>,
}

impl HubSettings {
    /// Reads `HF_HUB_CACHE`, `HF_HOME`, `HF_HUB_OFFLINE`, `HF_ENDPOINT` and `HF_TOKEN`, with the meaning the Python
    /// library gives them.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "these variables belong to the hub libraries, not to our flags")]
    pub fn from_env() -> Self {
        let var = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let home = || var("HOME").map_or_else(|| PathBuf::from("."), PathBuf::from);
        let cache = var("HF_HUB_CACHE").map(PathBuf::from).unwrap_or_else(|| {
            var("HF_HOME").map_or_else(|| home().join(".cache/huggingface"), PathBuf::from).join("hub")
        });
        let offline = var("HF_HUB_OFFLINE")
            .is_some_and(|value| matches!(value.to_ascii_uppercase().as_str(), "1" | "ON" | "YES" | "TRUE"));
        Self { cache, offline, endpoint: var("HF_ENDPOINT"), token: var("HF_TOKEN") }
    }
}

impl ModelDir {
    /// Finds a model by local path or hub id, with the settings of the environment.
    ///
    /// # Errors
    /// [`ModelError::NotFound`], which lists every place that was tried.
    pub fn resolve(model: &str, revision: Option<&str>) -> Result<Self, ModelError> {
        Self::resolve_with(model, revision, &HubSettings::from_env())
    }

    /// As [`ModelDir::resolve`], with explicit settings.
    ///
    /// # Errors
    /// [`ModelError::NotFound`], which lists every place that was tried.
    pub fn resolve_with(model: &str, revision: Option<&str>, hub: &HubSettings) -> Result<Self, ModelError> {
        let path = Path::new(model);
        let mut tried = vec![match look_at(path) {
            Ok(Some(found)) if found.is_dir() => return Ok(Self::local(path)),
            Ok(Some(_)) => format!("local folder `{model}`: it is a file; name its folder"),
            Ok(None) => format!("local folder `{model}`: not there"),
            // A model of the hub with that name is another one.
            Err(error) => return Err(ModelError::NotFound { model: model.to_owned(), tried: vec![error.to_string()] }),
        }];
        if !is_hub_id(model) {
            tried.push("hub: not an id of the form `org/name`".to_owned());
            return Err(ModelError::NotFound { model: model.to_owned(), tried });
        }
        let revision = revision.unwrap_or(DEFAULT_REVISION);
        if !names::is_relative(revision) {
            tried.push(format!("hub: `{revision}` is no name of a branch, tag or commit"));
            return Err(ModelError::NotFound { model: model.to_owned(), tried });
        }
        match cached_snapshot(&hub.cache, model, revision) {
            Ok((commit, root)) => {
                let found = Self { name: model.to_owned(), commit: Some(commit.clone()), root };
                if !hub.offline && found.lacks_side_files(&hub.cache, &commit) {
                    complete(hub, &found, &commit);
                }
                return Ok(found);
            }
            Err(why) => tried.push(why),
        }
        if hub.offline {
            tried.push("hub: not asked, because HF_HUB_OFFLINE is set".to_owned());
            return Err(ModelError::NotFound { model: model.to_owned(), tried });
        }
        match fetch(hub, model, revision) {
            Ok((commit, root)) => Ok(Self { name: model.to_owned(), commit: Some(commit), root }),
            Err(error) => {
                tried.push(format!("hub, revision `{revision}`: {error}"));
                Err(ModelError::NotFound { model: model.to_owned(), tried })
            }
        }
    }

    /// A folder known to exist.
    #[must_use]
    pub fn local(root: &Path) -> Self {
        let name = root.canonicalize().ok().and_then(|full| full.file_name().map(|n| n.to_string_lossy().into_owned()));
        Self { name: name.unwrap_or_else(|| root.display().to_string()), commit: None, root: root.to_owned() }
    }

    /// Hub id, or the last component of a local path.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether a snapshot has been cached without its tokenizer and feature extractor, as when a Python program has
    /// loaded the network alone. What is known not to exist in the commit is not missed.
    fn lacks_side_files(&self, cache: &Path, commit: &str) -> bool {
        let lacks_any = |names: &[&str]| {
            names.iter().all(|name| self.optional(name).is_none())
                && names.iter().any(|name| !absent_marker(cache, &self.name, commit, name).exists())
        };
        let hears =
            || self.json::<serde_json::Value>("config.json").is_ok_and(|config| config["audio_config"].is_object());
        let of_tiktoken = open_clip::tiktoken_files(self);
        lacks_any(&["tokenizer.json", "vocab.txt"])
            || (lacks_any(&["preprocessor_config.json"]) && hears())
            || of_tiktoken.iter().any(|name| lacks_any(&[name]))
    }

    /// A file that may be absent. One that cannot be looked at is taken for present, so that reading it gives the reason:
    /// a tokenizer or a configuration that is skipped gives other numbers.
    #[must_use]
    pub fn optional(&self, name: &str) -> Option<PathBuf> {
        let is_there = |path: &PathBuf| match fs::metadata(path) {
            Ok(found) => found.is_file(),
            Err(error) => !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
        };
        Some(self.root.join(name)).filter(is_there)
    }

    /// A file that must be there.
    ///
    /// # Errors
    /// [`ModelError::MissingFile`], which lists what the folder has instead.
    pub fn file(&self, name: &str) -> Result<PathBuf, ModelError> {
        self.optional(name).ok_or_else(|| ModelError::MissingFile {
            wanted: name.to_owned(),
            folder: self.root.clone(),
            hint: self.hint(),
        })
    }

    /// What the folder is, where it lacks a file: another kind of checkpoint, or a folder around one.
    fn hint(&self) -> String {
        // Not by `json`, which asks for this hint where there is no such file.
        let read = |path: PathBuf| serde_json::from_slice::<serde_json::Value>(&fs::read(path).ok()?).ok();
        let kind = self.optional("config.json").and_then(read).and_then(|config| {
            let class = config["architectures"][0].as_str().map(|name| format!(" ({name})")).unwrap_or_default();
            Some(format!("it is a `{}` checkpoint{class}, and ", config["model_type"].as_str()?))
        });
        let is_config = |name: &str| name.split('/').count() <= 3 && name.ends_with("/config.json");
        let inside = Walk::deep().files(&self.root, is_config).unwrap_or_default();
        if let (None, Some(model)) = (self.optional("config.json"), inside.first().and_then(|file| file.path.parent()))
        {
            return format!("did you mean {}?", model.display());
        }
        let present = match list_files(&self.root) {
            none if none.is_empty() => "no file".to_owned(),
            some => some.join(", "),
        };
        format!("{}it has {present}", kind.unwrap_or_default())
    }

    /// Reads a JSON file of the folder.
    ///
    /// # Errors
    /// The file is absent, unreadable, absurdly large, or not what `T` expects (the message names the key).
    pub fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T, ModelError> {
        let path = self.file(name)?;
        let unreadable = |source| ModelError::Read { path: path.clone(), source };
        let file = fs::File::open(&path).map_err(unreadable)?;
        let mut bytes = Vec::new();
        // One byte more, to see whether there is more; a length that was looked up can be that of a pipe or device.
        file.take(MAX_JSON_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > MAX_JSON_BYTES {
            return Err(ModelError::TooLarge { path, most: MAX_JSON_BYTES });
        }
        serde_json::from_slice(&bytes).map_err(|source| ModelError::Json { path, source })
    }

    /// The weight files: one file, or all shards an index names.
    ///
    /// Besides the usual names, a folder with exactly one `.safetensors`, `.bin`, `.pt` or `.pth` file is accepted.
    ///
    /// # Errors
    /// There is none, the index is broken, or a shard is missing.
    pub fn weight_files(&self) -> Result<Vec<PathBuf>, ModelError> {
        for name in WEIGHT_FILES {
            let Some(path) = self.optional(name) else {
                continue;
            };
            if !name.ends_with(".index.json") {
                return Ok(vec![path]);
            }
            let index: WeightIndex = self.json(name)?;
            let shards: BTreeSet<String> = index.weight_map.into_values().collect();
            return shards.iter().map(|shard| self.named_file(shard)).collect();
        }
        for extension in ["safetensors", "bin", "pt", "pth"] {
            let found = Walk::flat().files(&self.root, |name| has_extension(name, extension)).map_err(unreadable)?;
            if let [only] = found.as_slice() {
                return Ok(vec![only.path.clone()]);
            }
        }
        self.file(WEIGHT_FILES[0]).map(|path| vec![path])
    }

    /// A file that another file of the folder names: it must be in the folder, or in the part of the hub's cache that
    /// the folder is a snapshot of.
    ///
    /// # Errors
    /// It is elsewhere, or absent.
    pub fn named_file(&self, name: &str) -> Result<PathBuf, ModelError> {
        let outside = || ModelError::Outside { name: name.to_owned(), folder: self.root.clone() };
        if !names::is_relative(name) {
            return Err(outside());
        }
        let path = self.file(name)?;
        let real =
            |path: &Path| path.canonicalize().map_err(|source| ModelError::Read { path: path.to_owned(), source });
        let (file, root) = (real(&path)?, real(&self.root)?);
        let blobs = names::blobs_of_snapshot(&root);
        let inside = file.starts_with(&root) || blobs.is_some_and(|blobs| file.starts_with(blobs));
        if inside { Ok(path) } else { Err(outside()) }
    }

    /// Hashes weights, configurations and tokenizer, in this order, for `run.json`.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn fingerprint(&self) -> Result<ModelFingerprint, ModelError> {
        let side = HASHED_FILES.into_iter().filter_map(|name| self.optional(name));
        let of_tiktoken = open_clip::tiktoken_files(self);
        let of_tiktoken = of_tiktoken.iter().filter_map(|name| self.optional(name));
        let sha256 = self.weight_files()?.into_iter().chain(side).chain(of_tiktoken).map(|path| sha256_of(&path));
        Ok(ModelFingerprint {
            name: self.name.clone(),
            revision: self.commit.clone(),
            sha256: sha256.collect::<Result<_, _>>()?,
        })
    }
}

/// The part of `*.index.json` that says which shard holds a tensor.
#[derive(Deserialize)]
struct WeightIndex {
    weight_map: BTreeMap<String, String>,
}

fn has_extension(name: &str, extension: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found == extension)
}

/// File names of a folder, sorted, for messages; empty where it cannot be read.
fn list_files(folder: &Path) -> Vec<String> {
    let files = Walk::flat().files(folder, |_| true).unwrap_or_default();
    files.into_iter().map(|file| file.name).collect()
}

fn unreadable(WalkError { path, source }: WalkError) -> ModelError {
    ModelError::Read { path, source }
}

/// `name` or `org/name`, of the characters the hub allows.
fn is_hub_id(text: &str) -> bool {
    let ok = |part: &str| {
        !part.is_empty()
            && !part.starts_with(['.', '-'])
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    let parts: Vec<&str> = text.split('/').collect();
    (1..=2).contains(&parts.len()) && parts.into_iter().all(ok)
}

impl ModelFingerprint {
    /// Hashes a model that is one file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn of_file(path: &Path) -> Result<Self, ModelError> {
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Ok(Self { name, revision: None, sha256: vec![sha256_of(path)?] })
    }
}

fn sha256_of(path: &Path) -> Result<String, ModelError> {
    let failed = |source| ModelError::Read { path: path.to_owned(), source };
    let mut file = fs::File::open(path).map_err(failed)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut buffer).map_err(failed)?;
        if n == 0 {
            break;
        }
        hasher.update(&buffer[..n]);
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn settings(cache: &Path) -> HubSettings {
        HubSettings { cache: cache.to_owned(), offline: true, endpoint: None, token: None }
    }

    fn put(path: &Path, bytes: &[u8]) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::io::Write::write_all(&mut fs::OpenOptions::new().create(true).append(true).open(path).unwrap(), bytes)
            .unwrap();
    }

    #[test]
    fn hub_ids() {
        for (text, expected) in [
            ("bert-base-uncased", true),
            ("org/name-1.5_x", true),
            ("a/b/c", false),
            ("/abs/path", false),
            ("./here", false),
            ("../up", false),
            ("org/", false),
            ("", false),
            ("with space/x", false),
        ] {
            assert_eq!(is_hub_id(text), expected, "{text}");
        }
    }

    #[test]
    fn offline_finds_a_cached_revision_by_branch_and_by_commit() {
        let cache = tempfile::tempdir().unwrap();
        let repo = cache.path().join("models--org--tiny");
        put(&repo.join("refs/main"), b"abc123\n");
        put(&repo.join("snapshots/abc123/config.json"), b"{}");
        put(&repo.join("snapshots/abc123/model.safetensors"), b"x");
        for revision in [None, Some("main"), Some("abc123")] {
            let dir = ModelDir::resolve_with("org/tiny", revision, &settings(cache.path())).unwrap();
            assert_eq!(dir.root(), repo.join("snapshots/abc123"));
            assert_eq!(dir.fingerprint().unwrap().revision.as_deref(), Some("abc123"));
        }
        let error = ModelDir::resolve_with("org/tiny", Some("v2"), &settings(cache.path())).unwrap_err().to_string();
        assert!(error.contains("no revision `v2`"), "{error}");
    }

    #[test]
    fn a_model_that_is_nowhere_says_where_it_was_looked_for() {
        let cache = tempfile::tempdir().unwrap();
        let error = ModelDir::resolve_with("org/none", None, &settings(cache.path())).unwrap_err().to_string();
        for part in ["local folder `org/none`", "models--org--none", "HF_HUB_OFFLINE", "hint:"] {
            assert!(error.contains(part), "{part} not in {error}");
        }
    }

    #[test]
    fn an_incomplete_snapshot_is_not_taken() {
        let cache = tempfile::tempdir().unwrap();
        put(&cache.path().join("models--org--half/snapshots/c1/config.json"), b"{}");
        put(&cache.path().join("models--org--half/refs/main"), b"c1");
        let error = ModelDir::resolve_with("org/half", None, &settings(cache.path())).unwrap_err().to_string();
        assert!(error.contains("incomplete"), "{error}");
    }

    #[test]
    fn a_model_of_open_clip_is_found_by_its_own_files() {
        let cache = tempfile::tempdir().unwrap();
        let root = cache.path().join("models--org--ears/snapshots/c1");
        put(&cache.path().join("models--org--ears/refs/main"), b"c1");
        let names = r#"{"model_cfg": {"text_cfg": {"tiktoken_bpe_path": "open_clip_tiktoken/a.tiktoken"}}}"#;
        put(&root.join("open_clip_config.json"), names.as_bytes());
        put(&root.join("open_clip_model.safetensors"), b"x");
        put(&root.join("other.safetensors"), b"y");
        let hash = || {
            let dir = ModelDir::resolve_with("org/ears", None, &settings(cache.path())).unwrap();
            assert_eq!(dir.weight_files().unwrap(), [root.join("open_clip_model.safetensors")]);
            dir.fingerprint().unwrap().sha256
        };
        let without = hash();
        put(&root.join("open_clip_tiktoken/a.tiktoken"), b"t");
        let with = hash();
        put(&root.join("open_clip_tiktoken/a.tiktoken"), b"u");
        assert_eq!((without.len(), with.len()), (2, 3));
        assert_ne!(with, hash());
    }

    #[test]
    fn what_the_cache_lacks_is_fetched_for_its_commit_and_asked_for_once() {
        use crate::testing::loopback::{Loopback, Reply};

        let hub = Loopback::start(|call, _| match call.path.as_str() {
            "/api/models/org/ears/revision/c1" => {
                let files = ["config.json", "model.safetensors", "tokenizer.json"];
                let files = files.map(|name| serde_json::json!({ "rfilename": name }));
                let info = serde_json::json!({ "sha": "c1", "siblings": files });
                Reply::Send(200, "content-type: application/json\r\n", info.to_string().into_bytes())
            }
            "/org/ears/resolve/c1/tokenizer.json" => {
                let part = call.headers.iter().any(|(name, value)| name == "range" && value == "bytes=0-0");
                let headers = "x-repo-commit: c1\r\netag: \"e1\"\r\ncontent-range: bytes 0-1/2\r\n";
                Reply::Send(206, headers, if part { b"{".to_vec() } else { b"{}".to_vec() })
            }
            _ => Reply::Send(404, "", Vec::new()),
        });
        let cache = tempfile::tempdir().unwrap();
        let repo = cache.path().join("models--org--ears");
        put(&repo.join("refs/main"), b"c1");
        put(&repo.join("snapshots/c1/config.json"), br#"{"audio_config": {}}"#);
        put(&repo.join("snapshots/c1/model.safetensors"), b"x");
        let offline = ModelDir::resolve_with("org/ears", None, &settings(cache.path())).unwrap();
        assert!(offline.optional("tokenizer.json").is_none());

        let online = HubSettings { offline: false, endpoint: Some(hub.url("")), ..settings(cache.path()) };
        for _ in 0..2 {
            let dir = ModelDir::resolve_with("org/ears", None, &online).unwrap();
            assert_eq!(fs::read(dir.file("tokenizer.json").unwrap()).unwrap(), b"{}");
            assert_eq!(fs::read(dir.file("model.safetensors").unwrap()).unwrap(), b"x");
        }
        let asked = hub.calls().iter().filter(|call| call.path.starts_with("/api/")).count();
        assert_eq!(asked, 1, "the hub was asked again for what it does not have");

        // A hub that cannot be reached is not an error.
        put(&repo.join("refs/old"), b"c2");
        put(&repo.join("snapshots/c2/config.json"), b"{}");
        put(&repo.join("snapshots/c2/model.safetensors"), b"x");
        assert!(ModelDir::resolve_with("org/ears", Some("old"), &online).is_ok());
    }

    #[test]
    fn sharded_weights_are_listed_once_each_and_a_missing_shard_is_named() {
        let dir = tempfile::tempdir().unwrap();
        put(
            &dir.path().join("model.safetensors.index.json"),
            br#"{"weight_map": {"a": "m-2.safetensors", "b": "m-1.safetensors", "c": "m-2.safetensors"}}"#,
        );
        put(&dir.path().join("m-1.safetensors"), b"1");
        let error = ModelDir::local(dir.path()).weight_files().unwrap_err().to_string();
        assert!(error.contains("m-2.safetensors"), "{error}");
        put(&dir.path().join("m-2.safetensors"), b"2");
        let files = ModelDir::local(dir.path()).weight_files().unwrap();
        assert_eq!(files, [dir.path().join("m-1.safetensors"), dir.path().join("m-2.safetensors")]);
    }

    #[test]
    fn whatever_results_depend_on_is_fetched_and_hashed() {
        assert!(HASHED_FILES.iter().all(|name| SIDE_FILES.contains(name)));
        let dir = tempfile::tempdir().unwrap();
        put(&dir.path().join("model.safetensors"), b"abc");
        put(&dir.path().join("processor_config.json"), b"{}");
        let before = ModelDir::local(dir.path()).fingerprint().unwrap();
        put(&dir.path().join("processor_config.json"), b" ");
        assert_ne!(ModelDir::local(dir.path()).fingerprint().unwrap().sha256, before.sha256);
    }

    #[test]
    fn fingerprint_is_the_sha256_of_the_bytes() {
        let dir = tempfile::tempdir().unwrap();
        put(&dir.path().join("model.safetensors"), b"abc");
        let print = ModelDir::local(dir.path()).fingerprint().unwrap();
        assert_eq!(print.sha256[0], "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn an_index_names_nothing_outside_the_folder() {
        let outside = tempfile::tempdir().unwrap();
        put(&outside.path().join("secret.safetensors"), b"s");
        let absolute = outside.path().join("secret.safetensors");
        let dir = tempfile::tempdir_in(outside.path()).unwrap();
        put(&dir.path().join("own.safetensors"), b"o");
        put(&dir.path().join("part/own.safetensors"), b"o");
        std::os::unix::fs::symlink(&absolute, dir.path().join("link.safetensors")).unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.path().join("up")).unwrap();
        let files = |shard: &str| {
            let path = dir.path().join("model.safetensors.index.json");
            let _ = fs::remove_file(&path);
            put(&path, serde_json::json!({ "weight_map": { "a": shard } }).to_string().as_bytes());
            ModelDir::local(dir.path()).weight_files()
        };
        for shard in ["own.safetensors", "part/own.safetensors"] {
            assert_eq!(files(shard).unwrap(), [dir.path().join(shard)]);
        }
        let absolute = absolute.to_str().unwrap();
        for shard in [
            "../secret.safetensors",
            "part/../../secret.safetensors",
            "link.safetensors",
            "up/secret.safetensors",
            absolute,
        ] {
            let error = files(shard).unwrap_err();
            assert!(matches!(error, ModelError::Outside { .. }), "{shard}: {error}");
        }
    }

    #[test]
    fn a_shard_of_a_cached_snapshot_may_be_a_link_to_its_blob_and_to_nothing_else() {
        let cache = tempfile::tempdir().unwrap();
        let repo = cache.path().join("models--org--tiny");
        put(&repo.join("refs/main"), b"c1");
        put(&repo.join("blobs/e1"), b"x");
        put(&cache.path().join("secret"), b"x");
        put(&repo.join("snapshots/c1/config.json"), b"{}");
        put(&repo.join("snapshots/c1/model.safetensors.index.json"), br#"{"weight_map": {"a": "m.safetensors"}}"#);
        let link = repo.join("snapshots/c1/m.safetensors");
        std::os::unix::fs::symlink("../../blobs/e1", &link).unwrap();
        assert!(ModelDir::resolve_with("org/tiny", None, &settings(cache.path())).is_ok());
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink("../../../secret", &link).unwrap();
        assert!(ModelDir::resolve_with("org/tiny", None, &settings(cache.path())).is_err());
    }

    #[test]
    fn revisions_do_not_lead_out_of_the_cache() {
        let cache = tempfile::tempdir().unwrap();
        let repo = cache.path().join("models--org--tiny");
        put(&cache.path().join("elsewhere/config.json"), b"{}");
        put(&cache.path().join("elsewhere/model.safetensors"), b"x");
        put(&repo.join("snapshots/.keep"), b"");
        put(&repo.join("refs/evil"), b"../../elsewhere");
        put(&cache.path().join("ref"), b"c1");
        let absolute = cache.path().join("elsewhere");
        for revision in ["../../elsewhere", "evil", "../../ref", absolute.to_str().unwrap(), ""] {
            let error = ModelDir::resolve_with("org/tiny", Some(revision), &settings(cache.path())).unwrap_err();
            assert!(matches!(error, ModelError::NotFound { .. }), "{revision}: {error}");
        }
    }

    /// What a hub says that wants a file written beside the cache.
    #[test]
    fn what_the_hub_says_does_not_lead_out_of_the_cache() {
        use crate::testing::loopback::{Loopback, Reply};

        let evil = [
            ("../../../out", "c1", "c1", "model.safetensors"),
            ("/tmp/audsem-out", "c1", "c1", "model.safetensors"),
            ("e1", "../../../out", "c1", "model.safetensors"),
            ("e1", "c1", "../../../out", "model.safetensors"),
            ("e1", "c1", "c1", "../../../out"),
        ];
        for (etag, header, sha, shard) in evil {
            let index = serde_json::json!({ "weight_map": { "a": shard } }).to_string();
            let headers =
                format!("x-repo-commit: {header}\r\netag: \"{etag}\"\r\ncontent-range: bytes 0-1/{}\r\n", index.len());
            let headers: &'static str = Box::leak(headers.into_boxed_str());
            let hub = Loopback::start(move |call, _| match call.path.starts_with("/api/") {
                true => {
                    let files = [serde_json::json!({ "rfilename": "model.safetensors.index.json" })];
                    let info = serde_json::json!({ "sha": sha, "siblings": files });
                    Reply::Send(200, "content-type: application/json\r\n", info.to_string().into_bytes())
                }
                false => Reply::Send(206, headers, index.clone().into_bytes()),
            });
            let root = tempfile::tempdir().unwrap();
            let cache = root.path().join("a/b/cache");
            fs::create_dir_all(&cache).unwrap();
            let online = HubSettings { offline: false, endpoint: Some(hub.url("")), ..settings(&cache) };
            let error = ModelDir::resolve_with("org/evil", None, &online).unwrap_err().to_string();
            assert!(error.contains("must not become part of a path"), "{etag} {header} {sha} {shard}: {error}");
            let outside: Vec<_> = [root.path().join("a"), root.path().join("a/b")]
                .iter()
                .flat_map(|folder| fs::read_dir(folder).unwrap())
                .map(|entry| entry.unwrap().file_name())
                .filter(|name| name != "b" && name != "cache")
                .collect();
            assert!(outside.is_empty(), "{outside:?}");
        }
    }

    #[test]
    fn another_checkpoint_and_the_folder_around_one_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let lacks = |root: &Path| ModelDir::local(root).file("preprocessor_config.json").unwrap_err().to_string();
        assert!(lacks(dir.path()).ends_with("hint: it has no file"), "{}", lacks(dir.path()));
        let model = dir.path().join("clf/model");
        put(&model.join("config.json"), br#"{"model_type": "bert", "architectures": ["BertModel"]}"#);
        put(&model.join("vocab.txt"), b"a");
        let around = lacks(dir.path());
        assert!(around.ends_with(&format!("hint: did you mean {}?", model.display())), "{around}");
        let other = lacks(&model);
        assert!(
            other.ends_with("hint: it is a `bert` checkpoint (BertModel), and it has config.json, vocab.txt"),
            "{other}"
        );
    }

    #[test]
    fn absurdly_large_json_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        put(&dir.path().join("config.json"), b"{}");
        fs::OpenOptions::new().write(true).open(dir.path().join("config.json")).unwrap().set_len(1 << 40).unwrap();
        let error = ModelDir::local(dir.path()).json::<serde_json::Value>("config.json").unwrap_err();
        assert!(matches!(error, ModelError::TooLarge { .. }), "{error}");
    }

    #[test]
    fn a_file_that_cannot_be_looked_at_is_not_taken_for_absent() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("tokenizer.json", dir.path().join("tokenizer.json")).unwrap();
        let model = ModelDir::local(dir.path());
        assert!(model.optional("tokenizer.json").is_some() && model.optional("vocab.txt").is_none());
        assert!(model.json::<serde_json::Value>("tokenizer.json").is_err());
    }
}
