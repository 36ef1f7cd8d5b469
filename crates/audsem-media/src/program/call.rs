//! One call of an external program.

use super::guard::Guarded;
use super::message::repeatable;
use super::{MediaError, Program, ProgramStatus, Tool, trouble};
use audsem_core::signals::{POLL_INTERVAL, stop_requested};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Number of bytes of standard error that are kept: the last lines state the cause, and some builds print
/// a line per broken packet.
const STDERR_TAIL_BYTES: usize = 16 << 10;

/// The builder of a call; see [`Program::call`].
#[derive(Debug)]
#[must_use = "a call does nothing until `output`, `run` or `spawn`"]
pub struct Call<'a> {
    program: &'a Program,
    args: Vec<OsString>,
    stdin: Input,
    timeout: Option<Duration>,
    stop_grace: Option<Duration>,
    folder: Option<PathBuf>,
}

/// Standard input of a program.
#[derive(Debug)]
enum Input {
    Nothing,
    Bytes(Vec<u8>),
    File(File),
}

/// A call that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// How the program ended.
    pub status: ProgramStatus,
    /// What it wrote on standard output, as far as it was not read through [`Running`] before.
    pub stdout: Vec<u8>,
    /// The last part of what it wrote on standard error, at most 16 KiB.
    pub stderr: String,
}

impl<'a> Call<'a> {
    pub(super) fn new(program: &'a Program) -> Call<'a> {
        Call { program, args: Vec::new(), stdin: Input::Nothing, timeout: None, stop_grace: None, folder: None }
    }

    /// Adds one argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Gives the program these bytes on standard input, which is otherwise empty.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Input::Bytes(bytes.into());
        self
    }

    /// Gives the program this file as standard input.
    pub(super) fn stdin_file(mut self, file: File) -> Self {
        self.stdin = Input::File(file);
        self
    }

    pub(super) fn tool(&self) -> Tool {
        self.program.tool()
    }

    /// Kills the program, and all it started, if it has not ended after this time.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// Kills the program, and all it started, if it has not ended this long after a stop request: for programs that wait
    /// for a server. Others are waited for, so that the shard in progress can be committed.
    pub fn stop_after(mut self, grace: Duration) -> Self {
        self.stop_grace = Some(grace);
        self
    }

    /// Runs the program in this folder.
    pub fn current_dir(mut self, folder: impl AsRef<Path>) -> Self {
        self.folder = Some(folder.as_ref().to_owned());
        self
    }

    /// Runs the program to its end and returns its standard output.
    ///
    /// # Errors
    /// All of [`MediaError`]; exit codes other than 0 are [`MediaError::Failed`].
    pub fn output(self) -> Result<Vec<u8>, MediaError> {
        let tool = self.program.tool();
        let Finished { status, stdout, stderr } = self.run()?;
        if status.success() { Ok(stdout) } else { Err(MediaError::Failed { tool, status, stderr }) }
    }

    /// Runs the program to its end, whatever its exit code, unless that of a program that was killed.
    ///
    /// # Errors
    /// [`MediaError`] other than `Failed`.
    pub fn run(self) -> Result<Finished, MediaError> {
        self.spawn()?.wait()
    }

