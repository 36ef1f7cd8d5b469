//! One round: disturbed, run again, compared.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::draw::{Disturbance, Draw, Processes};
use super::judge::{self, Expected};
use super::shim::{Calls, Shim};
use super::{Kind, Rounds};

/// A run that takes longer is taken to hang.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often the two halves of a command are run until all its steps are done: each step waits for the shards of the
/// one before.
const TURNS: usize = 12;

/// What an undisturbed run does and leaves.
pub(super) struct Undisturbed {
    pub(super) calls: Calls,
    expected: Expected,
    time: Duration,
}

impl Undisturbed {
    /// Runs the command to its end, with its calls noted.
    pub(super) fn run(rounds: &Rounds, shim: &Shim) -> io::Result<Self> {
        let place = Place::new(rounds, "undisturbed")?;
        let mut command = place.command(1, None);
        shim.log(&mut command)?;
        let begun = Instant::now();
        let ended = place.start(command)?.wait()?;
        let time = begun.elapsed();
        if !ended.status.success() {
            return Err(io::Error::other(format!("undisturbed: {ended:?}")));
        }
        Ok(Self { calls: shim.calls()?, expected: Expected::read(&place.output)?, time })
    }
}

/// What came of a round.
pub(super) struct Came {
    /// Whether the fault struck or the kill came before the end.
    pub(super) struck: bool,
    /// How the disturbed run ended; the worse of two.
    pub(super) code: Option<i32>,
    /// Some but not all of what an undisturbed run leaves was there.
    pub(super) in_the_middle: bool,
    /// What should not be so.
    pub(super) wrong: Vec<String>,
}

/// Plays a round.
pub(super) fn play(rounds: &Rounds, shim: &Shim, undisturbed: &Undisturbed, draw: &Draw) -> io::Result<Came> {
    let place = Place::new(rounds, &draw.round.to_string())?;
    let (struck, ended) = disturb(&place, shim, undisturbed, draw)?;
    let mut wrong = Vec::new();
    for ended in &ended {
        wrong.extend(judge::ending(ended, draw));
    }
    let left = judge::tree(&place.output)?;
    if rounds.kind != Kind::Prints {
        wrong.extend(undisturbed.expected.half_written(&left, &place.output));
    }
    // Two processes that share a run may both leave a shard to the other.
    let shares = rounds.kind == Kind::Runs && draw.processes == Processes::Two;
    if !shares && ended.iter().all(|ended| ended.status.success()) {
        wrong.extend(undisturbed.expected.difference(&left, "exit code 0, but"));
    }
    wrong.extend(again(&place, undisturbed, draw)?);
    if !wrong.is_empty() {
        wrong.extend(ended.iter().map(|ended| format!("  the disturbed run {ended:?}")));
    }
    fs::remove_dir_all(&place.folder)?;
    Ok(Came {
        struck,
        code: ended.iter().map(|ended| ended.status.code()).max_by_key(|code| code.unwrap_or(i32::MAX)).flatten(),
        in_the_middle: undisturbed.expected.in_the_middle(&left),
        wrong,
    })
}

/// Runs the command with its disturbance; tells whether that came in time, and how each process ended.
fn disturb(place: &Place, shim: &Shim, undisturbed: &Undisturbed, draw: &Draw) -> io::Result<(bool, Vec<Ended>)> {
    shim.reset()?;
    let mut processes = Vec::new();
    for mut command in place.commands(draw.processes) {
        match &draw.disturbance {
            Disturbance::Call(order) => shim.order(&mut command, order),
            // With the library, so that the time is that of the undisturbed run.
            Disturbance::Moment(_) => shim.load(&mut command),
        }
        processes.push(place.start(command)?);
    }
    let mut struck = false;
    if let Disturbance::Moment(share) = draw.disturbance {
        std::thread::sleep(undisturbed.time.mul_f64(share));
        for process in &mut processes {
            struck |= process.child.try_wait()?.is_none();
            process.child.kill()?;
        }
    }
    let ended = processes.into_iter().map(Process::wait).collect::<io::Result<Vec<_>>>()?;
    if let Disturbance::Call(order) = &draw.disturbance {
        struck = shim.counted()? >= order.nth;
    }
    Ok((struck, ended))
}

