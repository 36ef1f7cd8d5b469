//! Language models behind one trait.
//!
//! [`TextGenerator`] is the interface between a stage and a language model. [`OpenAiServer`] implements it
//! over HTTP (vLLM, SGLang, the llama.cpp servers and any other server with the OpenAI protocol);
//! [`Replay`] wraps any generator and stores answers on disk, so that a killed run asks nothing
//! twice. [`PromptTemplate`] turns a record into a [`Prompt`]; [`Schema`] checks on our side that
//! the answer has the requested shape, whatever the server promised. [`GenerateStep`] combines
//! them for all records of a shard: ask, validate, ask again with the reason, keep rejected
//! answers.
//!
//! ```
//! use audsem_llm::{PromptTemplate, Request};
//! let template = PromptTemplate::parse("greet", "--- user ---\nSay hello to {{ name }}.\n")?;
//! let prompt = template.render(&serde_json::json!({ "name": "Ada" }))?;
//! let request = Request::greedy(prompt, 8);
//! assert_eq!(request.max_tokens, 8);
//! # Ok::<(), audsem_llm::TextError>(())
//! ```

mod answer;
mod args;
mod content;
mod error;
mod hearing;
mod outcome;
mod pending;
mod probe;
mod prompt;
mod replay;
mod request;
mod response;
mod retry;
mod schema;
mod server;
mod step;
mod tally;
mod unasked;
mod wire;

pub use args::ServerArgs;
pub use content::{Media, MessageContent, Part};
pub use error::{ErrorScope, TextError};
pub use hearing::HearingServer;
pub use outcome::{Answered, Fault, Refusal, RejectedAnswer, Unanswered};
pub use prompt::PromptTemplate;
pub use replay::{Replay, ReplayStats};
pub use request::{Message, Prompt, Request, Role};
pub use response::{Alternative, FinishReason, Response, Token, Usage};
pub use retry::RetryPolicy;
pub use schema::{Schema, read_json};
pub use server::{Api, AudioForm, OpenAiServer, SchemaFormat, Secret, ServerConfig};
pub use step::{GenerateStep, GenerateTask};
pub use unasked::Unasked;

/// Something that continues text: a server or a model in this process.
pub trait TextGenerator: Send + Sync {
    /// What decides the answers beside the request: the model's name, and any setting the
    /// generator adds to every request. Part of the replay key and of a run's config hash; never
    /// an address or a key.
    fn identity(&self) -> String;

    /// Answers one request.
    ///
    /// # Errors
    /// See [`TextError`]; [`TextError::is_systemic`] tells whether other requests can still succeed.
    fn generate(&self, request: &Request) -> Result<Response, TextError>;

    /// Batches that it answers best at the same time: while the last questions of one are answered, those of another keep a
    /// server busy. A model in this process has no use for more than one.
    fn lanes(&self) -> usize {
        1
    }

    /// Whether it may refuse the settings that all questions of a step share, as servers do. The first question is then asked
    /// alone.
    fn may_refuse_settings(&self) -> bool {
        false
    }

    /// Drops stored answers to these requests, so that they are asked again.
    ///
    /// # Errors
    /// [`TextError::Replay`].
    fn forget(&self, requests: &[Request]) -> Result<(), TextError> {
        let _ = requests;
        Ok(())
    }

    /// Answers many requests; results stand in the order of the requests. After a systemic error
    /// (server down, key refused) what has not been sent yet is not sent: it comes back as
    /// [`TextError::NotSent`]. So does what has not been sent when the process is asked to stop.
    fn generate_batch(&self, requests: &[Request]) -> Vec<Result<Response, TextError>> {
        self.generate_batch_with(requests, &|_, _| Ok(()))
    }

    /// As [`TextGenerator::generate_batch`]; calls `arrived` with the number of a request and its
    /// answer the moment it is there, from whichever thread got it.
    fn generate_batch_with(&self, requests: &[Request], arrived: &Arrived<'_>) -> Vec<Result<Response, TextError>> {
        let mut down = false;
        let mut answer = |(i, request)| {
            if down {
                return Err(TextError::NotSent);
            }
            let result = self.generate(request).and_then(|response| arrived(i, &response).map(|()| response));
            down = result.as_ref().is_err_and(TextError::is_systemic);
            result
        };
        requests.iter().enumerate().map(&mut answer).collect()
    }
}

/// Callback for each answer as it arrives; an error replaces the answer in the results.
pub type Arrived<'a> = dyn Fn(usize, &Response) -> Result<(), TextError> + Sync + 'a;

impl<G: TextGenerator + ?Sized> TextGenerator for Box<G> {
    fn identity(&self) -> String {
        (**self).identity()
    }

    fn generate(&self, request: &Request) -> Result<Response, TextError> {
        (**self).generate(request)
    }

    fn lanes(&self) -> usize {
        (**self).lanes()
    }

    fn may_refuse_settings(&self) -> bool {
        (**self).may_refuse_settings()
    }

    fn forget(&self, requests: &[Request]) -> Result<(), TextError> {
        (**self).forget(requests)
    }

    fn generate_batch_with(&self, requests: &[Request], arrived: &Arrived<'_>) -> Vec<Result<Response, TextError>> {
        (**self).generate_batch_with(requests, arrived)
    }
}