    /// Starts the program; its standard output is read through the returned value.
    ///
    /// # Errors
    /// [`MediaError::Missing`] or [`MediaError::Start`].
    pub fn spawn(self) -> Result<Running, MediaError> {
        let tool = self.program.tool();
        let mut command = Command::new(self.program.path());
        command.args(&self.args).stdout(Stdio::piped()).stderr(Stdio::piped());
        let (stdin, bytes) = match self.stdin {
            Input::Nothing => (Stdio::null(), None),
            Input::Bytes(bytes) => (Stdio::piped(), Some(bytes)),
            Input::File(file) => (Stdio::from(file), None),
        };
        command.stdin(stdin);
        // A group of its own: a stop key pressed in the terminal reaches us and not the program, so
        // the shard in progress can be finished, and killing the group also ends what it started.
        command.process_group(0);
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        let mut child = command.spawn().map_err(|source| start_error(self.program, source))?;
        let group = Pid::from_child(&child);
        let guarded = Guarded::new(group);
        let stdout = child.stdout.take();
        let mut stderr = child.stderr.take().expect("stderr is piped");
        let tail = std::thread::spawn(move || read_tail(&mut stderr));
        let feeder = child.stdin.take().zip(bytes).map(|(mut pipe, bytes)| {
            // An error means that the program ended early; its exit code decides whether that is a failure.
            std::thread::spawn(move || drop(pipe.write_all(&bytes)))
        });
        let is_limited = self.timeout.is_some() || self.stop_grace.is_some();
        let timer = is_limited.then(|| Timer::start(self.timeout, self.stop_grace, group));
        Ok(Running {
            tool,
            child,
            group,
            guarded: Some(guarded),
            stdout,
            tail: Some(tail),
            feeder,
            timer,
            ended: false,
        })
    }
}

fn start_error(program: &Program, source: io::Error) -> MediaError {
    let (tool, path) = (program.tool(), program.path());
    if source.kind() == io::ErrorKind::NotFound && !path.try_exists().unwrap_or(true) {
        MediaError::Missing { tool, looked_in: format!("no file at {}", path.display()) }
    } else {
        MediaError::Start { tool, path: path.to_owned(), source }
    }
}

/// Reads to the end and keeps the last part, starting at a whole line where something was cut.
pub(super) fn read_tail(pipe: &mut impl Read) -> String {
    let mut tail = VecDeque::new();
    let mut buffer = [0; 4096];
    let mut cut = false;
    loop {
        match pipe.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => tail.extend(buffer.iter().take(n)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
        if tail.len() > STDERR_TAIL_BYTES {
            tail.drain(..tail.len() - STDERR_TAIL_BYTES);
            cut = true;
        }
    }
    let text = String::from_utf8_lossy(tail.make_contiguous()).into_owned();
    match text.split_once('\n') {
        Some((_, whole_lines)) if cut => whole_lines.to_owned(),
        _ => text,
    }
}

/// A program that runs; reading from it reads its standard output. Dropping it kills the program.
#[derive(Debug)]
pub struct Running {
    tool: Tool,
    child: Child,
    group: Pid,
    guarded: Option<Guarded>,
    stdout: Option<ChildStdout>,
    tail: Option<JoinHandle<String>>,
    feeder: Option<JoinHandle<()>>,
    timer: Option<Timer>,
    ended: bool,
}

impl Read for Running {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stdout.as_mut().map_or(Ok(0), |pipe| pipe.read(buffer))
    }
}

impl Running {
    /// Reads what is left of standard output and waits for the end, whatever the exit code.
    ///
    /// # Errors
    /// [`MediaError::TimedOut`], [`MediaError::Stopped`], [`MediaError::Killed`], [`MediaError::CannotWrite`] or
    /// [`MediaError::Pipe`].
    pub fn wait(mut self) -> Result<Finished, MediaError> {
        let mut stdout = Vec::new();
        let read = self.stdout.take().map_or(Ok(0), |mut pipe| pipe.read_to_end(&mut stdout));
        let tool = self.tool;
        let (status, stderr, expired) = self.end()?;
        match expired {
            Some(Expired::Limit(limit)) => return Err(MediaError::TimedOut { tool, limit, stderr }),
            Some(Expired::StopRequest) => return Err(MediaError::Stopped { tool }),
            None => {}
        }
        read.map_err(|source| MediaError::Pipe { tool, source })?;
        if let Some(trouble) = trouble::found(tool, status, &stderr) {
            return Err(trouble);
        }
        Ok(Finished { status, stdout, stderr })
    }

