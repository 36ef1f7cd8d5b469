//! A language model behind an OpenAI-compatible HTTP server.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::error::excerpt;
use super::retry::{is_retryable, retry_after};
use super::{Arrived, Request, Response, TextError, TextGenerator, wire};
use audsem_core::signals::{sleep_until, stop_requested};

mod config;
mod exchange;
mod forms;
#[cfg(test)]
mod odd_body_tests;
mod permits;
#[cfg(test)]
mod tests;

use config::redact_url;
pub use config::{Api, AudioForm, SchemaFormat, Secret, ServerConfig};
use exchange::{Answer, exchange};
use forms::SchemaForms;
use permits::Permits;

/// Timeout of the health check after a request has failed permanently.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Number of requests in a row without an answer, each after all its retries, from which the server counts as
/// unreachable.
const MAX_UNANSWERED: u32 = 64;

/// Batches that ask for permits at the same time: while one waits for its last answers, the others use what it leaves.
const LANES: usize = 4;

/// Client of one server. It can be shared by threads: at most [`ServerConfig::concurrency`] requests are in
/// flight at a time, whoever sends them.
pub struct OpenAiServer {
    config: ServerConfig,
    model: String,
    agent: ureq::Agent,
    permits: Permits,
    forms: SchemaForms,
    audio_form: Mutex<AudioForm>,
    /// No request is sent before this moment, because the server asked clients to wait.
    hold_until: Mutex<Option<Instant>>,
    /// Requests in a row without an answer.
    unanswered: AtomicU32,
}

/// One failed attempt.
enum Failure {
    /// A retry cannot succeed.
    Permanent(TextError),
    /// A retry may succeed.
    Transient { reason: String, status: Option<u16>, retry_after: Option<Duration> },
    /// A success status with a body outside the protocol; may be a broken proxy, so worth a retry.
    Malformed(TextError),
    /// A stop was requested.
    Stopped,
}

impl OpenAiServer {
    /// Makes a client. The server is asked for its model only if none is named.
    ///
    /// # Errors
    /// [`TextError::Config`] for an address no request can go to, or where the model must be named;
    /// [`TextError::Stopped`] if a stop is requested meanwhile; any error of a request.
    pub fn connect(config: ServerConfig) -> Result<Self, TextError> {
        config.check()?;
        let agent = ureq::Agent::new_with_config(
            ureq::Agent::config_builder()
                .http_status_as_error(false)
                .timeout_global(Some(config.timeout))
                .timeout_connect(Some(config.connect_timeout))
                .max_idle_connections_per_host(config.concurrency)
                .max_idle_connections(config.concurrency)
                .user_agent(concat!("audsem/", env!("CARGO_PKG_VERSION")))
                .build(),
        );
        let (permits, forms) = (Permits::new(config.concurrency), SchemaForms::new(config.schema_format));
        let model = config.model.clone().unwrap_or_default();
        let (hold_until, unanswered) = (Mutex::new(None), AtomicU32::new(0));
        let audio_form = Mutex::default();
        let mut server = Self { config, model, agent, permits, forms, audio_form, hold_until, unanswered };
        if server.model.is_empty() {
            server.model = server.only_model().map_err(|error| match error {
                TextError::NotSent => TextError::Stopped { url: redact_url(&server.config.url) },
                error => error,
            })?;
        }
        Ok(server)
    }

    /// The model that gives the answers.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Sends the sounds of all further requests in this form.
    pub(super) fn send_audio_as(&self, form: AudioForm) {
        *self.audio_form.lock().unwrap_or_else(PoisonError::into_inner) = form;
    }

    /// Posts JSON to a route of the server and returns the body of its answer, with the retries of questions. For what
    /// only some servers have, such as adapters that are loaded at run time.
    ///
    /// # Errors
    /// The server refuses, or gives no answer after all retries.
    pub fn call(&self, route: &str, body: &Value) -> Result<String, TextError> {
        let (url, body): (String, Arc<str>) = (self.config.endpoint(route), body.to_string().into());
        self.with_retries(&url, || self.post_text(&url, &body))
    }

