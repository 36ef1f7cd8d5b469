//! What tests of every crate need: calling binaries, comparing run folders, and killing programs in the
//! middle.
//!
//! Behind the feature `testing`, which only dev-dependencies turn on.

#![allow(
    clippy::disallowed_methods,
    reason = "files of tests need not be whole after a power cut, nor their disk fail, and variables set the tests themselves"
)]

mod bench;
/// Commands under injected faults and kills.
#[cfg(target_os = "linux")]
pub mod chaos;
mod documents;
pub mod loopback;
mod python;
mod runs;
pub mod sounds;

pub use bench::{Bench, Called};
pub use documents::assert_formats_part;
pub use python::{python, run_python};
pub use runs::finished_run;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::files::hex;
use sha2::{Digest, Sha256};

/// Names of the files that hold wall-clock times, the only ones in which equal runs may differ.
const TIMES: [&str; 2] = ["log.jsonl", "timing.json"];

/// Every file of a run folder with the SHA-256 of its content, without those that hold times.
///
/// # Errors
/// When the folder cannot be read.
pub fn tree(folder: &Path) -> io::Result<BTreeMap<PathBuf, String>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).expect("listed from the folder").to_owned();
            // The folder of a run may have that of another one within.
            if !TIMES.iter().any(|time| name.file_name() == Some(time.as_ref())) {
                files.insert(name, hex(&Sha256::digest(fs::read(&path)?)));
            }
        }
    }
    Ok(files)
}

/// What [`kill_and_resume`] saw.
#[derive(Debug, Default)]
pub struct Kills {
    /// Runs killed while they were working.
    pub killed: usize,
    /// Runs that were done before the moment came.
    pub too_late: usize,
    /// Killed runs that had committed something, but not everything.
    pub in_the_middle: usize,
}

/// Runs a program undisturbed, then `kills` times again with a `kill -9` at a moment spread over its
/// running time, runs each of those again to the end, and compares the folders byte for byte.
///
/// `program` gives the command for an output folder and a number of workers, which alternates
/// between 1 and 2. Folders are made under `folder`.
///
/// # Errors
/// When a program cannot be started, does not end well, or leaves another folder than the
/// undisturbed run: the message names the differing files.
pub fn kill_and_resume(folder: &Path, kills: usize, program: impl Fn(&Path, usize) -> Command) -> io::Result<Kills> {
    let undisturbed = folder.join("undisturbed");
    let started = Instant::now();
    finish(program(&undisturbed, 1))?;
    let whole = started.elapsed();
    let expected = tree(&undisturbed)?;
    let mut seen = Kills::default();
    for kill in 0..kills {
        let output = folder.join(format!("killed-{kill}"));
        let workers = 1 + kill % 2;
        // The golden ratio spreads any number of moments evenly without repeating one.
        let moment = whole.mul_f64((0.5 + kill as f64 * 0.618_033_988_75).fract());
        let mut child = silent(program(&output, workers)).spawn()?;
        if wait_until(&mut child, started_at(moment))? {
            seen.too_late += 1;
        } else {
            child.kill()?;
            child.wait()?;
            seen.killed += 1;
            let files = if output.exists() { tree(&output)?.len() } else { 0 };
            seen.in_the_middle += usize::from(files > 1 && files < expected.len());
        }
        finish(program(&output, workers))?;
        compare(&expected, &tree(&output)?, &format!("kill {kill} after {moment:?}, {workers} workers"))?;
        fs::remove_dir_all(&output)?;
    }
    Ok(seen)
}

/// How many kills a test shall make: `AUDSEM_KILLS`, or so many as the suite has time for.
pub fn kills(usual: usize) -> usize {
    std::env::var("AUDSEM_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
}

/// Runs a program on a disk that takes no file larger than about `kib` KiB, then the same command
/// without that limit, and gives back what the first one said on stderr.
///
/// The limit is the shell's `ulimit -f`: writing beyond it fails as it does on a full disk, only with
/// another number.
///
/// # Errors
/// When the first run does not end with exit code 2 or leaves a file under its final name that an
/// undisturbed run has not, or the second one does not end in the folder of an undisturbed run.
pub fn fill_disk_and_resume(folder: &Path, kib: u64, program: impl Fn(&Path) -> Command) -> io::Result<String> {
    let (undisturbed, output) = (folder.join("undisturbed"), folder.join("filled"));
    finish(program(&undisturbed))?;
    let expected = tree(&undisturbed)?;
    let command = program(&output);
    let mut limited = Command::new("sh");
    // Blocks are of 512 bytes. The signal that goes with the limit is ignored, as it would kill.
    limited.arg("-c").arg(format!("trap '' XFSZ; ulimit -f {}; exec \"$@\"", 2 * kib)).arg("sh");
    limited.arg(command.get_program()).args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        limited.current_dir(folder);
    }
    let ended = limited.stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    if ended.status.code() != Some(2) {
        return Err(io::Error::other(format!("on a full disk it ended with {}:\n{said}", ended.status)));
    }
    let left = tree(&output)?;
    let half: Vec<_> = left.iter().filter(|(name, content)| expected.get(*name) != Some(content)).collect();
    if !half.is_empty() {
        return Err(io::Error::other(format!("a full disk left {half:?}")));
    }
    finish(program(&output))?;
    compare(&expected, &tree(&output)?, "after a full disk")?;
    Ok(said)
}

fn started_at(moment: Duration) -> Instant {
    Instant::now() + moment
}

/// Whether the child ended before `deadline`.
fn wait_until(child: &mut Child, deadline: Instant) -> io::Result<bool> {
    while Instant::now() < deadline {
        if child.try_wait()?.is_some() {
            return Ok(true);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(child.try_wait()?.is_some())
}

fn silent(mut command: Command) -> Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn finish(mut command: Command) -> io::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(io::Error::other(format!("{command:?} ended with {}:\n{text}", output.status)))
}

fn compare(expected: &BTreeMap<PathBuf, String>, got: &BTreeMap<PathBuf, String>, what: &str) -> io::Result<()> {
    let names = expected.keys().chain(got.keys());
    let differing: std::collections::BTreeSet<_> = names.filter(|name| expected.get(*name) != got.get(*name)).collect();
    if differing.is_empty() {
        return Ok(());
    }
    Err(io::Error::other(format!("{what}: differs from an undisturbed run in {differing:?}")))
}
