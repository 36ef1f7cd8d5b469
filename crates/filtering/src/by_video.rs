//! Shards that are named after their video, so that a list of videos may grow, and spread over subfolders, as there may be millions.

use audsem_core::error::Result as CoreResult;
use audsem_core::run::{Fingerprint, Run, Shard, Step, spread};

/// Longest id that is used as the name of its shard; file names have a limited length, of which the id is only a part.
const MAX_CHARS: usize = 64;

/// The name of a video's shard: its id, or a hash of an id that cannot be part of a file name. Plain ids contain no
/// dot, so the two kinds never collide, nor do they collide with names that have another word before the dot.
pub(crate) fn shard_name(video_id: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !video_id.is_empty() && video_id.len() <= MAX_CHARS && video_id.chars().all(plain) {
        return video_id.to_owned();
    }
    format!("id.{}", &Fingerprint::new().with(video_id).finish()[..32])
}

/// Spreads the shards of a plan over subfolders. The run folder of a version that did not do so is continued as it was begun, so
/// that nothing is fetched twice.
///
/// # Errors
/// The run folder cannot be listed.
pub(crate) fn spread_shards<W>(run: &Run, step: Step, plan: &mut [Shard<W>]) -> CoreResult<()> {
    if !run.lies_flat(step)? {
        plan.iter_mut().for_each(|shard| shard.name = spread(&shard.name));
    }
    Ok(())
}

/// Name of the result that counts videos of an earlier list that the current list does not name.
pub(crate) const UNLISTED: &str = "videos of an earlier list, kept and not counted";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_and_distinct() {
        let long = "x".repeat(65);
        let ids = ["dQw4w9WgXcQ", "-dash_1", "../evil", "", "a b", "é", "a/b", "id.1", &*long];
        let names: Vec<String> = ids.iter().map(|id| shard_name(id)).collect();
        assert_eq!(names[..2], ["dQw4w9WgXcQ", "-dash_1"]);
        assert!(names[2..].iter().all(|name| name.starts_with("id.") && name.len() == 35), "{names:?}");
        let distinct: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), ids.len());
    }
}
