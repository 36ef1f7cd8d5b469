//! The meaning of yt-dlp's errors: permanent, temporary, or a refusal of the site.

use std::sync::LazyLock;

use audsem_core::run::{LeftOut, ShardError};
use audsem_media::program::MediaError;
use regex::Regex;

use crate::error::Error;

audsem_core::reasons! {
    /// Why a video or subtitle track could not be fetched.
    pub enum FetchFault {
        Gone = "gone": "the video does not exist any more",
        Private = "private": "the video is private",
        Restricted = "restricted": "the video requires a login, an age, a membership or another country",
        Unsupported = "unsupported": "there is no media at the address, or none in the wanted format",
        NotYet = "not_yet": "the video is announced or still live",
        Incomplete = "incomplete": "the transfer ended early",
        Network = "network": "the connection failed or timed out, or the server had an error",
        Throttled = "throttled": "the site asks for fewer requests",
        BotCheck = "bot_check": "the site suspects a bot and refuses",
        Other = "other": "yt-dlp failed for an unknown reason",
    }
}

/// What to do after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The site does not serve the video to us, or to anybody: not a failure of the run, and a retry
    /// cannot succeed.
    Refused,
    /// A failure that a retry cannot change.
    Permanent,
    /// A temporary failure; a retry may succeed.
    Retryable,
    /// The site refuses; every further request makes it worse.
    Blocked,
}

impl FetchFault {
    /// What to do after it.
    pub fn kind(self) -> FaultKind {
        match self {
            Self::Gone | Self::Private | Self::Restricted => FaultKind::Refused,
            Self::Unsupported => FaultKind::Permanent,
            Self::NotYet | Self::Incomplete | Self::Network | Self::Other => FaultKind::Retryable,
            Self::Throttled | Self::BotCheck => FaultKind::Blocked,
        }
    }

    /// How a record that is lost to this fault is filed. What a site does not serve is dropped: many videos of any real
    /// list are gone, and the failure limit must not end such a run.
    pub(crate) fn left_out(self, detail: String) -> LeftOut {
        match self.kind() {
            FaultKind::Refused => LeftOut::drop(self, detail),
            FaultKind::Permanent | FaultKind::Retryable | FaultKind::Blocked => LeftOut::fail(self, detail),
        }
    }
}

/// Why an attempt failed.
#[derive(Debug)]
pub enum Trouble {
    /// The video cannot be fetched: the cause and yt-dlp's message.
    Fetch(FetchFault, String),
    /// A stop was requested.
    Stopped,
    /// An error that concerns every video.
    Fatal(Error),
    /// The same, as a shard says it.
    Shard(ShardError),
}

impl Trouble {
    /// From a program that could not be run to its end for a video.
    pub fn from_media(error: MediaError, video_id: &str) -> Self {
        match error.of_record(video_id) {
            Ok(error) => Self::Fetch(FetchFault::Network, error.to_string()),
            Err(trouble) => Self::Shard(trouble),
        }
    }

    /// Ends the shard for errors that concern more than a single clip; returns the fault otherwise.
    ///
    /// # Errors
    /// [`ShardError::Stopped`], [`ShardError::Fatal`].
    pub fn into_fault(self) -> Result<(FetchFault, String), ShardError> {
        match self {
            Self::Fetch(fault, detail) => Ok((fault, detail)),
            Self::Stopped => Err(ShardError::Stopped),
            Self::Fatal(error) => Err(error.into()),
            Self::Shard(error) => Err(error),
        }
    }
}

/// Phrases in yt-dlp's error lines (lower case), the telling ones first: a refusal often also says
/// that the video is unavailable.
const PHRASES: [(FetchFault, &[&str]); 9] = [
    (FetchFault::BotCheck, &["not a bot", "captcha", "unusual traffic"]),
    (FetchFault::Throttled, &["http error 429", "too many requests", "rate-limited", "rate limit", "try again later"]),
    (FetchFault::Private, &["private video", "video is private"]),
    (
        FetchFault::Restricted,
        &[
            "confirm your age",
            "age-restricted",
            "age restricted",
            "members-only",
            "members only",
            "join this channel",
            "in your country",
            "geo restriction",
            "geo-restrict",
            "login required",
            "sign in",
            "http error 401",
            "requires payment",
            "drm",
        ],
    ),
    (FetchFault::NotYet, &["premieres in", "live event will begin", "is not currently live", "offline"]),
    (
        FetchFault::Gone,
        &[
            "http error 404",
            "http error 410",
            "video unavailable",
            "video is not available",
            "removed",
            "terminated",
            "no longer available",
            "does not exist",
        ],
    ),
    (FetchFault::Incomplete, &["bytes, expected", "more expected", "incompleteread", "incomplete read"]),
    (
        FetchFault::Unsupported,
        &["unsupported url", "no video formats", "requested format is not available", "is not a valid url"],
    ),
    (
        FetchFault::Network,
        &[
            "timed out",
            "timeout",
            "connection",
            "name resolution",
            "name or service not known",
            "http error 5",
            "http error 403",
            "remote end closed",
            "ssl",
            "network is unreachable",
            "ffmpeg exited",
        ],
    ),
];

/// The parts of an error line that yt-dlp does not word itself: the id of the video in front, quoted ids and names, and
/// addresses and paths. All of them may contain any phrase.
static FOREIGN: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r#"(?m)^(ERROR:\s*)?\[[^\]]+\] [^\s:]+:\s|(?:^|[\s(])'[^'\n]*/[^'\n]*'|\S*/\S*"#;
    Regex::new(pattern).expect("the pattern is a constant that the tests compile")
});

