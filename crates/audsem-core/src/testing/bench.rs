//! A temporary folder in which tests run a binary, and the result of the call.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::run::RejectDetail;

/// The result of a call of a binary.
#[derive(Debug)]
pub struct Called {
    /// Exit code; -1 for a signal.
    pub code: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// All of these panic where a test has to fail.
impl Called {
    /// The summary printed with `--json`.
    #[track_caller]
    pub fn summary(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }

    /// The counts of a step in the summary.
    #[track_caller]
    pub fn step(&self, name: &str) -> Value {
        let steps = self.summary()["steps"].take();
        steps.get(name).unwrap_or_else(|| panic!("no step {name} in {steps}")).clone()
    }

    /// The counts of the step with this number, from 0.
    #[track_caller]
    pub fn nth_step(&self, number: usize) -> Value {
        let steps = self.summary()["steps"].take();
        let found = steps.as_object().and_then(|steps| steps.values().nth(number));
        found.unwrap_or_else(|| panic!("no step {number} in {steps}")).clone()
    }

    /// Fails the test with what the program said unless it ended so.
    #[track_caller]
    pub fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.stdout, self.stderr);
        self
    }

    /// Fails the test unless standard error says this.
    #[track_caller]
    pub fn says(&self, part: &str) {
        assert!(self.stderr.contains(part), "{part:?} is not in:\n{}", self.stderr);
    }
}

/// A temporary folder in which a binary is called. Names are relative to it.
#[derive(Debug)]
pub struct Bench {
    folder: TempDir,
    program: &'static str,
}

/// All of these panic where a test has to fail.
impl Bench {
    /// An empty folder for a program, `env!("CARGO_BIN_EXE_audsem-tarify")`.
    pub fn new(program: &'static str) -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder can be made"), program }
    }

    /// Where a file or folder is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, with its folders.
    #[track_caller]
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        let write = || -> io::Result<()> {
            fs::create_dir_all(path.parent().unwrap_or(Path::new("")))?;
            fs::write(&path, content)
        };
        write().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// A call of the program in the folder; arguments are separated by blanks.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(self.program);
        command.current_dir(self.folder.path()).args(arguments.split_whitespace());
        command
    }

    /// Calls the program with `--json --no-progress`.
    #[track_caller]
    pub fn call(&self, arguments: &str) -> Called {
        self.call_with(arguments, |_| {})
    }

    /// Calls the binary after `prepare` has changed the environment, say.
    #[track_caller]
    pub fn call_with(&self, arguments: &str, prepare: impl FnOnce(&mut Command)) -> Called {
        let mut command = self.command(arguments);
        prepare(command.args(["--json", "--no-progress"]));
        let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Called {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The text of a file.
    #[track_caller]
    pub fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The JSON of a file.
    #[track_caller]
    pub fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.text(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Key and reason of each line of a rejects file; none without the file.
    #[track_caller]
    pub fn rejects(&self, name: &str) -> Vec<(String, String)> {
        self.reject_lines(name).into_iter().map(|reject| (reject.key, reject.reason)).collect()
    }

    /// The detail of each line of a rejects file.
    #[track_caller]
    pub fn details(&self, name: &str) -> Vec<String> {
        self.reject_lines(name).into_iter().map(|reject| reject.detail).collect()
    }

    #[track_caller]
    fn reject_lines(&self, name: &str) -> Vec<RejectDetail> {
        let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{name}: {error}"));
        if self.path(name).exists() { self.text(name).lines().map(line).collect() } else { Vec::new() }
    }
}
