//! A cache of answers on disk.
//!
//! A replay folder holds append-only files of JSON lines, `{"key": …, "response": …}`; the key is
//! [`Request::key`]. Every process writes a file of its own, so that many can share a folder
//! (each sees the answers that existed when it began, and its own). A line counts once its newline
//! is there: a process killed while writing loses at most that line. Discarded answers are listed
//! in separate files, `{"key": …, "line": …}` with the hash of the answer's line, so that no file is
//! rewritten while another process reads it.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use audsem_core::input::read_at;
use serde::{Deserialize, Serialize};

use super::{Arrived, Request, Response, TextError, TextGenerator};

/// Counts of requests answered so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ReplayStats {
    /// Answered from the folder, or by an equal request of the same batch.
    pub replayed: u64,
    /// Sent to the generator.
    pub sent: u64,
    /// Lines of the folder that could not be read when it was opened.
    pub torn: u64,
    /// Answers of this process that are flushed to disk.
    pub flushed: u64,
}

/// A generator that asks its inner one only what the folder does not contain yet. Failures are not
/// stored.
pub struct Replay<G> {
    inner: G,
    folder: PathBuf,
    state: Mutex<State>,
    /// What of this process's own file is known to be on disk.
    flushed: Mutex<Place>,
}

/// A place in the files of a folder: index into [`State::files`], offset in bytes.
type Place = (u32, u64);

struct State {
    /// Location of each answer: file, offset, length in bytes. Answers stay on disk, so memory use is
    /// about 60 bytes per answer however long they are.
    index: HashMap<[u8; 32], (u32, u64, u32)>,
    files: Vec<Arc<File>>,
    /// The end of this process's own file, once something was written.
    own: Option<Place>,
    stats: ReplayStats,
}

#[derive(Serialize)]
struct LineOut<'a> {
    key: &'a str,
    response: &'a Response,
}

#[derive(Deserialize)]
struct LineIn {
    key: String,
    response: Response,
}

/// A line of a file `forgotten-*.jsonl`.
#[derive(Serialize, Deserialize)]
struct Forgotten {
    key: String,
    /// Hash of the line of the answer, so that another answer to the same request counts.
    line: u64,
}

impl<G: TextGenerator> Replay<G> {
    /// Reads the index of a folder. The folder is created when the first answer is stored.
    ///
    /// # Errors
    /// [`TextError::Replay`] where it cannot be read.
    pub fn open(inner: G, folder: &Path) -> Result<Self, TextError> {
        let fault = |path: &Path| {
            let path = path.to_owned();
            move |source| TextError::Replay { path, source }
        };
        let mut paths = Vec::new();
        if folder.try_exists().map_err(fault(folder))? {
            for entry in std::fs::read_dir(folder).map_err(fault(folder))? {
                let path = entry.map_err(fault(folder))?.path();
                if path.extension().is_some_and(|extension| extension == "jsonl") {
                    paths.push(path);
                }
            }
        }
        paths.sort();
        let (forgotten, paths): (Vec<_>, Vec<_>) = paths.into_iter().partition(|path| is_forgotten(path));
        let mut dropped = HashSet::new();
        for path in &forgotten {
            let text = std::fs::read_to_string(path).map_err(fault(path))?;
            let lines = text.lines().filter_map(|line| serde_json::from_str::<Forgotten>(line).ok());
            dropped.extend(lines.map(|line| line.line));
        }
        let mut state = State { index: HashMap::new(), files: Vec::new(), own: None, stats: ReplayStats::default() };
        for path in &paths {
            let file = File::open(path).map_err(fault(path))?;
            state.read(&file, &dropped).map_err(fault(path))?;
            state.files.push(Arc::new(file));
        }
        if state.stats.torn > 0 {
            tracing::warn!(lines = state.stats.torn, folder = %folder.display(), "replay folder has unreadable lines");
        }
        Ok(Self { inner, folder: folder.to_owned(), state: Mutex::new(state), flushed: Mutex::new((0, 0)) })
    }

    /// Counts so far.
    #[must_use]
    pub fn stats(&self) -> ReplayStats {
        self.lock().stats
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, sent: usize, asked: usize) {
        let mut state = self.lock();
        state.stats.sent += sent as u64;
        state.stats.replayed += (asked - sent) as u64;
    }

