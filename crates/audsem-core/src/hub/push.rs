//! Upload of a model folder to the hub, as one commit.
//!
//! Small text files travel inside the commit. Others go to the store of large files first, by the protocol of Git LFS; the
//! hub says which. A file whose content the store has already is not sent again, so an upload that was interrupted
//! continues.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thiserror::Error;

use super::HubSettings;
use super::fingerprint::sha256_of;
use super::names::is_hub_id;
use crate::terminal::counted;
use crate::walk::Walk;
use crate::weights::ModelError;

/// The public hub.
const PUBLIC_HUB: &str = "https://huggingface.co";

/// The branch that is written to.
const BRANCH: &str = "main";

/// Bytes at the beginning of a file by which the hub decides how it is stored.
const SAMPLE_BYTES: u64 = 512;

/// Times that a request is tried which the hub or the connection failed, not one that the hub refused.
const TRIES: u32 = 4;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(30);

/// How long the hub may be silent once it has the request.
const SILENCE: Duration = Duration::from_secs(300);

/// Where a model folder was uploaded to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PushedModel {
    /// Address of the commit.
    pub url: String,
    /// Files of the folder.
    pub files: usize,
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes that the hub did not have.
    pub sent_bytes: u64,
}

/// Why a model was not uploaded.
#[derive(Debug, Error)]
pub enum PushError {
    /// There is nothing to say who uploads.
    #[error("the hub wants to know who uploads\nhint: put an access token that may write into HF_TOKEN")]
    NoToken,
    /// The hub may not be asked.
    #[error("HF_HUB_OFFLINE is set, so nothing can be uploaded")]
    Offline,
    /// No name of a repository.
    #[error("`{0}` is no name of a repository: it is of the form `org/name`")]
    Name(String),
    /// A file of the folder cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file of the folder cannot be hashed, or the folder cannot be listed.
    #[error(transparent)]
    Folder(#[from] ModelError),
    /// The hub refuses.
    #[error("the hub refuses to {what}: status {status}: {said}")]
    Refused {
        /// What was asked.
        what: &'static str,
        /// The status of its answer.
        status: u16,
        /// The beginning of its answer.
        said: String,
    },
    /// The hub cannot be reached, or fails.
    #[error("cannot {what}: {problem}\nhint: run the same command again; what the hub has is not sent twice")]
    Failed {
        /// What was asked.
        what: &'static str,
        /// What went wrong.
        problem: String,
    },
}

/// Uploads all files of a folder to a repository, which is made if it is not there. Other files of the repository stay.
///
/// # Errors
/// There is no token, a file cannot be read, or the hub refuses or cannot be reached.
pub fn push_folder(hub: &HubSettings, repo: &str, folder: &Path, private: bool) -> Result<PushedModel, PushError> {
    if !is_hub_id(repo) || !repo.contains('/') {
        return Err(PushError::Name(repo.to_owned()));
    }
    if hub.offline {
        return Err(PushError::Offline);
    }
    let token = hub.token.clone().ok_or(PushError::NoToken)?;
    let endpoint = hub.endpoint.as_deref().unwrap_or(PUBLIC_HUB).trim_end_matches('/').to_owned();
    let push = Push { agent: agent(), endpoint, token, repo };
    let files = files_of(folder)?;
    push.make(private)?;
    let large = push.large(&files)?;
    let sent_bytes = push.store(&large)?;
    let url = push.commit(&files, &large)?;
    Ok(PushedModel { url, files: files.len(), bytes: files.iter().map(|file| file.bytes).sum(), sent_bytes })
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(CONNECT))
        .timeout_recv_response(Some(SILENCE))
        .user_agent(concat!("audsem/", env!("CARGO_PKG_VERSION")));
    ureq::Agent::new_with_config(config.build())
}

/// A file of the folder.
#[derive(Debug)]
struct FolderFile {
    name: String,
    path: PathBuf,
    bytes: u64,
    sha256: String,
}

fn files_of(folder: &Path) -> Result<Vec<FolderFile>, PushError> {
    let found = Walk::flat().files(folder, |_| true).map_err(super::contents::unreadable)?;
    let file = |(name, path): (String, PathBuf)| {
        let bytes = std::fs::metadata(&path).map_err(|source| PushError::Read { path: path.clone(), source })?.len();
        Ok(FolderFile { sha256: sha256_of(&path)?, name, path, bytes })
    };
    found.into_iter().map(|found| file((found.name, found.path))).collect()
}

