//! A program that answers lines with lines for as long as it is needed.

use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use audsem_core::terminal::counted;
use rustix::process::{Pid, Signal, kill_process_group};

use super::call::read_tail;
use super::guard::Guarded;

/// Largest line that is read, in bytes.
const MAX_LINE_BYTES: u64 = 1 << 20;

/// What can go wrong with a program that answers lines.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompanionError {
    /// The command has no words.
    #[error("the command of a program is empty")]
    NoCommand,
    /// The operating system would not start it.
    #[error("{program} could not be started: {source}")]
    Start {
        /// The program.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// It ended, or closed its output, before all answers were there.
    #[error("{program} ended after {answers} of {}{}", counted(*asked, "answers"), last_line(stderr))]
    Ended {
        /// The program.
        program: String,
        /// Lines that came.
        answers: usize,
        /// Lines that were asked for.
        asked: usize,
        /// The last part of what it wrote on standard error.
        stderr: String,
    },
    /// It did not answer in time, and was killed.
    #[error(
        "{program} gave {answers} of {} within {:.1} s and was killed",
        counted(*asked, "answers"),
        limit.as_secs_f64()
    )]
    TimedOut {
        /// The program.
        program: String,
        /// Lines that came.
        answers: usize,
        /// Lines that were asked for.
        asked: usize,
        /// The time it had.
        limit: Duration,
    },
}

fn last_line(stderr: &str) -> String {
    let line = stderr.lines().rev().find(|line| !line.trim().is_empty());
    line.map_or_else(String::new, |line| format!(": {}", line.trim()))
}

/// A running program that reads lines on standard input and answers each with one line on standard output. Dropping it
/// kills it with everything it started, and so does the end of this process, however it ends.
#[derive(Debug)]
pub struct Companion {
    program: String,
    child: Child,
    group: Pid,
    guarded: Option<Guarded>,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    tail: Option<JoinHandle<String>>,
}

impl Companion {
    /// Starts a command: a program and its arguments, without a shell.
    ///
    /// # Errors
    /// [`CompanionError::NoCommand`] or [`CompanionError::Start`].
    pub fn start(command: &[String]) -> Result<Self, CompanionError> {
        let (program, arguments) = command.split_first().ok_or(CompanionError::NoCommand)?;
        let mut call = Command::new(program);
        call.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own, as for programs that are called once.
        call.process_group(0);
        let mut child = call.spawn().map_err(|source| CompanionError::Start { program: program.clone(), source })?;
        let group = Pid::from_child(&child);
        let guarded = Some(Guarded::new(group));
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (sender, lines) = channel();
        std::thread::spawn(move || stdout.map(|pipe| each_line(pipe, |line| sender.send(line).is_ok())));
        let tail = std::thread::spawn(move || stderr.map(|mut pipe| read_tail(&mut pipe)).unwrap_or_default());
        Ok(Self { program: program.clone(), child, group, guarded, stdin, lines, tail: Some(tail) })
    }

    /// Sends lines, which hold no line breaks, and waits for as many answers, in the order in which they come.
    ///
    /// # Errors
    /// The program ends or is silent for longer than `limit` in all; it is killed then, and later calls fail too.
    pub fn exchange(&mut self, lines: &[String], limit: Duration) -> Result<Vec<String>, CompanionError> {
        let deadline = Instant::now() + limit;
        let mut text = lines.join("\n");
        text.push('\n');
        // Both pipes may be full at a time, so that writing and reading overlap.
        let feeder = self.stdin.take().map(|mut pipe| {
            std::thread::spawn(move || pipe.write_all(text.as_bytes()).and_then(|()| pipe.flush()).map(|()| pipe))
        });
        let mut answers = Vec::with_capacity(lines.len());
        let mut is_late = false;
        while answers.len() < lines.len() {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => answers.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    is_late = true;
                    break;
                }
            }
        }
        if answers.len() < lines.len() {
            self.kill();
        }
        // A pipe that broke belongs to a program that has ended.
        self.stdin = feeder.and_then(|feeder| feeder.join().ok()).and_then(Result::ok);
        match answers.len() == lines.len() {
            true => Ok(answers),
            false => Err(self.failure(answers.len(), lines.len(), is_late.then_some(limit))),
        }
    }

    fn failure(&mut self, answers: usize, asked: usize, limit: Option<Duration>) -> CompanionError {
        let program = self.program.clone();
        match limit {
            Some(limit) => CompanionError::TimedOut { program, answers, asked, limit },
            None => {
                let stderr = self.tail.take().and_then(|tail| tail.join().ok()).unwrap_or_default();
                CompanionError::Ended { program, answers, asked, stderr }
            }
        }
    }

    fn kill(&mut self) {
        // The only possible error is that nothing of the group is left.
        kill_process_group(self.group, Signal::KILL).ok();
        // Before the number can be reused by another process.
        if self.guarded.take().is_some() {
            self.child.wait().ok();
        }
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        if self.guarded.is_some() {
            self.kill();
        }
    }
}

/// Hands over the lines of a pipe until it ends, a line is too long, or nobody wants more.
fn each_line(pipe: ChildStdout, mut take: impl FnMut(String) -> bool) {
    let mut reader = BufReader::new(pipe);
    loop {
        let mut line = Vec::new();
        let read = reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line);
        let is_whole = line.last() == Some(&b'\n');
        if read.is_err() || !is_whole || !take(String::from_utf8_lossy(line.trim_ascii_end()).into_owned()) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    fn sh(script: &str) -> Companion {
        Companion::start(&["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()]).unwrap()
    }

    fn lines(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn lines_are_answered_again_and_again() {
        let mut echo = sh("while read -r line; do echo \"<$line>\"; done");
        assert_eq!(echo.exchange(&lines(&["a", "b c"]), LONG).unwrap(), lines(&["<a>", "<b c>"]));
        assert_eq!(echo.exchange(&lines(&["d"]), LONG).unwrap(), lines(&["<d>"]));
        // More than the pipes hold in both directions.
        let many: Vec<String> = (0..20_000).map(|n| format!("line {n}")).collect();
        assert_eq!(echo.exchange(&many, LONG).unwrap().len(), many.len());
    }

    #[test]
    fn a_program_that_ends_tells_its_last_words() {
        let mut program = sh("read -r line; echo one; echo 'no such model' >&2; exit 3");
        let error = program.exchange(&lines(&["a", "b"]), LONG).unwrap_err().to_string();
        assert_eq!(error, "/bin/sh ended after 1 of 2 answers: no such model");
        assert!(program.exchange(&lines(&["a"]), LONG).is_err(), "it does not come back");
    }

    #[test]
    fn a_silent_program_is_killed_with_what_it_started() {
        let started = Instant::now();
        let mut program = sh("sleep 60 & wait");
        let error = program.exchange(&lines(&["a"]), Duration::from_millis(200)).unwrap_err().to_string();
        assert!(error.contains("0 of 1 answer within 0.2 s and was killed"), "{error}");
        drop(program);
        drop(sh("sleep 60"));
        assert!(started.elapsed() < LONG);
    }

    #[test]
    fn a_command_that_cannot_start_is_named() {
        let error = Companion::start(&lines(&["/nowhere/reward"])).unwrap_err().to_string();
        assert!(error.contains("/nowhere/reward could not be started"), "{error}");
        assert!(matches!(Companion::start(&[]), Err(CompanionError::NoCommand)));
    }
}
