//! Whether a program failed because of its input, or because of the machine it runs on.

use super::{MediaError, ProgramStatus, Tool};
use audsem_core::blame::Blame;
use audsem_core::run::ShardError;

/// Signals of a program that crashes on its input: illegal instruction, trap, abort, arithmetic error, bad address, bad
/// system call. All others come from outside.
const CRASHES: [i32; 6] = [4, 5, 6, 8, 11, 31];

/// Offset that shells add to a signal number in an exit code, where the program is a wrapper script.
const SHELL_SIGNALS: i32 = 128;

/// Signals from outside that a wrapper script reports: hangup, interrupt, kill, pipe, terminate, and the limits of time and file size.
const KILLS: [i32; 7] = [1, 2, 9, 13, 15, 24, 25];

/// ffmpeg's exit code after a signal that it has caught.
const FFMPEG_SIGNALLED: i32 = 255;

/// Messages of the operating system, ffmpeg and yt-dlp that nothing more can be written, or no file be opened.
const FULL: [&str; 6] = [
    "No space left on device",
    "Disk quota exceeded",
    "File too large",
    "Read-only file system",
    "Too many open files",
    "[Errno 28]",
];

/// Phrases of lines about the output. A failing disk gives only "Input/output error", which ffmpeg also reports for
/// damaged input; in one of these lines it means the output.
const WRITING: [&str; 5] = ["av_interleaved_write_frame", "Error writing", "Error closing", "muxer", "muxing"];

impl MediaError {
    /// The cause: the input of the program, or the machine it runs on.
    pub fn blame(&self) -> Blame {
        match self {
            MediaError::Failed { .. } | MediaError::TimedOut { .. } => Blame::Record,
            _ => Blame::Surroundings,
        }
    }

    /// Returns the error to be filed as a reject, if the record is the cause.
    ///
    /// # Errors
    /// [`ShardError::Stopped`] after a stop request. Otherwise [`ShardError::Fatal`] if every other record would fail too (no
    /// program, no disk space), else [`ShardError::Input`], which names the record and leaves the shard open.
    pub fn of_record(self, record: &str) -> Result<MediaError, ShardError> {
        match self.blame() {
            Blame::Record => Ok(self),
            Blame::Surroundings if matches!(self, MediaError::Stopped { .. }) => Err(ShardError::Stopped),
            Blame::Surroundings if matches!(self, MediaError::Killed { .. } | MediaError::Pipe { .. }) => {
                Err(ShardError::Input(format!("{record}: {self}")))
            }
            Blame::Surroundings => Err(ShardError::fatal(self)),
        }
    }
}

/// The failure of the machine that a program reports, if any, whatever its exit code.
pub(super) fn found(tool: Tool, status: ProgramStatus, stderr: &str) -> Option<MediaError> {
    if let Some(line) = stderr.lines().find(|line| cannot_write(line)) {
        return Some(MediaError::CannotWrite { tool, line: line.trim().to_owned() });
    }
    let is_killed = match status {
        ProgramStatus::Signal(signal) => !CRASHES.contains(&signal),
        ProgramStatus::Code(FFMPEG_SIGNALLED) => tool == Tool::Ffmpeg,
        ProgramStatus::Code(code) => KILLS.contains(&(code - SHELL_SIGNALS)),
    };
    is_killed.then(|| MediaError::Killed { tool, status, stderr: stderr.to_owned() })
}

fn cannot_write(line: &str) -> bool {
    FULL.iter().any(|phrase| line.contains(phrase))
        || line.contains("Input/output error") && WRITING.iter().any(|phrase| line.contains(phrase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_seen_behind_every_exit_code() {
        let check = |stderr: &str, is_full: bool| {
            let error = found(Tool::Ffmpeg, ProgramStatus::Code(0), stderr);
            assert_eq!(matches!(error, Some(MediaError::CannotWrite { .. })), is_full, "{stderr}");
        };
        // ffmpeg 5.1, 6 and 7, yt-dlp.
        check("av_interleaved_write_frame(): No space left on device\n", true);
        check("[aost#0:1 @ 0x5] Error submitting a packet to the muxer: No space left on device\n", true);
        check("first\nError writing trailer of x.mp4: File too large\nlast\n", true);
        check("ERROR: unable to write data: [Errno 28] No space left on device: '/x.part'\n", true);
        check("[out#0/mp4 @ 0x5] Error muxing a packet\nError writing trailer: Input/output error\n", true);
        check("Unable to re-open out.mp4 output file for shifting data: Too many open files\n", true);
        check("in.rm: Input/output error\n", false);
        check("[h264 @ 0x5] no frame!\n", false);
        check("", false);
    }

    #[test]
    fn a_killed_program_is_told_from_one_that_crashed() {
        let check = |tool: Tool, status: ProgramStatus, is_killed: bool| {
            let error = found(tool, status, "");
            assert_eq!(matches!(error, Some(MediaError::Killed { .. })), is_killed, "{tool} {status}");
        };
        for signal in [1, 2, 7, 9, 15, 24] {
            check(Tool::Ffmpeg, ProgramStatus::Signal(signal), true);
        }
        for signal in CRASHES {
            check(Tool::Ffmpeg, ProgramStatus::Signal(signal), false);
        }
        check(Tool::Ffmpeg, ProgramStatus::Code(255), true);
        check(Tool::YtDlp, ProgramStatus::Code(255), false);
        check(Tool::Ffprobe, ProgramStatus::Code(137), true);
        check(Tool::Ffmpeg, ProgramStatus::Code(1), false);
        check(Tool::Ffmpeg, ProgramStatus::Code(0), false);
        check(Tool::Ffmpeg, ProgramStatus::Code(183), false);
    }
}
