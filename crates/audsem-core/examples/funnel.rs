//! Prints what became of the records of several runs, one after the other: how many went in, what was
//! left out by which rule, what came out and where it lies. Runs that kept everything are named in one line at the end, and
//! steps by which a command prepares itself are shown where they left something out.
//!
//! ```text
//! cargo run -p audsem-core --example funnel -- extract=out/extract combine=out/combine
//! ```
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;

use audsem_core::run::CompletedRun;
use audsem_core::terminal::thousands;

fn main() -> Result<(), Box<dyn Error>> {
    let (mut text, mut whole) = (String::new(), Vec::new());
    for argument in std::env::args().skip(1) {
        let (name, folder) = argument.split_once('=').ok_or("expected NAME=FOLDER for each run")?;
        if !describe(&mut text, name, Path::new(folder))? {
            whole.push(name.to_owned());
        }
    }
    print!("{text}{}", kept_whole(&whole));
    Ok(())
}

/// The runs that kept everything, on lines of a terminal.
fn kept_whole(names: &[String]) -> String {
    const WIDTH: usize = 100;
    let mut lines = format!("Left nothing out, in {} steps:", names.len());
    let mut width = lines.len();
    for name in names {
        if width + name.len() > WIDTH {
            lines.push_str("\n ");
            width = 1;
        }
        lines.push(' ');
        lines.push_str(name);
        width += name.len() + 1;
    }
    lines.push('\n');
    if names.is_empty() { String::new() } else { lines }
}

/// Appends one run: a line for each step, and one below it for each reason. Returns whether it has left anything out; of one
/// that has not, nothing is appended.
fn describe(text: &mut String, name: &str, folder: &Path) -> Result<bool, Box<dyn Error>> {
    let run = CompletedRun::open(folder)?.ok_or_else(|| format!("no run folder: {}", folder.display()))?;
    if run.steps().all(|(_, stats)| stats.n_left_out() == 0) {
        return Ok(false);
    }
    for (step, stats) in run.told_steps() {
        let name = step.map_or_else(|| name.to_owned(), |step| format!("{name}, {step}"));
        let share = 100.0 * stats.kept as f64 / stats.read as f64;
        let (read, kept) = (thousands(stats.read), thousands(stats.kept));
        writeln!(text, "{name:<18} {read:>8} in {kept:>8} out {share:>5.1} %   {}", folder.display())?;
        for (outcome, reasons) in [("dropped", &stats.dropped), ("failed", &stats.failed)] {
            let mut reasons: Vec<_> = reasons.iter().collect();
            reasons.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
            for (reason, n) in reasons.into_iter().filter(|(_, n)| **n > 0) {
                writeln!(text, "{:<18} {:>8} {outcome}: {}", "", thousands(*n), reason.replace('_', " "))?;
            }
        }
    }
    Ok(true)
}