/// What the hub says of the files of a commit.
#[derive(Deserialize)]
struct UploadModes {
    files: Vec<UploadMode>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UploadMode {
    path: String,
    upload_mode: String,
}

/// What the store of large files wants of an object.
#[derive(Deserialize)]
struct Objects {
    objects: Vec<Object>,
}

#[derive(Deserialize)]
struct Object {
    oid: String,
    error: Option<Value>,
    #[serde(default)]
    actions: Actions,
}

/// None of them where the store has the object.
#[derive(Default, Deserialize)]
struct Actions {
    upload: Option<Action>,
    verify: Option<Action>,
}

#[derive(Deserialize)]
struct Action {
    href: String,
    #[serde(default)]
    header: std::collections::BTreeMap<String, String>,
}

/// An upload to one repository.
struct Push<'a> {
    agent: ureq::Agent,
    endpoint: String,
    token: String,
    repo: &'a str,
}

impl Push<'_> {
    /// Makes the repository, unless it is there.
    fn make(&self, private: bool) -> Result<(), PushError> {
        let (organization, name) = self.repo.split_once('/').unwrap_or_default();
        let body = json!({ "name": name, "organization": organization, "private": private });
        match self.post("make the repository", "/api/repos/create", "application/json", &body.to_string()) {
            Err(PushError::Refused { status: 409, .. }) | Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The files that the hub wants in its store of large files.
    fn large<'a>(&self, files: &'a [FolderFile]) -> Result<Vec<&'a FolderFile>, PushError> {
        const WHAT: &str = "ask how the files are stored";
        let asked = files.iter().map(|file| {
            let mut sample = Vec::new();
            let read = File::open(&file.path).and_then(|open| open.take(SAMPLE_BYTES).read_to_end(&mut sample));
            read.map_err(|source| PushError::Read { path: file.path.clone(), source })?;
            Ok(json!({ "path": file.name, "size": file.bytes, "sample": STANDARD.encode(sample) }))
        });
        let body = json!({ "files": asked.collect::<Result<Vec<Value>, PushError>>()? });
        let route = format!("/api/models/{}/preupload/{BRANCH}", self.repo);
        let modes: UploadModes = parse(WHAT, &self.post(WHAT, &route, "application/json", &body.to_string())?)?;
        let is_large =
            |file: &&FolderFile| modes.files.iter().any(|mode| mode.path == file.name && mode.upload_mode == "lfs");
        Ok(files.iter().filter(is_large).collect())
    }

    /// Sends the large files that the store does not have. Returns their bytes.
    fn store(&self, large: &[&FolderFile]) -> Result<u64, PushError> {
        const WHAT: &str = "announce large files";
        if large.is_empty() {
            return Ok(0);
        }
        let objects: Vec<Value> = large.iter().map(|file| json!({ "oid": file.sha256, "size": file.bytes })).collect();
        let body = json!({
            "operation": "upload", "transfers": ["basic"], "hash_algo": "sha256", "objects": objects,
            "ref": { "name": format!("refs/heads/{BRANCH}") },
        });
        let route = format!("/{}.git/info/lfs/objects/batch", self.repo);
        let answer: Objects =
            parse(WHAT, &self.post(WHAT, &route, "application/vnd.git-lfs+json", &body.to_string())?)?;
        let mut sent = 0;
        for file in large {
            let Some(object) = answer.objects.iter().find(|object| object.oid == file.sha256) else {
                let problem = format!("the hub does not speak of {}", file.name);
                return Err(PushError::Failed { what: WHAT, problem });
            };
            if let Some(error) = &object.error {
                return Err(PushError::Failed { what: WHAT, problem: format!("{}: {error}", file.name) });
            }
            if let Some(upload) = &object.actions.upload {
                tracing::info!("uploading {} ({})", file.name, counted(file.bytes, "bytes"));
                self.put(upload, file)?;
                sent += file.bytes;
            }
            if let Some(verify) = &object.actions.verify {
                self.verify(verify, file)?;
            }
        }
        Ok(sent)
    }

    /// Sends a file to the store. Its address is no part of the hub and gets no token but what the hub says.
    fn put(&self, upload: &Action, file: &FolderFile) -> Result<(), PushError> {
        let answered = tried("send a large file", || {
            let open = File::open(&file.path).map_err(ureq::Error::Io)?;
            let request = self.agent.put(&upload.href);
            upload.header.iter().fold(request, |request, (name, value)| request.header(name, value)).send(open)
        })?;
        drop(answered);
        Ok(())
    }

    fn verify(&self, verify: &Action, file: &FolderFile) -> Result<(), PushError> {
        let body = json!({ "oid": file.sha256, "size": file.bytes }).to_string();
        let answered = tried("have a large file checked", || {
            let request = self.agent.post(&verify.href).header("content-type", "application/vnd.git-lfs+json");
            let request = verify.header.iter().fold(request, |request, (name, value)| request.header(name, value));
            let has_own = verify.header.keys().any(|name| name.eq_ignore_ascii_case("authorization"));
            let is_of_hub = verify.href.starts_with(&format!("{}/", self.endpoint));
            match is_of_hub && !has_own {
                true => request.header("authorization", self.bearer()).send(&body),
                false => request.send(&body),
            }
        })?;
        drop(answered);
        Ok(())
    }

    /// Makes the commit. Returns its address.
    fn commit(&self, files: &[FolderFile], large: &[&FolderFile]) -> Result<String, PushError> {
        const WHAT: &str = "make the commit";
        let header = json!({ "summary": "Upload a model with AudSem", "description": "" });
        let mut lines = json!({ "key": "header", "value": header }).to_string();
        for file in files {
            let line = match large.iter().any(|other| other.name == file.name) {
                true => json!({
                    "key": "lfsFile",
                    "value": { "path": file.name, "algo": "sha256", "oid": file.sha256, "size": file.bytes },
                }),
                false => {
                    let content = std::fs::read(&file.path)
                        .map_err(|source| PushError::Read { path: file.path.clone(), source })?;
                    let content = STANDARD.encode(content);
                    json!({ "key": "file", "value": { "path": file.name, "content": content, "encoding": "base64" } })
                }
            };
            lines.push('\n');
            lines.push_str(&line.to_string());
        }
        let route = format!("/api/models/{}/commit/{BRANCH}", self.repo);
        let answer: Value = parse(WHAT, &self.post(WHAT, &route, "application/x-ndjson", &lines)?)?;
        let page = || format!("{}/{}", self.endpoint, self.repo);
        Ok(answer["commitUrl"].as_str().map_or_else(page, str::to_owned))
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }

    /// Posts to the hub and returns what it says.
    fn post(&self, what: &'static str, route: &str, content_type: &str, body: &str) -> Result<String, PushError> {
        let url = format!("{}{route}", self.endpoint);
        tried(what, || {
            let request = self.agent.post(&url).header("authorization", self.bearer());
            request.header("accept", "application/json").header("content-type", content_type).send(body)
        })
    }
}

/// Asks until there is an answer that is not a failure of the hub, and returns its text.
fn tried(
    what: &'static str,
    ask: impl Fn() -> Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<String, PushError> {
    let mut problem = String::new();
    for attempt in 0..TRIES {
        if attempt > 0 {
            tracing::warn!("cannot {what}: {problem}; trying again");
            std::thread::sleep(Duration::from_millis(250 << attempt));
        }
        let answer = match ask() {
            Ok(answer) => answer,
            Err(error) => {
                problem = error.to_string();
                continue;
            }
        };
        let status = answer.status().as_u16();
        let said = answer.into_body().read_to_string().unwrap_or_default();
        match status {
            200..300 => return Ok(said),
            429 | 500.. => problem = format!("status {status}"),
            _ => return Err(PushError::Refused { what, status, said: said.chars().take(300).collect() }),
        }
    }
    Err(PushError::Failed { what, problem })
}

fn parse<T: serde::de::DeserializeOwned>(what: &'static str, text: &str) -> Result<T, PushError> {
    serde_json::from_str(text)
        .map_err(|error| PushError::Failed { what, problem: format!("the hub's answer is not understood: {error}") })
}