/// Runs the command again, undisturbed, and tells what is wrong then.
fn again(place: &Place, undisturbed: &Undisturbed, draw: &Draw) -> io::Result<Vec<String>> {
    let mut wrong = Vec::new();
    for turn in 0..TURNS {
        let processes: Vec<Process> = place
            .commands(draw.processes)
            .into_iter()
            .map(|command| place.start(command))
            .collect::<io::Result<_>>()?;
        for process in processes {
            let ended = process.wait()?;
            if !ended.status.success() {
                wrong.push(format!("the re-run {ended:?}"));
            }
        }
        let difference = undisturbed.expected.difference(&judge::tree(&place.output)?, "after a re-run");
        let last = draw.processes != Processes::Two || turn + 1 == TURNS;
        if last || difference.is_none() || !wrong.is_empty() {
            wrong.extend(difference);
            break;
        }
    }
    let scratch = judge::tree(&place.scratch)?;
    if !scratch.is_empty() {
        wrong.push(format!("the re-run left temporary files: {:?}", scratch.keys()));
    }
    Ok(wrong)
}

/// The folders of a round.
struct Place<'a> {
    rounds: &'a Rounds<'a>,
    folder: PathBuf,
    output: PathBuf,
    /// For temporary files.
    scratch: PathBuf,
}

impl<'a> Place<'a> {
    fn new(rounds: &'a Rounds<'a>, name: &str) -> io::Result<Self> {
        let folder = rounds.folder.join(name);
        let place = Self { rounds, output: folder.join("out"), scratch: folder.join("tmp"), folder };
        fs::create_dir_all(&place.scratch)?;
        Ok(place)
    }

    fn command(&self, workers: usize, half: Option<usize>) -> Command {
        let mut command = (self.rounds.program)(&self.output, workers);
        command.arg("--no-progress").env("TMPDIR", &self.scratch);
        if let Some(half) = half {
            command.arg("--shard").arg(format!("{half}/2"));
        }
        command
    }

    fn commands(&self, processes: Processes) -> Vec<Command> {
        match (processes, self.rounds.kind) {
            (Processes::One(workers), _) => vec![self.command(workers, None)],
            (Processes::Two, Kind::Runs) => (0..2).map(|half| self.command(1, Some(half))).collect(),
            (Processes::Two, Kind::Writes) => (0..2).map(|_| self.command(1, None)).collect(),
            (Processes::Two, Kind::Prints) => vec![self.command(2, None)],
        }
    }
}

impl Place<'_> {
    fn start(&self, command: Command) -> io::Result<Process> {
        if self.rounds.kind != Kind::Prints {
            return Process::start(command, Stdio::null());
        }
        fs::create_dir_all(&self.output)?;
        Process::start(command, fs::File::create(self.output.join("stdout"))?.into())
    }
}

/// A process and what it says.
struct Process {
    child: Child,
    said: JoinHandle<String>,
}

/// How a process ended.
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    pub(super) said: String,
    pub(super) hung: bool,
}

impl std::fmt::Debug for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ended with {}, saying:", self.status)?;
        self.said.lines().try_for_each(|line| write!(f, "\n    {line}"))
    }
}

impl Process {
    fn start(mut command: Command, stdout: Stdio) -> io::Result<Self> {
        let mut child = command.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped()).spawn()?;
        let mut pipe = child.stderr.take().expect("stderr is piped");
        let said = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = pipe.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        Ok(Self { child, said })
    }

    fn wait(mut self) -> io::Result<Ended> {
        let deadline = Instant::now() + PATIENCE;
        let mut hung = false;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if Instant::now() > deadline && !hung {
                hung = true;
                self.child.kill()?;
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        let said = self.said.join().unwrap_or_default();
        Ok(Ended { status, said, hung })
    }
}

impl Ended {
    /// The signal that ended it.
    pub(super) fn signal(&self) -> Option<i32> {
        self.status.signal()
    }
}
