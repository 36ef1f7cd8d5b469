//! What can go wrong between a request and its answer.

use std::io;
use std::path::{Path, PathBuf};

use audsem_core::blame::Blame;
use audsem_core::terminal::counted;

use super::FinishReason;

/// Errors of [`crate`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// Every attempt failed: no connection, a broken one, a timeout, or only answers that say the server is overloaded.
    #[error(
        "language model server {url}: no answer after {}: {reason}\nhint: check that the server runs \
         and that its address is right (--server), or give it more time (--timeout, --retries)",
        counted(*attempts, "attempts")
    )]
    Unavailable {
        /// Address, without credentials.
        url: String,
        /// Requests sent.
        attempts: u32,
        /// The last failure.
        reason: String,
        /// HTTP status of the last failure; `None` where there was no HTTP answer.
        status: Option<u16>,
        /// Whether the server answered a short request of another kind afterwards, so that other
        /// requests may succeed.
        alive: bool,
    },
    /// The server rejected this request permanently (4xx).
    #[error("language model server {url}: status {status}: {body}{}", status_hint(*status))]
    Rejected {
        /// Address, without credentials.
        url: String,
        /// HTTP status.
        status: u16,
        /// Start of the body, credentials removed.
        body: String,
    },
    /// The server rejects every request for what all of them have in common.
    #[error(
        "language model server {url} refuses these settings, whatever the text: status {status}: {body}\nhint: {hint}"
    )]
    Settings {
        /// Address, without credentials.
        url: String,
        /// HTTP status.
        status: u16,
        /// Start of the body, credentials removed.
        body: String,
        /// What to do.
        hint: String,
    },
    /// The server answers, but not in the protocol.
    #[error(
        "language model server {url}: unreadable answer: {reason}: {excerpt}\nhint: the address must end where \
         /chat/completions or /completions follow, usually in /v1 (--server)"
    )]
    Malformed {
        /// Address, without credentials.
        url: String,
        /// What is wrong with it.
        reason: String,
        /// Start of the body.
        excerpt: String,
    },
    /// The answer does not fit the schema that was asked for.
    #[error("the model's answer does not fit the requested schema at {pointer}: {reason}: {excerpt}")]
    Schema {
        /// JSON pointer into the answer; empty for the whole.
        pointer: String,
        /// What is wrong there.
        reason: String,
        /// Start of the answer.
        excerpt: String,
    },
    /// The requested schema is not a JSON schema, or has an unknown keyword.
    #[error("JSON schema at {pointer}: {reason}\nhint: write it as JSON Schema, draft 2020-12")]
    BadSchema {
        /// JSON pointer into the schema.
        pointer: String,
        /// What is wrong there.
        reason: String,
    },
    /// The request was not sent, because the generator had already failed permanently in this batch or the
    /// process was asked to stop.
    #[error("not sent: the language model had already failed permanently, or a stop was requested")]
    NotSent,
    /// A stop was requested before the first question.
    #[error("stopped on request, while waiting for the language model server {url}")]
    Stopped {
        /// Address, without credentials.
        url: String,
    },
    /// A setting that makes requests impossible.
    #[error("{what}: `{value}`: {reason}\nhint: {hint}")]
    Config {
        /// The setting.
        what: &'static str,
        /// Its value, credentials removed.
        value: String,
        /// Why not.
        reason: String,
        /// What to do.
        hint: &'static str,
    },
    /// A prompt template that cannot be read, parsed or filled.
    #[error("prompt template {name}: {reason}")]
    Template {
        /// File or built-in name.
        name: String,
        /// Where and what.
        reason: String,
    },
    /// A prompt that cannot be sent.
    #[error("prompt: {reason}\nhint: {hint}")]
    Prompt {
        /// Why not.
        reason: &'static str,
        /// What to do.
        hint: &'static str,
    },
    /// A sound or picture that cannot be read.
    #[error("sound or picture, {path}: {reason}")]
    Media {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
        /// Whether the file is at fault, or the disk it lies on.
        blame: Blame,
    },
    /// The model answers, but none of its answers can be used, so the rest of the run would be wasted.
    #[error("none of {n} answers of the language model can be used; the last one: {reason}: `{excerpt}`\nhint: {hint}")]
    NoUsableAnswer {
        /// Answers so far.
        n: u64,
        /// What is wrong with the last one.
        reason: String,
        /// Start of what the model wrote.
        excerpt: String,
        /// What to do.
        hint: &'static str,
    },
    /// The replay folder cannot be read or written.
    #[error(
        "replay folder, {path}: {source}\nhint: give a writable folder with --replay, or turn it off with --no-replay"
    )]
    Replay {
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A generator outside this module failed (a model in this process).
    #[error("{reason}")]
    Other {
        /// The error of the generator.
        reason: String,
        /// Which requests are affected.
        scope: ErrorScope,
    },
}

/// Which requests an error affects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorScope {
    /// This request, every time it is sent: it is at fault.
    Request,
    /// This request, but not necessarily when it is sent again: the server was overloaded, broken or too slow.
    Temporary,
    /// Every request: sending more is pointless.
    All,
}

impl TextError {
    /// The error that none of `n` answers can be used, the last of which ended for this reason.
    pub(super) fn no_usable_answer(n: u64, reason: String, text: &str, finish: FinishReason) -> Self {
        let hint = match finish {
            FinishReason::Length => {
                "the answer was cut off before it said anything: raise --max-tokens, by hundreds for a reasoning model \
                 first, or turn thinking off, for example with --server-param \
                 'chat_template_kwargs={\"enable_thinking\":false}'"
            }
            FinishReason::Stop | FinishReason::Other => "check the prompt (--prompt) and the model's answers",
        };
        Self::NoUsableAnswer { n, reason, excerpt: excerpt(text), hint }
    }

    /// The error about a sound or picture that could not be read.
    #[must_use]
    pub fn unread_media(path: &Path, error: &io::Error) -> Self {
        Self::Media { path: path.to_owned(), reason: error.to_string(), blame: Blame::of_io(error) }
    }

    /// Which requests the error affects. One that affects all ends a run, a temporary one leaves its question open for
    /// the next run, and any other fails a single record.
    #[must_use]
    pub fn scope(&self) -> ErrorScope {
        match self {
            Self::Unavailable { status, alive, .. } if *alive && *status != Some(429) => ErrorScope::Temporary,
            Self::Malformed { .. } | Self::Media { blame: Blame::Surroundings, .. } => ErrorScope::Temporary,
            Self::Unavailable { .. }
            | Self::NotSent
            | Self::Stopped { .. }
            | Self::Config { .. }
            | Self::Settings { .. }
            | Self::Replay { .. }
            | Self::NoUsableAnswer { .. } => ErrorScope::All,
            Self::Rejected { status: 401..=405, .. } => ErrorScope::All,
            Self::Other { scope, .. } => *scope,
            _ => ErrorScope::Request,
        }
    }

    /// Whether further requests are pointless: the server is unreachable, rejects our key, or does not
    /// know the model or the route.
    #[must_use]
    pub fn is_systemic(&self) -> bool {
        self.scope() == ErrorScope::All
    }
}

fn status_hint(status: u16) -> &'static str {
    match status {
        401 | 403 => "\nhint: put the key into the environment variable named by --api-key-env",
        404 | 405 => "\nhint: check the address (--server, usually ending in /v1), the model name (--model) and --api",
        _ => "",
    }
}

/// At most 300 characters of a body, on one line, for a message.
pub(super) fn excerpt(body: &str) -> String {
    const MAX_CHARS: usize = 300;
    let line = body.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{} …", &line[..end]),
        None => line,
    }
}
