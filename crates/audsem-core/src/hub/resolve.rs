//! From what a user calls a model to its folder.

use std::path::Path;

use super::fetch::{absent_marker, cached_snapshot, complete, fetch};
use super::names::is_hub_id;
use super::{HubSettings, ModelDir, names, open_clip};
use crate::input::look_at;
use crate::weights::ModelError;

/// The branch meant when no revision is named.
pub(super) const DEFAULT_REVISION: &str = "main";

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
        match cached_snapshot(&hub.cache, model, revision)? {
            Ok((commit, root)) => {
                let found = Self { name: model.to_owned(), commit: Some(commit.clone()), root };
                if !hub.offline && found.lacks_side_files(&hub.cache, &commit)? {
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

    /// Whether a snapshot has been cached without its tokenizer and feature extractor, as when a Python program has
    /// loaded the network alone. What is known not to exist in the commit is not missed.
    fn lacks_side_files(&self, cache: &Path, commit: &str) -> Result<bool, ModelError> {
        let is_known_absent =
            |name: &&str| absent_marker(cache, &self.name, commit, name).try_exists().unwrap_or(false);
        let lacks = |names: &[&str]| -> Result<bool, ModelError> {
            Ok(self.files_of(names.iter().copied())?.is_empty() && !names.iter().all(is_known_absent))
        };
        let hears =
            || self.json::<serde_json::Value>("config.json").is_ok_and(|config| config["audio_config"].is_object());
        let mut lacking =
            lacks(&["tokenizer.json", "vocab.txt"])? || (lacks(&["preprocessor_config.json"])? && hears());
        for name in open_clip::tiktoken_files(self)? {
            lacking |= lacks(&[&name])?;
        }
        Ok(lacking)
    }
}
