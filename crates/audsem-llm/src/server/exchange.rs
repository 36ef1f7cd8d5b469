//! One HTTP exchange that a stop request can interrupt.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use audsem_core::signals::{POLL_INTERVAL, stop_requested};

/// Largest answer that is read, in bytes; far above any real one, but bounded.
const MAX_BODY: u64 = 64 << 20;

/// How long an answer in flight is waited for after a stop request: most answers come within this time, and schedulers
/// kill after about half a minute.
const GRACE: Duration = Duration::from_secs(3);

/// What a server has sent.
pub(super) struct Answer {
    /// HTTP status.
    pub(super) status: u16,
    /// The header `Retry-After`.
    pub(super) retry_after: Option<String>,
    /// The body, or why it could not be read.
    pub(super) body: Result<Vec<u8>, ureq::Error>,
}

/// Sends a request and reads the answer. `None` if a stop is requested and no answer comes within [`GRACE`]: the exchange
/// is then abandoned with its thread, which ends at the request's timeout or with the process.
pub(super) fn exchange(
    send: impl FnOnce() -> Result<ureq::http::Response<ureq::Body>, ureq::Error> + Send + 'static,
) -> Option<Result<Answer, ureq::Error>> {
    let (sender, receiver) = channel();
    let work = move || drop(sender.send(send().map(read)));
    if let Err(error) = thread::Builder::new().spawn(work) {
        return Some(Err(ureq::Error::Io(error)));
    }
    let mut deadline = None;
    loop {
        match receiver.recv_timeout(POLL_INTERVAL) {
            Ok(result) => return Some(result),
            Err(RecvTimeoutError::Disconnected) => {
                return Some(Err(ureq::Error::Io(std::io::Error::other("the client of the server panicked"))));
            }
            Err(RecvTimeoutError::Timeout) if stop_requested() => {
                let deadline = *deadline.get_or_insert_with(|| Instant::now() + GRACE);
                if Instant::now() >= deadline {
                    return None;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

fn read(mut response: ureq::http::Response<ureq::Body>) -> Answer {
    let status = response.status().as_u16();
    let header = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
    let retry_after = header.map(str::to_owned);
    let body = response.body_mut().with_config().limit(MAX_BODY).read_to_vec();
    Answer { status, retry_after, body }
}