    /// As [`Running::wait`], with every exit code but 0 an error.
    ///
    /// # Errors
    /// All of [`MediaError`] that can happen after the start.
    pub fn finish(self) -> Result<Finished, MediaError> {
        let tool = self.tool;
        let finished = self.wait()?;
        if finished.status.success() {
            return Ok(finished);
        }
        Err(MediaError::Failed { tool, status: finished.status, stderr: finished.stderr })
    }

    /// Waits, reaps, and joins the threads; standard output must have been drained or closed.
    fn end(&mut self) -> Result<(ProgramStatus, String, Option<Expired>), MediaError> {
        let tool = self.tool;
        // First wait without reaping: as long as the process is not reaped, its pid is not reused,
        // so the timer can still kill it without hitting another process.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while let Err(errno) = waitid(WaitId::Pid(self.group), options) {
            if errno != rustix::io::Errno::INTR {
                return Err(MediaError::Pipe { tool, source: errno.into() });
            }
        }
        let expired = self.timer.take().and_then(Timer::stop);
        // Processes that it left behind would hold its pipes open.
        kill_group(self.group);
        // Before the number can be reused by another process.
        drop(self.guarded.take());
        let status = self.child.wait().map_err(|source| MediaError::Pipe { tool, source })?;
        self.ended = true;
        if let Some(feeder) = self.feeder.take() {
            feeder.join().ok();
        }
        let stderr = self.tail.take().and_then(|tail| tail.join().ok()).unwrap_or_default();
        let stderr = repeatable(&stderr);
        let status = match (status.code(), status.signal()) {
            (Some(code), _) => ProgramStatus::Code(code),
            (None, signal) => ProgramStatus::Signal(signal.unwrap_or_default()),
        };
        Ok((status, stderr, expired))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            kill_group(self.group);
            self.stdout = None;
            self.end().ok();
        }
    }
}

fn kill_group(group: Pid) {
    // The only possible error is that nothing of the group is left.
    kill_process_group(group, Signal::KILL).ok();
}

/// Why a timer has killed its process group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expired {
    /// The group has not ended within this time.
    Limit(Duration),
    /// The group has not ended within the grace period after a stop request.
    StopRequest,
}

/// Kills a process group when its time has expired, unless it is stopped before.
#[derive(Debug)]
struct Timer {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<Option<Expired>>,
}

impl Timer {
    fn start(limit: Option<Duration>, stop_grace: Option<Duration>, group: Pid) -> Timer {
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let expired = expire(&stopped, limit, stop_grace)?;
            kill_group(group);
            Some(expired)
        });
        Timer { stop, thread }
    }

    /// Stops the timer and returns why it had killed the group, if it had.
    fn stop(self) -> Option<Expired> {
        self.stop.send(()).ok();
        self.thread.join().ok().flatten()
    }
}