    fn only_model(&self) -> Result<String, TextError> {
        let body = self.with_retries("models", || self.get("models"))?;
        let ids: Vec<&str> = body
            .get("data")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|model| model.get("id")?.as_str())
            .collect();
        match ids[..] {
            [id] => Ok(id.to_owned()),
            _ => Err(TextError::Config {
                what: "model of the server",
                value: redact_url(&self.config.url),
                reason: if ids.is_empty() { "names no model".into() } else { format!("serves {}", ids.join(", ")) },
                hint: "name one with --model",
            }),
        }
    }

    fn ask(&self, request: &Request) -> Result<Response, TextError> {
        match request.schema {
            Some(_) => self.forms.ask(|form| self.ask_in(form, request)),
            None => self.ask_in(SchemaFormat::None, request),
        }
    }

    /// Asks with the schema, if the request has one, in a form.
    fn ask_in(&self, form: SchemaFormat, request: &Request) -> Result<Response, TextError> {
        let audio_form = *self.audio_form.lock().unwrap_or_else(PoisonError::into_inner);
        let body = wire::body(&self.model, request, (form, audio_form), &self.config.extra);
        let body: Arc<str> = body.to_string().into();
        let url = self.config.endpoint(wire::route(&request.prompt));
        let key = request.key(&self.model);
        self.with_retries(&key, || {
            let answer = self.post(&url, &body)?;
            wire::response(&answer, &request.prompt, &self.model)
                .map_err(|reason| Failure::Malformed(self.malformed(reason, &answer.to_string())))
        })
    }

    fn with_retries<T>(&self, key: &str, send: impl Fn() -> Result<T, Failure>) -> Result<T, TextError> {
        let mut attempt = 0;
        loop {
            self.wait_while_held()?;
            let result = {
                let _permit = self.permits.take();
                if stop_requested() { Err(Failure::Stopped) } else { send() }
            };
            let (reason, status, asked_wait, malformed) = match result {
                Ok(value) => {
                    self.unanswered.store(0, Ordering::Relaxed);
                    return Ok(value);
                }
                Err(Failure::Permanent(error)) => return Err(error),
                Err(Failure::Stopped) => return Err(TextError::NotSent),
                Err(Failure::Malformed(error)) => (error.to_string(), None, None, Some(error)),
                Err(Failure::Transient { reason, status, retry_after }) => (reason, status, retry_after, None),
            };
            if attempt == self.config.retry.retries {
                return Err(self.no_answer(attempt + 1, reason, status, malformed));
            }
            let wait = self.config.retry.wait(key, attempt, asked_wait);
            tracing::debug!(attempt, reason, wait_ms = wait.as_millis() as u64, "asking the language model again");
            if asked_wait.is_some() {
                self.hold(wait);
            }
            if !sleep_until(Instant::now() + wait) {
                return Err(TextError::NotSent);
            }
            attempt += 1;
        }
    }

    /// The error of a request that got no answer. After many of them in a row the server counts as unreachable, even if it
    /// answers other requests.
    fn no_answer(&self, attempts: u32, reason: String, status: Option<u16>, malformed: Option<TextError>) -> TextError {
        let is_hopeless = self.unanswered.fetch_add(1, Ordering::Relaxed) + 1 >= MAX_UNANSWERED;
        match malformed {
            Some(error) if !is_hopeless => error,
            malformed => {
                let alive = !is_hopeless && (malformed.is_some() || self.is_alive());
                TextError::Unavailable { url: redact_url(&self.config.url), attempts, reason, status, alive }
            }
        }
    }

    fn post(&self, url: &str, body: &Arc<str>) -> Result<Value, Failure> {
        self.json(&self.post_text(url, body)?)
    }

    fn post_text(&self, url: &str, body: &Arc<str>) -> Result<String, Failure> {
        let mut request = self.agent.post(url).header("content-type", "application/json");
        if let Some((header, key)) = self.config.key_header() {
            request = request.header(header, key);
        }
        let body = Arc::clone(body);
        self.read(exchange(move || request.send(&*body)))
    }

    fn get(&self, route: &str) -> Result<Value, Failure> {
        let mut request = self.agent.get(self.config.endpoint(route));
        if let Some((header, key)) = self.config.key_header() {
            request = request.header(header, key);
        }
        self.json(&self.read(exchange(move || request.call()))?)
    }

    fn json(&self, text: &str) -> Result<Value, Failure> {
        // Some programs put a byte order mark before everything they write.
        serde_json::from_str(text.trim_start_matches('\u{feff}'))
            .map_err(|error| Failure::Malformed(self.malformed(format!("not JSON: {error}"), text)))
    }

    /// The body of a success.
    fn read(&self, result: Option<Result<Answer, ureq::Error>>) -> Result<String, Failure> {
        let Some(result) = result else { return Err(Failure::Stopped) };
        let Answer { status, retry_after: header, body } = result.map_err(|error| self.transport(&error))?;
        let wait = header.and_then(|header| retry_after(&header, unix_s()));
        let body = match body {
            Ok(body) => body,
            Err(error) if status < 400 => return Err(self.transport(&error)),
            Err(_) => Vec::new(),
        };
        let text = self.config.redact(&String::from_utf8_lossy(&body));
        if (200..300).contains(&status) {
            // A text with other characters than the model's would become training data.
            return match std::str::from_utf8(&body) {
                Ok(_) => Ok(text),
                Err(error) => Err(Failure::Malformed(self.malformed(format!("not UTF-8: {error}"), &text))),
            };
        }
        let body = excerpt(&text);
        if is_retryable(status) {
            let reason = format!("status {status}: {body}");
            return Err(Failure::Transient { reason, status: Some(status), retry_after: wait });
        }
        Err(Failure::Permanent(TextError::Rejected { url: redact_url(&self.config.url), status, body }))
    }

    fn transport(&self, error: &ureq::Error) -> Failure {
        let reason = self.config.redact(&error.to_string());
        match error {
            ureq::Error::BadUri(_)
            | ureq::Error::Http(_)
            | ureq::Error::InvalidProxyUrl
            | ureq::Error::Tls(_)
            | ureq::Error::Rustls(_)
            | ureq::Error::TooManyRedirects
            | ureq::Error::RedirectFailed => Failure::Permanent(TextError::Config {
                what: "address of the language model server",
                value: redact_url(&self.config.url),
                reason,
                hint: "correct --server",
            }),
            _ => Failure::Transient { reason, status: None, retry_after: None },
        }
    }

    fn malformed(&self, reason: String, body: &str) -> TextError {
        TextError::Malformed { url: redact_url(&self.config.url), reason, excerpt: excerpt(body) }
    }

    /// Whether any server answers at the address.
    fn is_alive(&self) -> bool {
        let request = self.agent.get(self.config.endpoint("models"));
        request.config().timeout_global(Some(PROBE_TIMEOUT)).build().call().is_ok()
    }

    fn hold(&self, wait: Duration) {
        let mut hold = self.hold_until.lock().unwrap_or_else(PoisonError::into_inner);
        *hold = (*hold).max(Instant::now().checked_add(wait));
    }

    fn wait_while_held(&self) -> Result<(), TextError> {
        loop {
            let hold = *self.hold_until.lock().unwrap_or_else(PoisonError::into_inner);
            match hold {
                Some(until) if until > Instant::now() => {
                    if !sleep_until(until) {
                        return Err(TextError::NotSent);
                    }
                }
                _ => return Ok(()),
            }
        }
    }
}