    fn find(&self, key: &str) -> Result<Option<Response>, TextError> {
        let fault = |source| TextError::Replay { path: self.folder.clone(), source };
        let Some(hash) = unhex(key) else {
            return Ok(None);
        };
        let state = self.lock();
        let Some(bytes) = state.line(&hash).map_err(fault)? else {
            return Ok(None);
        };
        let line: LineIn = serde_json::from_slice(&bytes).map_err(|error| fault(error.into()))?;
        Ok((line.key == key).then_some(line.response))
    }

    fn keep(&self, key: &str, response: &Response) -> Result<(), TextError> {
        let fault = |source| TextError::Replay { path: self.folder.clone(), source };
        let mut line = serde_json::to_vec(&LineOut { key, response }).map_err(|error| fault(error.into()))?;
        line.push(b'\n');
        let own = self.lock().append(&self.folder, &line).map_err(fault)?;
        self.flush(own).map_err(fault)?;
        let mut state = self.lock();
        state.stats.flushed += 1;
        if let Some(hash) = unhex(key) {
            let n_bytes = line.len() as u32;
            state.index.insert(hash, (own.0, own.1 - u64::from(n_bytes), n_bytes));
        }
        Ok(())
    }

    /// Waits until this process's own file is on disk up to `end`. Threads that come while one flushes share the next
    /// flush.
    fn flush(&self, (number, end): Place) -> std::io::Result<()> {
        let mut flushed = self.flushed.lock().unwrap_or_else(PoisonError::into_inner);
        if flushed.0 == number && flushed.1 >= end {
            return Ok(());
        }
        let (file, written) = {
            let state = self.lock();
            (
                Arc::clone(&state.files[number as usize]),
                state.own.filter(|own| own.0 == number).unwrap_or((number, end)),
            )
        };
        file.sync_data()?;
        *flushed = written;
        Ok(())
    }
}

impl State {
    /// Indexes a file, one line at a time.
    fn read(&mut self, file: &File, dropped: &HashSet<u64>) -> std::io::Result<()> {
        let number = self.files.len() as u32;
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let (mut line, mut offset) = (Vec::new(), 0);
        loop {
            line.clear();
            let n = reader.read_until(b'\n', &mut line)?;
            if n == 0 {
                return Ok(());
            }
            // The whole line is parsed, not only its key: a line torn by a full disk must not count.
            let whole = line.ends_with(b"\n").then(|| serde_json::from_slice::<LineIn>(&line).ok()).flatten();
            match whole.and_then(|line| unhex(&line.key)) {
                Some(_) if dropped.contains(&line_hash(&line)) => {}
                Some(hash) => {
                    self.index.entry(hash).or_insert((number, offset, n as u32));
                }
                None => self.stats.torn += 1,
            }
            offset += n as u64;
        }
    }

    /// The line of a known answer.
    fn line(&self, hash: &[u8; 32]) -> std::io::Result<Option<Vec<u8>>> {
        let Some(&(file, offset, length)) = self.index.get(hash) else {
            return Ok(None);
        };
        read_at(&self.files[file as usize], offset, u64::from(length)).map(Some)
    }

    /// Appends a line to this process's own file; returns its new end.
    fn append(&mut self, folder: &Path, line: &[u8]) -> std::io::Result<Place> {
        let (number, offset) = match self.own {
            Some(own) => own,
            None => {
                self.files.push(Arc::new(create(folder, "answers")?));
                (self.files.len() as u32 - 1, 0)
            }
        };
        // One write per line, so that a kill leaves whole lines behind and at most one torn one.
        // The file is abandoned after a failed write, because its length is no longer known.
        self.own = None;
        (&*self.files[number as usize]).write_all(line)?;
        let end = (number, offset + line.len() as u64);
        self.own = Some(end);
        Ok(end)
    }
}

/// A new file with a unique name, which is on disk: the pid, and a number in case the pid was reused.
fn create(folder: &Path, what: &str) -> std::io::Result<File> {
    std::fs::create_dir_all(folder)?;
    let pid = std::process::id();
    for n in 0u32.. {
        let path = folder.join(format!("{what}-{pid}-{n}.jsonl"));
        match OpenOptions::new().read(true).append(true).create_new(true).open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            result => {
                let file = result?;
                for folder in [Some(folder), folder.parent()].into_iter().flatten() {
                    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
                    File::open(folder)?.sync_all()?;
                }
                return Ok(file);
            }
        }
    }
    Err(std::io::Error::other("every file name is taken"))
}

fn is_forgotten(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("forgotten-"))
}

fn line_hash(line: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(line.trim_ascii_end())
}

