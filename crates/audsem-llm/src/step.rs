//! The step that every generator of data uses: ask about each record, validate the answer, ask again with the
//! reason, and keep rejected answers.

use std::borrow::Cow;
use std::panic::resume_unwind;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use audsem_core::run::{ShardError, ShardOutput};
use audsem_core::terminal::{by_number, counted};
use serde_json::Value;

use super::outcome::write_rejected;
use super::pending::{Asked, Pending, parts};
use super::probe::{Gate, Probing};
use super::tally::Tally;
use super::{
    Answered, ErrorScope, FinishReason, Refusal, RejectedAnswer, Request, Response, Schema, TextError, TextGenerator,
    Unanswered,
};

/// What a step asks about each record, and what it makes of the answer.
pub trait GenerateTask: Sync {
    /// What is asked about.
    type Record: Sync;
    /// The parsed form of a valid answer.
    type Row: Send;

    /// Names the record in rejects and rejected answers.
    fn key<'a>(&self, record: &'a Self::Record) -> Cow<'a, str>;

    /// The request for a record: prompt with sounds and pictures, schema, sampling.
    ///
    /// # Errors
    /// A prompt that cannot be made; the record fails, or the shard where the disk is at fault.
    fn request(&self, record: &Self::Record) -> Result<Request, TextError>;

    /// A record that no server can object to. The first question to a server is asked alone; if it is refused, a harmless one
    /// tells whether the settings of all are refused: then the run ends with what the server says. Without a record
    /// it is a greeting in the form of the first question; with one, a prompt that is too long is noticed, too.
    fn harmless(&self) -> Option<Self::Record> {
        None
    }

    /// The flags of the command to change where a server refuses the settings of all questions, as in `change --max-tokens`.
    fn settings_hint(&self) -> &'static str {
        ""
    }

    /// Judges an answer; one that does not fit the request's schema never gets here.
    ///
    /// # Errors
    /// What is wrong with the answer.
    fn validate(&self, record: &Self::Record, answer: &Response) -> Result<Self::Row, Refusal>;

    /// The question to the reviewer of [`GenerateStep::with_reviewer`] about a valid answer. Without one, none is asked.
    ///
    /// # Errors
    /// A prompt that cannot be made; the record fails.
    fn review(&self, record: &Self::Record, answer: &Response) -> Result<Request, TextError> {
        let _ = (record, answer);
        Err(TextError::Prompt { reason: "this step has no question for a reviewer", hint: "ask without a reviewer" })
    }

    /// Reads what the reviewer says.
    ///
    /// # Errors
    /// Why the answer is rejected, or that the reviewer gave no verdict.
    fn verdict(&self, record: &Self::Record, review: &Response) -> Result<(), Refusal> {
        let _ = (record, review);
        Ok(())
    }
}

/// Number of rejected answers, without a valid one, after which a run ends.
const HOPELESS: u64 = 20;

/// Asks about all records of a shard. One step serves all shards of a run, in any number of threads.
pub struct GenerateStep<'a, T: GenerateTask> {
    task: &'a T,
    generator: &'a dyn TextGenerator,
    reviewer: Option<&'a dyn TextGenerator>,
    max_attempts: u32,
    batch: usize,
    unanswered: Unanswered,
    gate: Gate,
    reviewer_gate: Gate,
    tally: Tally,
    schema: Mutex<Option<(Value, Arc<Schema>)>>,
}

impl<'a, T: GenerateTask> GenerateStep<'a, T> {
    /// Asks once about each record, 256 records at a time.
    pub fn new(task: &'a T, generator: &'a dyn TextGenerator) -> Self {
        let (unanswered, gate, reviewer_gate) = (Unanswered::Open, Gate::default(), Gate::default());
        let (tally, schema) = (Tally::default(), Mutex::default());
        let (reviewer, max_attempts, batch) = (None, 1, 256);
        Self { task, generator, reviewer, max_attempts, batch, unanswered, gate, reviewer_gate, tally, schema }
    }

