//! The external programs for media: where ffmpeg, ffprobe and yt-dlp are, and how they are run.
//!
//! Programs are only ever run with an argument list (no shell), with closed or piped standard input,
//! with bounded memory for what they write on standard error, and they never outlive their handle: dropping a
//! [`Running`] kills the program and everything it started, and so does the end of this process, even by SIGKILL.
//! Exit code 0 is not trusted where standard error reports a full disk.
//!
//! Media are passed to ffmpeg and ffprobe only through [`Call::input`] and [`Call::input_bytes`], so that a playlist
//! with the name of a media file cannot make them open other files or addresses.
//!
//! ```no_run
//! use audsem_media::program::{Program, Tool};
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), audsem_media::program::MediaError> {
//! let ffmpeg = Program::find(Tool::Ffmpeg, None)?;
//! let wav = ffmpeg
//!     .call()
//!     .args(["-v", "error"])
//!     .input("clip.mp4")
//!     .args(["-vn", "-f", "wav", "pipe:1"])
//!     .timeout(Duration::from_secs(60))
//!     .output()?;
//! # Ok(()) }
//! ```

mod call;
mod companion;
mod guard;
mod input;
mod message;
pub(crate) mod progress;
mod trouble;

pub use call::{Call, Finished, Running};
pub use companion::{Companion, CompanionError};
pub(crate) use input::address_of;
pub(crate) use progress::Progress;

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A program this project may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tool {
    /// `ffmpeg`: transcoding, and decoding what the built-in decoders cannot.
    Ffmpeg,
    /// `ffprobe`: reading what a media file holds.
    Ffprobe,
    /// `yt-dlp`: fetching subtitle tracks and clips.
    YtDlp,
}

impl Tool {
    /// The name of the executable, looked for in `PATH`.
    pub fn name(self) -> &'static str {
        match self {
            Tool::Ffmpeg => "ffmpeg",
            Tool::Ffprobe => "ffprobe",
            Tool::YtDlp => "yt-dlp",
        }
    }

    /// The environment variable that overrides `PATH`.
    pub fn variable(self) -> &'static str {
        match self {
            Tool::Ffmpeg => "AUDSEM_FFMPEG",
            Tool::Ffprobe => "AUDSEM_FFPROBE",
            Tool::YtDlp => "AUDSEM_YT_DLP",
        }
    }

    /// The command-line flag that overrides the variable, where a subcommand has it.
    pub fn flag(self) -> &'static str {
        match self {
            Tool::Ffmpeg => "--ffmpeg",
            Tool::Ffprobe => "--ffprobe",
            Tool::YtDlp => "--yt-dlp",
        }
    }

    /// One sentence that says how to get the program.
    pub fn how_to_install(self) -> &'static str {
        match self {
            Tool::Ffmpeg | Tool::Ffprobe => {
                "install it with `apt-get install ffmpeg` (Debian, Ubuntu) or `brew install ffmpeg` (macOS)"
            }
            Tool::YtDlp => "install it with `pipx install yt-dlp` or `python3 -m pip install yt-dlp`",
        }
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What can go wrong with an external program.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MediaError {
    /// The program is not where it was looked for.
    #[error(
        "{tool} was not found: {looked_in}\nhint: {}, or name it with {} or {}",
        tool.how_to_install(), tool.flag(), tool.variable()
    )]
    Missing {
        /// The program wanted.
        tool: Tool,
        /// The path, variable or `PATH` that was searched.
        looked_in: String,
    },
    /// The program is there but the operating system would not start it.
    #[error("{tool} could not be started: {}: {source}\nhint: check that the file may be executed", path.display())]
    Start {
        /// The program.
        tool: Tool,
        /// The file that was to be executed.
        path: PathBuf,
        /// Why it was not.
        source: std::io::Error,
    },
    /// The program ran and reported failure.
    #[error("{tool} failed ({status}){}", output(stderr))]
    Failed {
        /// The program.
        tool: Tool,
        /// How it ended.
        status: ProgramStatus,
        /// The last part of what it wrote on standard error.
        stderr: String,
    },
    /// The program did not end in time and was killed.
    #[error("{tool} did not end within {:.1} s and was killed{}", limit.as_secs_f64(), output(stderr))]
    TimedOut {
        /// The program.
        tool: Tool,
        /// The time it had.
        limit: Duration,
        /// The last part of what it wrote on standard error.
        stderr: String,
    },
    /// The program waited for a server and was killed, because a stop was requested.
    #[error("{tool} was ended, because a stop was requested")]
    Stopped {
        /// The program.
        tool: Tool,
    },
    /// The program was killed: by the kernel when memory ran out, by a scheduler or by a person.
    #[error("{tool} was killed ({status}){}", output(stderr))]
    Killed {
        /// The program.
        tool: Tool,
        /// How it ended.
        status: ProgramStatus,
        /// The last part of what it wrote on standard error.
        stderr: String,
    },
    /// The program could not write what it made, whatever its exit code says.
    #[error(
        "{tool} could not write its output: {line}\n\
         hint: free some space, or name another disk with --output or --temp-dir; the same command then continues where it stopped"
    )]
    CannotWrite {
        /// The program.
        tool: Tool,
        /// What it wrote on standard error.
        line: String,
    },
    /// The temporary input file of the program could not be written.
    #[error(
        "no temporary file for {tool} in {}: {source}\n\
         hint: free some space there, or name another folder with --temp-dir or TMPDIR", folder.display()
    )]
    Temporary {
        /// The program.
        tool: Tool,
        /// Where the file was to be.
        folder: PathBuf,
        /// Why it could not be made.
        source: std::io::Error,
    },
    /// Talking to the program through a pipe failed.
    #[error("lost the connection to {tool}: {source}")]
    Pipe {
        /// The program.
        tool: Tool,
        /// The error of the pipe.
        source: std::io::Error,
    },
}