fn unhex(key: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if key.len() != 64 || !key.is_ascii() {
        return None;
    }
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&key[2 * i..2 * i + 2], 16).ok()?;
    }
    Some(bytes)
}

impl<G: TextGenerator> TextGenerator for Replay<G> {
    fn identity(&self) -> String {
        self.inner.identity()
    }

    fn lanes(&self) -> usize {
        self.inner.lanes()
    }

    fn may_refuse_settings(&self) -> bool {
        self.inner.may_refuse_settings()
    }

    fn forget(&self, requests: &[Request]) -> Result<(), TextError> {
        let fault = |source| TextError::Replay { path: self.folder.clone(), source };
        let identity = self.identity();
        let mut state = self.lock();
        let mut lines = Vec::new();
        for request in requests {
            let key = request.key(&identity);
            let hash = unhex(&key).expect("a key is a hash in hex");
            if let Some(line) = state.line(&hash).map_err(fault)? {
                let forgotten = Forgotten { key, line: line_hash(&line) };
                serde_json::to_writer(&mut lines, &forgotten).map_err(|error| fault(error.into()))?;
                lines.push(b'\n');
                state.index.remove(&hash);
            }
        }
        if lines.is_empty() {
            return Ok(());
        }
        let write = |mut file: File| file.write_all(&lines).and_then(|()| file.sync_data());
        create(&self.folder, "forgotten").and_then(write).map_err(fault)
    }

    fn generate(&self, request: &Request) -> Result<Response, TextError> {
        self.generate_batch(std::slice::from_ref(request)).pop().unwrap_or(Err(TextError::NotSent))
    }