/// Waits until the time has expired; `None` if the timer is stopped before.
fn expire(stopped: &mpsc::Receiver<()>, limit: Option<Duration>, stop_grace: Option<Duration>) -> Option<Expired> {
    let started = Instant::now();
    let mut requested = None;
    loop {
        let left = limit.map(|limit| limit.saturating_sub(started.elapsed()));
        if let (Some(limit), Some(Duration::ZERO)) = (limit, left) {
            return Some(Expired::Limit(limit));
        }
        if let Some(grace) = stop_grace
            && stop_requested()
            && requested.get_or_insert_with(Instant::now).elapsed() >= grace
        {
            return Some(Expired::StopRequest);
        }
        let wait = left.into_iter().chain(stop_grace.map(|_| POLL_INTERVAL)).min()?;
        if stopped.recv_timeout(wait) != Err(mpsc::RecvTimeoutError::Timeout) {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use audsem_core::blame::Blame;
    use std::time::Instant;

    fn sh(script: &str) -> (Program, [String; 2]) {
        (Program::at(Tool::Ffmpeg, "/bin/sh"), ["-c".to_owned(), script.to_owned()])
    }

    #[test]
    fn output_carries_stdin_through_to_stdout() {
        let (program, args) = sh("cat; echo noise >&2");
        // More than a pipe holds in both directions, so that writing and reading must overlap.
        let bytes = vec![7_u8; 1 << 20];
        assert_eq!(program.call().args(&args).stdin(bytes.clone()).output().unwrap(), bytes);
        let (program, args) = sh("cat");
        assert_eq!(program.call().args(&args).output().unwrap(), b"");
    }

    #[test]
    fn failure_keeps_the_code_and_the_last_words() {
        let (program, args) = sh("echo first >&2; echo 'no such stream' >&2; exit 3");
        let error = program.call().args(&args).output().unwrap_err();
        assert_eq!(error.to_string(), "ffmpeg failed (exit code 3): no such stream");
        assert_eq!(error.blame(), Blame::Record);
        let (program, args) = sh("echo partial; exit 3");
        let finished = program.call().args(&args).run().unwrap();
        assert_eq!((finished.status, finished.stdout), (ProgramStatus::Code(3), b"partial\n".to_vec()));
        let (program, args) = sh("kill -SEGV $$");
        assert_eq!(program.call().args(&args).run().unwrap().status, ProgramStatus::Signal(11));
    }

    #[test]
    fn a_killed_program_and_a_full_disk_are_no_fault_of_what_was_given() {
        for script in ["kill -9 $$", "echo 'Error writing trailer of x.mp4: No space left on device' >&2"] {
            let (program, args) = sh(script);
            let error = program.call().args(&args).run().unwrap_err();
            assert_eq!(error.blame(), Blame::Surroundings, "{error}");
            assert!(error.of_record("v (1-2)").is_err());
        }
        let (program, args) = sh("echo 'Invalid data found' >&2; exit 1");
        let error = program.call().args(&args).output().unwrap_err();
        assert_eq!(error.of_record("v (1-2)").unwrap().blame(), Blame::Record);
    }

    #[test]
    fn a_program_that_hangs_is_killed_with_its_children() {
        let started = Instant::now();
        let (program, args) = sh("echo waiting >&2; sleep 60 & wait");
        let error = program.call().args(&args).timeout(Duration::from_millis(200)).output().unwrap_err();
        assert!(matches!(&error, MediaError::TimedOut { stderr, .. } if stderr == "waiting\n"), "{error}");
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_dropped_call_is_killed() {
        let started = Instant::now();
        let (program, args) = sh("echo ready; sleep 60");
        let mut running = program.call().args(&args).spawn().unwrap();
        let mut first = [0; 6];
        running.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"ready\n");
        drop(running);
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_background_child_that_holds_the_pipes_does_not_hang_a_finished_call() {
        let (program, args) = sh("sleep 60 >/dev/null & echo done");
        let started = Instant::now();
        assert_eq!(program.call().args(&args).output().unwrap(), b"done\n");
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_missing_file_and_one_that_cannot_start_are_told_apart() {
        let missing = Program::at(Tool::YtDlp, "/nowhere/yt-dlp").call().output().unwrap_err();
        assert!(matches!(missing, MediaError::Missing { .. }), "{missing}");
        let folder = Program::at(Tool::YtDlp, "/etc").call().output().unwrap_err();
        assert!(matches!(folder, MediaError::Start { .. }), "{folder}");
    }

    #[test]
    fn standard_error_is_bounded_and_starts_at_a_whole_line() {
        let text: String = (0..5000).map(|n| format!("line {n}\n")).collect();
        let tail = read_tail(&mut text.as_bytes());
        assert!(tail.len() <= STDERR_TAIL_BYTES && tail.ends_with("line 4999\n"), "{}", tail.len());
        assert!(tail.starts_with("line "), "{}", &tail[..20]);
        assert_eq!(read_tail(&mut "only".as_bytes()), "only");
    }
}