    /// Has every valid answer judged by this generator ([`GenerateTask::review`]); what it rejects is asked about again.
    #[must_use]
    pub fn with_reviewer(self, reviewer: &'a dyn TextGenerator) -> Self {
        Self { reviewer: Some(reviewer), ..self }
    }

    /// Sets what happens to questions without an answer.
    #[must_use]
    pub fn with_unanswered(self, unanswered: Unanswered) -> Self {
        Self { unanswered, ..self }
    }

    /// Asks up to `n` times, each time with the last answer and what is wrong with it, and with the next seed.
    #[must_use]
    pub fn with_max_attempts(self, n: u32) -> Self {
        Self { max_attempts: n.max(1), ..self }
    }

    /// Asks about `n` records at a time. The requests of a batch, sounds and pictures included, are in memory together.
    #[must_use]
    pub fn with_batch(self, n: usize) -> Self {
        Self { batch: n.max(1), ..self }
    }

    /// Asks about the records of a shard; results stand in the order of the records. Writes the rejected answers to
    /// `refused-N.jsonl`, counts tokens, and reports them as work. A request that the server rejects fails its record;
    /// what fails for every record ends the run.
    ///
    /// # Errors
    /// [`ShardError::Input`] if questions are still open: the server did not answer them, which may pass, or the disk did
    /// not give what is to be asked. The model is
    /// unreachable or gives only unusable answers, a stop was requested, or the disk is full.
    pub fn run(&self, records: &[T::Record], out: &mut ShardOutput) -> Result<Vec<Answered<T::Row>>, ShardError> {
        let mut answered = Vec::with_capacity(records.len());
        let mut rejected = Vec::new();
        let (mut n_open, mut last) = (0, None);
        out.expect(records.len() as u64);
        out.on_stop("no further question is asked; answers that have come are kept for the next run");
        for asked in self.ask_all(records, out)? {
            for usage in asked.usage {
                out.count("prompt_tokens", usage.prompt_tokens);
                out.count("completion_tokens", usage.completion_tokens);
            }
            for record in asked.records {
                rejected.extend(record.rejected);
                n_open += usize::from(record.open.is_some());
                last = record.open.or(last);
                answered.push(record.answered.unwrap_or(Answered::Failed(TextError::NotSent)));
            }
        }
        self.give_up_if_hopeless(HOPELESS)?;
        if let Some(error) = last {
            let n = records.len();
            let problem = format!(
                "{n_open} of {} {} no answer yet (--unanswered); the last one: {error}",
                counted(n, "questions"),
                by_number(n_open, "has", "have")
            );
            return Err(ShardError::Input(problem));
        }
        write_rejected(&rejected, out)?;
        out.count("rejected_answers", rejected.len() as u64);
        Ok(answered)
    }

    /// Ends a run in which no answer could be used; `accepted` and `refused` are its totals, including those of earlier
    /// processes. Its answers are discarded, so that a repeated run asks again.
    ///
    /// # Errors
    /// [`TextError::NoUsableAnswer`].
    pub fn finish(&self, accepted: u64, refused: u64) -> Result<(), TextError> {
        if accepted > 0 || refused == 0 {
            return Ok(());
        }
        self.forget(refused)
    }

