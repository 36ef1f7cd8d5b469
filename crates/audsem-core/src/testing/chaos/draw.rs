//! What happens in a round: a function of seed, command and number of the round alone.

use std::fmt;
use std::io;

use xxhash_rust::xxh3::xxh3_64;

use super::shim::{Calls, Order, Who};

/// How a command is run in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Processes {
    /// One process with so many workers.
    One(usize),
    /// Two processes at once, each with its half of the shards where there are any.
    Two,
}

/// What disturbs a run.
#[derive(Debug, Clone)]
pub(super) enum Disturbance {
    /// A call fails, is cut short, or ends its process.
    Call(Order),
    /// SIGKILL after this share of the time that an undisturbed run takes.
    Moment(f64),
}

/// The number of a round among those of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Round {
    Fault(u64),
    Kill(u64),
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Round::Fault(number) => write!(f, "fault-{number}"),
            Round::Kill(number) => write!(f, "kill-{number}"),
        }
    }
}

/// A round as it is drawn.
#[derive(Debug, Clone)]
pub(super) struct Draw {
    pub(super) round: Round,
    pub(super) processes: Processes,
    pub(super) disturbance: Disturbance,
}

/// What can go wrong with a call, and whether it stays so.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    Once(i32),
    On(i32),
    Short,
    /// Memory that cannot be read: SIGBUS.
    Unreadable,
    /// SIGKILL, as from the out-of-memory killer.
    Killed,
    /// The program ends in the middle with exit code 0.
    Exits,
}

/// Every fault that is drawn from. Each occurs on real disks or machines: failing ones, full ones, exhausted ones, and
/// those that take or give less than was asked.
const FAULTS: [(Who, &str, Trouble); 37] = {
    use Trouble::{Exits, Killed, On, Once, Short, Unreadable};
    use Who::{Helper, Main};
    [
        (Main, "read", Once(libc::EIO)),
        (Main, "read", On(libc::EIO)),
        (Main, "read", Once(libc::ESTALE)),
        (Main, "read", Once(libc::EINTR)),
        (Main, "read", Short),
        (Main, "write", Once(libc::ENOSPC)),
        (Main, "write", On(libc::ENOSPC)),
        (Main, "write", On(libc::EDQUOT)),
        (Main, "write", Once(libc::EIO)),
        (Main, "write", Once(libc::EINTR)),
        (Main, "write", Short),
        (Main, "sync", Once(libc::EIO)),
        (Main, "sync", On(libc::ENOSPC)),
        (Main, "rename", Once(libc::EIO)),
        (Main, "rename", On(libc::ENOSPC)),
        (Main, "open", Once(libc::EMFILE)),
        (Main, "open", On(libc::EMFILE)),
        (Main, "open", On(libc::ENOSPC)),
        (Main, "open", Once(libc::EIO)),
        (Main, "open", Once(libc::ENFILE)),
        (Main, "list", Once(libc::EIO)),
        (Main, "stat", Once(libc::EIO)),
        (Main, "map", Once(libc::ENOMEM)),
        (Main, "map", Unreadable),
        (Main, "lock", On(libc::ENOLCK)),
        (Main, "remove", Once(libc::EIO)),
        (Main, "spawn", Once(libc::EAGAIN)),
        (Helper, "read", Once(libc::EIO)),
        (Helper, "read", Killed),
        (Helper, "read", Short),
        (Helper, "write", Once(libc::ENOSPC)),
        (Helper, "write", On(libc::ENOSPC)),
        (Helper, "write", Killed),
        (Helper, "write", Exits),
        (Helper, "write", Short),
        (Helper, "open", Once(libc::EMFILE)),
        (Helper, "open", On(libc::ENOSPC)),
    ]
};

impl Draw {
    /// Draws a round of a command that makes these calls.
    pub(super) fn new(name: &str, seed: u64, round: Round, calls: &Calls) -> Self {
        let number = |what: &str| xxh3_64(format!("{seed} {name} {round} {what}").as_bytes());
        let processes = match number("processes") % 3 {
            0 => Processes::One(1),
            1 => Processes::One(2),
            _ => Processes::Two,
        };
        let disturbance = match (round, number("kill") % 2) {
            (Round::Fault(_), _) => Disturbance::Call(fault(number("fault"), number("nth"), calls)),
            (Round::Kill(_), 0) => Disturbance::Moment(number("moment") as f64 / u64::MAX as f64),
            (Round::Kill(_), _) => Disturbance::Call(any_call(number("nth"), calls)),
        };
        Self { round, processes, disturbance }
    }

    /// Whether the program under test may end by a signal.
    pub(super) fn may_end_by_signal(&self) -> bool {
        match &self.disturbance {
            Disturbance::Moment(_) => true,
            Disturbance::Call(order) => order.who == Who::Main && (order.kind == "kill" || order.kind == "bus"),
        }
    }
}

/// A kill of the program at any of its calls.
fn any_call(number: u64, calls: &Calls) -> Order {
    let all: u64 = calls.iter().filter(|((who, _), _)| *who == Who::Main).map(|(_, n)| n).sum();
    Order { who: Who::Main, op: "any", nth: 1 + number % all.max(1), goes_on: false, kind: "kill".into() }
}

/// A fault of a kind that can strike this command, in any of the calls of that kind.
fn fault(choice: u64, number: u64, calls: &Calls) -> Order {
    let n_calls = |who: Who, op: &str| calls.get(&(who, op.to_owned())).copied().unwrap_or(0);
    let possible: Vec<_> = FAULTS.iter().filter(|(who, op, _)| n_calls(*who, op) > 0).collect();
    let &&(who, op, trouble) = &possible[choice as usize % possible.len()];
    let (kind, goes_on) = match trouble {
        Trouble::Once(errno) => (errno.to_string(), false),
        Trouble::On(errno) => (errno.to_string(), true),
        Trouble::Short => ("short".to_owned(), false),
        Trouble::Unreadable => ("bus".to_owned(), false),
        Trouble::Killed => ("kill".to_owned(), false),
        Trouble::Exits => ("exit".to_owned(), false),
    };
    Order { who, op, nth: 1 + number % n_calls(who, op), goes_on, kind }
}

impl fmt::Display for Draw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, ", self.round)?;
        match self.processes {
            Processes::One(workers) => write!(f, "{workers} workers, ")?,
            Processes::Two => write!(f, "two processes, ")?,
        }
        match &self.disturbance {
            Disturbance::Moment(share) => write!(f, "killed after {:.0} % of the time", share * 100.0),
            Disturbance::Call(Order { who, op, nth, goes_on, kind }) => {
                let what = match kind.parse() {
                    Ok(errno) => io::Error::from_raw_os_error(errno).to_string(),
                    Err(_) => kind.clone(),
                };
                let on = if *goes_on { " and on" } else { "" };
                write!(f, "{} {op} call {nth}{on}: {what}", who.name())
            }
        }
    }
}
