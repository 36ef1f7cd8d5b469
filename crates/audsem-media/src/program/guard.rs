//! Kills running programs when this process ends, however it ends.
//!
//! A process that gets SIGKILL runs no cleanup code. So one small shell waits at the other end of a pipe and knows the
//! process groups of the running programs; the end of this process closes the pipe, and the shell kills the groups.
//! Unlike the parent-death signal of Linux this also ends the children of the programs (yt-dlp starts ffmpeg), does not
//! depend on the thread that started them, and needs no code between fork and exec.

use rustix::process::Pid;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// Reads lines `+ GROUP` and `- GROUP`; at the end of the pipe it kills the remaining groups.
const SCRIPT: &str = r#"
trap '' HUP INT QUIT TERM PIPE
groups=' '
while read -r sign group; do
    case $sign in
        +) groups="$groups$group " ;;
        -) case $groups in *" $group "*) groups="${groups%%" $group "*} ${groups#*" $group "}" ;; esac ;;
    esac
done
for group in $groups; do
    kill -9 "-$group" 2>/dev/null
done
"#;

/// The pipe to the shell of this process, once it is started.
static SHELL: Mutex<Shell> = Mutex::new(Shell::NotStarted);

enum Shell {
    NotStarted,
    Running(ChildStdin),
    /// Programs run without a guard.
    Absent,
}

/// A process group that is killed with this process, until the value is dropped.
#[derive(Debug)]
pub(super) struct Guarded(Pid);

impl Guarded {
    /// Registers a group. If no shell can be started, a warning is logged once, and programs run without.
    pub(super) fn new(group: Pid) -> Guarded {
        tell(&format!("+ {}\n", group.as_raw_nonzero()));
        Guarded(group)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        tell(&format!("- {}\n", self.0.as_raw_nonzero()));
    }
}

fn tell(line: &str) {
    let mut shell = SHELL.lock().unwrap_or_else(PoisonError::into_inner);
    if matches!(*shell, Shell::NotStarted) {
        *shell = start();
    }
    if let Shell::Running(pipe) = &mut *shell
        && let Err(error) = pipe.write_all(line.as_bytes())
    {
        tracing::warn!("programs that run now would outlive this process if it were killed: {error}");
        *shell = Shell::Absent;
    }
}

fn start() -> Shell {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    // A group of its own, so that a signal to the group of this process does not end the shell.
    command.process_group(0);
    let pipe = command.spawn().map(|mut child| child.stdin.take());
    match pipe {
        Ok(Some(pipe)) => Shell::Running(pipe),
        Ok(None) => Shell::Absent,
        Err(error) => {
            tracing::warn!("programs that are started would outlive this process if it were killed: {error}");
            Shell::Absent
        }
    }
}
