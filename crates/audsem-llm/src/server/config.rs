//! Settings of a server.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{RetryPolicy, TextError};

/// The API route that prompts are sent to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Api {
    /// Chats to `/chat/completions`, raw prompts to `/completions`.
    #[default]
    Auto,
    /// Everything to `/completions`; a chat is written out with plain headings. For base models
    /// without a chat template.
    Raw,
}

/// How the bytes of a sound are sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum AudioForm {
    /// `input_audio` with data and format: OpenAI, vLLM, llama.cpp
    #[default]
    InputAudio,
    /// `audio_url` with the sound inside a `data:` address: vLLM, SGLang
    AudioUrl,
}

impl AudioForm {
    /// Every form, the most common one first.
    pub const ALL: [Self; 2] = [Self::InputAudio, Self::AudioUrl];

    /// The name of the form, as in the protocol.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::InputAudio => "input_audio",
            Self::AudioUrl => "audio_url",
        }
    }
}

/// How a JSON schema is sent to the server. If the server refuses the form, the forms below it are tried, and the first
/// that it takes is used from then on. The answer is validated on our side in any case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum SchemaFormat {
    /// `guided_json` beside the messages: vLLM 0.6 to 0.10. Then as `json-schema`
    GuidedJson,
    /// `response_format.type = json_schema`: OpenAI, vLLM, SGLang, llama.cpp's own server
    #[default]
    JsonSchema,
    /// `json_schema` beside the messages: builds of llama.cpp's server that mistake a `response_format` for a grammar
    TopLevel,
    /// `response_format.type = json_object` with a `schema` beside it: llama-cpp-python
    JsonObject,
    /// `response_format.type = json_object` alone: any JSON; the prompt must describe it
    AnyJson,
    /// Nothing is sent; the prompt must describe the answer, and the first JSON object in its text counts
    None,
}

impl SchemaFormat {
    /// The name on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::GuidedJson => "guided-json",
            Self::JsonSchema => "json-schema",
            Self::TopLevel => "top-level",
            Self::JsonObject => "json-object",
            Self::AnyJson => "any-json",
            Self::None => "none",
        }
    }
}

/// A key that never appears in a log, message or file.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Reads a key from an environment variable; absent and empty are the same.
    #[must_use]
    pub fn from_env(name: &str) -> Option<Self> {
        let value = std::env::var_os(name)?.into_string().ok()?;
        Self::new(&value)
    }

    pub(crate) fn new(value: &str) -> Option<Self> {
        let value = value.trim();
        (!value.is_empty()).then(|| Self(value.to_owned()))
    }

    fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Settings of an [`super::OpenAiServer`].
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Address up to where `/chat/completions` follows, e.g. `http://127.0.0.1:8000/v1`.
    pub url: String,
    /// Model to ask for; `None` asks the server, which must then serve exactly one.
    pub model: Option<String>,
    /// The API route that prompts are sent to.
    pub api: Api,
    /// Number of concurrent requests, at least 1.
    pub concurrency: usize,
    /// Longest time from sending a request to the last byte of its answer.
    pub timeout: Duration,
    /// Longest time for making a connection.
    pub connect_timeout: Duration,
    /// The retry policy.
    pub retry: RetryPolicy,
    /// How schemas are sent at first.
    pub schema_format: SchemaFormat,
    /// Extra fields of every request body, e.g. `chat_template_kwargs`.
    pub extra: Map<String, Value>,
    /// Sent as bearer token where present, or in the header `api-key` where there is a version of the API.
    pub api_key: Option<Secret>,
    /// Version of the API that stands behind every address: deployments of Azure have one.
    pub api_version: Option<String>,
}

impl ServerConfig {
    /// Defaults for an address: 16 concurrent requests, a timeout of two minutes, the default retries.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            model: None,
            api: Api::default(),
            concurrency: 16,
            timeout: Duration::from_secs(120),
            connect_timeout: Duration::from_secs(10),
            retry: RetryPolicy::default(),
            schema_format: SchemaFormat::default(),
            extra: Map::new(),
            api_key: None,
            api_version: None,
        }
    }

    pub(super) fn check(&self) -> Result<(), TextError> {
        let refuse = |what, value: &str, reason: &str, hint| {
            Err(TextError::Config { what, value: value.to_owned(), reason: reason.to_owned(), hint })
        };
        let rest = self.url.strip_prefix("http://").or_else(|| self.url.strip_prefix("https://"));
        if rest.is_none_or(|rest| rest.trim_matches('/').is_empty()) {
            return refuse(
                "address of the language model server",
                &redact_url(&self.url),
                "must begin with http:// or https:// and name a host",
                "give for example --server http://127.0.0.1:8000/v1",
            );
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if let Some(version) =
            self.api_version.as_deref().filter(|version| version.is_empty() || !version.chars().all(is_plain))
        {
            return refuse(
                "version of the API",
                version,
                "consists of letters, digits, `-`, `.` and `_`",
                "give for example --azure-api-version 2024-11-01-preview",
            );
        }
        if self.concurrency == 0 {
            return refuse("concurrent requests", "0", "must be at least 1", "give --concurrency 1 or more");
        }
        Ok(())
    }

    pub(super) fn endpoint(&self, route: &str) -> String {
        let version = self.api_version.iter().map(|version| format!("?api-version={version}"));
        format!("{}/{route}{}", self.url.trim_end_matches('/'), version.collect::<String>())
    }

    /// The header that carries the key, if there is one.
    pub(super) fn key_header(&self) -> Option<(&'static str, String)> {
        let key = self.api_key.as_ref()?.text();
        Some(match self.api_version {
            None => ("authorization", format!("Bearer {key}")),
            Some(_) => ("api-key", key.to_owned()),
        })
    }

    /// Model and everything else that decides an answer; no address, no timing.
    pub(super) fn identity(&self, model: &str) -> String {
        let mut identity = model.to_owned();
        if self.api == Api::Raw {
            identity.push_str(" raw");
        }
        if self.schema_format != SchemaFormat::default() {
            // What older replay folders have.
            let name =
                if self.schema_format == SchemaFormat::JsonObject { "object" } else { self.schema_format.name() };
            identity.push_str(&format!(" schema-{name}"));
        }
        let mut extra: Vec<_> = self.extra.iter().collect();
        extra.sort_unstable_by_key(|(key, _)| key.as_str());
        for (key, value) in extra {
            identity.push_str(&format!(" {key}={value}"));
        }
        identity
    }

    /// Removes our key from a text the server sent, because some servers quote it.
    pub(super) fn redact(&self, text: &str) -> String {
        match &self.api_key {
            Some(Secret(key)) => text.replace(key.as_str(), "***"),
            None => text.to_owned(),
        }
    }
}

/// An address without user, password and query.
pub(super) fn redact_url(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
            let host = authority.rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}{path}")
        }
        None => url.to_owned(),
    }
}