/// `: TEXT` of the last line on standard error that is not blank, or nothing.
fn output(stderr: &str) -> String {
    match stderr.lines().rev().find(|line| !line.trim().is_empty()) {
        Some(line) => format!(": {}", line.trim()),
        None => String::new(),
    }
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgramStatus {
    /// It returned this exit code.
    Code(i32),
    /// It was ended by this signal.
    Signal(i32),
}

impl ProgramStatus {
    /// Exit code 0.
    pub fn success(self) -> bool {
        self == ProgramStatus::Code(0)
    }
}

impl fmt::Display for ProgramStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProgramStatus::Code(code) => write!(f, "exit code {code}"),
            ProgramStatus::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

/// A program that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    tool: Tool,
    path: PathBuf,
}

impl Program {
    /// Finds `tool`: at `given` (the value of its flag) if there is one, else where its environment
    /// variable says, else in `PATH`.
    ///
    /// # Errors
    /// [`MediaError::Missing`] if there is no executable file there.
    pub fn find(tool: Tool, given: Option<&Path>) -> Result<Program, MediaError> {
        // Every long flag has its variable through the command line; this look-up serves callers
        // without a command line, such as tests and other programs.
        #[allow(clippy::disallowed_methods)]
        let (variable, path) = (std::env::var_os(tool.variable()), std::env::var_os("PATH"));
        find_in(tool, given, variable.as_deref(), path.as_deref())
    }

    /// The program at `path`, unchecked.
    pub fn at(tool: Tool, path: impl Into<PathBuf>) -> Program {
        Program { tool, path: path.into() }
    }

    /// Which program this is.
    pub fn tool(&self) -> Tool {
        self.tool
    }

    /// The file that is executed.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A call of this program, to be given arguments and run.
    pub fn call(&self) -> Call<'_> {
        Call::new(self)
    }

    /// The first line the program prints about its version, for the record of a run.
    ///
    /// # Errors
    /// As [`Call::output`].
    pub fn version(&self) -> Result<String, MediaError> {
        let flag = if self.tool == Tool::YtDlp { "--version" } else { "-version" };
        let bytes = self.call().arg(flag).timeout(Duration::from_secs(60)).output()?;
        let text = String::from_utf8_lossy(&bytes);
        Ok(text.lines().next().unwrap_or_default().trim().to_owned())
    }
}

fn find_in(
    tool: Tool,
    given: Option<&Path>,
    variable: Option<&OsStr>,
    path: Option<&OsStr>,
) -> Result<Program, MediaError> {
    let named = match (given, variable) {
        (Some(given), _) => Some((given.to_owned(), "the path given")),
        (None, Some(value)) if !value.is_empty() => Some((PathBuf::from(value), tool.variable())),
        _ => None,
    };
    let folders = || std::env::split_paths(path.unwrap_or_default()).filter(|f| !f.as_os_str().is_empty());
    let in_path = |name: &Path| folders().map(|folder| folder.join(name)).find(|file| is_executable(file));
    let (found, looked_in) = match named {
        // A bare name such as `ffmpeg-7` is looked for in PATH, as a shell would.
        Some((name, from)) if name.components().count() == 1 => {
            let found = if is_executable(&name) { Some(Path::new(".").join(&name)) } else { in_path(&name) };
            (found, format!("no executable {} in PATH ({from})", name.display()))
        }
        Some((file, from)) => {
            let looked_in = format!("no executable file at {} ({from})", file.display());
            (is_executable(&file).then_some(file), looked_in)
        }
        None => (in_path(Path::new(tool.name())), "not in any folder of PATH".to_owned()),
    };
    found.map(|path| Program { tool, path }).ok_or(MediaError::Missing { tool, looked_in })
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use audsem_core::blame::Blame;

    #[test]
    fn a_flag_wins_over_the_variable_and_the_variable_over_path() {
        let folder = Some(OsStr::new("/bin:/usr/bin"));
        let check = |given: Option<&str>, variable: Option<&str>, expected: Result<&str, &str>| {
            let found = find_in(Tool::YtDlp, given.map(Path::new), variable.map(OsStr::new), folder);
            match (found, expected) {
                (Ok(program), Ok(path)) => assert_eq!(program.path(), Path::new(path)),
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
                (found, expected) => panic!("{found:?} instead of {expected:?}"),
            }
        };
        check(Some("/bin/sh"), Some("/bin/cat"), Ok("/bin/sh"));
        check(None, Some("/bin/cat"), Ok("/bin/cat"));
        check(None, Some("sh"), Ok("/bin/sh"));
        check(Some("no-such-program"), Some("/bin/cat"), Err("no executable no-such-program in PATH"));
        check(None, Some("/bin"), Err("no executable file at /bin (AUDSEM_YT_DLP)"));
        check(Some("/etc/passwd"), None, Err("no executable file at /etc/passwd"));
    }

    #[test]
    fn a_missing_program_says_how_to_get_it() {
        let error = find_in(Tool::Ffmpeg, None, None, Some(OsStr::new("/nowhere"))).unwrap_err();
        let text = error.to_string();
        assert_eq!(error.blame(), Blame::Surroundings);
        for part in ["ffmpeg was not found", "\nhint: ", "apt-get install ffmpeg", "--ffmpeg", "AUDSEM_FFMPEG"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(find_in(Tool::Ffmpeg, None, Some(OsStr::new("")), None).is_err());
    }
}
