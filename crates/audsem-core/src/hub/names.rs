//! Names that come from outside, before they become part of a path.

use std::path::{Path, PathBuf};

/// Whether a name is a single component of a path, so that joined to a folder it stays in it.
pub(super) fn is_component(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '\\', ':']) && !name.chars().any(char::is_control)
}

/// Whether a name is a path downwards.
pub(super) fn is_relative(name: &str) -> bool {
    name.split('/').all(is_component)
}

/// The folder that the links of a snapshot of the hub's cache point to, if `root` is one.
pub(super) fn blobs_of_snapshot(root: &Path) -> Option<PathBuf> {
    let snapshots = root.parent().filter(|folder| folder.file_name().is_some_and(|name| name == "snapshots"))?;
    Some(snapshots.parent()?.join("blobs"))
}

/// `name` or `org/name`, of the characters the hub allows.
pub(super) fn is_hub_id(text: &str) -> bool {
    let ok = |part: &str| {
        !part.is_empty()
            && !part.starts_with(['.', '-'])
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    let parts: Vec<&str> = text.split('/').collect();
    (1..=2).contains(&parts.len()) && parts.into_iter().all(ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ways_downwards_are_names() {
        for name in ["main", "v1.5", "refs/pr/3", "a..b", "..a", "0123abc", "W/e1"] {
            assert!(is_relative(name), "{name}");
        }
        for name in
            ["", "/", "/etc", "..", "../x", "a/../b", "a//b", "a/", "./a", "a\\b", "..\\x", "C:x", "a\nb", "a\0"]
        {
            assert!(!is_relative(name), "{name}");
        }
        assert!(is_component("abc") && !is_component("a/b"));
    }
}