impl TextGenerator for OpenAiServer {
    fn identity(&self) -> String {
        self.config.identity(&self.model)
    }

    fn lanes(&self) -> usize {
        LANES
    }

    fn may_refuse_settings(&self) -> bool {
        true
    }

    fn generate(&self, request: &Request) -> Result<Response, TextError> {
        if self.config.api == Api::Raw {
            let prompt = wire::as_raw(&request.prompt)?;
            return self.ask(&Request { prompt, ..request.clone() });
        }
        self.ask(request)
    }

    fn generate_batch_with(&self, requests: &[Request], arrived: &Arrived<'_>) -> Vec<Result<Response, TextError>> {
        let (next, down) = (AtomicUsize::new(0), AtomicBool::new(false));
        let worker = || {
            let mut done = Vec::new();
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                let Some(request) = requests.get(i) else {
                    return done;
                };
                let result = if down.load(Ordering::Relaxed) || stop_requested() {
                    Err(TextError::NotSent)
                } else {
                    self.generate(request).and_then(|response| arrived(i, &response).map(|()| response))
                };
                if result.as_ref().is_err_and(TextError::is_systemic) {
                    down.store(true, Ordering::Relaxed);
                }
                done.push((i, result));
            }
        };
        let n_threads = self.config.concurrency.min(requests.len());
        let mut results: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..n_threads).map(|_| scope.spawn(worker)).collect();
            threads
                .into_iter()
                .flat_map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        });
        results.sort_unstable_by_key(|(i, _)| *i);
        results.into_iter().map(|(_, result)| result).collect()
    }
}

/// Seconds since 1970, for dates in `Retry-After` only.
fn unix_s() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
