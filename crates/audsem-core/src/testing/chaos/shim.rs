//! The library of `shim.c`: built once for each test, told by environment variables what to do.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const SOURCE: &str = include_str!("shim.c");

/// Whose calls: of the program under test, or of those that it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Who {
    /// The program under test.
    Main,
    /// ffmpeg, ffprobe, yt-dlp and what they start.
    Helper,
}

impl Who {
    pub(super) fn name(self) -> &'static str {
        match self {
            Who::Main => "main",
            Who::Helper => "helper",
        }
    }
}

/// How many calls of each operation an undisturbed run makes.
pub(super) type Calls = BTreeMap<(Who, String), u64>;

/// Which call shall fail, and how.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) who: Who,
    pub(super) op: &'static str,
    pub(super) nth: u64,
    /// Every later call fails too.
    pub(super) goes_on: bool,
    /// As `shim.c` names it.
    pub(super) kind: String,
}

/// The built library, and the folder that it looks at.
pub(super) struct Shim {
    library: tempfile::TempDir,
    under: PathBuf,
}

impl Shim {
    /// Compiles the library for calls about files under a folder.
    pub(super) fn build(under: &Path) -> io::Result<Self> {
        let shim = Self { library: tempfile::tempdir()?, under: under.to_owned() };
        let mut compiler = Command::new("cc");
        compiler.args(["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-x", "c", "-", "-ldl", "-o"]);
        let mut compiler = compiler.arg(shim.file("faults.so")).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        compiler.stdin.take().expect("stdin is piped").write_all(SOURCE.as_bytes())?;
        let ended = compiler.wait_with_output()?;
        if ended.status.success() {
            return Ok(shim);
        }
        Err(io::Error::other(format!("cc: {}", String::from_utf8_lossy(&ended.stderr))))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.library.path().join(name)
    }

    /// Lets a command run with the library before the C library.
    pub(super) fn load(&self, command: &mut Command) {
        let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_owned();
        command.env("LD_PRELOAD", self.file("faults.so")).env("FAULT_UNDER", &self.under).env("FAULT_MAIN", program);
    }

    /// Lets a command note its calls.
    pub(super) fn log(&self, command: &mut Command) -> io::Result<()> {
        fs::File::create(self.file("log"))?;
        self.load(command);
        command.env("FAULT_LOG", self.file("log"));
        Ok(())
    }

    /// The calls that were noted.
    pub(super) fn calls(&self) -> io::Result<Calls> {
        let mut calls = Calls::new();
        for line in String::from_utf8_lossy(&fs::read(self.file("log"))?).lines() {
            let mut fields = line.split('\t');
            let who = if fields.next() == Some("main") { Who::Main } else { Who::Helper };
            *calls.entry((who, fields.next().unwrap_or_default().to_owned())).or_default() += 1;
        }
        Ok(calls)
    }

    /// Starts counting anew.
    pub(super) fn reset(&self) -> io::Result<()> {
        fs::write(self.file("counter"), [0; 8])
    }

    /// How many calls have matched since.
    pub(super) fn counted(&self) -> io::Result<u64> {
        let bytes = fs::read(self.file("counter"))?;
        Ok(bytes.try_into().map_or(0, u64::from_ne_bytes))
    }

    /// Lets a command fail as ordered.
    pub(super) fn order(&self, command: &mut Command, order: &Order) {
        self.load(command);
        command.env("FAULT_COUNTER", self.file("counter")).env("FAULT_IN", order.who.name());
        command.env("FAULT_OP", order.op).env("FAULT_NTH", order.nth.to_string()).env("FAULT_KIND", &order.kind);
        command.env("FAULT_TIMES", if order.goes_on { "on" } else { "once" });
    }
}