/// What yt-dlp itself says in some error lines, in lower case.
fn wording(lines: &str, video_id: &str) -> String {
    let mut text = lines.to_owned();
    for (open, close) in [('\'', '\''), ('"', '"'), ('‘', '’')] {
        text = text.replace(&format!("{open}{video_id}{close}"), " ");
    }
    FOREIGN.replace_all(&text, " ").to_lowercase()
}

/// Reads the cause out of what yt-dlp wrote on standard error about a video; returns it with the line that says so.
pub fn classify(stderr: &str, video_id: &str) -> (FetchFault, String) {
    let errors: Vec<&str> = stderr.lines().filter(|line| line.starts_with("ERROR:")).collect();
    let lines = if errors.is_empty() { stderr.lines().rev().take(3).collect() } else { errors };
    let text = wording(&lines.join("\n"), video_id);
    let found = PHRASES.iter().find(|(_, phrases)| phrases.iter().any(|phrase| text.contains(phrase)));
    let detail = lines.last().map_or("no error message", |line| line.trim_start_matches("ERROR:").trim());
    (found.map_or(FetchFault::Other, |(fault, _)| *fault), shorten(detail))
}

fn shorten(line: &str) -> String {
    const MAX_CHARS: usize = 300;
    match line.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{} …", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Messages as yt-dlp 2026.10.26 words them.
    #[test]
    fn messages_are_told_apart() {
        use FetchFault::*;
        let check = |message: &str, expected: FetchFault| assert_eq!(classify(message, "x").0, expected, "{message}");
        check("ERROR: [youtube] x: Video unavailable. This video has been removed by the uploader", Gone);
        check(
            "ERROR: [youtube] x: Video unavailable. This video is no longer available because the YouTube account associated with this video has been terminated.",
            Gone,
        );
        check(
            "ERROR: [generic] x: Unable to download webpage: HTTP Error 404: Not Found (caused by <HTTPError 404: Not Found>)",
            Gone,
        );
        check("ERROR: [youtube] x: Private video. Sign in if you've been granted access to this video", Private);
        check(
            "ERROR: [youtube] x: Sign in to confirm your age. This video may be inappropriate for some users.",
            Restricted,
        );
        check("ERROR: [youtube] x: The uploader has not made this video available in your country", Restricted);
        check(
            "ERROR: [youtube] x: Join this channel to get access to members-only content like this video",
            Restricted,
        );
        check("ERROR: [youtube] x: Sign in to confirm you’re not a bot. Use --cookies-from-browser", BotCheck);
        check(
            "ERROR: [youtube] x: Video unavailable. This content isn't available, try again later. The current session has been rate-limited by YouTube",
            Throttled,
        );
        check("ERROR: [generic] x: Unable to download webpage: HTTP Error 429: Too Many Requests", Throttled);
        check(
            "ERROR: [download] Got error: Downloaded 56692 bytes, expected 113384 bytes. Giving up after 1 retries",
            Incomplete,
        );
        check("ERROR: [generic] x: Unable to download webpage: HTTP Error 503: Service Unavailable", Network);
        check("ERROR: unable to download video data: HTTP Error 403: Forbidden", Network);
        check(
            "ERROR: [generic] x: Unable to download webpage: timed out (caused by TransportError('timed out'))",
            Network,
        );
        check("ERROR: [youtube] x: Premieres in 3 hours", NotYet);
        check("ERROR: Unsupported URL: http://example.org/", Unsupported);
        check("Traceback (most recent call last):\nKeyError: 'x'", Other);
        check("", Other);
    }

    /// A warning about 429 on the way to a video that is gone must not stop the run.
    #[test]
    fn only_error_lines_count() {
        let stderr = "WARNING: HTTP Error 429, retrying\nERROR: [youtube] x: Video unavailable";
        assert_eq!(classify(stderr, "x"), (FetchFault::Gone, "[youtube] x: Video unavailable".into()));
    }

    /// Ids, addresses and paths are not yt-dlp's words, whatever they contain.
    #[test]
    fn an_id_says_nothing_about_the_failure() {
        use FetchFault::*;
        let check = |id: &str, message: &str, expected: FetchFault| {
            let message = message.replace("ID", id);
            assert_eq!(classify(&message, id).0, expected, "{message}");
        };
        for id in ["aDrM-xyz123", "ssl_offline", "removed", "captcha", "Private_video-1", "not", "429"] {
            check(id, "ERROR: [youtube] ID: Video unavailable. This video has been removed by the uploader", Gone);
            check(id, "ERROR: [youtube] ID: Premieres in 3 hours", NotYet);
            check(id, "ERROR: [generic] ID: Unable to download webpage: HTTP Error 503: Service Unavailable", Network);
            check(id, "ERROR: [generic] 'ID' is not a valid URL. Set --default-search", Unsupported);
            check(id, "ERROR: Unsupported URL: https://example.org/watch?v=ID", Unsupported);
            check(
                id,
                "ERROR: unable to open for writing: [Errno 5] Input/output error: '/data/ID files/track.vtt'",
                Other,
            );
            check(id, "ERROR: [youtube] ID: This video is DRM protected", Restricted);
        }
    }
}