    /// Asks about all records in as many lanes as the generator likes. Each takes the next part of a batch when it is done
    /// with one, so that no more than a batch is in memory. Results stand in the order of the records.
    fn ask_all(&self, records: &[T::Record], progress: &ShardOutput) -> Result<Vec<Asked<T::Row>>, ShardError> {
        let lanes = self.generator.lanes().clamp(1, self.batch);
        let parts = parts(records, self.batch.div_ceil(lanes), lanes);
        let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
        let lane = || {
            let mut done = Vec::new();
            while !failed.load(Relaxed) {
                let number = next.fetch_add(1, Relaxed);
                let Some(part) = parts.get(number) else { break };
                let asked = self.ask(part, progress);
                failed.fetch_or(asked.is_err(), Relaxed);
                done.push((number, asked));
            }
            done
        };
        let mut done = thread::scope(|scope| {
            let lanes: Vec<_> = (0..lanes.min(parts.len())).map(|_| scope.spawn(lane)).collect();
            let join = |lane: thread::ScopedJoinHandle<'_, Vec<_>>| match lane.join() {
                Ok(done) => done,
                Err(panic) => resume_unwind(panic),
            };
            lanes.into_iter().flat_map(join).collect::<Vec<_>>()
        });
        done.sort_unstable_by_key(|(number, _)| *number);
        done.into_iter().map(|(_, asked)| asked).collect()
    }

    fn ask(&self, records: &[T::Record], progress: &ShardOutput) -> Result<Asked<T::Row>, ShardError> {
        let mut usage = Vec::new();
        let mut pending = records.iter().map(|record| self.begin(record)).collect::<Result<Vec<_>, _>>()?;
        for attempt in 1..=self.max_attempts {
            let open: Vec<usize> = (0..pending.len()).filter(|&i| pending[i].request.is_some()).collect();
            let requests: Vec<Request> = open.iter().filter_map(|&i| pending[i].request.clone()).collect();
            if requests.is_empty() {
                break;
            }
            let probing = || Probing {
                harmless: self.task.harmless().and_then(|record| self.task.request(&record).ok()),
                hint: self.task.settings_hint(),
            };
            let answers = self.gate.send(self.generator, &requests, &probing, (progress, attempt == 1), &mut usage)?;
            for (&i, answer) in open.iter().zip(answers) {
                self.take(&records[i], &mut pending[i], attempt, answer);
            }
            if let Some(reviewer) = self.reviewer {
                let reviews = self.reviews(records, &mut pending);
                let (asked, requests): (Vec<usize>, Vec<Request>) = reviews.into_iter().unzip();
                let probing = || Probing { harmless: None, hint: "" };
                let answers = self.reviewer_gate.send(reviewer, &requests, &probing, (progress, false), &mut usage)?;
                for (i, review) in asked.into_iter().zip(answers) {
                    self.take_review(&records[i], &mut pending[i], attempt, review);
                }
            }
        }
        Ok(Asked { records: pending, usage })
    }

    /// The questions to the reviewer about the candidates of an attempt, and the numbers of their records.
    fn reviews(&self, records: &[T::Record], pending: &mut [Pending<T::Row>]) -> Vec<(usize, Request)> {
        let mut reviews = Vec::new();
        for (i, pending) in pending.iter_mut().enumerate() {
            let Some((_, _, response)) = &pending.candidate else { continue };
            match self.task.review(&records[i], response) {
                Ok(request) => reviews.push((i, request)),
                Err(error) => {
                    pending.candidate = None;
                    pending.answered = Some(Answered::Failed(error));
                }
            }
        }
        reviews
    }

    fn take_review(
        &self,
        record: &T::Record,
        pending: &mut Pending<T::Row>,
        attempt: u32,
        review: Result<Response, TextError>,
    ) {
        let Some((row, request, response)) = pending.candidate.take() else { return };
        match review.map(|review| self.task.verdict(record, &review)) {
            Ok(Ok(())) => {
                self.tally.accepted();
                pending.answered = Some(Answered::Accepted(row));
            }
            Ok(Err(refusal)) => self.refuse(record, pending, attempt, (request, response), refusal),
            Err(error) => self.no_answer(pending, error),
        }
    }

    fn no_answer(&self, pending: &mut Pending<T::Row>, error: TextError) {
        if error.scope() == ErrorScope::Temporary && self.unanswered == Unanswered::Open {
            pending.open = Some(error);
        } else {
            // If asking again fails, the record counts as rejected with its last answer.
            pending.answered.get_or_insert(Answered::Failed(error));
        }
    }

    fn begin(&self, record: &T::Record) -> Result<Pending<T::Row>, ShardError> {
        let request = self.task.request(record).and_then(|request| {
            request.schema.as_ref().map(|schema| self.schema(schema)).transpose()?;
            Ok(request)
        });
        match request.map_err(|error| (error.scope(), error)) {
            Ok(request) => Ok(Pending::new(Some(request), None)),
            // No server was asked yet: the disk failed, which says nothing about the record.
            Err((ErrorScope::Temporary, error)) => Err(ShardError::input(error)),
            Err((ErrorScope::All, error)) => Err(ShardError::fatal(error)),
            Err((ErrorScope::Request, error)) => Ok(Pending::new(None, Some(Answered::Failed(error)))),
        }
    }

    /// Notes what an answer says. The request stays only if it is to be asked again.
    fn take(
        &self,
        record: &T::Record,
        pending: &mut Pending<T::Row>,
        attempt: u32,
        answer: Result<Response, TextError>,
    ) {
        let Some(request) = pending.request.take() else { return };
        let response = match answer {
            Ok(response) => response,
            Err(error) => return self.no_answer(pending, error),
        };
        match self.judge(record, &request, &response) {
            Ok(row) if self.reviewer.is_some() => pending.candidate = Some((row, request, response)),
            Ok(row) => {
                self.tally.accepted();
                pending.answered = Some(Answered::Accepted(row));
            }
            Err(refusal) => self.refuse(record, pending, attempt, (request, response), refusal),
        }
    }

    /// Files a rejected answer and prepares the next attempt.
    fn refuse(
        &self,
        record: &T::Record,
        pending: &mut Pending<T::Row>,
        attempt: u32,
        (mut request, response): (Request, Response),
        refusal: Refusal,
    ) {
        pending.rejected.push(RejectedAnswer {
            key: self.task.key(record).into_owned(),
            attempt,
            answer: response.text.clone(),
            finish: response.finish,
            reason: refusal.reason.clone(),
        });
        self.tally.refused(&request, &refusal, &response);
        if attempt < self.max_attempts {
            request.prompt.reply(response.answer(), &refusal.reply);
            request.seed = request.seed.map(|seed| seed.wrapping_add(1));
            pending.request = Some(request);
        }
        pending.answered = Some(Answered::Refused(refusal));
    }

    fn judge(&self, record: &T::Record, request: &Request, response: &Response) -> Result<T::Row, Refusal> {
        if let Some(schema) = &request.schema {
            let refuse = |error: TextError| match error {
                TextError::Schema { pointer, reason, .. } if pointer.is_empty() => Refusal::new(reason),
                TextError::Schema { pointer, reason, .. } => Refusal::new(format!("{pointer}: {reason}")),
                error => Refusal::new(error.to_string()),
            };
            self.schema(schema).and_then(|schema| schema.read(response.answer())).map_err(refuse)?;
        }
        self.task.validate(record, response)
    }

    /// The compiled form of a schema. Records usually share one schema, so the last one is cached.
    fn schema(&self, schema: &Value) -> Result<Arc<Schema>, TextError> {
        let mut last = self.schema.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, compiled)) = last.as_ref()
            && known == schema
        {
            return Ok(Arc::clone(compiled));
        }
        let compiled = Arc::new(Schema::compile(schema)?);
        *last = Some((schema.clone(), Arc::clone(&compiled)));
        Ok(compiled)
    }

    fn give_up_if_hopeless(&self, n: u64) -> Result<(), ShardError> {
        match self.tally.hopeless(n) {
            Some(refused) => self.forget(refused).map_err(ShardError::fatal),
            None => Ok(()),
        }
    }

    fn forget(&self, n: u64) -> Result<(), TextError> {
        let (requests, last) = self.tally.take();
        self.generator.forget(&requests)?;
        let (reason, text, finish) = match &last {
            Some((refusal, response)) => (refusal.reason.clone(), response.text.as_str(), response.finish),
            None => ("see refused-*.jsonl".to_owned(), "", FinishReason::Other),
        };
        Err(TextError::no_usable_answer(n, reason, text, finish))
    }
}