    /// Each answer is flushed to disk before it counts: a kill or a power failure loses requests in flight, never an
    /// answer that was used. Equal requests of a batch are sent once.
    fn generate_batch_with(&self, requests: &[Request], arrived: &Arrived<'_>) -> Vec<Result<Response, TextError>> {
        let identity = self.identity();
        let keys: Vec<String> = requests.iter().map(|request| request.key(&identity)).collect();
        let mut results: Vec<Option<Result<Response, TextError>>> = Vec::with_capacity(requests.len());
        let mut leaders: HashMap<&str, usize> = HashMap::new();
        let (mut followers, mut unknown) = (Vec::new(), Vec::new());
        for (i, key) in keys.iter().enumerate() {
            let found = self.find(key).transpose();
            if found.is_none() {
                match leaders.entry(key) {
                    Entry::Occupied(leader) => followers.push((i, *leader.get())),
                    Entry::Vacant(place) => {
                        place.insert(i);
                        unknown.push(i);
                    }
                }
            }
            results.push(found.map(|found| found.and_then(|response| arrived(i, &response).map(|()| response))));
        }
        self.count(unknown.len(), requests.len());
        let wanted: Vec<Request> = unknown.iter().map(|&i| requests[i].clone()).collect();
        let keep = |n: usize, response: &Response| {
            self.keep(&keys[unknown[n]], response)?;
            arrived(unknown[n], response)
        };
        let answers = self.inner.generate_batch_with(&wanted, &keep);
        for (&i, result) in unknown.iter().zip(answers) {
            results[i] = Some(result);
        }
        for (i, leader) in followers {
            results[i] = results[leader].as_ref().map(|result| match result {
                Ok(response) => arrived(i, response).map(|()| response.clone()),
                // An error cannot be cloned, and asking again would only repeat it.
                Err(error) => Err(TextError::Other { reason: error.to_string(), scope: error.scope() }),
            });
        }
        results.into_iter().map(|result| result.unwrap_or(Err(TextError::NotSent))).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::FileExt as _;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::{ErrorScope, FinishReason, Prompt, Token, Usage};

    /// Answers with the prompt; fails where it holds `bad`; counts what it is asked.
    #[derive(Default)]
    struct Parrot(AtomicUsize);

    impl TextGenerator for Parrot {
        fn identity(&self) -> String {
            "parrot".into()
        }

        fn generate(&self, request: &Request) -> Result<Response, TextError> {
            self.0.fetch_add(1, Ordering::SeqCst);
            let Prompt::Raw(text) = &request.prompt else { panic!("raw prompts only") };
            if text.contains("bad") {
                return Err(TextError::Other { reason: "bad".into(), scope: ErrorScope::Request });
            }
            let token = Token { text: text.clone(), logprob: -0.123_456_79, alternatives: Vec::new() };
            Ok(Response {
                text: text.clone(),
                reasoning: None,
                finish: FinishReason::Stop,
                tokens: vec![token],
                usage: Usage::default(),
                model: "p".into(),
            })
        }
    }

    fn ask(replay: &Replay<Parrot>, texts: &[&str]) -> Vec<String> {
        let requests: Vec<_> = texts.iter().map(|text| Request::greedy(Prompt::Raw((*text).into()), 1)).collect();
        let text = |result: Result<Response, TextError>| result.map_or_else(|e| format!("!{e}"), |r| r.text);
        replay.generate_batch(&requests).into_iter().map(text).collect()
    }

    fn open(folder: &Path) -> Replay<Parrot> {
        Replay::open(Parrot::default(), folder).unwrap()
    }

    fn asked(replay: &Replay<Parrot>) -> usize {
        replay.inner.0.load(Ordering::SeqCst)
    }

    #[test]
    fn second_run_asks_only_what_is_new() {
        let folder = tempfile::tempdir().unwrap();
        let first = open(folder.path());
        assert_eq!(ask(&first, &["a", "b", "a", "bad"]), ["a", "b", "a", "!bad"]);
        assert_eq!(asked(&first), 3, "equal requests are sent once");
        assert_eq!(ask(&first, &["b"]), ["b"]);
        assert_eq!(asked(&first), 3);
        assert_eq!(first.stats(), ReplayStats { replayed: 2, sent: 3, torn: 0, flushed: 2 });

        let second = open(folder.path());
        assert_eq!(ask(&second, &["c", "b", "a", "bad"]), ["c", "b", "a", "!bad"]);
        assert_eq!(asked(&second), 2, "failures are asked again, answers are not");
        let response = second.generate(&Request::greedy(Prompt::Raw("a".into()), 1)).unwrap();
        assert_eq!(response.tokens[0].logprob, -0.123_456_79);
    }

    #[test]
    fn forgotten_answers_are_asked_again_in_this_and_in_later_processes() {
        let folder = tempfile::tempdir().unwrap();
        let request = |text: &str| Request::greedy(Prompt::Raw(text.into()), 1);
        ask(&open(folder.path()), &["a", "b"]);
        let second = open(folder.path());
        second.forget(&[request("a"), request("never asked")]).unwrap();
        let third = open(folder.path());
        assert_eq!(ask(&third, &["a", "b"]), ["a", "b"]);
        assert_eq!(asked(&third), 1, "only `a` was forgotten");
        assert_eq!(ask(&second, &["a", "b"]), ["a", "b"]);
        assert_eq!(asked(&second), 1);
    }

    #[test]
    fn processes_share_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let (left, right) = (open(folder.path()), open(folder.path()));
        ask(&left, &["l"]);
        ask(&right, &["r"]);
        ask(&left, &["l2"]);
        let third = open(folder.path());
        assert_eq!(ask(&third, &["l", "r", "l2"]), ["l", "r", "l2"]);
        assert_eq!(asked(&third), 0);
    }

    /// A kill can cut the last line anywhere; what stood before it must still count.
    #[test]
    fn torn_last_line_costs_one_answer() {
        let folder = tempfile::tempdir().unwrap();
        ask(&open(folder.path()), &["a", "b"]);
        let path = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        let whole = std::fs::read(&path).unwrap();
        let second = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for cut in second + 1..whole.len() {
            let file = OpenOptions::new().write(true).open(&path).unwrap();
            file.set_len(0).unwrap();
            file.write_all_at(&whole[..cut], 0).unwrap();
            let replay = open(folder.path());
            assert_eq!(replay.stats().torn, 1, "cut at {cut}");
            assert!(replay.find(&Request::greedy(Prompt::Raw("a".into()), 1).key("parrot")).unwrap().is_some());
            assert!(replay.find(&Request::greedy(Prompt::Raw("b".into()), 1).key("parrot")).unwrap().is_none());
        }
    }

    #[test]
    fn answers_are_on_disk_before_the_batch_ends() {
        let folder = tempfile::tempdir().unwrap();
        let replay = open(folder.path());
        let requests: Vec<_> =
            ["a", "b", "c"].iter().map(|text| Request::greedy(Prompt::Raw((*text).into()), 1)).collect();
        replay.generate_batch_with(&requests, &|i, _| {
            let other = open(folder.path());
            assert_eq!(other.lock().index.len(), i + 1);
            assert_eq!(replay.stats().flushed, i as u64 + 1, "an answer counts before it is flushed to disk");
            Ok(())
        });
    }
}
